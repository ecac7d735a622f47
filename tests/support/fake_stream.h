// TCP on the fake network: a listener, and dials whose streams are pipes with the delay of their
// path. A NAT on the way shows its public address to the server and lets nothing in. Private to
// tests/support.
#pragma once

#include <deque>
#include <memory>

#include "model/net/pipe.h"
#include "tests/support/fake_host.h"

namespace culvert::testing {

class FakeListener : public net::Listener {
 public:
  FakeListener(FakeHost& host, const net::Endpoint& local, size_t backlog);
  ~FakeListener() override;

  net::Endpoint local() const override { return local_; }
  std::unique_ptr<net::Stream> accept() override;
  void on_readable(std::function<void()> callback) override;

  bool matches(const net::Endpoint& to) const {
    return local_.port == to.port && (local_.ip.is_any() || local_.ip == to.ip);
  }
  // A SYN came: takes one of the places in the backlog, if there is one.
  bool reserve();
  void unreserve() { --reserved_; }
  void connected(std::unique_ptr<net::Stream> stream);
  const std::shared_ptr<FakeListener*>& alive() const { return alive_; }

 private:
  void wake();

  FakeHost& host_;
  net::Endpoint local_;
  size_t backlog_, reserved_ = 0;
  bool posted_ = false;
  std::deque<std::unique_ptr<net::Stream>> ready_;
  std::function<void()> readable_;
  std::shared_ptr<FakeListener*> alive_;
};

class FakeDial : public net::Dial {
 public:
  FakeDial(FakeHost& host, const net::DialOptions& options, net::DialDone done);
  ~FakeDial() override { *alive_ = nullptr; }

  net::Endpoint local() const override { return local_; }
  net::Status set_ttl(uint8_t) override { return {}; }
  void on_soft_error(std::function<void(const net::IcmpEvent&)>) override {}

 private:
  void attempt();
  void finish(net::Result<std::unique_ptr<net::Stream>> result);

  FakeHost& host_;
  net::DialOptions options_;
  net::DialDone done_;
  net::Endpoint local_;
  net::Duration pause_;
  net::Timer retry_, limit_;
  std::shared_ptr<FakeDial*> alive_;
};

}  // namespace culvert::testing
