// A Host on Linux (model/net/host.h): the kernel's sockets, TUN and NFQUEUE, on a Loop of Asio's.
//
//   Loop loop;
//   LinuxHost host(loop, {"gateway"});     // several Hosts may share a Loop, or have one each
//   ... host.open_datagram(...) ...
//   loop.run();
//
// In a namespace of its own (options.netns) a Host is a machine of its own.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "impl/linux/loop.h"
#include "impl/linux/system.h"
#include "model/net/host.h"

namespace culvert::linux_host {

class DialImpl;
class IcmpListener;
class ListenerImpl;
class PacketTap;
class Workers;

struct HostOptions {
  std::string name = "host";
  uint64_t seed = 1;  // of random(), together with the name
  // What now() calls zero, as CLOCK_MONOTONIC; negative: the moment of construction. Programs of
  // one experiment are given one epoch, so that their logs can be read side by side.
  net::Time epoch{-1};
  net::EventLog::Sink log;     // see log_to(); empty: no log
  std::string secrets_folder;  // empty: there are no secrets
  bool secret_paths = false;   // a secret may also be called by a path, from the folder or absolute
  std::string data_folder;     // of stores; empty: there are none
  bool sync_stores = false;    // stores survive a loss of power too, not only kill -9
  std::map<std::string, std::vector<net::IpAddress>> names;  // known before any resolver is asked
  bool system_resolver = true;  // getaddrinfo for other names; it uses the process's own namespace
  int netns = -1;  // a descriptor of a network namespace, kept by the caller; -1: the process's
};

class LinuxHost : public net::Host {
 public:
  LinuxHost(Loop& loop, HostOptions options);
  ~LinuxHost() override;  // after all its handles; waits for work that offload() has under way

  const std::string& name() const override { return options_.name; }
  net::Time now() const override { return Loop::monotonic() - options_.epoch; }
  net::TimerQueue& timers() override { return timers_; }
  net::Random& random() override { return random_; }
  void secure_random(net::MutableBytes out) override;
  net::EventLog& log() override { return log_; }
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

  // For the parts of this room.
  Loop& loop() { return loop_; }
  int netns() const { return options_.netns; }
  // The index of the interface that has this address; 0: none has.
  unsigned interface_of(const net::IpAddress& address) const;
  // Dials and listeners that share an endpoint find each other here.
  std::vector<DialImpl*>& shared_dials() { return shared_dials_; }
  std::vector<ListenerImpl*>& shared_listeners() { return shared_listeners_; }
  // ICMP time exceeded, for IPv4 dials; null without the privilege for raw sockets.
  IcmpListener* icmp_listener();
  net::Result<PacketTap*> packet_tap();

 private:
  void wake_at(net::Time when);

  Loop& loop_;
  HostOptions options_;
  net::TimerQueue timers_;
  boost::asio::steady_timer wake_;
  net::Random random_;
  net::EventLog log_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // posted tasks look at it
  std::vector<DialImpl*> shared_dials_;
  std::vector<ListenerImpl*> shared_listeners_;
  std::unique_ptr<IcmpListener> icmp_;
  std::unique_ptr<PacketTap> tap_;
  std::unique_ptr<Workers> workers_;
};

// Lines to a descriptor that the caller keeps open, one write(2) each, so that lines of several
// processes in one file do not mix and a killed process loses none.
net::EventLog::Sink log_to(int fd);

}  // namespace culvert::linux_host
