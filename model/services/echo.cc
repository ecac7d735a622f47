#include <array>
#include <boost/endian/conversion.hpp>
#include <list>

#include "model/net/datagram_mux.h"
#include "model/services/command_line.h"
#include "model/services/resolver.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

constexpr size_t kMostEchoStreams = 256;  // ours: echoed at the same time; more wait in the backlog
constexpr size_t kStreamBuffer = 65536;   // bytes read and not yet written back, per stream
constexpr size_t kHeader = 16;            // number and time of sending

struct EchoOptions {
  net::Endpoint listen;
  Target to;
  net::Endpoint bind{net::IpAddress::any_v4(), 0};
  uint32_t count = 10, size = 64;
  net::Duration interval = 100ms, patience = 2s;
};

// Answers datagrams and streams with what they brought.
class EchoServer : public Service {
 public:
  EchoServer(net::Host& host, const EchoOptions& options) : host_(host), options_(options) {}

  net::Status start() override {
    net::DatagramOptions datagram;
    datagram.local = options_.listen;
    auto socket = host_.open_datagram(datagram);
    if (!socket) return socket.status();
    const net::Endpoint local = (*socket)->local();
    net::ListenOptions listen;
    listen.local = local;
    auto listener = host_.listen(listen);
    if (!listener && listener.error() != net::Error::unsupported) return listener.status();
    mux_ = std::make_unique<net::DatagramMux>(std::move(*socket));
    user_ = mux_->attach(net::kAllBytes, [this](const net::DatagramIn& in, net::Bytes data) {
      net::DatagramOut out;
      out.data = data;
      out.to = in.from;
      out.from = in.to.ip;
      mux_->send(out);
      return true;
    });
    if (listener) {
      listener_ = std::move(*listener);
      listener_->on_readable([this] { accept(); });
    }
    host_.log().write("echo", "ready", {{"local", local}});
    return {};
  }

 private:
  struct Conversation {
    std::unique_ptr<net::Stream> stream;
    net::Buffer kept;  // read, not yet written
    bool ended = false;
  };

  void accept() {
    while (streams_.size() < kMostEchoStreams) {
      auto stream = listener_->accept();
      if (!stream) return;
      const auto at = streams_.insert(streams_.end(), Conversation{std::move(stream), {}, false});
      at->stream->on_readable([this, at] { pump(at); });
    }
    listener_->on_readable({});  // full: goes on when one ends
  }

  void pump(std::list<Conversation>::iterator at) {
    std::array<uint8_t, 16384> piece;
    for (;;) {
      if (!at->kept.empty()) {
        const auto written = at->stream->write(at->kept);
        at->kept.erase(at->kept.begin(), at->kept.begin() + written.count);
        if (written.error == net::Error::would_block) {
          at->stream->on_writable([this, at] { pump(at); });
          return;
        }
        if (!written.ok()) return end(at);
      }
      if (at->ended) return end(at);
      const auto read =
          at->stream->read(net::MutableBytes(piece).first(std::min(piece.size(), kStreamBuffer)));
      if (read.count == 0) {
        if (read.error == net::Error::would_block) return;
        return end(at);  // FIN: what came was written back; the FIN answers it
      }
      at->kept.assign(piece.begin(), piece.begin() + read.count);
    }
  }

  void end(std::list<Conversation>::iterator at) {
    const bool was_full = streams_.size() == kMostEchoStreams;
    streams_.erase(at);
    if (was_full) listener_->on_readable([this] { accept(); });
  }

  net::Host& host_;
  EchoOptions options_;
  std::unique_ptr<net::DatagramMux> mux_;
  std::unique_ptr<net::DatagramMux::User> user_;
  std::unique_ptr<net::Listener> listener_;
  std::list<Conversation> streams_;
};

// Sends numbered datagrams and measures the round trip of what comes back.
class EchoClient : public Service {
 public:
  EchoClient(net::Host& host, const EchoOptions& options)
      : host_(host), options_(options), timer_(host.timers(), [this] { step(); }) {}

