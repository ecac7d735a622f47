// Checks a broker again and again: a schedule around Check, its history, and the state that
// follows. Stands on check.h and history.h.
#pragma once

#include <functional>
#include <memory>

#include "model/monitor/history.h"

namespace culvert::monitor {

struct MonitorOptions {
  CheckOptions check;
  HistoryOptions history;
  Thresholds thresholds;
  net::Duration interval{
      0};  // from start to start; a check that lasts longer delays the next; 0: by hand
  uint64_t checks = 0;  // then no more; 0: without end
};

class Monitor {
 public:
  // A connector for one check, staged (phase.h), or why there is none.
  using Connect =
      std::function<net::Result<std::unique_ptr<net::Connector>>(std::shared_ptr<Stage>)>;
  Monitor(net::Host& host, MonitorOptions options, Connect connect);
  ~Monitor();

  void start();  // the first check at once
  bool check();  // one now; false: one is under way
  // `state` is after this result, `before` was before it.
  void on_result(std::function<void(const CheckResult&, State state, State before)> callback);
  void on_end(std::function<void()> callback);  // the last of `checks` is done

  const History& history() const;
  State state() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::monitor
