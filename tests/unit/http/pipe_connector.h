// A Connector whose every connection is a pipe; what happens at the other end is the test's.
#pragma once

#include <functional>
#include <memory>

#include "model/net/connector.h"
#include "model/net/pipe.h"

namespace culvert::http {

class TestConnector : public net::Connector {
 public:
  using Accept = std::function<void(std::unique_ptr<net::Stream>)>;
  TestConnector(net::Host& host, Accept accept, net::Duration takes = {})
      : host_(host), accept_(std::move(accept)), takes_(takes) {}

  std::unique_ptr<net::Connecting> connect(Done done, Failed failed) override {
    struct Attempt : net::Connecting {
      Attempt(net::Host& host, std::function<void()> fire)
          : timer(host.timers(), std::move(fire)) {}
      net::Timer timer;
    };
    auto attempt = std::make_unique<Attempt>(host_, [this, done, failed] {
      if (refuse) return failed({{net::Error::refused, "tcp: refused"}, "tcp"});
      auto [mine, its] = net::make_pipe(host_, options);
      net::Connected connected;
      connected.stream = std::move(mine);
      connected.times.tcp = takes_;
      ++connections;
      accept_(std::move(its));
      done(std::move(connected));
    });
    attempt->timer.arm_after(takes_);
    return attempt;
  }
  std::string describe() const override { return "test"; }

  net::PipeOptions options;
  bool refuse = false;
  int connections = 0;

 private:
  net::Host& host_;
  Accept accept_;
  net::Duration takes_;
};

}  // namespace culvert::http
