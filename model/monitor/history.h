// What a monitor remembers of its checks: the last so many, counters of all, availability over a
// window. Pure. Stands on check.h.
#pragma once

#include <deque>
#include <string_view>

#include "model/monitor/check.h"

namespace culvert::monitor {

// The Nagios states, with their exit statuses (Monitoring Plugins Development Guidelines).
enum class State : uint8_t { ok = 0, warning = 1, critical = 2, unknown = 3 };
std::string_view to_string(State state);  // "OK"

struct Thresholds {
  // Of a check's total; zero: none.
  net::Duration warning{0}, critical{0};
  // Of the availability over the window, 0 to 1; zero: none.
  double availability_warning = 0, availability_critical = 0;
};

struct HistoryOptions {
  size_t checks = 1440;  // ours: a day of one a minute
  net::Duration window = net::Duration(3'600'000'000'000);
};

class History {
 public:
  explicit History(const HistoryOptions& options) : options_(options) {}
  void add(const CheckResult& result);

  const std::deque<CheckResult>& checks() const { return checks_; }  // the oldest first
  uint64_t good() const { return good_; }
  uint64_t bad() const { return bad_; }
  uint64_t failures(Phase phase) const { return failures_[static_cast<size_t>(phase)]; }
  struct Sum {
    uint64_t count = 0;
    double seconds = 0;
  };
  const Sum& sum(Phase phase) const { return sums_[static_cast<size_t>(phase)]; }
  const Sum& total() const { return total_; }
  // Good checks ÷ all, of those that began within the window before `now`; none: 1.
  double availability(net::Time now) const;
  size_t in_window(net::Time now) const;
  // A quantile (0 to 1) of the totals of good checks that are remembered; none: zero.
  net::Duration quantile(double q) const;
  const HistoryOptions& options() const { return options_; }

 private:
  const HistoryOptions options_;
  std::deque<CheckResult> checks_;
  uint64_t good_ = 0, bad_ = 0;
  std::array<uint64_t, kPhases> failures_{};
  std::array<Sum, kPhases> sums_{};
  Sum total_;
};

// The state that the last check and the availability make; no check yet: unknown.
State judge(const History& history, const Thresholds& thresholds, net::Time now);

}  // namespace culvert::monitor
