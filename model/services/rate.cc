#include <boost/endian/conversion.hpp>
#include <cmath>
#include <map>

#include "model/net/datagram_mux.h"
#include "model/services/command_line.h"
#include "model/services/resolver.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

// magic, flags (1: the last), number, time of sending in ns since the world's start, how many in
// all
constexpr size_t kRateHeader = 32;
constexpr uint32_t kMagic = 0xC1524154;  // first byte in the part that RFC 7983 leaves to data
constexpr size_t kMostSenders = 64;      // ours: counted apart at the same time
constexpr int kLastRepeats = 5;          // ours: 5 % loss eats all of them once in three million

struct RateOptions {
  net::Endpoint listen;
  Target to;
  net::Endpoint bind{net::IpAddress::any_v4(), 0};
  double per_second = 100;
  uint64_t count = 1000;
  uint32_t size = 200;
};

class RateSink : public Service {
 public:
  RateSink(net::Host& host, const RateOptions& options) : host_(host), options_(options) {}

  net::Status start() override {
    net::DatagramOptions datagram;
    datagram.local = options_.listen;
    auto socket = host_.open_datagram(datagram);
    if (!socket) return socket.status();
    mux_ = std::make_unique<net::DatagramMux>(std::move(*socket));
    user_ = mux_->attach(net::kAllBytes, [this](const net::DatagramIn& in, net::Bytes data) {
      return receive(in, data);
    });
    host_.log().write("rate", "ready", {{"local", mux_->local()}});
    return {};
  }

  net::Status command(std::string_view line) override {
    if (line != "report") return {net::Error::invalid, "the only command is: report"};
    for (auto& [from, sender] : senders_) report(from, sender, sender.highest + 1);
    return {};
  }

 private:
  struct Sender {
    uint64_t received = 0, highest = 0, late = 0;
    net::Duration least{0}, most{0};
    double total_ms = 0;
    bool reported = false;
  };

  bool receive(const net::DatagramIn& in, net::Bytes data) {
    if (data.size() < kRateHeader || boost::endian::load_big_u32(data.data()) != kMagic)
      return false;
    const bool last = data[4] & 1;
    const uint64_t number = boost::endian::load_big_u64(data.data() + 8);
    const uint64_t total = boost::endian::load_big_u64(data.data() + 24);
    auto at = senders_.find(in.from);
    if (at == senders_.end()) {
      if (senders_.size() == kMostSenders) return true;
      at = senders_.emplace(in.from, Sender{}).first;
    }
    Sender& sender = at->second;
    if (last) {
      if (!sender.reported) report(in.from, sender, total);
      sender.reported = true;
      return true;
    }
    // One way: both ends count from the same start of the world.
    const net::Duration delay =
        host_.now() -
        net::Time(static_cast<int64_t>(boost::endian::load_big_u64(data.data() + 16)));
    if (sender.received == 0 || delay < sender.least) sender.least = delay;
    if (sender.received == 0 || delay > sender.most) sender.most = delay;
    sender.total_ms += net::to_ms(delay);
    if (sender.received && number < sender.highest) ++sender.late;
    sender.highest = std::max(sender.highest, number);
    ++sender.received;
    return true;
  }

  void report(const net::Endpoint& from, const Sender& sender, uint64_t total) {
    const double mean = sender.received ? sender.total_ms / double(sender.received) : 0.0;
    host_.log().write("rate", "result",
                      {{"from", from},
                       {"sent", total},
                       {"received", sender.received},
                       {"lost", total > sender.received ? total - sender.received : uint64_t{0}},
                       {"late", sender.late},
                       {"delay_least_ms", sender.least},
                       {"delay_mean_ms", mean},
                       {"delay_most_ms", sender.most}});
  }

  net::Host& host_;
  RateOptions options_;
  std::unique_ptr<net::DatagramMux> mux_;
  std::unique_ptr<net::DatagramMux::User> user_;
  std::map<net::Endpoint, Sender> senders_;
};

class RateSource : public Service {
 public:
  RateSource(net::Host& host, const RateOptions& options)
      : host_(host),
        options_(options),
        gap_(net::from_ms(1000.0 / options.per_second)),
        timer_(host.timers(), [this] { step(); }) {}

  net::Status start() override {
    net::DatagramOptions datagram;
    datagram.local = options_.bind;
    auto socket = host_.open_datagram(datagram);
    if (!socket) return socket.status();
    mux_ = std::make_unique<net::DatagramMux>(std::move(*socket));
    host_.log().write("rate", "ready", {{"local", mux_->local()}});
    lookup_ = find(host_, options_.to, [this](net::Result<net::Endpoint> to) {
      if (!to) {
        host_.log().write("rate", "sent", {{"error", to.status().to_string()}});
        return finished(to.status());
      }
      to_ = *to;
      due_ = host_.now();
      step();
    });
    return {};
  }

 private:
  void step() {
    const bool last = sent_ >= options_.count;
    net::Buffer data(last ? kRateHeader : options_.size);
    boost::endian::store_big_u32(data.data(), kMagic);
    data[4] = last ? 1 : 0;
    boost::endian::store_big_u64(data.data() + 8, sent_);
    boost::endian::store_big_u64(data.data() + 16, static_cast<uint64_t>(host_.now().count()));
    boost::endian::store_big_u64(data.data() + 24, options_.count);
    mux_->send_to(to_, data);
    ++sent_;
    if (sent_ == options_.count + kLastRepeats) {
      host_.log().write("rate", "sent",
                        {{"to", to_}, {"sent", options_.count}, {"dropped", mux_->send_drops()}});
      return finished({});
    }
    due_ += last || sent_ == options_.count ? std::max<net::Duration>(gap_, 20ms) : gap_;
    timer_.arm_at(due_);  // from the plan, not from now: a late turn does not lower the rate
  }

  net::Host& host_;
  RateOptions options_;
  net::Duration gap_;
  net::Time due_{0};
  std::unique_ptr<net::DatagramMux> mux_;
  std::unique_ptr<net::Lookup> lookup_;
  net::Endpoint to_;
  net::Timer timer_;
  uint64_t sent_ = 0;
};

class RateBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_endpoint(app, "--listen", options_.listen, "count what comes here");
    add_target(app, "--to", options_.to, "send there");
    add_endpoint(app, "--bind", options_.bind, "local address and port when sending");
    app.add_option("--per-second", options_.per_second, "datagrams a second")
        ->check(CLI::Range(0.01, 1e6))
        ->capture_default_str();
    app.add_option("--count", options_.count, "datagrams in all")
        ->check(CLI::Range(1.0, 1e9))
        ->capture_default_str();
    app.add_option("--size", options_.size, "bytes of payload")
        ->check(CLI::Range(32, 65000))
        ->capture_default_str();
  }
  net::Status check() override {
    if (options_.listen.is_none() == options_.to.host.empty())
      return {net::Error::invalid, "give either --listen or --to"};
    if (!std::isfinite(options_.per_second))  // which no range excludes
      return {net::Error::invalid, "--per-second must be a number"};
    return {};
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    if (options_.to.host.empty())
      return std::unique_ptr<Service>(std::make_unique<RateSink>(host, options_));
    return std::unique_ptr<Service>(std::make_unique<RateSource>(host, options_));
  }

 private:
  RateOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> rate_blueprint() { return std::make_unique<RateBlueprint>(); }

}  // namespace culvert::services
