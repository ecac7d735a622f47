#include "model/ns3/packet_tap.h"

#include <algorithm>

#include "model/ns3/head_bytes.h"
#include "ns3/icmpv4.h"
#include "ns3/ipv4-l3-protocol.h"
#include "ns3/ipv4-route.h"

namespace culvert::ns3_world {
namespace {

constexpr uint8_t kIcmp = 1;  // IANA protocol number
constexpr int kAllStages = 1 << 30;

// RFC 1122 section 3.2.2: no ICMP error about an ICMP error, a fragment that is not the first, a
// broadcast or multicast, or a source that is not one host.
bool may_answer(const ns3::Ipv4Header& header, const ns3::Packet& packet) {
  if (header.GetFragmentOffset() != 0) return false;
  const auto destination = header.GetDestination(), source = header.GetSource();
  if (destination.IsBroadcast() || destination.IsMulticast()) return false;
  if (source.IsAny() || source.IsBroadcast() || source.IsMulticast() || source.IsLocalhost())
    return false;
  if (header.GetProtocol() != kIcmp) return true;
  uint8_t type = 0;
  if (packet.CopyData(&type, 1) != 1) return false;
  return type == 0 || type == 8 || type == 13 || type == 14;  // echo and timestamp (RFC 792)
}

}  // namespace

PacketTapRouting::Handler::~Handler() {
  if (tap_) tap_->remove(*this);
}

ns3::TypeId PacketTapRouting::GetTypeId() {
  static const ns3::TypeId id = ns3::TypeId("culvert::PacketTapRouting")
                                    .SetParent<ns3::Ipv4RoutingProtocol>()
                                    .SetGroupName("Culvert");
  return id;
}

PacketTapRouting::~PacketTapRouting() {
  for (Entry& entry : entries_)
    if (entry.handler) entry.handler->tap_ = nullptr;
}

ns3::Ptr<PacketTapRouting> PacketTapRouting::on(ns3::Ptr<ns3::Node> node) {
  const auto ipv4 = node->GetObject<ns3::Ipv4>();
  if (!ipv4 || !ipv4->GetRoutingProtocol()) return nullptr;
  if (auto tap = ns3::DynamicCast<PacketTapRouting>(ipv4->GetRoutingProtocol())) return tap;
  const auto tap = ns3::CreateObject<PacketTapRouting>();
  tap->inner_ = ipv4->GetRoutingProtocol();
  tap->forward_ = ns3::MakeCallback(&PacketTapRouting::forward, ns3::PeekPointer(tap));
  // The inner protocol has the stack already; telling it again would add its routes twice.
  tap->ipv4_ = ipv4;
  ipv4->SetRoutingProtocol(tap);
  return tap;
}

void PacketTapRouting::add(Handler& handler, int stage) {
  if (handler.tap_) handler.tap_->remove(handler);
  handler.tap_ = this;
  const auto at = std::find_if(entries_.begin(), entries_.end(),
                               [stage](const Entry& entry) { return entry.stage > stage; });
  entries_.insert(at, {stage, &handler});
  if (handler.wants_forward()) ++forward_handlers_;
}

void PacketTapRouting::remove(Handler& handler) {
  for (Entry& entry : entries_) {
    if (entry.handler != &handler) continue;
    entry.handler = nullptr;
    swept_ = false;
  }
  handler.tap_ = nullptr;
  if (walking_ == 0) sweep();
}

void PacketTapRouting::sweep() {
  if (swept_) return;
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(),
                                [](const Entry& entry) { return !entry.handler; }),
                 entries_.end());
  forward_handlers_ =
      static_cast<size_t>(std::count_if(entries_.begin(), entries_.end(), [](const Entry& entry) {
        return entry.handler->wants_forward();
      }));
  swept_ = true;
}

bool PacketTapRouting::run_arrival(ns3::Ipv4Header& header, ns3::Ptr<ns3::Packet>& packet,
                                   ns3::Ptr<const ns3::NetDevice> device, int after) {
  Fate fate = Fate::next;
  ++walking_;
  // By index: a handler may add another, which then sees the packet if its place is still ahead.
  for (size_t i = 0; i < entries_.size() && fate == Fate::next; ++i)
    if (entries_[i].handler && entries_[i].stage > after)
      fate = entries_[i].handler->on_arrival(header, packet, device);
  if (--walking_ == 0) sweep();
  return fate != Fate::consume;
}

bool PacketTapRouting::RouteInput(ns3::Ptr<const ns3::Packet> packet, const ns3::Ipv4Header& header,
                                  ns3::Ptr<const ns3::NetDevice> device,
                                  UnicastForwardCallback forward,
                                  MulticastForwardCallback multicast, LocalDeliverCallback deliver,
                                  ErrorCallback error) {
  real_forward_ = forward;
  const int after = skip_through_;
  skip_through_ = -1;
  if (entries_.empty() || after == kAllStages) {
    const bool routed =
        inner_->RouteInput(packet, header, device, forward_, multicast, deliver, error);
    if (!routed && answers_no_route_) send_unreachable(header, packet, 0);
    return routed;
  }
  ns3::Ipv4Header edited = header;
  ns3::Ptr<ns3::Packet> copy = packet->Copy();  // shares its bytes until somebody writes
  if (!run_arrival(edited, copy, device, after)) return true;
  const bool routed = inner_->RouteInput(copy, edited, device, forward_, multicast, deliver, error);
  if (!routed && answers_no_route_) send_unreachable(edited, copy, 0);
  return routed;
}

