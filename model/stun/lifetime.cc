#include "model/stun/lifetime.h"

#include <algorithm>

namespace culvert::stun {
namespace {

constexpr int kTries = 6;  // ours: as in Discovery, silence decides

}  // namespace

struct LifetimeProbe::Trial {
  Trial(net::Host& host, net::Duration w, std::function<void()> wake)
      : wait(w), timer(host.timers(), std::move(wake)) {}
  net::Duration wait;
  std::unique_ptr<net::DatagramMux> x, y;
  std::unique_ptr<Client::Pending> make;
  std::unique_ptr<net::DatagramMux::User> listen, object;
  net::Endpoint mapped;
  net::Duration rtt{0};
  TransactionId id{};
  int asked = 0;
  bool ended = false, alive = false;
  net::Timer timer;
};

LifetimeProbe::LifetimeProbe(net::Host& host, const LifetimeOptions& options, Probed probed,
                             Done done)
    : host_(host),
      options_(options),
      probed_(std::move(probed)),
      done_(std::move(done)),
      low_(options.low),
      high_(options.high),
      next_(host.timers(), [this] {
        if (over_) {
          const Done finished = std::move(done_);
          if (finished) finished(result_);  // may destroy this
        } else if (const net::Status status = round(); !status) {
          fail(status);
        }
      }) {
  options_.parallel = std::clamp(options_.parallel, 1, 32);
  options_.resolution = std::max<net::Duration>(options_.resolution, 1ms);
}

LifetimeProbe::~LifetimeProbe() = default;

net::Status LifetimeProbe::start() { return round(); }

void LifetimeProbe::fail(net::Status status) {
  if (over_) return;
  result_ = {std::move(status), low_, net::Duration::zero()};
  over_ = true;
  next_.arm_after(net::Duration::zero());
}

net::Status LifetimeProbe::round() {
  trials_.clear();
  if (tried_high_ && high_ - low_ <= options_.resolution) {
    result_ = {{}, low_, high_};
    over_ = true;
    next_.arm_after(net::Duration::zero());
    return {};
  }
  // The first round asks the upper end too: without it every NAT would seem to end below it.
  const int points = tried_high_ ? options_.parallel : std::max(options_.parallel, 2);
  for (int i = 1; i <= points; ++i) {
    const net::Duration wait =
        tried_high_ ? low_ + (high_ - low_) * i / (points + 1) : low_ + (high_ - low_) * i / points;
    const size_t index = trials_.size();
    trials_.push_back(std::make_unique<Trial>(host_, wait, [this, index] {
      Trial& trial = *trials_[index];
      if (trial.asked == kTries) return trial_ended(trial, false);
      Builder builder(Class::request, trial.id);
      builder.response_port(trial.mapped.port).pad_to(136).fingerprint();
      trial.y->send_to(options_.server, builder.view());
      ++trial.asked;
      trial.timer.arm_after(trial.asked == kTries ? trial.rtt * 3 / 2 + 50ms
                                                  : std::max<net::Duration>(trial.rtt / 2, 10ms));
    }));
    Trial& trial = *trials_.back();
    net::DatagramOptions options;
    options.local = {options_.local, 0};
    for (auto* mux : {&trial.x, &trial.y}) {
      auto socket = host_.open_datagram(options);
      if (!socket) return socket.status();
      *mux = std::make_unique<net::DatagramMux>(std::move(*socket));
    }
    trial.id = fresh_id(host_);
    // Anything with this id that reaches X came through the mapping.
    trial.listen =
        trial.x->attach(net::kStunBytes, [this, index](const net::DatagramIn&, net::Bytes data) {
          const auto message = Message::parse(data);
          if (!message || message->id != trials_[index]->id) return false;
          if (!message->is(Class::success)) return true;
          trial_ended(*trials_[index], true);
          return true;
        });
    // And whatever comes back to Y means that the server does not do as asked.
    trial.object = trial.y->attach(net::kStunBytes, [this, index](const net::DatagramIn&,
                                                                  net::Bytes data) {
      const auto message = Message::parse(data);
      if (!message || message->id != trials_[index]->id) return false;
      fail({net::Error::unsupported, options_.server.to_string() + " does not obey RESPONSE-PORT"});
      return true;
    });
    Request request;
    request.to = options_.server;
    request.schedule = Schedule::rfc8489(100ms);
    request.schedule.requests = kTries;
    Client client(host_, *trial.x);
    trial.make = client.ask(request, [this, index](const Outcome& outcome) {
      Trial& made = *trials_[index];
      if (!outcome.ok()) return fail(outcome.status);
      made.mapped = outcome.mapped;
      made.rtt = outcome.rtt;
      // The mapping's clock started at the last request that went out.
      made.timer.arm_after(std::max<net::Duration>(made.wait - outcome.rtt / 2, 0ms));
    });
  }
  return {};
}

void LifetimeProbe::trial_ended(Trial& trial, bool alive) {
  if (trial.ended || over_) return;
  trial.ended = true;
  trial.alive = alive;
  trial.timer.cancel();
  if (probed_) probed_(trial.wait, alive);
  if (!std::all_of(trials_.begin(), trials_.end(), [](const auto& t) { return t->ended; })) return;
  // The longest wait that a mapping lived, as long as none shorter died: what grows is settled by
  // the first death.
  bool died = false;
  for (const auto& t : trials_) {
    if (t->alive && !died) {
      low_ = std::max(low_, t->wait);
    } else if (!died) {
      high_ = t->wait;
      died = true;
    }
  }
  if (!tried_high_ && !died) {
    result_ = {{}, low_, net::Duration::zero()};
    over_ = true;
  }
  tried_high_ = true;
  next_.arm_after(net::Duration::zero());
}

}  // namespace culvert::stun
