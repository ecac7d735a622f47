#include "model/ns3/udp_layer.h"

#include <algorithm>

#include "model/ns3/convert.h"
#include "model/ns3/head_bytes.h"
#include "model/ns3/port_unreachable.h"
#include "ns3/ipv4-interface.h"
#include "ns3/ipv6-interface.h"
#include "ns3/simulator.h"

namespace culvert::ns3_world {
namespace {

constexpr size_t kHeader = 8;  // RFC 768

uint16_t get16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

// The one's complement sum of pseudo-header and datagram, folded, not inverted.
uint32_t pseudo_sum(const net::IpAddress& from, const net::IpAddress& to, net::Bytes datagram) {
  uint64_t sum = UdpLayer::kProtocol + datagram.size();
  for (const net::IpAddress* address : {&from, &to})
    for (size_t i = 0; i < address->size(); i += 2) sum += get16(&address->bytes()[i]);
  size_t i = 0;
  for (; i + 1 < datagram.size(); i += 2) sum += get16(&datagram[i]);
  if (i < datagram.size()) sum += uint32_t{datagram[i]} << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint32_t>(sum);
}

net::Time now() { return from_ns3(ns3::Simulator::Now()); }

}  // namespace

uint16_t udp_checksum(const net::IpAddress& from, const net::IpAddress& to, net::Bytes datagram) {
  const auto sum = static_cast<uint16_t>(~pseudo_sum(from, to, datagram));
  return sum == 0 ? 0xffff : sum;
}

net::IcmpEvent classify_icmp(const net::IpAddress& reporter, uint8_t type, uint8_t code,
                             uint32_t info, const net::Endpoint& to) {
  net::IcmpEvent event;
  event.to = to;
  event.reporter = reporter;
  event.type = type;
  event.code = code;
  if (to.ip.is_v4()) {
    if (type == 3 && code == 3)
      event.error = net::Error::refused;
    else if (type == 3 && code == 4)
      event.error = net::Error::too_big, event.mtu = info;
    else if (type == 3)
      event.error = net::Error::unreachable;
    else if (type == 11)
      event.error = net::Error::ttl_exceeded;
  } else {
    if (type == 1 && code == 4)
      event.error = net::Error::refused;
    else if (type == 1)
      event.error = net::Error::unreachable;
    else if (type == 2)
      event.error = net::Error::too_big, event.mtu = info;
    else if (type == 3)
      event.error = net::Error::ttl_exceeded;
  }
  return event;
}

ns3::TypeId UdpLayer::GetTypeId() {
  static const ns3::TypeId id = ns3::TypeId("culvert::UdpLayer")
                                    .SetParent<ns3::IpL4Protocol>()
                                    .SetGroupName("Culvert")
                                    .AddConstructor<UdpLayer>();
  return id;
}

void UdpLayer::attach(IpOutput& output) {
  output_ = &output;
  if (output.v4()) {
    former_v4_ = output.v4()->GetProtocol(kProtocol, -1);
    output.v4()->Insert(this);
  }
  if (output.v6()) {
    former_v6_ = output.v6()->GetProtocol(kProtocol, -1);
    output.v6()->Insert(this);
  }
}

void UdpLayer::detach() {
  if (!output_) return;
  if (output_->v4() && former_v4_) output_->v4()->Insert(former_v4_);
  if (output_->v6() && former_v6_) output_->v6()->Insert(former_v6_);
  former_v4_ = former_v6_ = nullptr;
  output_ = nullptr;
  sockets_.clear();
}

void UdpLayer::add(UdpReceiver& socket) { sockets_[socket.bound().port].push_back(&socket); }

void UdpLayer::remove(UdpReceiver& socket) {
  const auto found = sockets_.find(socket.bound().port);
  if (found == sockets_.end()) return;
  auto& list = found->second;
  list.erase(std::remove(list.begin(), list.end(), &socket), list.end());
  if (list.empty()) sockets_.erase(found);
}

UdpReceiver* UdpLayer::find(const net::Endpoint& local, const net::Endpoint& remote) const {
  const auto found = sockets_.find(local.port);
  if (found == sockets_.end()) return nullptr;
  // An exact address before "any"; among those who share, one and the same for each peer.
  for (const bool exact : {true, false}) {
    const auto fits = [&](const UdpReceiver* socket) {
      const net::IpAddress& ip = socket->bound().ip;
      return exact ? ip == local.ip : ip.is_any() && ip.family() == local.ip.family();
    };
    const auto count = std::count_if(found->second.begin(), found->second.end(), fits);
    if (count == 0) continue;
    auto skip = count == 1 ? 0u : std::hash<net::Endpoint>()(remote) % static_cast<size_t>(count);
    for (UdpReceiver* socket : found->second)
      if (fits(socket) && skip-- == 0) return socket;
  }
  return nullptr;
}

UdpLayer::Found UdpLayer::dispatch(ns3::Packet& packet, const net::IpAddress& from,
                                   const net::IpAddress& to, uint8_t ttl, uint8_t traffic_class,
                                   int32_t interface) {
  uint8_t header[kHeader];
  if (packet.CopyData(header, kHeader) != kHeader) return Found::malformed;
  const net::Endpoint source{from, get16(header)}, destination{to, get16(header + 2)};
  const bool multicast = to.is_multicast();
  UdpReceiver* receiver = multicast ? nullptr : find(destination, source);
  if (!multicast && !receiver) return Found::nobody;
  const size_t length = get16(header + 4);
  if (length < kHeader || length > packet.GetSize()) return Found::malformed;
  ReceivedDatagram datagram;
  datagram.data.resize(packet.GetSize());
  packet.CopyData(datagram.data.data(), packet.GetSize());
  datagram.data.resize(length);
  // Without a checksum is right in IPv4 only (RFC 768), or where ns-3 makes none at all.
  const bool unchecked = get16(header + 6) == 0 && (to.is_v4() || !ns3::Node::ChecksumEnabled());
  if (!unchecked && pseudo_sum(from, to, datagram.data) != 0xffff) return Found::malformed;
  datagram.data.erase(datagram.data.begin(), datagram.data.begin() + kHeader);
  datagram.from = source;
  datagram.to = destination;
  datagram.ttl = ttl;
  datagram.traffic_class = traffic_class;
  if (receiver)
    receiver->deliver(std::move(datagram));
  else
    loop_back(to, interface, datagram);
  return Found::delivered;
}

void UdpLayer::loop_back(const net::IpAddress& group, int32_t index,
                         const ReceivedDatagram& datagram) {
  const auto found = sockets_.find(datagram.to.port);
  if (found == sockets_.end()) return;
  for (UdpReceiver* socket : found->second) {
    const net::IpAddress& ip = socket->bound().ip;
    if ((ip == group || ip.is_any()) && ip.family() == group.family() &&
        socket->in_group(group, index))
      socket->deliver(datagram);
  }
}

ns3::IpL4Protocol::RxStatus UdpLayer::Receive(ns3::Ptr<ns3::Packet> packet,
                                              const ns3::Ipv4Header& header,
                                              ns3::Ptr<ns3::Ipv4Interface> interface) {
  const int32_t index = output_->v4()->GetInterfaceForDevice(interface->GetDevice());
  const Found found =
      dispatch(*packet, from_ns3(header.GetSource()), from_ns3(header.GetDestination()),
               header.GetTtl(), header.GetTos(), index);
  if (found == Found::delivered && !header.GetDestination().IsMulticast()) return RX_OK;
  if (found == Found::malformed) return RX_CSUM_FAILED;
  HeadBytes head(header, *packet);
  const RxStatus status =
      former_v4_ ? former_v4_->Receive(packet, header, interface) : RX_ENDPOINT_UNREACH;
  if (status != RX_ENDPOINT_UNREACH || !output_->is_local(from_ns3(header.GetDestination())))
    return status;
  send_port_unreachable(*output_, head, from_ns3(header.GetSource()),
                        from_ns3(header.GetDestination()));
  return RX_OK;  // or ns-3 would say it again, from another address
}

ns3::IpL4Protocol::RxStatus UdpLayer::Receive(ns3::Ptr<ns3::Packet> packet,
                                              const ns3::Ipv6Header& header,
                                              ns3::Ptr<ns3::Ipv6Interface> interface) {
  const int32_t index = output_->v6()->GetInterfaceForDevice(interface->GetDevice());
  const Found found =
      dispatch(*packet, from_ns3(header.GetSource()), from_ns3(header.GetDestination()),
               header.GetHopLimit(), header.GetTrafficClass(), index);
  if (found == Found::delivered && !header.GetDestination().IsMulticast()) return RX_OK;
  if (found == Found::malformed) return RX_CSUM_FAILED;
  HeadBytes head(header, *packet);
  const RxStatus status =
      former_v6_ ? former_v6_->Receive(packet, header, interface) : RX_ENDPOINT_UNREACH;
  if (status != RX_ENDPOINT_UNREACH || !output_->is_local(from_ns3(header.GetDestination())))
    return status;
  send_port_unreachable(*output_, head, from_ns3(header.GetSource()),
                        from_ns3(header.GetDestination()));
  return RX_OK;  // or ns-3 would say it again, from another address
}

bool UdpLayer::dispatch_icmp(const net::Endpoint& local, const net::IcmpEvent& event) {
  UdpReceiver* socket = find(local, event.to);
  if (!socket) return false;
  if (event.error == net::Error::too_big) output_->learn_mtu(event.to.ip, event.mtu, now());
  if (event.error != net::Error::none) socket->deliver_icmp(event);
  return true;
}

void UdpLayer::ReceiveIcmp(ns3::Ipv4Address reporter, uint8_t ttl, uint8_t type, uint8_t code,
                           uint32_t info, ns3::Ipv4Address source, ns3::Ipv4Address destination,
                           const uint8_t payload[8]) {
  const net::Endpoint local{from_ns3(source), get16(payload)};
  const net::Endpoint to{from_ns3(destination), get16(payload + 2)};
  if (!dispatch_icmp(local, classify_icmp(from_ns3(reporter), type, code, info, to)) && former_v4_)
    former_v4_->ReceiveIcmp(reporter, ttl, type, code, info, source, destination, payload);
}

void UdpLayer::ReceiveIcmp(ns3::Ipv6Address reporter, uint8_t ttl, uint8_t type, uint8_t code,
                           uint32_t info, ns3::Ipv6Address source, ns3::Ipv6Address destination,
                           const uint8_t payload[8]) {
  const net::Endpoint local{from_ns3(source), get16(payload)};
  const net::Endpoint to{from_ns3(destination), get16(payload + 2)};
  if (!dispatch_icmp(local, classify_icmp(from_ns3(reporter), type, code, info, to)) && former_v6_)
    former_v6_->ReceiveIcmp(reporter, ttl, type, code, info, source, destination, payload);
}

}  // namespace culvert::ns3_world
