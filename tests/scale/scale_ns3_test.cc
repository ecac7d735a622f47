// MQTT clients by the thousand in ns-3: a broker on one node, all clients on another, a twentieth
// of them active at QoS 1 and 2. Every message arrives, at the right client, once.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <unordered_map>

#include "model/mqtt/broker/broker.h"
#include "tests/bench/mqtt/wire.h"
#include "tests/ns3/host_lab.h"

namespace culvert::ns3_world {
namespace {

using bench::Cut;
using net::Time;
using namespace std::chrono_literals;

struct Scale {
  uint32_t clients, active_every;
  net::Duration length, period;
};

// What all clients share: what was sent to whom, and what came.
struct Ledger {
  struct Sent {
    uint32_t target;
    uint8_t qos;
    uint32_t came;
  };
  std::unordered_map<uint64_t, Sent> messages;  // by name
  uint64_t acknowledged = 0, answers = 0, wrong = 0;
  std::vector<double> latencies_ms;
};

// A client by hand: a stream and the bytes of MQTT.
class Device {
 public:
  Device(net::Host& host, Ledger& ledger, uint32_t number, const net::Endpoint& broker)
      : host_(host), ledger_(ledger), number_(number) {
    net::DialOptions options;
    options.remote = broker;
    dial_ = std::move(*host.dial(options, [this](auto result) {
      if (!result) return;
      stream_ = std::move(*result);
      stream_->on_readable([this] { read(); });
      out_ = bench::connect_packet("device-" + std::to_string(number_), true, true) +
             bench::subscribe_packet("scale/" + std::to_string(number_), 2, true);
      write();
    }));
  }

  void publish(uint32_t target, int qos) {
    size_t identifier = 0, payload = 0;
    std::string bytes = bench::publish_packet("scale/" + std::to_string(target), qos, 32, true,
                                              &identifier, &payload);
    const auto id = static_cast<uint16_t>(sent_ % 60000 + 1);
    bytes[identifier] = static_cast<char>(id >> 8);
    bytes[identifier + 1] = static_cast<char>(id);
    const int64_t now = host_.now().count();
    const uint64_t name = uint64_t{number_} << 32 | sent_++;
    std::memcpy(&bytes[payload], &now, 8);
    std::memcpy(&bytes[payload + 8], &name, 8);
    ledger_.messages[name] = {target, static_cast<uint8_t>(qos), 0};
    out_ += bytes;
    write();
  }

 private:
  void write() {
    if (!stream_ || out_.empty()) return;
    const auto done = stream_->write(net::as_bytes(out_));
    out_.erase(0, done.count);
    if (!out_.empty()) stream_->on_writable([this] { write(); });
  }
  void read() {
    uint8_t buffer[4096];
    for (;;) {
      const auto got = stream_->read(buffer);
      in_.append(reinterpret_cast<char*>(buffer), got.count);
      if (got.count == 0) break;
    }
    const auto* at = reinterpret_cast<const uint8_t*>(in_.data());
    const uint8_t* const end = at + in_.size();
    for (Cut frame; at < end && (frame = bench::cut(at, end)).size > 0; at += frame.size)
      packet(at, frame);
    in_.erase(0, in_.size() - static_cast<size_t>(end - at));
    write();
  }
  void packet(const uint8_t* at, const Cut& frame) {
    const uint8_t type = at[0] & 0xf0;
    if (type == bench::kPublish) return arrived(at, frame);
    if (type == bench::kConnAck || type == bench::kSubAck) {
      ++ledger_.answers;
    } else if (type == bench::kPubRec) {
      bench::append_ack(out_, bench::kPubRel, bench::get16(at + frame.header));
    } else if (type == (bench::kPubRel & 0xf0)) {
      bench::append_ack(out_, bench::kPubComp, bench::get16(at + frame.header));
    } else if (type == bench::kPubAck || type == bench::kPubComp) {
      ++ledger_.acknowledged;
    } else {
      ++ledger_.wrong;  // DISCONNECT
    }
  }
  void arrived(const uint8_t* at, const Cut& frame) {
    const bench::Seen seen = bench::see_publish(at, frame, true);
    bench::append_ack(out_, seen.qos == 1 ? bench::kPubAck : bench::kPubRec, seen.identifier);
    int64_t then = 0;
    uint64_t name = 0;
    std::memcpy(&then, seen.payload, 8);
    std::memcpy(&name, seen.payload + 8, 8);
    const auto found = ledger_.messages.find(name);
    if (found == ledger_.messages.end() || found->second.target != number_ ||
        found->second.qos != seen.qos)
      ++ledger_.wrong;
    else
      ++found->second.came;
    ledger_.latencies_ms.push_back(static_cast<double>(host_.now().count() - then) / 1e6);
  }

