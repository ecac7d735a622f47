// What the latency service measures, one thing after the other: a publish or a request over MQTT or
// HTTP, on a connection that stays or on one of its own. Stands on model/mqtt/client, model/http.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/net/connector.h"
#include "model/net/tls/tls.h"
#include "model/services/command_line.h"

namespace culvert::services {

struct LatencyOptions {
  std::string protocol = "mqtt5";  // mqtt3, mqtt5, http, http-longpoll
  std::string operation = "publish";
  std::string tls = "none";  // 1.2, 1.3, resumed (1.3 with a ticket of an earlier connection)
  std::string trust, name;   // a secret, and the server's name in its certificate
  uint8_t qos = 0;
  bool qos2_late = false;  // the client hands QoS 2 on at PUBREL only
  bool cold = false;       // a connection for each operation
  uint32_t payload = 32;   // bytes
  std::string seal;        // a secret: payloads sealed from end to end; empty: not
  Target server;           // the broker, the HTTP server or the relay
  net::Duration patience{10'000'000'000};
};

class Operation {
 public:
  virtual ~Operation() = default;
  using Done = std::function<void(net::Status)>;
  // Brings up what stays; for resumption, fetches the ticket.
  virtual void prepare(Done done) = 0;
  // One operation: `over` when it is (QoS 0: when it is written), then `closed` when its connection
  // is, if it has its own. Neither runs within the call. A failed one has no `closed`.
  virtual void run(uint32_t number, Done over, Done closed) = 0;
};

net::Result<std::unique_ptr<Operation>> mqtt_operation(net::Host& host,
                                                       const LatencyOptions& options);
net::Result<std::unique_ptr<Operation>> http_operation(net::Host& host,
                                                       const LatencyOptions& options);

// Both ends of the measurement know these.
inline constexpr std::string_view kPublishTopic = "latency/publish", kAskTopic = "latency/ask",
                                  kAnswerTopic = "latency/answer";
inline constexpr std::string_view kPeer = "peer", kPeerToken = "peer";  // at the relay

// `size` bytes (at least 8) that begin with the number, and back; 0: none.
net::Buffer numbered(uint32_t number, uint32_t size);
uint32_t number_of(net::Bytes payload);

// TCP, metered, and TLS around it; contexts are shared by all connections of an operation.
class Dialler {
 public:
  static net::Result<Dialler> make(net::Host& host, const LatencyOptions& options);
  std::unique_ptr<net::Connector> connector() const;

 private:
  Dialler(net::Host& host, const LatencyOptions& options) : host_(&host), options_(&options) {}
  net::Host* host_;
  const LatencyOptions* options_;  // outlives this
  std::shared_ptr<net::TlsContext> context_;
};

}  // namespace culvert::services
