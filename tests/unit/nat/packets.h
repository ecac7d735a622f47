// Builds and checks whole packets for the tests, from RFC text and nothing of model/packet: its
// checksums are summed from scratch, so that they can judge the incremental ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "model/net/address.h"
#include "model/net/bytes.h"

namespace culvert::testing {

using net::Buffer;
using net::Endpoint;
using net::IpAddress;

inline Endpoint at(std::string_view text) { return *Endpoint::parse(text); }

inline uint16_t get16(const Buffer& b, size_t i) {
  return static_cast<uint16_t>(b.at(i) << 8 | b.at(i + 1));
}
inline uint32_t get32(const Buffer& b, size_t i) {
  return uint32_t{get16(b, i)} << 16 | get16(b, i + 2);
}
inline void set16(Buffer& b, size_t i, uint32_t v) {
  b.at(i) = static_cast<uint8_t>(v >> 8);
  b.at(i + 1) = static_cast<uint8_t>(v);
}
inline void set32(Buffer& b, size_t i, uint32_t v) {
  set16(b, i, v >> 16);
  set16(b, i + 2, v & 0xffff);
}

// RFC 1071, the plain way.
inline uint32_t sum_of(const uint8_t* p, size_t n, uint32_t sum = 0) {
  for (size_t i = 0; i + 1 < n; i += 2) sum += uint32_t{p[i]} << 8 | p[i + 1];
  if (n & 1) sum += uint32_t{p[n - 1]} << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}
inline uint16_t folded(uint32_t sum) { return static_cast<uint16_t>(~sum); }

inline bool is_v4(const Buffer& p) { return p.at(0) >> 4 == 4; }
inline size_t header_size(const Buffer& p) { return is_v4(p) ? (p.at(0) & 15) * 4u : 40; }
inline uint8_t protocol_of(const Buffer& p) { return is_v4(p) ? p.at(9) : p.at(6); }

// The transport checksum as it should be, over all of the packet.
inline uint16_t transport_checksum(Buffer p) {
  const size_t h = header_size(p), n = p.size() - h;
  const uint8_t protocol = protocol_of(p);
  const size_t field = h + (protocol == 6 ? 16 : protocol == 17 ? 6 : 2);
  set16(p, field, 0);
  uint32_t sum = 0;
  if (protocol != 1) {
    sum = sum_of(p.data() + (is_v4(p) ? 12 : 8), is_v4(p) ? 8 : 32);
    sum = sum_of(nullptr, 0, sum + static_cast<uint32_t>(n) + protocol);
  }
  const uint16_t value = folded(sum_of(p.data() + h, n, sum));
  return protocol == 17 && value == 0 ? 0xffff : value;
}
inline uint16_t stored_checksum(const Buffer& p) {
  const uint8_t protocol = protocol_of(p);
  return get16(p, header_size(p) + (protocol == 6 ? 16 : protocol == 17 ? 6 : 2));
}
inline bool header_checksum_right(const Buffer& p) {
  return !is_v4(p) || sum_of(p.data(), header_size(p)) == 0xffff;
}
inline bool checksums_right(const Buffer& p) {
  return header_checksum_right(p) && stored_checksum(p) == transport_checksum(p);
}
inline void fix_header(Buffer& p) {
  if (!is_v4(p)) return;
  set16(p, 10, 0);
  set16(p, 10, folded(sum_of(p.data(), header_size(p))));
}
inline void fix_transport(Buffer& p) {
  const uint8_t protocol = protocol_of(p);
  set16(p, header_size(p) + (protocol == 6 ? 16 : protocol == 17 ? 6 : 2), transport_checksum(p));
}

inline Buffer ip(uint8_t protocol, const IpAddress& from, const IpAddress& to,
                 const Buffer& payload, uint16_t id = 0x1234, uint8_t ttl = 64) {
  Buffer p;
  if (from.is_v4()) {
    p.resize(20);
    p[0] = 0x45;
    set16(p, 2, static_cast<uint32_t>(20 + payload.size()));
    set16(p, 4, id);
    p[8] = ttl;
    p[9] = protocol;
    std::copy_n(from.bytes().begin(), 4, p.begin() + 12);
    std::copy_n(to.bytes().begin(), 4, p.begin() + 16);
    fix_header(p);
  } else {
    p.resize(40);
    p[0] = 0x60;
    set16(p, 4, static_cast<uint32_t>(payload.size()));
    p[6] = protocol;
    p[7] = ttl;
    std::copy_n(from.bytes().begin(), 16, p.begin() + 8);
    std::copy_n(to.bytes().begin(), 16, p.begin() + 24);
  }
  p.insert(p.end(), payload.begin(), payload.end());
  return p;
}

inline Buffer udp(const Endpoint& from, const Endpoint& to, std::string_view text = "hello") {
  Buffer u(8);
  set16(u, 0, from.port);
  set16(u, 2, to.port);
  set16(u, 4, static_cast<uint32_t>(8 + text.size()));
  u.insert(u.end(), text.begin(), text.end());
  Buffer p = ip(17, from.ip, to.ip, u);
  fix_transport(p);
  return p;
}

enum : uint8_t { kFin = 1, kSyn = 2, kRst = 4, kAck = 16 };

inline Buffer tcp(const Endpoint& from, const Endpoint& to, uint8_t flags, uint32_t seq = 1000,
                  uint32_t ack = 2000, std::string_view text = "", const Buffer& options = {}) {
  Buffer t(20);
  set16(t, 0, from.port);
  set16(t, 2, to.port);
  set32(t, 4, seq);
  set32(t, 8, flags & kAck ? ack : 0);
  t[12] = static_cast<uint8_t>((20 + options.size()) / 4 << 4);
  t[13] = flags;
  set16(t, 14, 65535);
  t.insert(t.end(), options.begin(), options.end());
  t.insert(t.end(), text.begin(), text.end());
  Buffer p = ip(6, from.ip, to.ip, t);
  fix_transport(p);
  return p;
}

inline Buffer echo(const IpAddress& from, const IpAddress& to, uint16_t id, bool request,
                   std::string_view text = "ping") {
  const bool v4 = from.is_v4();
  Buffer i(8);
  i[0] = v4 ? (request ? 8 : 0) : (request ? 128 : 129);
  set16(i, 4, id);
  set16(i, 6, 1);
  i.insert(i.end(), text.begin(), text.end());
  Buffer p = ip(v4 ? 1 : 58, from, to, i);
  fix_transport(p);
  return p;
}

// An ICMP error about `inner`, of which it quotes the first `quote` bytes.
inline Buffer icmp_error(const IpAddress& from, const IpAddress& to, uint8_t type, uint8_t code,
                         const Buffer& inner, size_t quote = 1000) {
  Buffer i(8);
  i[0] = type;
  i[1] = code;
  i.insert(i.end(), inner.begin(),
           inner.begin() + static_cast<long>(std::min(quote, inner.size())));
  Buffer p = ip(from.is_v4() ? 1 : 58, from, to, i);
  fix_transport(p);
  return p;
}

inline Endpoint source_of(const Buffer& p) {
  const size_t h = header_size(p);
  if (is_v4(p)) return {IpAddress::v4(get32(p, 12)), get16(p, h)};
  std::array<uint8_t, 16> b;
  std::copy_n(p.begin() + 8, 16, b.begin());
  return {IpAddress::v6(b), get16(p, h)};
}
inline Endpoint destination_of(const Buffer& p) {
  const size_t h = header_size(p);
  if (is_v4(p)) return {IpAddress::v4(get32(p, 16)), get16(p, h + 2)};
  std::array<uint8_t, 16> b;
  std::copy_n(p.begin() + 24, 16, b.begin());
  return {IpAddress::v6(b), get16(p, h + 2)};
}

}  // namespace culvert::testing
