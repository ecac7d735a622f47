// Collectors for the cases: what a datagram socket got, and a stream that sends one text and keeps
// what the other side says.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/contract/contract.h"

namespace culvert::contract {

struct Datagram {
  std::string text;
  Endpoint from, to;
  uint8_t ttl = 0, traffic_class = 0;
  bool truncated = false;
};

// Reads everything off a socket. Must not outlive the socket.
class Inbox {
 public:
  explicit Inbox(net::DatagramSocket& socket, size_t batch = 8, size_t buffer = 65535)
      : socket_(socket), buffers_(batch, net::Buffer(buffer)) {
    socket_.on_readable([this] {
      ++calls;
      take();
    });
    socket_.on_icmp([this](const net::IcmpEvent& event) { icmp.push_back(event); });
  }
  // One batch; says how many.
  size_t take() {
    std::vector<DatagramIn> batch(buffers_.size());
    for (size_t i = 0; i < batch.size(); ++i) batch[i].buffer = buffers_[i];
    const net::IoResult result = socket_.receive(batch);
    for (size_t i = 0; i < result.count; ++i) {
      const DatagramIn& in = batch[i];
      got.push_back({std::string(net::as_text({in.buffer.data(), in.size})), in.from, in.to, in.ttl,
                     in.traffic_class, in.truncated});
    }
    return result.count;
  }
  std::vector<Datagram> got;
  std::vector<net::IcmpEvent> icmp;
  int calls = 0;

 private:
  net::DatagramSocket& socket_;
  std::vector<net::Buffer> buffers_;
};

// A stream's two directions, each to its end: sends what `say` queues as the peer makes room, and
// collects what comes until it ends.
class Talk {
 public:
  explicit Talk(std::unique_ptr<net::Stream> stream) : stream_(std::move(stream)) {
    stream_->on_readable([this] { take(); });
  }
  void say(std::string_view text) {
    queued_ += text;
    push();
  }
  // FIN after everything queued.
  void finish() {
    finishing_ = true;
    push();
  }
  net::Stream& stream() { return *stream_; }
  // Closes it: what a Stream's destructor does.
  void close() { stream_.reset(); }
  size_t unsent() const { return queued_.size() - sent_; }

  std::string heard;
  Error end = Error::none;        // why reading ended: closed, reset, …
  Error write_end = Error::none;  // why writing ended, if not by finish()

 private:
  void take() {
    uint8_t buffer[16384];
    const net::IoResult result = stream_->read(buffer);
    heard.append(reinterpret_cast<const char*>(buffer), result.count);
    if (result.error != Error::none && result.error != Error::would_block) end = result.error;
  }
  void push() {
    while (sent_ < queued_.size()) {
      const net::IoResult result =
          stream_->write(net::as_bytes(std::string_view(queued_).substr(sent_)));
      sent_ += result.count;
      if (result.error == Error::would_block) {
        stream_->on_writable([this] { push(); });
        return;
      }
      if (result.error != Error::none) {
        write_end = result.error;
        return;
      }
    }
    if (finishing_ && !finished_) {
      finished_ = true;
      stream_->shutdown_write();
    }
  }

  std::unique_ptr<net::Stream> stream_;
  std::string queued_;
  size_t sent_ = 0;
  bool finishing_ = false, finished_ = false;
};

// A dial under way and how it ended.
struct Call {
  std::unique_ptr<net::Dial> dial;
  std::unique_ptr<net::Stream> stream;
  std::vector<net::IcmpEvent> soft;
  net::Status status;
  bool done = false;
  net::Time took{0};
};

inline std::unique_ptr<Call> call(net::Host& host, const net::DialOptions& options) {
  auto out = std::make_unique<Call>();
  Call* state = out.get();
  const net::Time start = host.now();
  auto dial = host.dial(options, [state, &host, start](auto result) {
    state->done = true;
    state->took = host.now() - start;
    if (result)
      state->stream = std::move(*result);
    else
      state->status = result.status();
  });
  if (!dial) {
    state->done = true;
    state->status = dial.status();
    return out;
  }
  state->dial = std::move(*dial);
  state->dial->on_soft_error([state](const net::IcmpEvent& e) { state->soft.push_back(e); });
  return out;
}

inline net::DialOptions to(const Endpoint& remote) {
  net::DialOptions options;
  options.remote = remote;
  return options;
}

// `size` bytes that do not repeat with any period that a buffer could have.
inline std::string noise(size_t size, uint64_t seed = 1) {
  net::Random random(seed);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random.next() >> 56);
  return out;
}

}  // namespace culvert::contract