  net::Status start() override {
    net::DatagramOptions datagram;
    datagram.local = options_.bind;
    auto socket = host_.open_datagram(datagram);
    if (!socket) return socket.status();
    mux_ = std::make_unique<net::DatagramMux>(std::move(*socket));
    user_ = mux_->attach(net::kAllBytes, [this](const net::DatagramIn& in, net::Bytes data) {
      return receive(in, data);
    });
    back_.assign(options_.count, false);
    host_.log().write("echo", "ready", {{"local", mux_->local()}});
    lookup_ = find(host_, options_.to, [this](net::Result<net::Endpoint> to) {
      if (!to) {
        host_.log().write("echo", "result", {{"error", to.status().to_string()}});
        return finished(to.status());
      }
      to_ = *to;
      step();
    });
    return {};
  }

 private:
  void step() {
    if (sent_ == options_.count) return result();
    net::Buffer data(options_.size);
    boost::endian::store_big_u64(data.data(), sent_++);
    boost::endian::store_big_u64(data.data() + 8, static_cast<uint64_t>(host_.now().count()));
    mux_->send_to(to_, data);
    timer_.arm_after(sent_ == options_.count ? options_.patience : options_.interval);
  }

  bool receive(const net::DatagramIn& in, net::Bytes data) {
    if (in.from != to_ || data.size() < kHeader) return false;
    const uint64_t number = boost::endian::load_big_u64(data.data());
    if (number >= sent_ || back_[number]) return true;
    back_[number] = true;
    const net::Duration rtt =
        host_.now() - net::Time(static_cast<int64_t>(boost::endian::load_big_u64(data.data() + 8)));
    if (received_ == 0 || rtt < least_) least_ = rtt;
    if (rtt > most_) most_ = rtt;
    total_ms_ += net::to_ms(rtt);
    ++received_;
    host_.log().write("echo", "answered", {{"number", number}, {"rtt_ms", rtt}});
    if (received_ == options_.count) result();
    return true;
  }

  void result() {
    timer_.cancel();
    if (over_) return;
    over_ = true;
    host_.log().write("echo", "result",
                      {{"sent", uint64_t{sent_}},
                       {"received", received_},
                       {"rtt_least_ms", least_},
                       {"rtt_mean_ms", received_ ? total_ms_ / double(received_) : 0.0},
                       {"rtt_most_ms", most_}});
    finished(received_
                 ? net::Status{}
                 : net::Status{net::Error::timed_out, to_.to_string() + " sent nothing back"});
  }

  net::Host& host_;
  EchoOptions options_;
  std::unique_ptr<net::DatagramMux> mux_;
  std::unique_ptr<net::DatagramMux::User> user_;
  std::unique_ptr<net::Lookup> lookup_;
  net::Endpoint to_;
  net::Timer timer_;
  uint32_t sent_ = 0;
  uint64_t received_ = 0;
  std::vector<bool> back_;
  net::Duration least_{0}, most_{0};
  double total_ms_ = 0;
  bool over_ = false;
};

class EchoBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_endpoint(app, "--listen", options_.listen, "answer here, over UDP and TCP");
    add_target(app, "--to", options_.to, "ask there, over UDP");
    add_endpoint(app, "--bind", options_.bind, "local address and port when asking");
    app.add_option("--count", options_.count, "datagrams")
        ->check(CLI::Range(1, 1000000))
        ->capture_default_str();
    app.add_option("--size", options_.size, "bytes of payload")
        ->check(CLI::Range(16, 65000))
        ->capture_default_str();
    add_ms(app, "--interval-ms", options_.interval, "between two datagrams");
    add_ms(app, "--patience-ms", options_.patience, "after the last");
  }
  net::Status check() override {
    if (options_.listen.is_none() == options_.to.host.empty())
      return {net::Error::invalid, "give either --listen or --to"};
    return {};
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    if (options_.to.host.empty())
      return std::unique_ptr<Service>(std::make_unique<EchoServer>(host, options_));
    return std::unique_ptr<Service>(std::make_unique<EchoClient>(host, options_));
  }

 private:
  EchoOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> echo_blueprint() { return std::make_unique<EchoBlueprint>(); }

}  // namespace culvert::services
