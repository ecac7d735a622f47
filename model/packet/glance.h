// What an event log says of a packet: its endpoints, its protocol and its mark. Stands on packet.h.
#pragma once

#include <string>

#include "model/net/address.h"
#include "model/net/bytes.h"

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

// "udp", "tcp", "icmp", "icmpv6", or the protocol's number.
std::string protocol_name(uint8_t protocol);

}  // namespace culvert::packet
