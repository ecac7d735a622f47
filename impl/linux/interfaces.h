// Interfaces, addresses and routes by rtnetlink: what a TUN device and the tests' networks need.
#pragma once

#include <optional>

#include "impl/linux/netlink.h"

namespace culvert::linux_host {

enum class RouteKind { normal, blackhole, unreachable };

class Interfaces {
 public:
  static net::Result<Interfaces> open(int netns);
  unsigned index(const std::string& name) const;   // 0: there is none
  bool is_running(const std::string& name) const;  // up, and its cable or program is there

  // Two ends of one cable; the second is born in `peer_netns`.
  net::Status add_veth(const std::string& name, const std::string& peer, int peer_netns);
  // Up, with this MTU. `quiet` keeps the kernel from giving it an IPv6 link-local address, so that
  // it neither solicits routers nor detects duplicates.
  net::Status up(const std::string& name, uint32_t mtu = 0, bool quiet = false);
  net::Status set_mtu(const std::string& name, uint32_t mtu);
  // Usable when this returns, if the interface is up: no duplicate address detection.
  net::Status add_address(const std::string& name, const net::Prefix& address);
  // By an interface, a gateway, or both; the kinds that go nowhere need neither.
  net::Status add_route(const net::Prefix& to, const std::string& interface,
                        const net::IpAddress& gateway = {}, RouteKind kind = RouteKind::normal);
  net::Status remove_route(const net::Prefix& to, RouteKind kind);

 private:
  Interfaces(int netns, Netlink netlink) : netns_(netns), netlink_(std::move(netlink)) {}
  int netns_;
  Netlink netlink_;
};

}  // namespace culvert::linux_host
