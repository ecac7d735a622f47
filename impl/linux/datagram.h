// UDP on Linux: recvmmsg and sendmmsg with TTL, traffic class and addresses as control messages,
// UDP_SEGMENT for trains, and the error queue (IP_RECVERR) for ICMP.
#pragma once

#include "impl/linux/host.h"

namespace culvert::linux_host {

class DatagramImpl : public net::DatagramSocket, private Watch {
 public:
  static net::Result<std::unique_ptr<net::DatagramSocket>> open(
      LinuxHost& host, const net::DatagramOptions& options);
  DatagramImpl(LinuxHost& host, Fd fd, net::IpAddress::Family family);

  net::Endpoint local() const override { return local_; }
  net::IoResult send(boost::span<const net::DatagramOut> batch) override;
  net::IoResult receive(boost::span<net::DatagramIn> batch) override;
  void on_readable(std::function<void()> callback) override;
  void on_writable(std::function<void()> callback) override;
  void on_icmp(std::function<void(const net::IcmpEvent&)> callback) override;
  net::Status set_dont_fragment(bool on) override;
  net::Result<uint32_t> path_mtu(const net::Endpoint& to) const override;
  net::Status join(const net::IpAddress& group, const net::IpAddress& interface) override;
  net::Status leave(const net::IpAddress& group, const net::IpAddress& interface) override;
  net::Status set_multicast(const net::IpAddress& interface, uint8_t ttl, bool loopback) override;

 private:
  void turn() override;
  bool v4() const { return family_ == net::IpAddress::Family::v4; }
  bool tell_icmp();  // false: this is gone
  net::Error send_train(const net::DatagramOut& train);
  net::Error error_of_send(int error, const net::DatagramOut& out) const;
  net::Error send_one(const net::DatagramOut& out, uint16_t segment_size);
  net::Status membership(int option, const net::IpAddress& group, const net::IpAddress& interface);

  LinuxHost& host_;
  const net::IpAddress::Family family_;
  net::Endpoint local_;
  bool segments_ = true;  // the kernel cuts trains up, until it says that it does not
  std::function<void()> readable_, writable_;
  std::function<void(const net::IcmpEvent&)> icmp_;
};

}  // namespace culvert::linux_host
