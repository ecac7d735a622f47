// The Host of the fake network: datagrams, streams, timers, post; TUN, hooks and flow tables are
// unsupported. Private to tests/support.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/net/memory_store.h"
#include "tests/support/fake_net.h"

namespace culvert::testing {

class FakeSocket;
class FakeListener;

class FakeHost : public net::Host {
 public:
  FakeHost(FakeNet& world, FakeNet::Node node, const std::string& name, uint64_t seed);
  ~FakeHost() override;

  const std::string& name() const override { return name_; }
  net::Time now() const override { return world_.now_; }
  net::TimerQueue& timers() override { return timers_; }
  net::Random& random() override { return random_; }
  void secure_random(net::MutableBytes out) override;
  net::EventLog& log() override { return log_; }
  void post(std::function<void()> task) override;
  void offload(std::function<void()> work, std::function<void()> done) override;
  net::Result<std::unique_ptr<net::DatagramSocket>> open_datagram(
      const net::DatagramOptions& options) override;
  net::Result<std::unique_ptr<net::Listener>> listen(const net::ListenOptions&) override;
  net::Result<std::unique_ptr<net::Dial>> dial(const net::DialOptions&, net::DialDone) override;
  net::Result<std::unique_ptr<net::TunDevice>> open_tun(const net::TunOptions&) override;
  net::Result<std::unique_ptr<net::PacketHook>> add_hook(const net::Selector&,
                                                         net::HookFunction) override;
  net::Result<std::unique_ptr<net::FlowTable>> open_flow_table(size_t) override;
  net::Result<std::unique_ptr<net::Store>> open_store(const std::string&) override;
  std::unique_ptr<net::Lookup> resolve(const std::string&, Resolved done) override;
  std::vector<net::InterfaceAddress> interfaces() const override;
  net::Result<net::Buffer> secret(const std::string& name) override;

  net::MemoryDisk& disk() { return disk_; }
  // The network's side: a packet for this host.
  void deliver(const net::Buffer& packet);

 private:
  friend class FakeSocket;
  friend class FakeListener;
  friend class FakeDial;
  FakeListener* listener_at(const net::Endpoint& to) const;
  net::IpAddress first_address() const;
  FakeNet& world_;
  FakeNet::Node node_;
  std::string name_;
  net::TimerQueue timers_;
  net::Random random_, secure_;
  net::EventLog log_;
  net::MemoryDisk disk_{net::Duration(100'000)};  // ours: 0.1 ms, as on Linux without fsync
  std::vector<FakeSocket*> sockets_;
  std::vector<FakeListener*> listeners_;
  uint16_t next_port_ = 40000, next_dial_port_ = 0;
};

// IPv4 packets, as far as the fake network needs them.
net::Buffer make_udp(uint32_t source, uint16_t source_port, uint32_t destination,
                     uint16_t destination_port, uint8_t ttl, net::Bytes payload);
net::Buffer make_icmp_error(uint32_t source, uint32_t destination, uint8_t type, uint8_t code,
                            const net::Buffer& about);
inline uint32_t read32(const net::Buffer& p, size_t at) {
  return uint32_t{p[at]} << 24 | uint32_t{p[at + 1]} << 16 | uint32_t{p[at + 2]} << 8 | p[at + 3];
}
inline uint16_t read16(const net::Buffer& p, size_t at) {
  return static_cast<uint16_t>(p[at] << 8 | p[at + 1]);
}
void decrement_ttl(net::Buffer& packet);

}  // namespace culvert::testing
