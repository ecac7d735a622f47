// The heart of RFC 4787: mapping and filtering both look a remote endpoint up after blanking the
// parts that the behaviour does not depend on. Sections 4.1 and 5.
#pragma once

#include <cstdint>

#include "model/nat/config.h"

namespace culvert::nat {

// An endpoint as the tables hold it: an IPv4 address in host order, or an IPv6 address's number in
// the address book (address_book.h); the tag says which.
struct Point {
  uint32_t ip = 0;
  uint16_t port = 0;
  friend bool operator==(Point a, Point b) { return a.ip == b.ip && a.port == b.port; }
};

// How much of a remote endpoint counts.
enum class Depends : uint8_t { on_nothing, on_address, on_address_and_port };

inline Depends depends(Mapping m) { return static_cast<Depends>(m); }
inline Depends depends(Filtering f) { return static_cast<Depends>(f); }

inline Point blank(Point remote, Depends on) {
  if (on == Depends::on_nothing) return {};
  if (on == Depends::on_address) remote.port = 0;
  return remote;
}

// Two endpoints and a protocol: what every index is keyed by. The tag is the protocol number, with
// the top bit set for IPv6.
struct Key {
  Point near, far;
  uint8_t tag = 0;
  friend bool operator==(const Key& a, const Key& b) {
    return a.near == b.near && a.far == b.far && a.tag == b.tag;
  }
};
constexpr uint8_t kTagV6 = 0x80;

}  // namespace culvert::nat
