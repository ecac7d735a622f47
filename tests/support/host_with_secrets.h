// A Host whose secrets the test gives; all else is the Host's underneath.
#pragma once

#include <map>
#include <string>

#include "model/net/host.h"

namespace culvert::testing {

class HostWithSecrets : public net::Host {
 public:
  explicit HostWithSecrets(net::Host& under) : under_(under) {}
  void put(const std::string& name, const std::string& content) { secrets_[name] = content; }

  net::Result<net::Buffer> secret(const std::string& name) override {
    const auto found = secrets_.find(name);
    if (found == secrets_.end()) return under_.secret(name);
    return net::Buffer(found->second.begin(), found->second.end());
  }

  const std::string& name() const override { return under_.name(); }
  net::Time now() const override { return under_.now(); }
  net::TimerQueue& timers() override { return under_.timers(); }
  net::Random& random() override { return under_.random(); }
  void secure_random(net::MutableBytes out) override { under_.secure_random(out); }
  net::EventLog& log() override { return under_.log(); }
  void post(std::function<void()> task) override { under_.post(std::move(task)); }
  void offload(std::function<void()> work, std::function<void()> done) override {
    under_.offload(std::move(work), std::move(done));
  }
  net::Result<std::unique_ptr<net::DatagramSocket>> open_datagram(
      const net::DatagramOptions& options) override {
    return under_.open_datagram(options);
  }
  net::Result<std::unique_ptr<net::Listener>> listen(const net::ListenOptions& options) override {
    return under_.listen(options);
  }
  net::Result<std::unique_ptr<net::Dial>> dial(const net::DialOptions& options,
                                               net::DialDone done) override {
    return under_.dial(options, std::move(done));
  }
  net::Result<std::unique_ptr<net::TunDevice>> open_tun(const net::TunOptions& options) override {
    return under_.open_tun(options);
  }
  net::Result<std::unique_ptr<net::PacketHook>> add_hook(const net::Selector& selector,
                                                         net::HookFunction function) override {
    return under_.add_hook(selector, std::move(function));
  }
  net::Result<std::unique_ptr<net::FlowTable>> open_flow_table(size_t limit) override {
    return under_.open_flow_table(limit);
  }
  net::Result<std::unique_ptr<net::Store>> open_store(const std::string& name) override {
    return under_.open_store(name);
  }
  std::unique_ptr<net::Lookup> resolve(const std::string& name, Resolved done) override {
    return under_.resolve(name, std::move(done));
  }
  std::vector<net::InterfaceAddress> interfaces() const override { return under_.interfaces(); }

 private:
  net::Host& under_;
  std::map<std::string, std::string> secrets_;
};

}  // namespace culvert::testing
