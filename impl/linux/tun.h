// TUN devices through /dev/net/tun, addresses and routes by rtnetlink; with offload every packet
// carries a virtio network header (VIRTIO 1.1, 5.1.6), so that 64 KB super-packets stay whole.
#pragma once

#include "impl/linux/host.h"

namespace culvert::linux_host {

class TunImpl : public net::TunDevice, private Watch {
 public:
  static net::Result<std::unique_ptr<net::TunDevice>> open(LinuxHost& host,
                                                           const net::TunOptions& options);
  TunImpl(LinuxHost& host, Fd fd, std::string name, bool offload);

  const std::string& name() const override { return name_; }
  bool offload() const override { return offload_; }
  net::IoResult read(boost::span<net::PacketIn> batch) override;
  net::IoResult write(boost::span<const net::PacketOut> batch) override;
  void on_readable(std::function<void()> callback) override;
  void on_writable(std::function<void()> callback) override;

 private:
  void turn() override;

  const std::string name_;
  const bool offload_;
  std::function<void()> readable_, writable_;
};

}  // namespace culvert::linux_host
