#include "model/net/connector.h"

#include <algorithm>

namespace culvert::net {
namespace {

// One attempt: the name, then its addresses one after the other.
class TcpConnecting : public Connecting {
 public:
  TcpConnecting(Host& host, const TcpTarget& target, Connector::Done done, Connector::Failed failed)
      : host_(host),
        target_(target),
        done_(std::move(done)),
        failed_(std::move(failed)),
        began_(host.now()),
        timer_(host.timers(), [this] { timer_fired(); }) {
    if (const auto literal = IpAddress::parse(target_.host)) {
      addresses_ = {*literal};
      dial_next();
      return;
    }
    timer_.arm_after(target_.timeout);
    lookup_ = host_.resolve(target_.host, [this](Result<std::vector<IpAddress>> found) {
      timer_.cancel();
      if (!found) return fail("name", found.status());
      times_.name = host_.now() - began_;
      addresses_ = std::move(*found);
      std::stable_partition(addresses_.begin(), addresses_.end(),
                            [](const IpAddress& address) { return address.is_v4(); });
      if (addresses_.empty())
        return fail("name", {Error::not_found, "'" + target_.host + "' has no addresses"});
      dial_next();
    });
  }

 private:
  Duration left() const { return target_.timeout - (host_.now() - began_); }

  void dial_next() {
    dial_.reset();
    const bool mismatch = !target_.local.is_none() && next_ < addresses_.size() &&
                          target_.local.ip.family() != addresses_[next_].family();
    if (mismatch && next_ + 1 < addresses_.size()) return ++next_, dial_next();
    DialOptions options;
    options.local = target_.local;
    options.remote = {addresses_[next_], target_.port};
    // Whoever is silent must not take the time of those after it.
    options.timeout = left() / static_cast<int64_t>(addresses_.size() - next_);
    if (options.timeout <= Duration::zero()) return later({Error::timed_out, "no time was left"});
    ++next_;
    tcp_began_ = host_.now();
    auto dial =
        host_.dial(options, [this](Result<std::unique_ptr<Stream>> stream) { dialled(stream); });
    if (!dial) return later(dial.status());
    dial_ = std::move(*dial);
  }

  void dialled(Result<std::unique_ptr<Stream>>& stream) {
    if (!stream) return next_or_fail(stream.status());
    times_.tcp = host_.now() - tcp_began_;
    Connected connected;
    connected.stream = std::move(*stream);
    connected.times = times_;
    const auto done = std::move(done_);
    done(std::move(connected));  // may destroy this
  }

  void next_or_fail(const Status& status) {
    if (next_ < addresses_.size() && left() > Duration::zero()) return dial_next();
    fail("tcp", status);
  }

  // An error inside connect() or a callback is told after it.
  void later(Status status) {
    pending_ = std::move(status);
    timer_.arm_after(Duration::zero());
  }
  void timer_fired() {
    if (!pending_.ok()) return next_or_fail(std::exchange(pending_, {}));
    lookup_.reset();
    fail("name", {Error::timed_out, "'" + target_.host + "' was not resolved in time"});
  }

  void fail(std::string_view phase, const Status& status) {
    const auto failed = std::move(failed_);
    const std::string detail =
        status.detail.empty() ? std::string(to_string(status.error)) : status.detail;
    failed({{status.error, std::string(phase) + ": " + detail}, phase});  // may destroy this
  }

  Host& host_;
  TcpTarget target_;
  Connector::Done done_;
  Connector::Failed failed_;
  Time began_, tcp_began_{0};
  Timer timer_;
  std::unique_ptr<Lookup> lookup_;
  std::unique_ptr<Dial> dial_;
  std::vector<IpAddress> addresses_;
  size_t next_ = 0;
  ConnectTimes times_;
  Status pending_;
};

class TcpConnector : public Connector {
 public:
  TcpConnector(Host& host, TcpTarget target) : host_(host), target_(std::move(target)) {}
  std::unique_ptr<Connecting> connect(Done done, Failed failed) override {
    return std::make_unique<TcpConnecting>(host_, target_, std::move(done), std::move(failed));
  }
  std::string describe() const override {
    const auto literal = IpAddress::parse(target_.host);
    if (literal) return "tcp://" + Endpoint{*literal, target_.port}.to_string();
    return "tcp://" + target_.host + ":" + std::to_string(target_.port);
  }

 private:
  Host& host_;
  TcpTarget target_;
};

}  // namespace

std::unique_ptr<Connector> tcp_connector(Host& host, TcpTarget target) {
  return std::make_unique<TcpConnector>(host, std::move(target));
}

}  // namespace culvert::net
