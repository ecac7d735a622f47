// Whole IP packets made and turned round by hand, so that the cases for TUN, hooks and flows do not
// trust the code that those are made of. RFC 791, 768, 9293, 8200; checksums RFC 1071.
#pragma once

#include <cstring>
#include <string>

#include "tests/contract/contract.h"

namespace culvert::contract {

inline uint16_t get16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
inline void put16(uint8_t* p, uint32_t v) {
  p[0] = static_cast<uint8_t>(v >> 8);
  p[1] = static_cast<uint8_t>(v);
}
inline uint32_t sum(const uint8_t* p, size_t n, uint32_t start = 0) {
  for (size_t i = 0; i + 1 < n; i += 2) start += get16(p + i);
  if (n % 2) start += uint32_t{p[n - 1]} << 8;
  return start;
}
inline uint16_t fold(uint32_t s) {
  while (s >> 16) s = (s & 0xffff) + (s >> 16);
  return static_cast<uint16_t>(~s);
}

// Where things are in an IP packet without options or extension headers worth naming.
struct View {
  explicit View(net::MutableBytes bytes) : p(bytes.data()), size(bytes.size()) {}
  bool v4() const { return p[0] >> 4 == 4; }
  size_t header() const { return v4() ? 4 * (p[0] & 15) : 40; }
  uint8_t protocol() const { return v4() ? p[9] : p[6]; }
  uint8_t& ttl() { return v4() ? p[8] : p[7]; }
  uint8_t* source() { return p + (v4() ? 12 : 8); }
  uint8_t* destination() { return p + (v4() ? 16 : 24); }
  size_t address_size() const { return v4() ? 4 : 16; }
  uint8_t* transport() { return p + header(); }
  std::string udp_text() { return {reinterpret_cast<char*>(transport() + 8), size - header() - 8}; }
  // The checksum of the transport header over the pseudo-header: 0 if it is right as it stands.
  uint16_t transport_sum() {
    uint32_t s = sum(source(), 2 * address_size()) + protocol();
    s += static_cast<uint32_t>(size - header());
    return fold(sum(transport(), size - header(), s));
  }
  bool checksums_are_right() {
    return (!v4() || fold(sum(p, header())) == 0) && transport_sum() == 0;
  }
  void fix_checksums() {
    if (v4()) {
      put16(p + 10, 0);
      put16(p + 10, fold(sum(p, header())));
    }
    uint8_t* field = transport() + (protocol() == 17 ? 6 : 16);
    put16(field, 0);
    const uint16_t value = transport_sum();
    put16(field, protocol() == 17 && value == 0 ? 0xffff : value);
  }
  // Source and destination, addresses and ports, change places.
  void turn_round() {
    uint8_t kept[16];
    std::memcpy(kept, source(), address_size());
    std::memcpy(source(), destination(), address_size());
    std::memcpy(destination(), kept, address_size());
    std::memcpy(kept, transport(), 2);
    std::memcpy(transport(), transport() + 2, 2);
    std::memcpy(transport() + 2, kept, 2);
  }
  uint8_t* p;
  size_t size;
};

inline net::Buffer udp_packet(const Endpoint& from, const Endpoint& to, std::string_view text) {
  const bool v4 = from.ip.is_v4();
  const size_t header = v4 ? 20 : 40, length = 8 + text.size();
  net::Buffer out(header + length);
  uint8_t* p = out.data();
  if (v4) {
    p[0] = 0x45;
    put16(p + 2, static_cast<uint32_t>(header + length));
    p[8] = 64;
    p[9] = 17;
  } else {
    p[0] = 0x60;
    put16(p + 4, static_cast<uint32_t>(length));
    p[6] = 17;
    p[7] = 64;
  }
  View view(out);
  std::memcpy(view.source(), from.ip.bytes().data(), view.address_size());
  std::memcpy(view.destination(), to.ip.bytes().data(), view.address_size());
  put16(view.transport(), from.port);
  put16(view.transport() + 2, to.port);
  put16(view.transport() + 4, static_cast<uint32_t>(length));
  std::memcpy(view.transport() + 8, text.data(), text.size());
  view.fix_checksums();
  return out;
}

}  // namespace culvert::contract
