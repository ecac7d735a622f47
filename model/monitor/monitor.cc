#include "model/monitor/monitor.h"

#include <algorithm>

namespace culvert::monitor {

struct Monitor::Impl {
  Impl(net::Host& h, MonitorOptions o, Connect c)
      : host(h),
        options(std::move(o)),
        connect(std::move(c)),
        history(options.history),
        timer(h.timers(), [this] { begin(); }) {}

  bool begin() {
    if (running) return false;
    running.reset();
    began = host.now();
    auto stage = std::make_shared<Stage>();
    auto connector = connect(stage);
    if (!connector) {
      CheckResult result;
      result.began = began;
      result.status = connector.status();
      result.failed = Phase::tls;  // all that making one reads are certificates and keys
      ended(result);
      return true;
    }
    running = std::make_unique<Check>(host, options.check, std::move(*connector), stage,
                                      [this](const CheckResult& result) { ended(result); });
    return true;
  }

  void ended(const CheckResult& result) {
    const auto over = std::move(running);  // this callback is in it
    const State before = state;
    history.add(result);
    state = judge(history, options.thresholds, host.now());
    ++made;
    const bool last = options.checks > 0 && made >= options.checks;
    if (!last && options.interval > net::Duration::zero())
      timer.arm_at(std::max(began + options.interval, host.now()));
    const std::weak_ptr<bool> still = alive;
    if (result_told) result_told(result, state, before);
    if (!still.expired() && last && end_told) std::exchange(end_told, {})();
  }

  net::Host& host;
  const MonitorOptions options;
  const Connect connect;
  History history;
  State state = State::unknown;
  uint64_t made = 0;
  net::Time began{0};
  std::function<void(const CheckResult&, State, State)> result_told;
  std::function<void()> end_told;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  net::Timer timer;
  std::unique_ptr<Check> running;
};

Monitor::Monitor(net::Host& host, MonitorOptions options, Connect connect)
    : impl_(std::make_unique<Impl>(host, std::move(options), std::move(connect))) {}
Monitor::~Monitor() = default;

void Monitor::start() { impl_->timer.arm_after(net::Duration::zero()); }
bool Monitor::check() {
  if (impl_->running) return false;
  impl_->timer.arm_after(net::Duration::zero());
  return true;
}
void Monitor::on_result(std::function<void(const CheckResult&, State, State)> callback) {
  impl_->result_told = std::move(callback);
}
void Monitor::on_end(std::function<void()> callback) { impl_->end_told = std::move(callback); }
const History& Monitor::history() const { return impl_->history; }
State Monitor::state() const { return impl_->state; }

}  // namespace culvert::monitor
