// One synthetic check of a broker, as a user would meet it: connect, subscribe, publish, receive,
// leave; what each phase took, or in which it failed. Stands on mqtt/client.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/monitor/phase.h"
#include "model/mqtt/client/client.h"

namespace culvert::monitor {

struct CheckOptions {
  mqtt::ClientOptions client;             // version, user, keep-alive, …; a new session each time
  std::string topic = "culvert/monitor";  // "/" and the check's own word behind it
  uint8_t qos = 1;
  size_t payload = 64;                                     // bytes, at least the word's 16
  net::Duration patience = net::Duration(10'000'000'000);  // for the whole check
};

struct CheckResult {
  net::Time began{0};
  bool ok = false;
  PhaseTimes times;
  net::Duration total{0};      // until the message came back and was acknowledged, or it failed
  Phase failed = Phase::name;  // meaningful unless ok
  net::Status status;          // why
  mqtt::Reason reason = mqtt::Reason::success;  // the broker's, if it gave one
  bool tls_resumed = false;
};

class Check {
 public:
  // `connector` is made of staged() layers over `stage`. `done` runs once, later, unless the Check
  // is destroyed first.
  Check(net::Host& host, CheckOptions options, std::unique_ptr<net::Connector> connector,
        std::shared_ptr<Stage> stage, std::function<void(const CheckResult&)> done);
  ~Check();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::monitor
