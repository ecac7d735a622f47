// Between our addresses and times and ns-3's.
#pragma once

#include "model/net/address.h"
#include "model/net/time.h"
#include "ns3/address.h"
#include "ns3/ipv4-address.h"
#include "ns3/ipv6-address.h"
#include "ns3/nstime.h"

namespace culvert::ns3_world {

// Undefined for an address of the other family.
ns3::Ipv4Address to_ipv4(const net::IpAddress& address);
ns3::Ipv6Address to_ipv6(const net::IpAddress& address);
net::IpAddress from_ns3(ns3::Ipv4Address address);
net::IpAddress from_ns3(ns3::Ipv6Address address);
// An InetSocketAddress or Inet6SocketAddress; none for anything else.
net::Endpoint endpoint_from_ns3(const ns3::Address& address);
ns3::Address to_ns3(const net::Endpoint& endpoint);

inline ns3::Time to_ns3(net::Duration d) { return ns3::NanoSeconds(d.count()); }
inline net::Duration from_ns3(ns3::Time t) { return net::Duration(t.GetNanoSeconds()); }

}  // namespace culvert::ns3_world
