#include "model/ns3/packet_tap6.h"

#include <algorithm>

#include "ns3/ipv6-route.h"
#include "ns3/ipv6-routing-protocol.h"
#include "ns3/loopback-net-device.h"
#include "ns3/mac48-address.h"
#include "ns3/virtual-net-device.h"

namespace culvert::ns3_world {
namespace {

// A Node gives the callback through which it receives only to its devices: this one keeps it, and
// does nothing else.
class CallbackKeeper : public ns3::VirtualNetDevice {
 public:
  void SetReceiveCallback(ReceiveCallback callback) override {
    kept = callback;
    ns3::VirtualNetDevice::SetReceiveCallback(callback);
  }
  ReceiveCallback kept;
};

}  // namespace

PacketTap6::Handler::~Handler() {
  if (tap6_) tap6_->remove(*this);
}

ns3::TypeId PacketTap6::GetTypeId() {
  static const ns3::TypeId id =
      ns3::TypeId("culvert::PacketTap6").SetParent<ns3::Object>().SetGroupName("Culvert");
  return id;
}

PacketTap6::~PacketTap6() {
  for (Entry& entry : entries_)
    if (entry.handler) entry.handler->tap6_ = nullptr;
}

void PacketTap6::DoDispose() {
  to_node_ = {};
  node_ = nullptr;
  ipv6_ = nullptr;
  ns3::Object::DoDispose();
}

ns3::Ptr<PacketTap6> PacketTap6::existing(ns3::Ptr<ns3::Node> node) {
  return node->GetObject<PacketTap6>();
}

ns3::Ptr<PacketTap6> PacketTap6::on(ns3::Ptr<ns3::Node> node) {
  if (auto tap = existing(node)) return tap;
  const auto ipv6 = node->GetObject<ns3::Ipv6L3Protocol>();
  if (!ipv6) return nullptr;
  const auto keeper = ns3::CreateObject<CallbackKeeper>();
  keeper->SetAddress(ns3::Mac48Address("00:00:00:00:00:00"));
  const uint32_t devices = node->GetNDevices();
  node->AddDevice(keeper);
  const auto tap = ns3::CreateObject<PacketTap6>();
  tap->node_ = node;
  tap->ipv6_ = ipv6;
  tap->to_node_ = keeper->kept;
  for (uint32_t i = 0; i < devices; ++i) tap->watch(node->GetDevice(i));
  node->AggregateObject(tap);
  return tap;
}

void PacketTap6::watch(ns3::Ptr<ns3::NetDevice> device) {
  if (ns3::DynamicCast<ns3::LoopbackNetDevice>(device)) return;
  device->SetReceiveCallback(ns3::MakeCallback(&PacketTap6::receive, this));
}

void PacketTap6::add(Handler& handler, int stage) {
  if (handler.tap6_) handler.tap6_->remove(handler);
  handler.tap6_ = this;
  const auto at = std::find_if(entries_.begin(), entries_.end(),
                               [stage](const Entry& entry) { return entry.stage > stage; });
  entries_.insert(at, {stage, &handler});
}

void PacketTap6::remove(Handler& handler) {
  for (Entry& entry : entries_)
    if (entry.handler == &handler) entry.handler = nullptr;
  handler.tap6_ = nullptr;
  if (walking_ == 0) sweep();
}

void PacketTap6::sweep() {
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(),
                                [](const Entry& entry) { return !entry.handler; }),
                 entries_.end());
}

bool PacketTap6::receive(ns3::Ptr<ns3::NetDevice> device, ns3::Ptr<const ns3::Packet> packet,
                         uint16_t protocol, const ns3::Address& from) {
  if (entries_.empty() || protocol != ns3::Ipv6L3Protocol::PROT_NUMBER || packet->GetSize() < 40)
    return to_node_(device, packet, protocol, from);
  ns3::Ptr<ns3::Packet> copy = packet->Copy();
  ns3::Ipv6Header header;
  copy->RemoveHeader(header);
  if (header.GetPayloadLength() < copy->GetSize())  // a frame's padding
    copy->RemoveAtEnd(copy->GetSize() - header.GetPayloadLength());
  Fate fate = Fate::next;
  arrival_device_ = device;
  ++walking_;
  for (size_t i = 0; i < entries_.size() && fate == Fate::next; ++i)
    if (entries_[i].handler) fate = entries_[i].handler->on_arrival6(header, copy);
  if (--walking_ == 0) sweep();
  if (fate == Fate::consume) return true;
  copy->AddHeader(header);
  return to_node_(device, copy, protocol, from);
}

bool PacketTap6::send(ns3::Ptr<ns3::Packet> packet, const ns3::Ipv6Header& header) {
  if (ipv6_->GetInterfaceForAddress(header.GetDestination()) >= 0) {
    const ns3::Ptr<ns3::NetDevice> loopback = ipv6_->GetNetDevice(0);
    ns3::Ipv6Header complete = header;
    complete.SetPayloadLength(static_cast<uint16_t>(packet->GetSize()));
    packet->AddHeader(complete);
    to_node_(loopback, packet, ns3::Ipv6L3Protocol::PROT_NUMBER, loopback->GetAddress());
    return true;
  }
  ns3::Socket::SocketErrno error;
  const auto route = ipv6_->GetRoutingProtocol()->RouteOutput(packet, header, nullptr, error);
  if (!route) return false;
  ns3::SocketIpv6HopLimitTag hops;
  hops.SetHopLimit(header.GetHopLimit());
  packet->ReplacePacketTag(hops);
  ns3::SocketIpv6TclassTag traffic;
  traffic.SetTclass(header.GetTrafficClass());
  packet->ReplacePacketTag(traffic);
  ipv6_->Send(packet, header.GetSource(), header.GetDestination(), header.GetNextHeader(), route);
  return true;
}

}  // namespace culvert::ns3_world
