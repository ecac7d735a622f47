// net::TunDevice inside ns-3: a VirtualNetDevice with the addresses and routes that were asked for.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "model/net/tun.h"
#include "model/ns3/ip_output.h"
#include "model/ns3/loop.h"
#include "ns3/virtual-net-device.h"

namespace culvert::ns3_world {

// The TUN devices of a host. ns-3 cannot remove a device, so closed ones wait here for the next.
class TunPool {
 public:
  explicit TunPool(IpOutput& output) : output_(output) {}
  struct Port {
    ns3::Ptr<ns3::VirtualNetDevice> device;
    int32_t v4 = -1, v6 = -1;  // interface indices
    std::string name;
    bool used = false;
  };
  // Ok, or why the options make no sense.
  static net::Status check(const net::TunOptions& options);
  std::shared_ptr<Port> open(const net::TunOptions& options);
  void close(Port& port);
  // The name under which a device was opened; empty if it is none of ours.
  std::string name_of(const ns3::NetDevice& device) const;

 private:
  IpOutput& output_;
  std::vector<std::shared_ptr<Port>> ports_;
};

class Ns3Tun final : public net::TunDevice {
 public:
  Ns3Tun(Loop& loop, TunPool& pool, std::shared_ptr<TunPool::Port> port);
  ~Ns3Tun() override;
  const std::string& name() const override { return port_->name; }
  bool offload() const override { return false; }  // every packet comes plain
  net::IoResult read(boost::span<net::PacketIn> batch) override;
  net::IoResult write(boost::span<const net::PacketOut> batch) override;
  void on_readable(std::function<void()> callback) override;
  void on_writable(std::function<void()>) override {}  // a write never has to wait in ns-3

 private:
  bool sent(ns3::Ptr<ns3::Packet> packet, const ns3::Address&, const ns3::Address&, uint16_t);
  void tell();

  TunPool& pool_;
  std::shared_ptr<TunPool::Port> port_;
  std::deque<net::Buffer> queue_;
  std::function<void()> on_readable_;
  Loop::Turn turn_;
};

}  // namespace culvert::ns3_world
