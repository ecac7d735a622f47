#include "model/http/writer.h"

#include <charconv>

#include "model/http/text.h"

namespace culvert::http {
namespace {

void append(net::Buffer& out, std::string_view text) {
  out.insert(out.end(), text.begin(), text.end());
}

void append_number(net::Buffer& out, uint64_t number, int base = 10) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, number, base);
  append(out, {digits, static_cast<size_t>(end.ptr - digits)});
}

void append_field(net::Buffer& out, std::string_view name, std::string_view value) {
  append(out, name);
  append(out, ": ");
  append(out, value);
  append(out, "\r\n");
}

void append_length(net::Buffer& out, uint64_t length) {
  append(out, "Content-Length: ");
  append_number(out, length);
  append(out, "\r\n");
}

bool good(const std::pair<std::string, std::string>& field) {
  return is_token(field.first) && is_field_value(field.second);
}

size_t size_of(const Headers& headers) {
  size_t sum = 0;
  for (const auto& [name, value] : headers.all()) sum += name.size() + value.size() + 4;
  return sum;
}

}  // namespace

void append_response(net::Buffer& out, const Response& response, const ResponseForm& form) {
  const int status = response.status < 100 || response.status > 999 ? 500 : response.status;
  const bool no_length =
      status < 200 || status == 204 || (form.connect && status / 100 == 2);  // RFC 9112 section 6.3
  const bool no_body = no_length || status == 304 || form.head;
  out.reserve(out.size() + 128 + size_of(response.headers) + (no_body ? 0 : response.body.size()));
  append(out, "HTTP/1.1 ");
  append_number(out, static_cast<uint64_t>(status));
  append(out, " ");
  append(out, response.reason.empty() || !is_field_value(response.reason) ? usual_reason(status)
                                                                          : response.reason);
  append(out, "\r\n");
  std::string_view told_length;
  for (const auto& field : response.headers.all()) {
    if (!good(field) || equal_without_case(field.first, "Transfer-Encoding")) continue;
    if (equal_without_case(field.first, "Connection") && status != 101) continue;
    if (equal_without_case(field.first, "Content-Length")) {
      told_length = field.second;
      continue;
    }
    append_field(out, field.first, field.second);
  }
  if (form.close && status >= 200)
    append_field(out, "Connection", "close");
  else if (form.keep_10)
    append_field(out, "Connection", "keep-alive");
  if (!no_length) {
    // A HEAD may be answered without making the body whose length is told.
    if (no_body && response.body.empty() && !told_length.empty())
      append_field(out, "Content-Length", told_length);
    else if (status != 304)
      append_length(out, response.body.size());
  }
  append(out, "\r\n");
  if (!no_body) out.insert(out.end(), response.body.begin(), response.body.end());
}

void append_request(net::Buffer& out, const Request& request, const RequestForm& form) {
  out.reserve(out.size() + 128 + request.target.size() + size_of(request.headers) +
              request.body.size());
  append(out, request.method);
  append(out, " ");
  append(out, request.target);
  append(out, " HTTP/1.1\r\n");
  if (!request.headers.has("Host")) append_field(out, "Host", form.host);
  bool chunked = false, connection = false;
  for (const auto& field : request.headers.all()) {
    if (!good(field) || equal_without_case(field.first, "Content-Length")) continue;
    if (equal_without_case(field.first, "Transfer-Encoding")) {
      if (!equal_without_case(field.second, "chunked") || chunked) continue;
      chunked = true;
    }
    connection = connection || equal_without_case(field.first, "Connection");
    append_field(out, field.first, field.second);
  }
  if (form.close && !connection) append_field(out, "Connection", "close");
  const bool usual_body =
      request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (!chunked && (usual_body || !request.body.empty())) append_length(out, request.body.size());
  append(out, "\r\n");
  if (chunked && !request.body.empty()) {
    append_number(out, request.body.size(), 16);
    append(out, "\r\n");
  }
  out.insert(out.end(), request.body.begin(), request.body.end());
  if (chunked) append(out, request.body.empty() ? "0\r\n\r\n" : "\r\n0\r\n\r\n");
}

}  // namespace culvert::http
