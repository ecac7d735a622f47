// The ICMP errors that whoever forwards packets must send: RFC 792, 1191, 1812 and 4443. Built from
// the head of the packet that they are about, so that a truncated view is enough.
#pragma once

#include "model/net/address.h"
#include "model/net/bytes.h"

namespace culvert::packet {

// Of a packet, enough to quote: the longest IPv4 header and the shortest TCP header, or IPv6, two
// extension headers and TCP's first bytes. RFC 792 asks for eight bytes behind the IP header.
constexpr size_t kQuote = 80;

enum class IcmpError : uint8_t {
  ttl_exceeded,  // 11/0, in ICMPv6 3/0
  too_big,       // 3/4 with the MTU of the next hop in bytes, in ICMPv6 2/0
};

// A whole IP packet from `source` to the sender of `packet`, which quotes at most kQuote bytes of
// it. Empty, if none may be sent: to what is no single host's address (RFC 1122 section 3.2.2,
// RFC 4443 section 2.4), or if `source` is of the other family. `packet` must not itself be an ICMP
// error or a later fragment.
net::Buffer make_icmp_error(net::Bytes packet, IcmpError what, const net::IpAddress& source,
                            uint32_t mtu = 0);

}  // namespace culvert::packet
