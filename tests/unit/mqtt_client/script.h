// A broker of which the test is every word: it hands out pipes to a client, cuts packets out of
// what comes and sends what it is told. Stands on the codec and the fake host.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "model/mqtt/client/client.h"
#include "model/mqtt/codec.h"
#include "model/net/memory_store.h"
#include "model/net/pipe.h"
#include "tests/support/fake_net.h"

namespace culvert::mqtt {

using namespace std::chrono_literals;

// A packet with the bytes that its views live in.
struct Got {
  std::shared_ptr<net::Buffer> bytes;
  Packet packet;
  template <class T>
  const T& as() const {
    return std::get<T>(packet);
  }
  template <class T>
  bool is() const {
    return std::holds_alternative<T>(packet);
  }
};

class Script {
 public:
  explicit Script(Version version = Version::v5) : version(version), disk(1ms) {}

  std::unique_ptr<net::Connector> connector() {
    return pipe_connector(lone.host, [this]() -> std::unique_ptr<net::Stream> {
      ++attempts;
      if (refuse) return nullptr;
      net::PipeOptions options;
      options.delay = 5ms;
      options.capacity = capacity;
      net::Pipe pipe = net::make_pipe_with_line(lone.host, options);
      line = pipe.line;
      in.clear();
      stream = std::move(pipe.second);
      stream->on_readable([this] { read(); });
      return std::move(pipe.first);
    });
  }

  void read() {
    std::array<uint8_t, 4096> piece;
    while (stream && !deaf) {
      const auto result = stream->read(piece);
      if (result.count == 0) {
        if (result.error != net::Error::would_block) ended = true, stream.reset();
        return;
      }
      in.insert(in.end(), piece.begin(), piece.begin() + result.count);
      for (;;) {
        const auto cut = next_frame(in, 1 << 28, Side::client);
        ASSERT_TRUE(std::holds_alternative<Frame>(cut)) << std::get<Fault>(cut).why;
        const size_t size = std::get<Frame>(cut).size;
        if (size == 0 || in.size() < size) break;
        Got one;
        one.bytes = std::make_shared<net::Buffer>(in.begin(), in.begin() + long(size));
        in.erase(in.begin(), in.begin() + long(size));
        const Version as = (*one.bytes)[0] == 0x10 ? Version::v5 : version;
        auto decoded = decode(*one.bytes, as, Side::client);
        ASSERT_TRUE(std::holds_alternative<Packet>(decoded)) << std::get<Fault>(decoded).why;
        one.packet = std::get<Packet>(decoded);
        if (on_packet) {
          on_packet(one);
          if (!stream) return;
        } else {
          got.push_back(std::move(one));
        }
      }
    }
  }
  template <class P>
  void send(const P& packet) {
    net::Buffer out;
    ASSERT_TRUE(encode(Packet(packet), version, out).ok());
    send_bytes(out);
  }
  void send_bytes(net::Bytes out) {
    ASSERT_TRUE(stream);
    backlog.insert(backlog.end(), out.begin(), out.end());
    flush();
  }
  void flush() {
    const auto result = stream->write(backlog);
    backlog.erase(backlog.begin(), backlog.begin() + long(result.count));
    if (result.error == net::Error::would_block) stream->on_writable([this] { flush(); });
  }
  void ack(Type type, uint16_t id, Reason reason = Reason::success) {
    Ack packet;
    packet.type = type;
    packet.packet_id = id;
    packet.reason = reason;
    send(packet);
  }
  void publish(uint8_t qos, uint16_t id, std::string_view payload, bool dup = false,
               std::string_view topic = "t", uint16_t alias = 0) {
    Publish packet;
    packet.qos = qos;
    packet.packet_id = id;
    packet.topic = topic;
    packet.payload = net::as_bytes(payload);
    packet.dup = dup;
    packet.topic_alias = alias;
    send(packet);
  }
  // The next packet from the client; the test fails if none comes.
  Got next() {
    EXPECT_TRUE(lone.run_until([&] { return !got.empty(); }, 300s)) << "nothing came";
    if (got.empty()) return {};
    Got one = got.front();
    got.pop_front();
    return one;
  }
  template <class T>
  T next_as() {
    last = next();
    if (!last.bytes || !last.is<T>()) {
      ADD_FAILURE() << "another packet: index " << last.packet.index();
      return {};
    }
    return last.as<T>();
  }
  void cut() {
    line->cut(net::Error::reset);
    stream.reset();
    lone.run_for(1ms);
  }
  // CONNECT comes, CONNACK goes.
  Connect welcome(bool present = false, ConnAck ack = {}) {
    const Connect hello = next_as<Connect>();
    keep = last;
    ack.session_present = present;
    send(ack);
    return hello;
  }
  bool quiet(net::Duration length = 500ms) {
    lone.run_for(length);
    return got.empty();
  }

  Version version;
  testing::LoneHost lone;
  net::MemoryDisk disk;
  std::unique_ptr<net::Stream> stream;
  std::shared_ptr<net::PipeLine> line;
  net::Buffer in, backlog;
  std::deque<Got> got;
  Got last, keep;
  std::function<void(const Got&)> on_packet;
  bool ended = false, refuse = false, deaf = false;
  size_t capacity = 65536;
  int attempts = 0;
};

inline ClientOptions quick(Version version = Version::v5) {
  ClientOptions options;
  options.version = version;
  options.client_id = "c";
  options.keep_alive_s = 0;
  options.backoff_least = 10ms;
  options.backoff_most = 100ms;
  return options;
}
inline ClientOptions lasting(Version version = Version::v5) {
  ClientOptions options = quick(version);
  options.clean_start = false;
  options.session_expiry_s = 3600;
  return options;
}
inline OutgoingMessage message(std::string topic, std::string_view payload, uint8_t qos) {
  OutgoingMessage out;
  out.topic = std::move(topic);
  out.payload.assign(payload.begin(), payload.end());
  out.qos = qos;
  return out;
}

}  // namespace culvert::mqtt
