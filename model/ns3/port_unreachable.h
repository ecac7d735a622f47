// "Nobody listens on this port", said from the address that was asked: ns-3 says it from whichever
// address the route has, and a peer's NAT or socket then cannot tell whom it is from.
// RFC 1122 section 3.2.2 and 4.1.3.1, RFC 4443 section 2.2(b) and 3.1.
#pragma once

#include "model/ns3/head_bytes.h"
#include "model/ns3/ip_output.h"

namespace culvert::ns3_world {

// About a packet for `to`, a unicast address of this host, from `from`; `head` is its beginning.
void send_port_unreachable(IpOutput& output, HeadBytes& head, const net::IpAddress& from,
                           const net::IpAddress& to);

}  // namespace culvert::ns3_world