void PacketTapRouting::forward(ns3::Ptr<ns3::Ipv4Route> route, ns3::Ptr<const ns3::Packet> packet,
                               const ns3::Ipv4Header& header) {
  const uint16_t mtu = route->GetOutputDevice()->GetMtu();
  // ns-3 fragments even what says "don't". A packet whose TTL ends here is not too big but too old.
  if (header.IsDontFragment() && packet->GetSize() + 20 > mtu && header.GetTtl() > 1) {
    send_unreachable(header, packet, ns3::Icmpv4DestinationUnreachable::ICMPV4_FRAG_NEEDED, mtu);
    return;
  }
  if (forward_handlers_ == 0) {
    real_forward_(route, packet, header);
    return;
  }
  ns3::Ipv4Header edited = header;
  ns3::Ptr<ns3::Packet> copy = packet->Copy();
  Fate fate = Fate::next;
  ++walking_;
  for (size_t i = 0; i < entries_.size() && fate == Fate::next; ++i)
    if (entries_[i].handler && entries_[i].handler->wants_forward())
      fate = entries_[i].handler->on_forward(edited, copy, route);
  if (--walking_ == 0) sweep();
  if (fate != Fate::consume) real_forward_(route, copy, edited);
}

bool PacketTapRouting::send(ns3::Ptr<ns3::Packet> packet, const ns3::Ipv4Header& header) {
  if (ipv4_->GetInterfaceForAddress(header.GetDestination()) >= 0) {
    arrive(packet, header, ipv4_->GetNetDevice(0), kAllStages);  // interface 0 is the loopback
    return true;
  }
  ns3::Socket::SocketErrno error;
  const auto route = inner_->RouteOutput(packet, header, nullptr, error);
  if (!route) return false;
  ipv4_->SendWithHeader(packet, header, route);
  return true;
}

void PacketTapRouting::arrive(ns3::Ptr<ns3::Packet> packet, const ns3::Ipv4Header& header,
                              ns3::Ptr<ns3::NetDevice> device, int after) {
  ns3::Ipv4Header complete = header;
  complete.SetPayloadSize(static_cast<uint16_t>(packet->GetSize()));
  if (ns3::Node::ChecksumEnabled()) complete.EnableChecksum();
  packet->AddHeader(complete);
  skip_through_ = after;
  ns3::DynamicCast<ns3::Ipv4L3Protocol>(ipv4_)->Receive(
      device, packet, ns3::Ipv4L3Protocol::PROT_NUMBER, device->GetAddress(), device->GetAddress(),
      ns3::NetDevice::PACKET_HOST);
  skip_through_ = -1;
}

void PacketTapRouting::send_unreachable(const ns3::Ipv4Header& header,
                                        ns3::Ptr<const ns3::Packet> packet, uint8_t code,
                                        uint16_t mtu) {
  if (!may_answer(header, *packet)) return;
  ns3::Icmpv4DestinationUnreachable unreachable;
  unreachable.SetNextHopMtu(mtu);
  unreachable.SetHeader(header);
  unreachable.SetData(packet);
  ns3::Icmpv4Header icmp;
  icmp.SetType(ns3::Icmpv4Header::ICMPV4_DEST_UNREACH);
  icmp.SetCode(code);
  if (ns3::Node::ChecksumEnabled()) icmp.EnableChecksum();
  const auto message = ns3::Create<ns3::Packet>();
  message->AddHeader(unreachable);
  message->AddHeader(icmp);
  ns3::Ipv4Header outer;
  outer.SetDestination(header.GetSource());
  outer.SetProtocol(kIcmp);
  ns3::Socket::SocketErrno error;
  const auto route = inner_->RouteOutput(message, outer, nullptr, error);
  if (route) ipv4_->Send(message, route->GetSource(), header.GetSource(), kIcmp, route);
}

ns3::Ptr<ns3::Ipv4Route> PacketTapRouting::RouteOutput(ns3::Ptr<ns3::Packet> packet,
                                                       const ns3::Ipv4Header& header,
                                                       ns3::Ptr<ns3::NetDevice> oif,
                                                       ns3::Socket::SocketErrno& error) {
  return inner_->RouteOutput(packet, header, oif, error);
}

void PacketTapRouting::tell_addresses_changed() {
  for (size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].handler) entries_[i].handler->on_addresses_changed();
}

void PacketTapRouting::NotifyAddAddress(uint32_t interface, ns3::Ipv4InterfaceAddress address) {
  inner_->NotifyAddAddress(interface, address);
  tell_addresses_changed();
}

void PacketTapRouting::NotifyRemoveAddress(uint32_t interface, ns3::Ipv4InterfaceAddress address) {
  inner_->NotifyRemoveAddress(interface, address);
  tell_addresses_changed();
}

void PacketTapRouting::SetIpv4(ns3::Ptr<ns3::Ipv4> ipv4) {
  if (ipv4_ == ipv4) return;
  ipv4_ = ipv4;
  inner_->SetIpv4(ipv4);
}

void PacketTapRouting::PrintRoutingTable(ns3::Ptr<ns3::OutputStreamWrapper> stream,
                                         ns3::Time::Unit unit) const {
  inner_->PrintRoutingTable(stream, unit);
}

void PacketTapRouting::DoDispose() {
  forward_ = real_forward_ = UnicastForwardCallback();
  if (inner_) inner_->Dispose();
  inner_ = nullptr;
  ipv4_ = nullptr;
  ns3::Ipv4RoutingProtocol::DoDispose();
}

}  // namespace culvert::ns3_world
