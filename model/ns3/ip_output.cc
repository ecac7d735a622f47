#include "model/ns3/ip_output.h"

#include <algorithm>

#include "model/ns3/convert.h"
#include "ns3/ipv4-routing-protocol.h"
#include "ns3/ipv6-routing-protocol.h"
#include "ns3/loopback-net-device.h"
#include "ns3/simulator.h"
#include "ns3/socket.h"

namespace culvert::ns3_world {
namespace {

constexpr net::Duration kPathMtuLife = std::chrono::minutes(10);  // RFC 1191 section 6.3
constexpr size_t kMaxPathMtus = 4096;  // ours: bounds what forged errors can make grow
using Family = net::IpAddress::Family;

}  // namespace

IpOutput::IpOutput(ns3::Ptr<ns3::Node> node)
    : node_(node), v4_(node->GetObject<ns3::Ipv4>()), v6_(node->GetObject<ns3::Ipv6L3Protocol>()) {}

bool IpOutput::has(Family family) const {
  return family == Family::v4 ? v4_ != nullptr : family == Family::v6 && v6_ != nullptr;
}

bool IpOutput::is_local(const net::IpAddress& address) const {
  if (!has(address.family())) return false;
  if (address.is_loopback()) return true;
  return interface_of(address, address.family()) >= 0 && !address.is_any();
}

int32_t IpOutput::interface_of(const net::IpAddress& address, Family family) const {
  if (!has(family)) return -1;
  if (!address.is_none() && !address.is_any())
    return address.is_v4() ? v4_->GetInterfaceForAddress(to_ipv4(address))
                           : v6_->GetInterfaceForAddress(to_ipv6(address));
  const uint32_t count = family == Family::v4 ? v4_->GetNInterfaces() : v6_->GetNInterfaces();
  for (uint32_t i = 0; i < count; ++i) {
    const bool up = family == Family::v4 ? v4_->IsUp(i) : v6_->IsUp(i);
    const ns3::Ptr<ns3::NetDevice> device =
        family == Family::v4 ? v4_->GetNetDevice(i) : v6_->GetNetDevice(i);
    if (up && !ns3::DynamicCast<ns3::LoopbackNetDevice>(device)) return static_cast<int32_t>(i);
  }
  return -1;
}

std::optional<Route> IpOutput::route(const net::IpAddress& to) const {
  if (!has(to.family())) return {};
  if (is_local(to)) {  // over the loopback, as Linux does; interface 0 in both stacks
    std::optional<Route> own = route_on(0, to);
    if (own) own->source = to;
    return own;
  }
  ns3::Socket::SocketErrno error = ns3::Socket::ERROR_NOTERROR;
  Route route;
  if (to.is_v4()) {
    ns3::Ipv4Header header;
    header.SetDestination(to_ipv4(to));
    route.v4 = v4_->GetRoutingProtocol()->RouteOutput(nullptr, header, nullptr, error);
    if (!route.v4) return {};
    route.source = from_ns3(route.v4->GetSource());
    route.mtu = route.v4->GetOutputDevice()->GetMtu();
    return route;
  }
  ns3::Ipv6Header header;
  header.SetDestination(to_ipv6(to));
  route.v6 = v6_->GetRoutingProtocol()->RouteOutput(nullptr, header, nullptr, error);
  if (!route.v6) return {};
  route.source = from_ns3(route.v6->GetSource());
  route.mtu = route.v6->GetOutputDevice()->GetMtu();
  return route;
}

std::optional<Route> IpOutput::route_on(int32_t index, const net::IpAddress& to) const {
  if (index < 0 || !has(to.family())) return {};
  const auto i = static_cast<uint32_t>(index);
  Route route;
  if (to.is_v4()) {
    if (v4_->GetNAddresses(i) == 0) return {};
    route.v4 = ns3::Create<ns3::Ipv4Route>();
    route.v4->SetDestination(to_ipv4(to));
    route.v4->SetGateway(ns3::Ipv4Address::GetAny());
    route.v4->SetOutputDevice(v4_->GetNetDevice(i));
    route.v4->SetSource(v4_->GetAddress(i, 0).GetLocal());
    route.source = from_ns3(route.v4->GetSource());
    route.mtu = route.v4->GetOutputDevice()->GetMtu();
    return route;
  }
  route.v6 = ns3::Create<ns3::Ipv6Route>();
  route.v6->SetDestination(to_ipv6(to));
  route.v6->SetGateway(ns3::Ipv6Address::GetZero());
  route.v6->SetOutputDevice(v6_->GetNetDevice(i));
  // The first address that is not link-local, if there is one.
  for (uint32_t k = 0; k < v6_->GetNAddresses(i); ++k) {
    const ns3::Ipv6Address address = v6_->GetAddress(i, k).GetAddress();
    if (k == 0 || route.v6->GetSource().IsLinkLocal()) route.v6->SetSource(address);
  }
  route.source = from_ns3(route.v6->GetSource());
  route.mtu = route.v6->GetOutputDevice()->GetMtu();
  return route;
}

void IpOutput::send(ns3::Ptr<ns3::Packet> packet, const net::IpAddress& from,
                    const net::IpAddress& to, const Route& route, const Options& options) {
  if (!node_->IsInitialized()) {
    // Before the simulation runs, ns-3's traffic control would crash; its initialisation is an
    // event at time zero, queued before this one.
    ns3::Simulator::ScheduleWithContext(node_->GetId(), ns3::Time(0),
                                        [copy = *this, packet, from, to, route, options]() mutable {
                                          copy.send(packet, from, to, route, options);
                                        });
    return;
  }
  if (to.is_v4()) {
    ns3::Ipv4Header header;
    header.SetSource(to_ipv4(from));
    header.SetDestination(to_ipv4(to));
    header.SetProtocol(options.protocol);
    header.SetPayloadSize(static_cast<uint16_t>(packet->GetSize()));
    header.SetTtl(options.ttl);
    header.SetTos(options.traffic_class);
    header.SetIdentification(identification_++);
    if (options.dont_fragment)
      header.SetDontFragment();
    else
      header.SetMayFragment();
    v4_->SendWithHeader(packet, header, route.v4);
    return;
  }
  if (options.ttl != kDefaultTtl) {
    ns3::SocketIpv6HopLimitTag tag;
    tag.SetHopLimit(options.ttl);
    packet->AddPacketTag(tag);
  }
  if (options.traffic_class != 0) {
    ns3::SocketIpv6TclassTag tag;
    tag.SetTclass(options.traffic_class);
    packet->AddPacketTag(tag);
  }
  v6_->Send(packet, to_ipv6(from), to_ipv6(to), options.protocol, route.v6);
}

uint32_t IpOutput::path_mtu(const net::IpAddress& to, uint32_t interface_mtu, net::Time now) const {
  const auto found = path_mtus_.find(to);
  if (found == path_mtus_.end() || found->second.until < now) return interface_mtu;
  return std::min(found->second.mtu, interface_mtu);
}

void IpOutput::learn_mtu(const net::IpAddress& to, uint32_t mtu, net::Time now) {
  if (mtu < (to.is_v4() ? 68u : 1280u)) return;
  if (path_mtus_.size() >= kMaxPathMtus && path_mtus_.count(to) == 0) {
    for (auto it = path_mtus_.begin(); it != path_mtus_.end();)
      it = it->second.until < now ? path_mtus_.erase(it) : std::next(it);
    if (path_mtus_.size() >= kMaxPathMtus) return;
  }
  path_mtus_[to] = {mtu, now + kPathMtuLife};
}

}  // namespace culvert::ns3_world
