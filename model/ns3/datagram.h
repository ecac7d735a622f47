// net::DatagramSocket inside ns-3, over udp_layer.h.
#pragma once

#include <deque>
#include <set>
#include <utility>

#include "model/net/datagram.h"
#include "model/ns3/loop.h"
#include "model/ns3/udp_layer.h"

namespace culvert::ns3_world {

class Ns3Datagram final : public net::DatagramSocket, private UdpReceiver {
 public:
  // `local` is complete and free: the Host has seen to it.
  Ns3Datagram(Loop& loop, IpOutput& output, UdpLayer& layer, Ports& ports,
              const net::Endpoint& local, const net::DatagramOptions& options);
  ~Ns3Datagram() override;

  net::Endpoint local() const override { return local_; }
  net::IoResult send(boost::span<const net::DatagramOut> batch) override;
  net::IoResult receive(boost::span<net::DatagramIn> batch) override;
  void on_readable(std::function<void()> callback) override;
  void on_writable(std::function<void()>) override {}  // a send never has to wait in ns-3
  void on_icmp(std::function<void(const net::IcmpEvent&)> callback) override;
  net::Status set_dont_fragment(bool on) override;
  net::Result<uint32_t> path_mtu(const net::Endpoint& to) const override;
  net::Status join(const net::IpAddress& group, const net::IpAddress& interface) override;
  net::Status leave(const net::IpAddress& group, const net::IpAddress& interface) override;
  net::Status set_multicast(const net::IpAddress& interface, uint8_t ttl, bool loopback) override;

 private:
  void deliver(ReceivedDatagram datagram) override;
  void deliver_icmp(const net::IcmpEvent& event) override;
  const net::Endpoint& bound() const override { return local_; }
  bool in_group(const net::IpAddress& group, int32_t index) const override;

  net::Error send_one(const net::DatagramOut& out, net::Bytes data);
  std::optional<Route> route_to(const net::IpAddress& to) const;
  net::Result<int32_t> group_interface(const net::IpAddress& group,
                                       const net::IpAddress& interface) const;
  void leave_at(const net::IpAddress& group, int32_t index);
  void tell_readable();
  void tell_icmp();

  Loop& loop_;
  IpOutput& output_;
  UdpLayer& layer_;
  Ports& ports_;
  net::Endpoint local_;
  bool share_, dont_fragment_;

  std::deque<ReceivedDatagram> received_;
  size_t receive_limit_, receive_used_ = 0;  // bytes, with kOverhead for each datagram
  std::deque<net::IcmpEvent> icmp_;
  std::function<void()> on_readable_;
  std::function<void(const net::IcmpEvent&)> on_icmp_;
  Loop::Turn readable_turn_, icmp_turn_;

  std::set<std::pair<net::IpAddress, int32_t>> groups_;  // group, interface
  int32_t multicast_interface_ = -1;                     // -1: the default one
  uint8_t multicast_ttl_ = 1;                            // RFC 1112 section 6.1
  bool multicast_loopback_ = true;                       // RFC 1112 section 6.1
};

}  // namespace culvert::ns3_world
