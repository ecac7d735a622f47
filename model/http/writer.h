// HTTP/1.1 messages written as bytes: start line, fields and body behind each other in one buffer,
// so that a message is one write (Beast's serializer gives a rope of buffers, one write each).
// RFC 9112. Stands on message.h.
#pragma once

#include "model/http/message.h"

namespace culvert::http {

struct ResponseForm {
  bool head = false;     // answers a HEAD: no body
  bool connect = false;  // answers a CONNECT: a 2xx has no body
  bool close = false;    // says "Connection: close"
  bool keep_10 = false;  // says "Connection: keep-alive", to an HTTP/1.0 client
};

// What we add ourselves is the least that RFC 9110 and 9112 ask for: Content-Length, and Connection
// where it differs from the version's habit. No Date (RFC 9110 section 6.6.1: not without a clock,
// and a Host has none that tells the date), no Server, no Content-Type but the caller's. Fields
// that would break the message (a bad name, control characters) are left out.
void append_response(net::Buffer& out, const Response& response, const ResponseForm& form);

struct RequestForm {
  std::string_view host;  // the Host field, unless the request has its own
  bool close = false;
};
// A request with "Transfer-Encoding: chunked" is sent as one chunk; else Content-Length is added if
// there is a body or the method usually has one (RFC 9110 section 8.6).
void append_request(net::Buffer& out, const Request& request, const RequestForm& form);

}  // namespace culvert::http
