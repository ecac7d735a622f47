// A broker's sessions: the bytes of two clients, interleaved, with cuts, pauses, crashes, a full
// disk and an operator's wishes between them. The first byte chooses the broker's options; then
// come steps of a command byte and, for sending, a length and bytes (mqtt_broker_mutator.cc knows
// them). With a store, what was acknowledged must load again.
#include <algorithm>
#include <memory>

#include "model/mqtt/broker/broker.h"
#include "model/mqtt/codec.h"
#include "model/net/pipe.h"
#include "tests/support/fake_net.h"

namespace {

using namespace culvert;
using namespace std::chrono_literals;

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool more() const { return size_ > 0; }
  uint8_t byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  net::Bytes take(size_t most) {
    const size_t count = std::min(most, size_);
    const net::Bytes out(data_, count);
    data_ += count;
    size_ -= count;
    return out;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

// A client's end: what comes is read and must be packets.
struct Client {
  std::unique_ptr<net::Stream> stream;
  net::Buffer in;
  mqtt::Version version = mqtt::Version::v5;

  void read() {
    if (!stream) return;
    uint8_t buffer[2048];
    for (;;) {
      const net::IoResult got = stream->read(buffer);
      in.insert(in.end(), buffer, buffer + got.count);
      if (got.count == 0) {
        if (got.error != net::Error::would_block) stream.reset();
        break;
      }
    }
    size_t used = 0;
    for (;;) {
      const net::Bytes rest(in.data() + used, in.size() - used);
      const auto frame = mqtt::next_frame(rest, 0xFFFFFFF, mqtt::Side::server);
      if (std::holds_alternative<mqtt::Fault>(frame)) __builtin_trap();
      const size_t size = std::get<mqtt::Frame>(frame).size;
      if (size == 0 || size > rest.size()) break;
      // Its version is whatever the client said, which is one of the two.
      const auto as5 = mqtt::decode(rest.first(size), mqtt::Version::v5, mqtt::Side::server);
      const auto as311 = mqtt::decode(rest.first(size), mqtt::Version::v311, mqtt::Side::server);
      if (std::holds_alternative<mqtt::Fault>(as5) && std::holds_alternative<mqtt::Fault>(as311)) {
        __builtin_trap();
      }
      used += size;
    }
    in.erase(in.begin(), in.begin() + static_cast<ptrdiff_t>(used));
  }
};

// Refuses topics that begin with 'n', lets those that begin with 'l' wait for the answer, and asks
// one question of whoever logs in with a method.
class Doorman final : public mqtt::Access {
 public:
  explicit Doorman(net::Host& host) : host_(host) {}
  std::optional<mqtt::LoginAnswer> login(const mqtt::LoginRequest& request,
                                         std::function<void(mqtt::LoginAnswer)> later) override {
    mqtt::LoginAnswer answer;
    if (request.user_name) answer.user = std::string(*request.user_name);
    if (answer.user == "n") answer.reason = mqtt::Reason::not_authorized;
    if (request.method && request.step == 0) {
      answer.reason = mqtt::Reason::continue_authentication;
      answer.data = {1, 2, 3};
    }
    if (answer.user != "l") return answer;
    host_.post([later, answer] { later(answer); });
    return std::nullopt;
  }
  std::optional<mqtt::Reason> may(const mqtt::AccessRequest& request,
                                  std::function<void(mqtt::Reason)> later) override {
    const char first = request.topic.empty() ? ' ' : request.topic.front();
    if (first == 'n') return mqtt::Reason::not_authorized;
    if (first != 'l' || request.action == mqtt::Action::receive) return mqtt::Reason::success;
    host_.post([later] { later(mqtt::Reason::success); });
    return std::nullopt;
  }

 private:
  net::Host& host_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes in(data, size);
  const uint8_t choice = in.byte();
  mqtt::BrokerOptions options;
  options.packet_bytes = 4096;
  options.queued_messages = 8;
  options.queued_bytes = 4096;
  options.write_buffer_bytes = 512;
  options.receive_maximum = 4;
  options.retained_messages = 4;
  if (choice & 1) options.qos2 = mqtt::OnwardQos2::at_pubrel;
  if (choice & 2) options.response_prefix = "r/%c/";
  const bool durable = (choice & 4) != 0;

  culvert::testing::LoneHost lone;
  std::unique_ptr<mqtt::Access> access = mqtt::allow_all();
  if (choice & 8) access = std::make_unique<Doorman>(lone.host);
  if (choice & 16) options.session_expiry_most_s = 60;
  if (choice & 32) options.keep_alive_most_s = 30;
  bool disk_full = false;
  lone.disk(lone.node).judge([&](uint64_t, const net::StoreBatch&) {
    using Fate = net::MemoryDisk::Fate;
    return disk_full ? Fate::no_room : Fate::written;
  });
  std::unique_ptr<net::Store> store;
  std::unique_ptr<mqtt::Broker> broker;
  Client clients[2];
  const auto start = [&] {
    if (durable) store = std::move(*lone.host.open_store("broker"));
    broker = std::make_unique<mqtt::Broker>(lone.host, options, *access, store.get());
    if (!broker->start()) __builtin_trap();
  };
  const auto attach = [&](Client& client) {
    net::PipeOptions pipe;
    pipe.capacity = 1024;
    auto [ours, theirs] = net::make_pipe(lone.host, pipe);
    client.stream = std::move(ours);
    client.in.clear();
    broker->attach(std::move(theirs), {});
  };
  start();
  const auto operate = [&](int wish) {
    switch (wish & 7) {
      case 0:  // kill -9, and back
        if (!durable) break;
        broker.reset();
        store.reset();
        for (Client& c : clients) c.stream.reset();
        start();
        break;
      case 1:  // an orderly end, and back
        broker->stop(1s, [] {});
        lone.run_for(1100ms);
        for (Client& c : clients) c.read();
        broker.reset();
        store.reset();
        for (Client& c : clients) c.stream.reset();
        start();
        break;
      case 2: {
        mqtt::Publish message;
        message.topic = "t";
        message.qos = 2;
        message.retain = true;
        broker->publish(message);
        break;
      }
      case 3:
        broker->disconnect("a", mqtt::Reason::administrative_action);
        break;
      case 4:
        broker->access_changed_of_all();
        break;
      case 5:
        broker->disconnect_user("", mqtt::Reason::not_authorized);
        break;
      case 6:
        disk_full = !disk_full;
        break;
      case 7:
        if (clients[1].stream) break;
        clients[1].in.clear();
        clients[1].stream = broker->attach_local("b");
        break;
    }
  };
  for (int steps = 0; in.more() && steps < 200; ++steps) {
    const uint8_t command = in.byte();
    Client& client = clients[command & 1];
    switch (command >> 1 & 7) {
      case 0:
      case 1:
      case 2: {
        if (!client.stream) attach(client);
        (void)client.stream->write(in.take(in.byte()));
        break;
      }
      case 3:
        lone.run_for(2ms);
        client.read();
        break;
      case 4:
        if (client.stream) client.stream->reset();
        client.stream.reset();
        break;
      case 5:
        lone.run_for(std::chrono::seconds(in.byte()));
        break;
      case 6:
        lone.run_for(1ms);
        break;
      case 7:
        operate(command >> 4);
        break;
    }
  }
  lone.run_for(10ms);
  for (Client& client : clients) client.read();
  broker.reset();
  store.reset();
  return 0;
}
