#include "scenarios/ns3_runner/link.h"

#include <ns3/ipv4-header.h>
#include <ns3/node.h>
#include <ns3/simulator.h>

#include <algorithm>
#include <array>

#include "model/link/watch.h"
#include "model/ns3/convert.h"

namespace culvert::runner {
namespace {

constexpr int64_t kEthernetBytes = 14;  // header, IEEE 802.3 clause 3; no preamble, no FCS
// Linux's default transmit queue (txqueuelen 1000), as time to send it; more is lost.
constexpr int64_t kQueuePackets = 1000;
constexpr uint16_t kIpv4 = 0x0800, kIpv6 = 0x86dd;  // IANA ethertypes

}  // namespace

ns3::TypeId Link::GetTypeId() {
  static ns3::TypeId id = ns3::TypeId("culvert::runner::Link").SetParent<ns3::Channel>();
  return id;
}

ns3::TypeId LinkDevice::GetTypeId() {
  static ns3::TypeId id = ns3::TypeId("culvert::runner::LinkDevice").SetParent<ns3::NetDevice>();
  return id;
}

void Link::attach(ns3::Ptr<LinkDevice> device, uint64_t seed, const std::string& node) {
  device->link_ = this;
  device->end_ = ends_.size();
  ends_.emplace_back();
  ends_.back().device = device;
  ends_.back().random = net::Random(seed);
  ends_.back().node = node;
}

void Link::add_device(const std::string& node, const net::IpAddress& address) {
  devices_.push_back({node, address, {}, {}});
}

Link::Device* Link::device_of(const ns3::Packet& packet, bool source, uint16_t protocol) {
  if (devices_.empty() || protocol != kIpv4) return nullptr;
  ns3::Ipv4Header header;
  packet.PeekHeader(header);
  const auto address = ns3_world::from_ns3(source ? header.GetSource() : header.GetDestination());
  for (Device& device : devices_)
    if (device.address == address) return &device;
  return nullptr;
}

void Link::count(net::EventLog& log) {
  for (Device& device : devices_) device.counter.tell(log, device.node);
  for (size_t i = devices_.empty() ? 0 : 1; i < ends_.size(); ++i)
    ends_[i].counter.tell(log, ends_[i].node);
}

void Link::received(size_t end, const ns3::Packet& packet, uint16_t protocol) {
  if (protocol != kIpv4 && protocol != kIpv6) return;
  Device* device = end == 0 ? device_of(packet, false, protocol) : nullptr;
  (device ? device->counter : ends_[end].counter).received(packet.GetSize());
  if (watch_log_) watched(device ? device->node : ends_[end].node, "received", packet);
}

void Link::watched(const std::string& node, const char* way, const ns3::Packet& packet) {
  std::array<uint8_t, link::kWatchedBytes> head;
  const uint32_t size = packet.CopyData(head.data(), head.size());
  link::tell_passed(*watch_log_, node, way, {head.data(), size});
}

ns3::Ptr<ns3::NetDevice> Link::GetDevice(size_t i) const { return ends_.at(i).device; }

bool Link::lose(const ns3::Ptr<ns3::Packet>& packet, const char* why) {
  if (on_lost) on_lost(packet, why);
  return true;  // the sender cannot tell
}

bool Link::transmit(size_t index, ns3::Ptr<ns3::Packet> packet, ns3::Mac48Address to,
                    uint16_t protocol) {
  End& end = ends_[index];
  Device* behind = device_of(*packet, index == 0, protocol);
  if (protocol == kIpv4 || protocol == kIpv6) {
    const bool device = behind && index == 0;
    (device ? behind->counter : end.counter).sent(packet->GetSize());
    if (watch_log_) watched(device ? behind->node : end.node, "sent", *packet);
  }
  if (cut) return lose(packet, "cut");
  int64_t departure = ns3::Simulator::Now().GetNanoSeconds();
  if (options.rate_mbps > 0) {
    const double ns_per_byte = 8000.0 / options.rate_mbps;
    const auto limit =
        static_cast<int64_t>(kQueuePackets * (end.device->mtu_ + kEthernetBytes) * ns_per_byte);
    if (end.free_at - departure > limit) return lose(packet, "queue");
    departure = std::max(departure, end.free_at) +
                static_cast<int64_t>((packet->GetSize() + kEthernetBytes) * ns_per_byte + 0.5);
    end.free_at = departure;
  }
  if (options.loss > 0 && end.random.unit() < options.loss) return lose(packet, "loss");
  // One device's radio asleep must not keep others' packets.
  if (behind) departure = behind->radio.admit(net::Time(departure), radio).count();
  int64_t& last_arrival = behind ? behind->last_arrival[index] : end.last_arrival;
  int64_t arrival = departure + options.delay.count();
  if (options.jitter.count() > 0)
    arrival += static_cast<int64_t>(end.random.between(0, options.jitter.count()));
  arrival = std::max(arrival, last_arrival);
  last_arrival = arrival;
  const ns3::Time wait = ns3::NanoSeconds(arrival) - ns3::Simulator::Now();
  if (!lan) {
    ns3::Simulator::ScheduleWithContext(ends_[1 - index].device->node_->GetId(), wait,
                                        &LinkDevice::receive, ends_[1 - index].device, packet,
                                        end.device->address_, to, protocol);
    return true;
  }
  // Unicast goes to its owner alone, as a switch that has learned does; the rest to everybody.
  for (size_t i = 0; i < ends_.size(); ++i) {
    if (i == index || (!to.IsGroup() && ends_[i].device->address_ != to)) continue;
    ns3::Simulator::ScheduleWithContext(ends_[i].device->node_->GetId(), wait, &LinkDevice::receive,
                                        ends_[i].device, packet->Copy(), end.device->address_, to,
                                        protocol);
  }
  return true;
}

void LinkDevice::SetAddress(ns3::Address address) {
  address_ = ns3::Mac48Address::ConvertFrom(address);
}

bool LinkDevice::SetMtu(const uint16_t mtu) {
  mtu_ = mtu;
  return true;
}

ns3::Address LinkDevice::GetMulticast(ns3::Ipv4Address group) const {
  return ns3::Mac48Address::GetMulticast(group);
}

ns3::Address LinkDevice::GetMulticast(ns3::Ipv6Address group) const {
  return ns3::Mac48Address::GetMulticast(group);
}

bool LinkDevice::IsPointToPoint() const { return link_ && !link_->lan; }

bool LinkDevice::Send(ns3::Ptr<ns3::Packet> packet, const ns3::Address& to, uint16_t protocol) {
  if (link_->ends_.size() < 2) return false;  // nothing is plugged in at the other end
  // Without ARP ns-3 broadcasts on a cable; there is only one other end to mean.
  const auto mac = IsPointToPoint() ? link_->ends_[1 - end_].device->address_
                                    : ns3::Mac48Address::ConvertFrom(to);
  if (tap) tap(packet, address_, mac, protocol);
  return link_->transmit(end_, packet, mac, protocol);
}

bool LinkDevice::SendFrom(ns3::Ptr<ns3::Packet>, const ns3::Address&, const ns3::Address&,
                          uint16_t) {
  return false;
}

void LinkDevice::receive(ns3::Ptr<ns3::Packet> packet, ns3::Mac48Address from, ns3::Mac48Address to,
                         uint16_t protocol) {
  if (tap) tap(packet, from, to, protocol);
  link_->received(end_, *packet, protocol);
  const PacketType type = to == address_     ? PACKET_HOST
                          : to.IsBroadcast() ? PACKET_BROADCAST
                          : to.IsGroup()     ? PACKET_MULTICAST
                                             : PACKET_OTHERHOST;
  if (!promiscuous_.IsNull()) promiscuous_(this, packet, protocol, from, to, type);
  if (type != PACKET_OTHERHOST) receive_(this, packet, protocol, from);
}

void LinkDevice::DoDispose() {
  node_ = nullptr;
  link_ = nullptr;
  receive_ = ReceiveCallback();
  promiscuous_ = PromiscReceiveCallback();
  NetDevice::DoDispose();
}

}  // namespace culvert::runner