  net::Host& host_;
  Ledger& ledger_;
  const uint32_t number_;
  std::unique_ptr<net::Dial> dial_;
  std::unique_ptr<net::Stream> stream_;
  std::string in_, out_;
  uint32_t sent_ = 0;
};

void run(const Scale& scale) {
  const auto wall = std::chrono::steady_clock::now();
  Lab lab;
  const net::Endpoint at{address("10.2.0.2"), 1883};
  const auto access = mqtt::allow_all();
  mqtt::Broker broker(*lab.right, {}, *access, nullptr);
  ASSERT_TRUE(broker.start());
  net::ListenOptions listen;
  listen.local = at;
  listen.backlog = 4096;
  auto listener = std::move(*lab.right->listen(listen));
  listener->on_readable([&] {
    while (auto stream = listener->accept()) {
      mqtt::Peer peer;
      peer.remote = stream->remote();
      broker.attach(std::move(stream), std::move(peer));
    }
  });

  Ledger ledger;
  std::vector<std::unique_ptr<Device>> devices;
  for (uint32_t i = 0; i < scale.clients; ++i) {
    devices.push_back(std::make_unique<Device>(*lab.left, ledger, i, at));
    if (i % 20 == 19) lab.run_for(10ms);  // no queue of the links overflows
  }
  ASSERT_TRUE(lab.run_until([&] { return ledger.answers == 2 * scale.clients; }));

  const uint32_t active = scale.clients / scale.active_every;
  const auto turns = static_cast<uint64_t>(scale.length / scale.period) * active;
  uint64_t turn = 0;
  const Time start = lab.left->now();
  std::unique_ptr<net::Timer> clock;
  clock = std::make_unique<net::Timer>(lab.left->timers(), [&] {
    devices[turn % active * scale.active_every]->publish(
        static_cast<uint32_t>(lab.left->random().next() % scale.clients),
        1 + static_cast<int>(turn / active % 2));
    if (++turn < turns) clock->arm_at(start + scale.period * static_cast<int64_t>(turn) / active);
  });
  clock->arm_after(0ms);
  lab.run_for(scale.length);
  lab.run_until([&] { return turn == turns && ledger.acknowledged == turns; });
  lab.run_for(5s);  // for what would come twice

  uint64_t sent[3] = {}, came[3] = {}, twice = 0;
  for (const auto& [name, message] : ledger.messages) {
    ++sent[message.qos];
    came[message.qos] += message.came > 0;
    twice += message.came > 1;
  }
  std::sort(ledger.latencies_ms.begin(), ledger.latencies_ms.end());
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - wall).count();
  std::printf(
      "%u clients, %.0f simulated s: QoS 1 %llu of %llu, QoS 2 %llu of %llu, p50 %.2f ms, "
      "most %.2f ms; %.1f s of wall time, %.0f us a message\n",
      scale.clients, static_cast<double>(scale.length.count()) / 1e9,
      static_cast<unsigned long long>(came[1]), static_cast<unsigned long long>(sent[1]),
      static_cast<unsigned long long>(came[2]), static_cast<unsigned long long>(sent[2]),
      ledger.latencies_ms[ledger.latencies_ms.size() / 2], ledger.latencies_ms.back(), took,
      took * 1e6 / static_cast<double>(turns));
  EXPECT_EQ(sent[1] + sent[2], turns);
  EXPECT_EQ(came[1], sent[1]);
  EXPECT_EQ(came[2], sent[2]);
  EXPECT_EQ(twice, 0u);
  EXPECT_EQ(ledger.acknowledged, turns);
  EXPECT_EQ(ledger.wrong, 0u);
  EXPECT_EQ(broker.counters().connections, scale.clients);
  EXPECT_EQ(broker.counters().dropped_queue_full, 0u);
}

TEST(ScaleQuick, two_hundred_clients_for_twenty_simulated_seconds_lose_nothing) {
  run({200, 20, 20s, 1s});
}

TEST(ScaleSlow, two_thousand_clients_for_ten_simulated_minutes_lose_nothing) {
  run({2000, 20, 600s, 1s});
}

}  // namespace
}  // namespace culvert::ns3_world
