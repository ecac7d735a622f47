// A broker in virtual time, and clients that are typed packet by packet. What a client was sent is
// told in words: "CONNACK", "PUBLISH a/b x q1 #1 retain", so that a test reads as what happens.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/mqtt/broker/broker.h"
#include "model/mqtt/codec.h"
#include "model/net/pipe.h"
#include "tests/support/fake_net.h"

namespace culvert::mqtt::testing {

using namespace std::chrono_literals;

// A packet in words. Properties that are there follow: "expiry=5", "id=7" …
std::string words(const Packet& packet, Version version);

class World;

class TestClient {
 public:
  explicit TestClient(World& world, Version version = Version::v5, Peer peer = {});
  ~TestClient();

  // CONNECT, and waits for what comes. `adjust` may fill in the rest.
  std::vector<std::string> connect(std::string_view id,
                                   const std::function<void(Connect&)>& adjust = {});
  void send(const Packet& packet);
  void send_bytes(const net::Buffer& bytes);
  std::vector<std::string> subscribe(std::string_view filter, uint8_t qos = 0,
                                     const std::function<void(Subscribe&)>& adjust = {});
  void publish(std::string_view topic, std::string_view payload, uint8_t qos = 0,
               const std::function<void(Publish&)>& adjust = {});
  void ack(Type type, uint16_t id, Reason reason = Reason::success);
  // Everything that has come since the last call, after the world had its turns. "closed" at the
  // end of the stream.
  std::vector<std::string> got();
  // The same as one text, packets separated by "; ".
  std::string got_text();
  void cut();  // the network connection breaks
  void stop_reading() { reading_ = false; }
  void read_again();
  bool open() const { return stream_ != nullptr; }
  uint16_t next_id = 1;
  Version version;

 private:
  void collect();

  World& world_;
  std::unique_ptr<net::Stream> stream_;
  net::Buffer in_, unsent_;
  std::vector<std::string> got_;
  bool reading_ = true;
};

class World {
 public:
  explicit World(BrokerOptions options = {}, bool durable = false, uint64_t seed = 1);
  ~World();

  void settle() { lone.run_for(5ms); }
  void pass(net::Duration time) { lone.run_for(time); }
  // kill -9: what is not durable is lost. Then it starts again, on the same disk.
  void crash();
  void start();
  void use(std::unique_ptr<Access> access);  // before the first client
  const BrokerCounters& counters() const { return broker->counters(); }
  // The value of a field, of the last event of that name; empty: there was none.
  std::string last_event(const std::string& name) const;
  size_t events(const std::string& name) const;

  culvert::testing::LoneHost lone;
  net::PipeOptions pipe;
  BrokerOptions options;
  std::unique_ptr<Access> access;
  std::unique_ptr<net::Store> store;
  std::unique_ptr<Broker> broker;

 private:
  bool durable_;
};

}  // namespace culvert::mqtt::testing
