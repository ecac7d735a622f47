// Whether a packet is one that a hook's selector means: what ns-3's and Linux's net::PacketHook
// both ask. Stands on packet.h.
#pragma once

#include "model/net/bytes.h"
#include "model/net/packet_hook.h"

namespace culvert::packet {

// invalid, if no packet can ever match, or ports are asked of a protocol that has none.
net::Status check(const net::Selector& selector);
// `packet` begins with an IP header and may be cut short behind the first bytes of its transport
// header. Later fragments have no ports; malformed packets match nothing.
bool matches(const net::Selector& selector, net::Bytes packet);

}  // namespace culvert::packet
