// A bridge to another broker, ours or mosquitto: a client there, and one here inside this process.
// What one side delivers is acknowledged once the other side has acknowledged it, so nothing that
// was acknowledged is lost while one of them is away: it waits in the session's queue, which is
// bounded. Topic patterns as in mosquitto.conf(5), "topic". Stands on mqtt/client, broker.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/mqtt/client/client.h"

namespace culvert::mqtt {

struct BridgeTopic {
  enum class Direction : uint8_t { out, in, both };
  std::string pattern;  // a filter; may be empty if both prefixes are topics
  Direction direction = Direction::out;
  uint8_t qos = 0;  // at most; a message with less keeps its own
  std::string local_prefix, remote_prefix;
};
// "PATTERN [out|in|both [QOS [LOCAL_PREFIX [REMOTE_PREFIX]]]]"; "" stands for nothing.
net::Result<BridgeTopic> parse_bridge_topic(std::string_view text);

struct BridgeOptions {
  std::string name;  // of the connection: in events, client identifiers and the state topic
  std::vector<BridgeTopic> topics;
  // Of the client at the remote broker. Identifier, session and acknowledgement are filled in.
  ClientOptions remote;
  uint32_t session_expiry_s = 86'400;  // how long each broker keeps messages for the other
  uint16_t in_flight = 256;            // QoS 1 and 2 messages at a time, each way
  // "1" or "0", retained, on the local broker, as mosquitto tells its own.
  std::string state_topic;         // empty: "$SYS/broker/connection/NAME/state"
  std::string remote_state_topic;  // the same there, by birth and will; empty: none
};

class Bridge {
 public:
  struct Local {  // the broker in this process
    std::function<std::unique_ptr<net::Stream>()> attach;
    std::function<void(const Publish&)> publish;
  };
  Bridge(net::Host& host, BridgeOptions options, std::unique_ptr<net::Connector> remote,
         Local local);
  ~Bridge();
  static net::Status check(const BridgeOptions& options);
  void start();
  void stop(std::function<void()> done);  // both clients say good-bye

  bool connected() const;  // to the remote broker
  struct Counters {
    uint64_t out = 0, in = 0;  // messages handed over
    uint64_t echoes = 0;       // our own, come back, and held
    uint64_t dropped = 0;      // refused by the other side, in doubt, or QoS 0 without a connection
  };
  const Counters& counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::mqtt
