// What an event log says of a packet: its endpoints, its protocol and its mark. Stands on packet.h.
#pragma once

#include <array>
#include <cstring>
#include <string>

#include "model/net/address.h"
#include "model/net/bytes.h"
#include "model/packet/checksum.h"

namespace culvert::packet {

struct Glance {
  uint8_t protocol = 0, ttl = 0;  // all 0 and the endpoints none: not a packet that can be read
  // Ports 0 where there are none. Of an echo the asking end's port is the identifier.
  net::Endpoint source, destination;
  std::string mark;  // net::payload_mark of the transport payload, as far as the view shows it
};

// `view` starts with an IP header and may end anywhere; 20 + 60 + 32 bytes show all of an IPv4
// packet that is looked at.
Glance glance(net::Bytes view);

// The IPv4 (four bytes) or IPv6 (sixteen) address at `p`, as `version` (4, 6) says.
inline net::IpAddress address_at(const uint8_t* p, uint8_t version) {
  if (version == 4) return net::IpAddress::v4(cv_swap32(cv_load32(p)));
  std::array<uint8_t, 16> bytes;
  std::memcpy(bytes.data(), p, bytes.size());
  return net::IpAddress::v6(bytes);
}

// "udp", "tcp", "icmp", "icmpv6", or the protocol's number.
std::string protocol_name(uint8_t protocol);

}  // namespace culvert::packet
