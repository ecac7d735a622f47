// A Host's UDP inside ns-3: takes protocol 17 over from the node's UdpL4Protocol, which goes on
// getting whatever is not for a socket of ours. ns-3's own sockets share no ports, tell neither TTL
// nor ICMP errors completely, and look endpoints up one by one; this finds them by hash.
// Stands on ns3::IpL4Protocol and ip_output.h. RFC 768, RFC 8200 section 8.1, RFC 1122 section 4.1.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "model/net/datagram.h"
#include "model/ns3/ip_output.h"
#include "model/ns3/ports.h"
#include "ns3/ip-l4-protocol.h"

namespace culvert::ns3_world {

// One received datagram as it waits in a socket.
struct ReceivedDatagram {
  net::Buffer data;
  net::Endpoint from, to;
  uint8_t ttl = 0, traffic_class = 0;
};

// What the layer knows of a socket.
class UdpReceiver {
 public:
  virtual void deliver(ReceivedDatagram datagram) = 0;
  virtual void deliver_icmp(const net::IcmpEvent& event) = 0;
  virtual const net::Endpoint& bound() const = 0;
  // Whether it has joined `group` on interface `index`.
  virtual bool in_group(const net::IpAddress& group, int32_t index) const = 0;

 protected:
  ~UdpReceiver() = default;
};

// The class and the fields of an ICMP error, for both families (RFC 792, RFC 4443); error none: not
// one that concerns a socket. `info` is what ns-3 hands up: the MTU, where there is one.
net::IcmpEvent classify_icmp(const net::IpAddress& reporter, uint8_t type, uint8_t code,
                             uint32_t info, const net::Endpoint& to);

class UdpLayer : public ns3::IpL4Protocol {
 public:
  static constexpr uint8_t kProtocol = 17;
  static ns3::TypeId GetTypeId();

  // Takes the place of the node's UDP until detach().
  void attach(IpOutput& output);
  void detach();

  void add(UdpReceiver& socket);
  void remove(UdpReceiver& socket);
  // A copy of what a socket sends to a group for the machine's own members.
  void loop_back(const net::IpAddress& group, int32_t index, const ReceivedDatagram& datagram);

  int GetProtocolNumber() const override { return kProtocol; }
  RxStatus Receive(ns3::Ptr<ns3::Packet> packet, const ns3::Ipv4Header& header,
                   ns3::Ptr<ns3::Ipv4Interface> interface) override;
  RxStatus Receive(ns3::Ptr<ns3::Packet> packet, const ns3::Ipv6Header& header,
                   ns3::Ptr<ns3::Ipv6Interface> interface) override;
  void ReceiveIcmp(ns3::Ipv4Address reporter, uint8_t ttl, uint8_t type, uint8_t code,
                   uint32_t info, ns3::Ipv4Address source, ns3::Ipv4Address destination,
                   const uint8_t payload[8]) override;
  void ReceiveIcmp(ns3::Ipv6Address reporter, uint8_t ttl, uint8_t type, uint8_t code,
                   uint32_t info, ns3::Ipv6Address source, ns3::Ipv6Address destination,
                   const uint8_t payload[8]) override;
  // ns-3 sets these on what it aggregates to a node; what we send goes through IpOutput.
  void SetDownTarget(DownTargetCallback) override {}
  void SetDownTarget6(DownTargetCallback6) override {}
  DownTargetCallback GetDownTarget() const override { return {}; }
  DownTargetCallback6 GetDownTarget6() const override { return {}; }

 private:
  enum class Found { nobody, delivered, malformed };
  Found dispatch(ns3::Packet& packet, const net::IpAddress& from, const net::IpAddress& to,
                 uint8_t ttl, uint8_t traffic_class, int32_t interface);
  bool dispatch_icmp(const net::Endpoint& local, const net::IcmpEvent& event);
  UdpReceiver* find(const net::Endpoint& local, const net::Endpoint& remote) const;

  IpOutput* output_ = nullptr;
  ns3::Ptr<ns3::IpL4Protocol> former_v4_, former_v6_;
  // By port; looked up, and walked only in the order in which sockets were opened.
  std::unordered_map<uint16_t, std::vector<UdpReceiver*>> sockets_;
};

// The UDP checksum over the pseudo-header and `datagram`, never 0 (RFC 768); 0 as the result of
// checking a datagram that carries its checksum means that it is right.
uint16_t udp_checksum(const net::IpAddress& from, const net::IpAddress& to, net::Bytes datagram);

}  // namespace culvert::ns3_world
