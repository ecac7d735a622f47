// Small things about the text of HTTP: comparing without case, lists, tokens, URLs, base64. RFC
// 9110 section 5.6, RFC 3986, RFC 4648. Stands on model/net's bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/http/message.h"
#include "model/net/bytes.h"

namespace culvert::http {

bool equal_without_case(std::string_view a, std::string_view b);  // ASCII letters
std::string_view trim(std::string_view text);                     // spaces and tabs at both ends
// Whether `token` is an element of a comma-separated list, without case (RFC 9110 section 5.6.1).
bool list_has(std::string_view list, std::string_view token);
// The same over all fields of that name.
bool list_has(const Headers& headers, std::string_view name, std::string_view token);
bool is_token(std::string_view text);  // a method or a field's name
// No control characters, so that it cannot end its line (RFC 9110 section 5.5).
bool is_field_value(std::string_view text);
// No spaces or control characters.
bool is_target(std::string_view text);

// RFC 4648 section 4, with padding.
std::string base64(net::Bytes bytes);
// Nothing if it is not base64 with its padding.
std::optional<net::Buffer> unbase64(std::string_view text);

struct Url {
  std::string scheme;  // "http", "https", "ws", "wss"
  std::string host;    // without the brackets of an IPv6 address
  uint16_t port = 0;
  std::string target = "/";       // path and query
  std::string authority() const;  // for Host: the port only if it is not the scheme's own
  bool secure() const { return scheme == "https" || scheme == "wss"; }
};
// Nothing if it is not a URL of these schemes. User information is refused; a fragment is cut off.
std::optional<Url> parse_url(std::string_view text);

// The usual phrase of a status, or "Unknown".
std::string_view usual_reason(int status);

}  // namespace culvert::http
