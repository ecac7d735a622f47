#include "model/http/poll_wire.h"

#include <algorithm>

#include "model/http/text.h"
#include "model/net/crypto.h"

namespace culvert::http {

bool is_passed_on(const Headers& headers, std::string_view name) {
  for (const std::string_view own :
       {std::string_view("Host"), std::string_view("Connection"), std::string_view("Keep-Alive"),
        std::string_view("Proxy-Connection"), std::string_view("Proxy-Authorization"),
        std::string_view("TE"), std::string_view("Trailer"), std::string_view("Transfer-Encoding"),
        std::string_view("Upgrade"), std::string_view("Content-Length"), std::string_view("Expect"),
        std::string_view("Authorization"), kRequestField, kStatusField, kPollField, kResultField})
    if (equal_without_case(name, own)) return false;
  return !list_has(headers, "Connection", name);
}

std::string token_of(net::Bytes secret) {
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r'))
    secret = secret.first(secret.size() - 1);
  if (is_target(net::as_text(secret)) &&
      std::all_of(secret.begin(), secret.end(), [](uint8_t byte) { return byte < 0x7f; }))
    return std::string(net::as_text(secret));
  std::string out;
  for (const uint8_t byte : secret) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

bool carries(const Headers& headers, std::string_view token) {
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view value = headers.get("Authorization");
  if (token.empty() || !equal_without_case(value.substr(0, kScheme.size()), kScheme)) return false;
  // Of equal length whatever was sent, so that the comparison tells nothing.
  return net::equal_in_constant_time(net::sha256(net::as_bytes(trim(value.substr(kScheme.size())))),
                                     net::sha256(net::as_bytes(token)));
}

bool is_device_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
  });
}

std::optional<Relayed> parse_request_field(std::string_view value) {
  const size_t first = value.find(' ');
  const size_t second = first == std::string_view::npos ? first : value.find(' ', first + 1);
  if (second == std::string_view::npos) return {};
  Relayed relayed{std::string(value.substr(0, first)),
                  std::string(value.substr(first + 1, second - first - 1)),
                  std::string(value.substr(second + 1))};
  if (!is_device_name(relayed.id) || !is_token(relayed.method) || !is_target(relayed.target))
    return {};
  return relayed;
}

}  // namespace culvert::http
