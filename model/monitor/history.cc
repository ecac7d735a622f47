#include "model/monitor/history.h"

#include <algorithm>
#include <vector>

namespace culvert::monitor {
namespace {

double seconds(net::Duration d) { return static_cast<double>(d.count()) / 1e9; }

}  // namespace

std::string_view to_string(State state) {
  switch (state) {
    case State::ok:
      return "OK";
    case State::warning:
      return "WARNING";
    case State::critical:
      return "CRITICAL";
    case State::unknown:
      break;
  }
  return "UNKNOWN";
}

void History::add(const CheckResult& result) {
  if (checks_.size() >= std::max<size_t>(options_.checks, 1)) checks_.pop_front();
  checks_.push_back(result);
  for (size_t i = 0; i < kPhases; ++i) {
    if (!result.times[i]) continue;
    ++sums_[i].count;
    sums_[i].seconds += seconds(*result.times[i]);
  }
  if (result.ok) {
    ++good_;
    ++total_.count;
    total_.seconds += seconds(result.total);
  } else {
    ++bad_;
    ++failures_[static_cast<size_t>(result.failed)];
  }
}

size_t History::in_window(net::Time now) const {
  return static_cast<size_t>(
      std::count_if(checks_.begin(), checks_.end(),
                    [&](const CheckResult& c) { return c.began > now - options_.window; }));
}

double History::availability(net::Time now) const {
  const size_t all = in_window(now);
  if (all == 0) return 1;
  const auto good = std::count_if(checks_.begin(), checks_.end(), [&](const CheckResult& c) {
    return c.ok && c.began > now - options_.window;
  });
  return static_cast<double>(good) / static_cast<double>(all);
}

net::Duration History::quantile(double q) const {
  std::vector<net::Duration> totals;
  for (const CheckResult& check : checks_)
    if (check.ok) totals.push_back(check.total);
  if (totals.empty()) return {};
  std::sort(totals.begin(), totals.end());
  const auto at = static_cast<size_t>(q * static_cast<double>(totals.size() - 1) + 0.5);
  return totals[std::min(at, totals.size() - 1)];
}

State judge(const History& history, const Thresholds& thresholds, net::Time now) {
  if (history.checks().empty()) return State::unknown;
  const CheckResult& last = history.checks().back();
  const double available = history.availability(now);
  const auto beyond = [&](net::Duration limit) {
    return limit > net::Duration::zero() && last.total > limit;
  };
  if (!last.ok || beyond(thresholds.critical) || available < thresholds.availability_critical)
    return State::critical;
  if (beyond(thresholds.warning) || available < thresholds.availability_warning)
    return State::warning;
  return State::ok;
}

}  // namespace culvert::monitor
