#include "model/ns3/tcp_layer.h"

#include <algorithm>

#include "model/ns3/convert.h"
#include "model/ns3/udp_layer.h"
#include "ns3/object-factory.h"
#include "ns3/rtt-estimator.h"
#include "ns3/tcp-congestion-ops.h"
#include "ns3/tcp-recovery-ops.h"

namespace culvert::ns3_world {
namespace {

constexpr uint8_t kSyn = 2, kRst = 4, kAck = 16;  // RFC 9293 section 3.1
constexpr uint32_t kTcpHeader = 32;               // with the timestamp option (RFC 7323)

uint16_t get16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }
uint32_t get32(const uint8_t* at) { return uint32_t{get16(at)} << 16 | get16(at + 2); }

// An object of the type that an attribute of the node's own TCP names.
template <class T>
ns3::Ptr<T> make(ns3::Ptr<ns3::TcpL4Protocol> from, const char* attribute) {
  ns3::TypeIdValue type;
  from->GetAttribute(attribute, type);
  ns3::ObjectFactory factory;
  factory.SetTypeId(type.Get());
  return factory.Create<T>();
}

}  // namespace

ns3::TypeId TcpLayer::GetTypeId() {
  static const ns3::TypeId id = ns3::TypeId("culvert::TcpLayer")
                                    .SetParent<ns3::TcpL4Protocol>()
                                    .SetGroupName("Culvert")
                                    .AddConstructor<TcpLayer>();
  return id;
}

void TcpLayer::attach(IpOutput& output, uint64_t seed, uint32_t buffer) {
  output_ = &output;
  buffer_ = buffer;
  sequences_ = std::make_unique<net::Random>(seed);
  SetNode(output.node());
  SetDownTarget(ns3::MakeCallback(&TcpLayer::send_v4, this));
  SetDownTarget6(ns3::MakeCallback(&TcpLayer::send_v6, this));
  former_ = output.node()->GetObject<ns3::TcpL4Protocol>();
  if (output.v4()) output.v4()->Insert(this);
  if (output.v6()) output.v6()->Insert(this);
}

void TcpLayer::detach() {
  if (!output_) return;
  if (output_->v4() && former_) output_->v4()->Insert(former_);
  if (output_->v6() && former_) output_->v6()->Insert(former_);
  auto connections = std::move(connections_);
  connections_.clear();
  for (auto& [pair, socket] : connections) {
    socket->owner = nullptr;
    socket->abort(false);
  }
  acceptors_.clear();
  SetDownTarget({});
  SetDownTarget6({});
  former_ = nullptr;
  output_ = nullptr;
  Dispose();
}

void TcpLayer::remove(TcpAcceptor& acceptor) {
  const auto found = acceptors_.find(acceptor.bound().port);
  if (found == acceptors_.end()) return;
  auto& list = found->second;
  list.erase(std::remove(list.begin(), list.end(), &acceptor), list.end());
  if (list.empty()) acceptors_.erase(found);
}

TcpSocket* TcpLayer::find(const net::Endpoint& local, const net::Endpoint& remote) const {
  const auto found = connections_.find({local, remote});
  return found == connections_.end() ? nullptr : ns3::PeekPointer(found->second);
}

ns3::Ptr<TcpSocket> TcpLayer::create(const net::Endpoint& local, const net::Endpoint& remote,
                                     uint8_t ttl) {
  if (TcpSocket* old = find(local, remote)) {
    if (!old->lingering()) return nullptr;
    old->abort(false);  // TIME-WAIT gives way (RFC 6191)
  }
  const auto route = output_->route(remote.ip);
  TcpSocket::Config config;
  config.local = local;
  config.remote = remote;
  config.initial_sequence = static_cast<uint32_t>(sequences_->next());
  config.buffer = buffer_;
  const uint32_t mtu = std::min(route ? route->mtu : 1500u, 9000u);
  config.segment_size = mtu - (remote.ip.is_v4() ? 20 : 40) - kTcpHeader;
  config.ttl = ttl;
  const auto socket = ns3::CreateObject<TcpSocket>();
  socket->SetNode(output_->node());
  socket->SetTcp(this);
  socket->SetRtt(make<ns3::RttEstimator>(former_, "RttEstimatorType"));
  socket->SetCongestionControlAlgorithm(make<ns3::TcpCongestionOps>(former_, "SocketType"));
  socket->SetRecoveryAlgorithm(make<ns3::TcpRecoveryOps>(former_, "RecoveryType"));
  socket->configure(config, [this](TcpSocket& gone) {
    connections_.erase({gone.local(), gone.remote()});
  });
  connections_[{local, remote}] = socket;
  return socket;
}

