// What the long-poll relay and its agents say to each other (docs/reference/http.md). A relayed
// request travels as the answer to a poll, a relayed response as a request of the device:
//
//   device    GET /poll/DEVICE           Authorization: Bearer TOKEN
//   relay     200, Request: ID METHOD TARGET, the requester's own fields, its body; or 204: poll
//   again device    POST /answer/ID            Authorization: …, Status: 404 (unless 200), fields,
//   body
//             with "Poll: DEVICE" its answer is the next poll's, one exchange less
//
// Stands on message.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/http/message.h"

namespace culvert::http {

constexpr std::string_view kRequestField = "Request", kStatusField = "Status", kPollField = "Poll";
// What became of an answer: "late", "duplicate" or "unknown"; in the next poll's answer.
constexpr std::string_view kResultField = "Answer-Result";
constexpr std::string_view kDeadlineField =
    "Deadline-Ms";  // a requester's, at most the relay's own

// Fields that are one connection's or the relay's own business: they are not passed on (RFC 9110
// section 7.6.1).
bool is_passed_on(const Headers& headers, std::string_view name);

// A secret as it stands behind "Bearer": itself if it is one printable word (its line end cut off),
// else in lower-case hex.
std::string token_of(net::Bytes secret);
bool carries(const Headers& headers, std::string_view token);  // in constant time

// Letters, digits, '-', '.', '_', '~' (RFC 3986 section 2.3), at most 64.
bool is_device_name(std::string_view name);

struct Relayed {
  std::string id, method, target;
};
std::optional<Relayed> parse_request_field(std::string_view value);

}  // namespace culvert::http
