// HTTP in, MQTT request out: an unmodified HTTP client reaches a device behind NAT.
//   POST /devices/7/valve  →  topic devices/7/valve, method POST, the same body  →  200 …
// Stands on requester.h and model/http.
#pragma once

#include <string>
#include <vector>

#include "model/http/server.h"
#include "model/request/requester.h"

namespace culvert::request {

struct GatewayOptions {
  std::string path = "/";                 // requests below it; others 404
  std::string topic_prefix;               // put in front, with its slash: "home/"
  std::vector<std::string> allowed{"#"};  // topic filters; what none matches is 403
  net::Duration deadline =
      net::Duration(10'000'000'000);  // unless Prefer: wait=SECONDS asks for less
  std::string allow_origin;           // Access-Control-Allow-Origin; empty: none
};

// The topic of an HTTP target: path below options.path, percent-decoded, without the query.
// not_found: not below the path; invalid: no topic (empty levels, wildcards, "$", bad escapes,
// control characters); not_permitted: none of the allowed filters matches.
net::Result<std::string> topic_of(const GatewayOptions& options, std::string_view target);

// For http::Server. Status of the answer: the responder's own if it answered; 504 if it did not in
// time; 503 if nobody is subscribed or too many wait; 403 if the broker refuses; 502 for a status
// that HTTP does not have. The requester must outlive the handler's use.
http::Handler gateway(Requester& requester, GatewayOptions options);

}  // namespace culvert::request
