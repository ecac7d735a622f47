// ICMP errors: reads the packet inside, and translates it together with the outer header, all
// checksums included. RFC 5508 section 4, RFC 792 (the inner packet may end after eight bytes).
#pragma once

#include <cstdint>

#include "model/net/bytes.h"
#include "model/packet/packet.h"

namespace culvert::nat {

// The packet that an error is about, as far as it can be seen.
struct InnerPacket {
  uint16_t at = 0;  // bytes from the start of the outer packet
  uint8_t version = 0, protocol = 0;
  uint16_t l4 = 0;                                 // bytes from the start of the inner packet
  uint16_t source_port = 0, destination_port = 0;  // host order; echo: both the identifier
};

// False: too short, a later fragment, or not TCP, UDP or an echo.
bool read_inner(net::Bytes packet, const cv_packet& outer, InnerPacket* inner);

// IPv4. Sets one address of the inner packet, with its port, and one of the outer; each checksum
// that covers them and lies in the view is adjusted (the inner transport checksum may be cut off).
struct InnerRewrite {
  bool inner_source = true;  // which inner endpoint: else the destination
  uint32_t inner_ip = 0;     // host order
  uint16_t inner_port = 0;   // identifier of an echo
  bool set_outer_source = false, set_outer_destination = false;
  uint32_t outer_source = 0, outer_destination = 0;  // host order
};
void rewrite_inner(net::MutableBytes packet, const cv_packet& outer, const InnerPacket& inner,
                   const InnerRewrite& rewrite);

}  // namespace culvert::nat
