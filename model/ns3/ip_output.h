// How a Host's sockets reach IP inside ns-3: local addresses, routes, the path MTU, and sending
// with a header of one's own (TTL, DSCP and ECN, don't-fragment). Stands on ns3::Ipv4 and
// ns3::Ipv6L3Protocol; path MTU after RFC 1191 and RFC 8201.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "model/net/address.h"
#include "model/net/time.h"
#include "ns3/ipv4-route.h"
#include "ns3/ipv4.h"
#include "ns3/ipv6-l3-protocol.h"
#include "ns3/ipv6-route.h"
#include "ns3/node.h"
#include "ns3/packet.h"

namespace culvert::ns3_world {

constexpr uint8_t kDefaultTtl = 64;  // RFC 1700, Linux's net.ipv4.ip_default_ttl

struct Route {
  ns3::Ptr<ns3::Ipv4Route> v4;
  ns3::Ptr<ns3::Ipv6Route> v6;
  net::IpAddress source;  // what the route would have
  uint32_t mtu = 0;       // of the interface, bytes of IP packet
};

class IpOutput {
 public:
  explicit IpOutput(ns3::Ptr<ns3::Node> node);

  bool has(net::IpAddress::Family family) const;
  bool is_local(const net::IpAddress& address) const;
  // The interface that has this address; for none or any: the first that is up and no loopback.
  // -1 if there is none.
  int32_t interface_of(const net::IpAddress& address, net::IpAddress::Family family) const;
  std::optional<Route> route(const net::IpAddress& to) const;
  // Along interface `index`, without asking the routes: for multicast and broadcast.
  std::optional<Route> route_on(int32_t index, const net::IpAddress& to) const;

  struct Options {
    uint8_t protocol = 0;
    uint8_t ttl = kDefaultTtl;
    uint8_t traffic_class = 0;
    bool dont_fragment = false;
  };
  // `packet` is without IP header.
  void send(ns3::Ptr<ns3::Packet> packet, const net::IpAddress& from, const net::IpAddress& to,
            const Route& route, const Options& options);

  // The smallest MTU on the way as far as known, at most `interface_mtu`.
  uint32_t path_mtu(const net::IpAddress& to, uint32_t interface_mtu, net::Time now) const;
  // What an ICMP error told. Ignored if it is below what every path carries (RFC 791: 68 bytes,
  // RFC 8200 section 5: 1280), against forged errors.
  void learn_mtu(const net::IpAddress& to, uint32_t mtu, net::Time now);

  ns3::Ptr<ns3::Node> node() const { return node_; }
  ns3::Ptr<ns3::Ipv4> v4() const { return v4_; }
  ns3::Ptr<ns3::Ipv6L3Protocol> v6() const { return v6_; }

 private:
  struct PathMtu {
    uint32_t mtu;
    net::Time until;
  };
  ns3::Ptr<ns3::Node> node_;
  ns3::Ptr<ns3::Ipv4> v4_;
  ns3::Ptr<ns3::Ipv6L3Protocol> v6_;
  std::map<net::IpAddress, PathMtu> path_mtus_;
  uint16_t identification_ = 0;
};

}  // namespace culvert::ns3_world
