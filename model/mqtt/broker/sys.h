// The broker about itself under $SYS/broker, with mosquitto's names where it has them (its manual
// page mosquitto(8), "Broker status"). Retained, published when they change. Stands on options.h.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/mqtt/broker/options.h"
#include "model/mqtt/packet.h"
#include "model/net/host.h"

namespace culvert::mqtt {

class SysTopics {
 public:
  using Counters = std::function<const BrokerCounters&()>;
  using Publisher = std::function<void(const mqtt::Publish&)>;  // Broker::publish
  // `interval`: between two looks, above zero. mosquitto's default is 10 s.
  SysTopics(net::Host& host, net::Duration interval, std::string version, Counters counters,
            Publisher publish);
  ~SysTopics();
  void start();  // the first look is at once

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::mqtt
