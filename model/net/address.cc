#include "model/net/address.h"

#include <charconv>
#include <cstdio>

namespace culvert::net {
namespace {

template <class T>
std::optional<T> parse_number(std::string_view text, int base, T max) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || text.empty() || value > max)
    return {};
  return static_cast<T>(value);
}

std::optional<uint32_t> parse_v4(std::string_view text) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const size_t dot = i < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos || dot > 3) return {};
    if (dot > 1 && text[0] == '0') return {};  // 010 is octal to some; refuse it
    const auto byte = parse_number<uint8_t>(text.substr(0, dot), 10, 255);
    if (!byte) return {};
    value = value << 8 | *byte;
    text.remove_prefix(i < 3 ? dot + 1 : dot);
  }
  return value;
}

// Groups of hexadecimal digits separated by ':'; the last of an address may be dotted IPv4 (`ends`).
// -1: malformed.
int parse_groups(std::string_view text, uint16_t* groups, int max, bool ends) {
  int count = 0;
  while (!text.empty()) {
    const size_t colon = text.find(':');
    const std::string_view part = text.substr(0, colon);
    if (part.find('.') != std::string_view::npos) {
      const auto v4 = parse_v4(part);
      if (!v4 || !ends || colon != std::string_view::npos || count + 2 > max) return -1;
      groups[count++] = static_cast<uint16_t>(*v4 >> 16);
      groups[count++] = static_cast<uint16_t>(*v4);
      return count;
    }
    const auto group = part.size() <= 4 ? parse_number<uint16_t>(part, 16, 0xffff) : std::nullopt;
    if (!group || count == max) return -1;
    groups[count++] = *group;
    if (colon == std::string_view::npos) return count;
    text.remove_prefix(colon + 1);
    if (text.empty()) return -1;  // a trailing single ':'
  }
  return count;
}

std::optional<IpAddress> parse_v6(std::string_view text) {
  uint16_t head[8] = {}, tail[8] = {};
  const size_t gap = text.find("::");
  int heads, tails = 0;
  if (gap == std::string_view::npos) {
    heads = parse_groups(text, head, 8, true);
    if (heads != 8) return {};
  } else {
    heads = parse_groups(text.substr(0, gap), head, 7, false);
    tails = parse_groups(text.substr(gap + 2), tail, 7, true);
    if (heads < 0 || tails < 0 || heads + tails > 7) return {};
  }
  std::array<uint8_t, 16> bytes{};
  const auto put = [&](int index, uint16_t group) {
    bytes[index * 2] = static_cast<uint8_t>(group >> 8);
    bytes[index * 2 + 1] = static_cast<uint8_t>(group);
  };
  for (int i = 0; i < heads; ++i) put(i, head[i]);
  for (int i = 0; i < tails; ++i) put(8 - tails + i, tail[i]);
  return IpAddress::v6(bytes);
}

}  // namespace

IpAddress IpAddress::v4(uint32_t host_order) {
  IpAddress a;
  a.family_ = Family::v4;
  for (int i = 0; i < 4; ++i) a.bytes_[i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
  return a;
}

IpAddress IpAddress::v6(const std::array<uint8_t, 16>& bytes) {
  IpAddress a;
  a.family_ = Family::v6;
  a.bytes_ = bytes;
  return a;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.find(':') != std::string_view::npos) return parse_v6(text);
  const auto value = parse_v4(text);
  if (!value) return {};
  return v4(*value);
}

uint32_t IpAddress::to_v4() const {
  return uint32_t{bytes_[0]} << 24 | uint32_t{bytes_[1]} << 16 | uint32_t{bytes_[2]} << 8 |
         bytes_[3];
}

bool IpAddress::is_any() const { return !is_none() && bytes_ == std::array<uint8_t, 16>{}; }

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[0] == 127;
  std::array<uint8_t, 16> one{};
  one[15] = 1;
  return is_v6() && bytes_ == one;
}

bool IpAddress::is_multicast() const {
  return is_v4() ? bytes_[0] >= 224 && bytes_[0] < 240 : is_v6() && bytes_[0] == 0xff;
}

bool IpAddress::is_private() const {
  if (is_v6()) return (bytes_[0] & 0xfe) == 0xfc || (bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80);
  if (!is_v4()) return false;
  const uint32_t a = to_v4();
  return (a >> 24) == 10 || (a >> 20) == 0xac1 || (a >> 16) == 0xc0a8 || (a >> 22) == (0x64400000u >> 22) ||
         (a >> 16) == 0xa9fe;
}

std::string IpAddress::to_string() const {
  char text[48];
  if (is_v4()) {
    std::snprintf(text, sizeof text, "%u.%u.%u.%u", bytes_[0], bytes_[1], bytes_[2], bytes_[3]);
    return text;
  }
  if (!is_v6()) return "none";
  uint16_t groups[8];
  for (int i = 0; i < 8; ++i) groups[i] = static_cast<uint16_t>(bytes_[2 * i] << 8 | bytes_[2 * i + 1]);
  int best = -1, best_length = 1;  // the longest run of zeros, the first of equals, never one alone
  for (int i = 0; i < 8;) {
    int j = i;
    while (j < 8 && groups[j] == 0) ++j;
    if (j - i > best_length) best = i, best_length = j - i;
    i = j == i ? i + 1 : j;
  }
  std::string out;
  for (int i = 0; i < 8; ++i) {
    if (i == best) {
      out += "::";
      i += best_length - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    std::snprintf(text, sizeof text, "%x", groups[i]);
    out += text;
  }
  return out;
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return {};
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 1 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto ip = IpAddress::parse(host);
  const auto port = parse_number<uint16_t>(text.substr(colon + 1), 10, 65535);
  if (!ip || !port || ip->is_v6() != bracketed) return {};
  return Endpoint{*ip, *port};
}

std::string Endpoint::to_string() const {
  const std::string host = ip.is_v6() ? "[" + ip.to_string() + "]" : ip.to_string();
  return host + ":" + std::to_string(port);
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto ip = IpAddress::parse(text.substr(0, slash));
  if (!ip) return {};
  const uint8_t max = ip->is_v4() ? 32 : 128;
  if (slash == std::string_view::npos) return Prefix{*ip, max};
  const auto length = parse_number<uint8_t>(text.substr(slash + 1), 10, max);
  if (!length) return {};
  return Prefix{*ip, *length};
}

bool Prefix::contains(const IpAddress& address) const {
  if (address.family() != ip.family()) return false;
  for (int bit = 0; bit < length; ++bit) {
    const int shift = 7 - bit % 8;
    if ((address.bytes()[bit / 8] ^ ip.bytes()[bit / 8]) >> shift & 1) return false;
  }
  return true;
}

std::string Prefix::to_string() const { return ip.to_string() + "/" + std::to_string(length); }

}  // namespace culvert::net
