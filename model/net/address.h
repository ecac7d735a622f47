// IP addresses, endpoints and prefixes as plain values, for every room.
// Stands on the standard library only. Text forms: RFC 4291 section 2.2, RFC 5952 on output;
// an IPv6 endpoint is written [address]:port (RFC 3986 section 3.2.2).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace culvert::net {

// An IPv4 or IPv6 address. The default is "none": no family, equal only to itself.
class IpAddress {
 public:
  enum class Family : uint8_t { none, v4, v6 };

  constexpr IpAddress() = default;
  // `host_order`: 0x7f000001 is 127.0.0.1.
  static IpAddress v4(uint32_t host_order);
  static IpAddress v6(const std::array<uint8_t, 16>& bytes);
  static IpAddress any_v4() { return v4(0); }
  static IpAddress any_v6() { return v6({}); }
  // Nothing if the text is not an address. Does not resolve names; takes no zone identifiers.
  static std::optional<IpAddress> parse(std::string_view text);

  Family family() const { return family_; }
  bool is_none() const { return family_ == Family::none; }
  bool is_v4() const { return family_ == Family::v4; }
  bool is_v6() const { return family_ == Family::v6; }
  bool is_any() const;        // 0.0.0.0 or ::
  bool is_loopback() const;   // 127/8 or ::1
  bool is_multicast() const;  // 224/4 or ff00::/8
  // RFC 1918, RFC 6598 (100.64/10), RFC 3927 link-local, RFC 4193 and fe80::/10: addresses that a
  // NAT is still in front of.
  bool is_private() const;

  // Undefined unless is_v4().
  uint32_t to_v4() const;
  // IPv4 uses the first four bytes, network order.
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  size_t size() const { return is_v4() ? 4 : is_v6() ? 16 : 0; }
  std::string to_string() const;

  friend bool operator==(const IpAddress& a, const IpAddress& b) {
    return a.family_ == b.family_ && a.bytes_ == b.bytes_;
  }
  friend bool operator!=(const IpAddress& a, const IpAddress& b) { return !(a == b); }
  friend bool operator<(const IpAddress& a, const IpAddress& b) {
    return a.family_ != b.family_ ? a.family_ < b.family_ : a.bytes_ < b.bytes_;
  }

 private:
  std::array<uint8_t, 16> bytes_{};
  Family family_ = Family::none;
};

struct Endpoint {
  IpAddress ip;
  uint16_t port = 0;

  // "192.0.2.1:3478" or "[2001:db8::1]:3478"; nothing if it is neither.
  static std::optional<Endpoint> parse(std::string_view text);
  bool is_none() const { return ip.is_none(); }
  std::string to_string() const;

  friend bool operator==(const Endpoint& a, const Endpoint& b) {
    return a.port == b.port && a.ip == b.ip;
  }
  friend bool operator!=(const Endpoint& a, const Endpoint& b) { return !(a == b); }
  friend bool operator<(const Endpoint& a, const Endpoint& b) {
    return a.ip != b.ip ? a.ip < b.ip : a.port < b.port;
  }
};

// An address with a prefix length: an interface's address or a subnet.
struct Prefix {
  IpAddress ip;
  uint8_t length = 0;  // bits, 0..32 or 0..128

  static std::optional<Prefix> parse(std::string_view text);  // "10.0.0.0/8"; a bare address is /32 or /128
  bool contains(const IpAddress& address) const;
  std::string to_string() const;
  friend bool operator==(const Prefix& a, const Prefix& b) {
    return a.length == b.length && a.ip == b.ip;
  }
};

}  // namespace culvert::net

template <>
struct std::hash<culvert::net::IpAddress> {
  size_t operator()(const culvert::net::IpAddress& a) const noexcept {
    return std::hash<std::string_view>()(
        std::string_view(reinterpret_cast<const char*>(a.bytes().data()), a.size()));
  }
};

template <>
struct std::hash<culvert::net::Endpoint> {
  size_t operator()(const culvert::net::Endpoint& e) const noexcept {
    return std::hash<culvert::net::IpAddress>()(e.ip) * 0x9e3779b97f4a7c15ull + e.port;
  }
};
