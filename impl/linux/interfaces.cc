#include "impl/linux/interfaces.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>

namespace culvert::linux_host {

using net::Error;
using net::Prefix;
using net::Result;
using net::Status;

Result<Interfaces> Interfaces::open(int netns) {
  auto netlink = Netlink::open(netns, NETLINK_ROUTE);
  if (!netlink) return netlink.status();
  return Interfaces(netns, std::move(*netlink));
}

unsigned Interfaces::index(const std::string& name) const {
  unsigned out = 0;
  in_namespace(netns_, [&] { out = if_nametoindex(name.c_str()); });
  return out;
}

Status Interfaces::add_veth(const std::string& name, const std::string& peer, int peer_netns) {
  NetlinkRequest request;
  request.message(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  request.put(IFLA_IFNAME, name).nest(IFLA_LINKINFO, [&](NetlinkRequest& info) {
    info.put(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, [&](NetlinkRequest& data) {
      data.nest(VETH_INFO_PEER, [&](NetlinkRequest& other) {
        const ifinfomsg header{};
        other.raw(&header, sizeof header).put(IFLA_IFNAME, peer);
        if (peer_netns >= 0) other.put32(IFLA_NET_NS_FD, static_cast<uint32_t>(peer_netns));
      });
    });
  });
  return netlink_.request(request, "adding the link " + name);
}

Status Interfaces::up(const std::string& name, uint32_t mtu, bool quiet) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(index(name));
  if (header.ifi_index == 0) return {Error::not_found, "there is no interface " + name};
  if (quiet || mtu) {  // before it is up
    NetlinkRequest request;
    request.message(RTM_NEWLINK, NLM_F_ACK, header);
    if (mtu) request.put32(IFLA_MTU, mtu);
    if (quiet)
      request.nest(IFLA_AF_SPEC, [](NetlinkRequest& spec) {
        spec.nest(AF_INET6, [](NetlinkRequest& v6) {
          v6.put8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
        });
      });
    const Status status = netlink_.request(request, "setting up " + name);
    if (!status.ok()) return status;
  }
  header.ifi_flags = header.ifi_change = IFF_UP;
  NetlinkRequest request;
  request.message(RTM_NEWLINK, NLM_F_ACK, header);
  return netlink_.request(request, "bringing up " + name);
}

bool Interfaces::is_running(const std::string& name) const {
  auto socket = open_socket(netns_, AF_INET, SOCK_DGRAM, 0);
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  constexpr int kBoth = IFF_UP | IFF_RUNNING;
  return socket && ioctl(socket->get(), SIOCGIFFLAGS, &request) == 0 &&
         (request.ifr_flags & kBoth) == kBoth;
}

Status Interfaces::set_mtu(const std::string& name, uint32_t mtu) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(index(name));
  if (header.ifi_index == 0) return {Error::not_found, "there is no interface " + name};
  NetlinkRequest request;
  request.message(RTM_NEWLINK, NLM_F_ACK, header).put32(IFLA_MTU, mtu);
  return netlink_.request(request, "setting the MTU of " + name);
}

namespace {

// The kernel makes a new IPv6 address usable from a work queue, even without duplicate address
// detection; the sign is its entry in the local routing table. True once that was announced.
bool await_local_route(int fd, const net::IpAddress& address) {
  constexpr int kPatienceMs = 2000;  // ours: it takes below one
  pollfd poll{fd, POLLIN, 0};
  while (::poll(&poll, 1, kPatienceMs) == 1) {
    alignas(nlmsghdr) char buffer[8192];
    auto left = static_cast<int>(recv(fd, buffer, sizeof buffer, 0));
    for (auto* h = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(h, left);
         h = NLMSG_NEXT(h, left)) {
      const auto* route = static_cast<const rtmsg*>(NLMSG_DATA(h));
      if (h->nlmsg_type != RTM_NEWROUTE || route->rtm_type != RTN_LOCAL) continue;
      auto size = static_cast<int>(RTM_PAYLOAD(h));
      for (const rtattr* a = RTM_RTA(route); RTA_OK(a, size); a = RTA_NEXT(a, size))
        if (a->rta_type == RTA_DST && RTA_PAYLOAD(a) == 16 &&
            std::memcmp(RTA_DATA(a), address.bytes().data(), 16) == 0)
          return true;
    }
  }
  return false;
}

}  // namespace

Status Interfaces::add_address(const std::string& name, const Prefix& address) {
  ifaddrmsg header{};
  header.ifa_family = address.ip.is_v4() ? AF_INET : AF_INET6;
  header.ifa_prefixlen = address.length;
  header.ifa_index = index(name);
  if (header.ifa_index == 0) return {Error::not_found, "there is no interface " + name};
  NetlinkRequest request;
  request.message(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, header);
  request.put(IFA_LOCAL, address.ip).put(IFA_ADDRESS, address.ip);
  const std::string what = "giving " + name + " the address " + address.to_string();
  if (address.ip.is_v4()) return netlink_.request(request, what);
  request.put32(IFA_FLAGS, IFA_F_NODAD);
  auto announcements = Netlink::open(netns_, NETLINK_ROUTE, RTMGRP_IPV6_ROUTE);
  if (!announcements) return announcements.status();
  const Status status = netlink_.request(request, what);
  if (!status.ok() || !is_running(name)) return status;  // usable when the interface is
  if (await_local_route(announcements->fd(), address.ip)) return {};
  return {Error::timed_out, what + ": the kernel does not make it usable"};
}

namespace {

rtmsg route_header(const Prefix& to, RouteKind kind) {
  rtmsg header{};
  header.rtm_family = to.ip.is_v4() ? AF_INET : AF_INET6;
  header.rtm_dst_len = to.length;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = kind == RouteKind::normal      ? RTN_UNICAST
                    : kind == RouteKind::blackhole ? RTN_BLACKHOLE
                                                   : RTN_UNREACHABLE;
  return header;
}

}  // namespace

Status Interfaces::add_route(const Prefix& to, const std::string& interface,
                             const net::IpAddress& gateway, RouteKind kind) {
  rtmsg header = route_header(to, kind);
  if (kind == RouteKind::normal && gateway.is_none()) header.rtm_scope = RT_SCOPE_LINK;
  NetlinkRequest request;
  request.message(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, header);
  if (to.length > 0) request.put(RTA_DST, to.ip);
  if (!gateway.is_none()) request.put(RTA_GATEWAY, gateway);
  if (!interface.empty()) {
    const unsigned device = index(interface);
    if (device == 0) return {Error::not_found, "there is no interface " + interface};
    request.put32(RTA_OIF, device);
  }
  return netlink_.request(request, "adding a route to " + to.to_string());
}

Status Interfaces::remove_route(const Prefix& to, RouteKind kind) {
  NetlinkRequest request;
  request.message(RTM_DELROUTE, NLM_F_ACK, route_header(to, kind));
  if (to.length > 0) request.put(RTA_DST, to.ip);
  return netlink_.request(request, "removing the route to " + to.to_string());
}

}  // namespace culvert::linux_host
