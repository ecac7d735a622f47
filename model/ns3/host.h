// net::Host on an ns-3 node: virtual time, sockets on the node's own IPv4 and IPv6, everything
// random seeded. Several per simulation, one per node; destroy them before Simulator::Destroy().
// Stands on ns-3 3.37's internet module, whose gaps it fills (docs/fidelity.md, field note
// platform).
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/net/host.h"
#include "model/net/memory_store.h"
#include "ns3/node.h"
#include "ns3/ptr.h"

namespace culvert::ns3_world {

// What ns-3 as a whole needs for our Hosts: checksums in every packet. Call once, before nodes and
// stacks are made.
void configure_ns3_defaults();

struct Ns3HostOptions {
  std::string name;          // in the event log, and what its seeds are derived from
  uint64_t seed = 1;         // of the run
  net::EventLog::Sink sink;  // none: no event log
  std::map<std::string, net::Buffer> secrets;                // by name
  std::map<std::string, std::vector<net::IpAddress>> names;  // what resolve() knows
  net::Duration offload_delay = net::Duration(1000000);      // ours: 1 ms, a disk commit or a hash
  uint32_t tcp_buffer = 128 * 1024;               // bytes in each direction, of every stream
  // Of a store: what a write to a drive takes that flushes its cache at each; ours: 1 ms.
  net::Duration commit_delay = net::Duration(1000000);
  net::Duration lookup_delay = net::Duration(0);  // of a name
};

class Ns3Host final : public net::Host {
 public:
  // The node has its internet stack already (IPv4, IPv6 or both); addresses may come later.
  Ns3Host(ns3::Ptr<ns3::Node> node, Ns3HostOptions options);
  ~Ns3Host() override;  // all its handles are gone by then

  const std::string& name() const override;
  net::Time now() const override;
  net::TimerQueue& timers() override;
  net::Random& random() override;
  void secure_random(net::MutableBytes out) override;
  net::EventLog& log() override;
  void post(std::function<void()> task) override;
  void offload(std::function<void()> work, std::function<void()> done) override;

  net::Result<std::unique_ptr<net::DatagramSocket>> open_datagram(
      const net::DatagramOptions& options) override;
  net::Result<std::unique_ptr<net::Listener>> listen(const net::ListenOptions& options) override;
  net::Result<std::unique_ptr<net::Dial>> dial(const net::DialOptions& options,
                                               net::DialDone done) override;
  net::Result<std::unique_ptr<net::TunDevice>> open_tun(const net::TunOptions& options) override;
  net::Result<std::unique_ptr<net::PacketHook>> add_hook(const net::Selector& selector,
                                                         net::HookFunction function) override;
  net::Result<std::unique_ptr<net::FlowTable>> open_flow_table(size_t limit) override;
  net::Result<std::unique_ptr<net::Store>> open_store(const std::string& name) override;
  std::unique_ptr<net::Lookup> resolve(const std::string& name, Resolved done) override;
  std::vector<net::InterfaceAddress> interfaces() const override;
  net::Result<net::Buffer> secret(const std::string& name) override;

  ns3::Ptr<ns3::Node> node() const;
  // Stays when a service is killed; see memory_store.h for what tests can do to it.
  net::MemoryDisk& disk();

 private:
  struct Parts;  // keeps ns-3's many headers out of this one
  std::unique_ptr<Parts> parts_;
};

}  // namespace culvert::ns3_world
