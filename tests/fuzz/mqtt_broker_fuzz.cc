// A broker's sessions: the bytes of two clients, interleaved, with cuts, pauses and crashes between
// them. The first byte chooses the broker's options; then come steps of a command byte and, for
// sending, a length and bytes. With a store, what was acknowledged must load again.
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
  const auto access = mqtt::allow_all();
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
        if (!durable || steps % 4 != 0) break;
        broker.reset();
        store.reset();
        for (Client& c : clients) c.stream.reset();
        start();
        break;
    }
  }
  lone.run_for(10ms);
  for (Client& client : clients) client.read();
  broker.reset();
  store.reset();
  return 0;
}
