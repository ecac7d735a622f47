#include "model/ns3/convert.h"

#include "ns3/inet-socket-address.h"
#include "ns3/inet6-socket-address.h"

namespace culvert::ns3_world {

ns3::Ipv4Address to_ipv4(const net::IpAddress& address) {
  return ns3::Ipv4Address(address.to_v4());
}

ns3::Ipv6Address to_ipv6(const net::IpAddress& address) {
  std::array<uint8_t, 16> bytes = address.bytes();
  return ns3::Ipv6Address(bytes.data());
}

net::IpAddress from_ns3(ns3::Ipv4Address address) { return net::IpAddress::v4(address.Get()); }

net::IpAddress from_ns3(ns3::Ipv6Address address) {
  std::array<uint8_t, 16> bytes;
  address.GetBytes(bytes.data());
  return net::IpAddress::v6(bytes);
}

net::Endpoint endpoint_from_ns3(const ns3::Address& address) {
  if (ns3::InetSocketAddress::IsMatchingType(address)) {
    const auto inet = ns3::InetSocketAddress::ConvertFrom(address);
    return {from_ns3(inet.GetIpv4()), inet.GetPort()};
  }
  if (ns3::Inet6SocketAddress::IsMatchingType(address)) {
    const auto inet = ns3::Inet6SocketAddress::ConvertFrom(address);
    return {from_ns3(inet.GetIpv6()), inet.GetPort()};
  }
  return {};
}

ns3::Address to_ns3(const net::Endpoint& endpoint) {
  if (endpoint.ip.is_v4()) return ns3::InetSocketAddress(to_ipv4(endpoint.ip), endpoint.port);
  return ns3::Inet6SocketAddress(to_ipv6(endpoint.ip), endpoint.port);
}

}  // namespace culvert::ns3_world