ns3::Ptr<TcpSocket> TcpLayer::receiver(const ns3::Packet& packet, const net::IpAddress& from,
                                       const net::IpAddress& to, bool& taken) {
  uint8_t header[20];
  taken = false;
  if (packet.CopyData(header, sizeof header) != sizeof header) return nullptr;
  const net::Endpoint remote{from, get16(header)}, local{to, get16(header + 2)};
  const bool opens = (header[13] & (kSyn | kRst | kAck)) == kSyn;
  if (TcpSocket* socket = find(local, remote))
    if (!opens || !socket->lingering()) return socket;
  if (!opens) return nullptr;
  const auto found = acceptors_.find(local.port);
  if (found == acceptors_.end()) return nullptr;
  for (const bool exact : {true, false})
    for (TcpAcceptor* acceptor : found->second) {
      const net::IpAddress& ip = acceptor->bound().ip;
      if (exact ? ip != to : !(ip.is_any() && ip.family() == to.family())) continue;
      taken = true;
      if (!acceptor->has_room()) return nullptr;
      const ns3::Ptr<TcpSocket> socket = create(local, remote, kDefaultTtl);
      if (!socket) return nullptr;
      socket->owner = acceptor;
      socket->start_accept();
      acceptor->incoming(socket);
      return socket;
    }
  return nullptr;
}

ns3::IpL4Protocol::RxStatus TcpLayer::Receive(ns3::Ptr<ns3::Packet> packet,
                                              const ns3::Ipv4Header& header,
                                              ns3::Ptr<ns3::Ipv4Interface> interface) {
  ns3::TcpHeader tcp;
  const RxStatus status = PacketReceived(packet, tcp, header.GetSource(), header.GetDestination());
  if (status != RX_OK) return status;
  bool taken = false;
  const auto socket =
      receiver(*packet, from_ns3(header.GetSource()), from_ns3(header.GetDestination()), taken);
  if (socket) socket->receive(packet, header, interface);
  if (socket || taken || !former_) return RX_OK;
  return former_->Receive(packet, header, interface);
}

ns3::IpL4Protocol::RxStatus TcpLayer::Receive(ns3::Ptr<ns3::Packet> packet,
                                              const ns3::Ipv6Header& header,
                                              ns3::Ptr<ns3::Ipv6Interface> interface) {
  ns3::TcpHeader tcp;
  const RxStatus status = PacketReceived(packet, tcp, header.GetSource(), header.GetDestination());
  if (status != RX_OK) return status;
  bool taken = false;
  const auto socket =
      receiver(*packet, from_ns3(header.GetSource()), from_ns3(header.GetDestination()), taken);
  if (socket) socket->receive(packet, header, interface);
  if (socket || taken || !former_) return RX_OK;
  return former_->Receive(packet, header, interface);
}

bool TcpLayer::icmp(const net::Endpoint& local, const net::IcmpEvent& event,
                    const uint8_t payload[8]) {
  TcpSocket* socket = find(local, event.to);
  if (!socket) return false;
  // Only while connecting, and only about our own SYN (RFC 5927 section 4.1); afterwards TCP's own
  // retransmissions decide.
  if (socket->connecting() && get32(payload + 4) == socket->isn() && socket->owner &&
      event.error != net::Error::none)
    socket->owner->icmp(event);
  return true;
}

void TcpLayer::ReceiveIcmp(ns3::Ipv4Address reporter, uint8_t ttl, uint8_t type, uint8_t code,
                           uint32_t info, ns3::Ipv4Address source, ns3::Ipv4Address destination,
                           const uint8_t payload[8]) {
  const net::Endpoint local{from_ns3(source), get16(payload)};
  const net::Endpoint to{from_ns3(destination), get16(payload + 2)};
  if (!icmp(local, classify_icmp(from_ns3(reporter), type, code, info, to), payload) && former_)
    former_->ReceiveIcmp(reporter, ttl, type, code, info, source, destination, payload);
}

void TcpLayer::ReceiveIcmp(ns3::Ipv6Address reporter, uint8_t ttl, uint8_t type, uint8_t code,
                           uint32_t info, ns3::Ipv6Address source, ns3::Ipv6Address destination,
                           const uint8_t payload[8]) {
  const net::Endpoint local{from_ns3(source), get16(payload)};
  const net::Endpoint to{from_ns3(destination), get16(payload + 2)};
  if (!icmp(local, classify_icmp(from_ns3(reporter), type, code, info, to), payload) && former_)
    former_->ReceiveIcmp(reporter, ttl, type, code, info, source, destination, payload);
}

// What goes to the machine itself takes the loopback, which delivers later: ns-3 would deliver it
// inside this call.
void TcpLayer::send_v4(ns3::Ptr<ns3::Packet> packet, ns3::Ipv4Address from, ns3::Ipv4Address to,
                       uint8_t protocol, ns3::Ptr<ns3::Ipv4Route> route) {
  if (output_->v4()->GetInterfaceForAddress(to) >= 0)
    if (const auto own = output_->route(from_ns3(to))) route = own->v4;
  if (route) output_->v4()->Send(packet, from, to, protocol, route);
}

void TcpLayer::send_v6(ns3::Ptr<ns3::Packet> packet, ns3::Ipv6Address from, ns3::Ipv6Address to,
                       uint8_t protocol, ns3::Ptr<ns3::Ipv6Route> route) {
  if (output_->v6()->GetInterfaceForAddress(to) >= 0)
    if (const auto own = output_->route(from_ns3(to))) route = own->v6;
  if (route) output_->v6()->Send(packet, from, to, protocol, route);
}

}  // namespace culvert::ns3_world
