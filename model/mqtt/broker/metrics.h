// The broker's counters as Prometheus reads them (text exposition format 0.0.4), over HTTP:
// /metrics and /healthz. Stands on http, options.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/mqtt/broker/options.h"
#include "model/net/host.h"

namespace culvert::mqtt {

// What the doors count, one a row.
struct DoorCounters {
  std::string_view transport;  // "tcp", …
  net::Endpoint local;
  uint64_t accepted = 0, refused = 0, failed = 0;
  size_t half_done = 0;
};

// Every line ends with a newline.
std::string metrics_text(const BrokerCounters& counters, const std::vector<DoorCounters>& doors,
                         net::Duration uptime);

class MetricsServer {
 public:
  struct Health {
    bool well = true;
    std::string detail;  // one line
  };
  // Both are asked at each request.
  MetricsServer(net::Host& host, net::Endpoint local, std::function<std::string()> metrics,
                std::function<Health()> health);
  ~MetricsServer();
  net::Status start();
  net::Endpoint local() const;  // once it is started

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::mqtt
