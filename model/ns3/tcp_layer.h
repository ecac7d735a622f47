// A Host's TCP inside ns-3: takes protocol 6 over from the node's TcpL4Protocol, which goes on
// getting whatever is not ours. Connections are found by hash (ns-3 looks one by one), an exact
// connection before a listener, as Linux does. Stands on ns3::TcpL4Protocol and tcp_socket.h.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "model/net/random.h"
#include "model/ns3/ip_output.h"
#include "model/ns3/ports.h"
#include "model/ns3/tcp_socket.h"
#include "ns3/tcp-l4-protocol.h"

namespace culvert::ns3_world {

// What the layer knows of a listener.
class TcpAcceptor : public TcpOwner {
 public:
  virtual const net::Endpoint& bound() const = 0;
  // Room in its queue. A SYN without room is dropped, as Linux does.
  virtual bool has_room() const = 0;
  virtual void incoming(ns3::Ptr<TcpSocket> socket) = 0;  // its handshake goes on
  // Gives up a connection that waits in its queue; whether it was there.
  virtual bool surrender(TcpSocket& socket) = 0;

 protected:
  ~TcpAcceptor() = default;
};

class TcpLayer : public ns3::TcpL4Protocol {
 public:
  static constexpr uint8_t kProtocol = 6;
  static ns3::TypeId GetTypeId();

  void attach(IpOutput& output, uint64_t seed, uint32_t buffer);
  void detach();  // every connection vanishes, as when a machine loses its power

  // A connection from `local` to `remote`, both complete, not started yet. Null if there is one.
  ns3::Ptr<TcpSocket> create(const net::Endpoint& local, const net::Endpoint& remote, uint8_t ttl);
  TcpSocket* find(const net::Endpoint& local, const net::Endpoint& remote) const;
  void add(TcpAcceptor& acceptor) { acceptors_[acceptor.bound().port].push_back(&acceptor); }
  void remove(TcpAcceptor& acceptor);

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

 private:
  struct Pair {
    net::Endpoint local, remote;
    friend bool operator==(const Pair& a, const Pair& b) {
      return a.local == b.local && a.remote == b.remote;
    }
  };
  struct PairHash {
    size_t operator()(const Pair& pair) const noexcept {
      return std::hash<net::Endpoint>()(pair.local) * 31 + std::hash<net::Endpoint>()(pair.remote);
    }
  };
  // The socket that a segment is for, made if it is a SYN for a listener; null: `taken` says
  // whether it has been dealt with (a full queue) or is the former TCP's.
  ns3::Ptr<TcpSocket> receiver(const ns3::Packet& packet, const net::IpAddress& from,
                               const net::IpAddress& to, bool& taken);
  bool icmp(const net::Endpoint& local, const net::IcmpEvent& event, const uint8_t payload[8]);
  void send_v4(ns3::Ptr<ns3::Packet> packet, ns3::Ipv4Address from, ns3::Ipv4Address to,
               uint8_t protocol, ns3::Ptr<ns3::Ipv4Route> route);
  void send_v6(ns3::Ptr<ns3::Packet> packet, ns3::Ipv6Address from, ns3::Ipv6Address to,
               uint8_t protocol, ns3::Ptr<ns3::Ipv6Route> route);

  IpOutput* output_ = nullptr;
  ns3::Ptr<ns3::TcpL4Protocol> former_;
  uint32_t buffer_ = 0;
  std::unique_ptr<net::Random> sequences_;
  // Looked up, never iterated except to drop everything.
  std::unordered_map<Pair, ns3::Ptr<TcpSocket>, PairHash> connections_;
  std::unordered_map<uint16_t, std::vector<TcpAcceptor*>> acceptors_;
};

}  // namespace culvert::ns3_world
