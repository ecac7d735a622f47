// Timers, written once for both worlds: an intrusive 4-ary heap per Host, exact to the nanosecond,
// no allocation per timer. The Host supplies one wake-up (docs/decisions/0004).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "model/net/time.h"

namespace culvert::net {

class TimerQueue;

// Runs a callback once, later. A member of whoever wants it; destroying or cancelling it before it
// fires means it never fires. May be armed again from its own callback.
class Timer {
 public:
  Timer(TimerQueue& queue, std::function<void()> callback)
      : queue_(queue), callback_(std::move(callback)) {}
  ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void arm_after(Duration delay);  // below zero counts as zero; re-arming moves it
  void arm_at(Time when);
  void cancel();
  bool armed() const { return slot_ != kIdle; }
  Time when() const { return when_; }  // meaningful while armed

 private:
  friend class TimerQueue;
  static constexpr size_t kIdle = ~size_t{0};
  TimerQueue& queue_;
  std::function<void()> callback_;
  Time when_{0};
  uint64_t order_ = 0;  // equal times fire in the order in which they were armed
  size_t slot_ = kIdle;
};

// The Host's side. Not for the logic.
class TimerQueue {
 public:
  using Clock = std::function<Time()>;
  // `wake_at` is called with the time at which run_due wants to be called next, whenever that time
  // becomes earlier, or with Time::max() when nothing is armed. A late or spurious call is fine.
  TimerQueue(Clock now, std::function<void(Time)> wake_at)
      : now_(std::move(now)), wake_at_(std::move(wake_at)) {}

  // Fires what is due at now(), at most `limit` callbacks, then asks to be woken for the next.
  void run_due(size_t limit = 1024);
  Time next() const { return heap_.empty() ? Time::max() : heap_.front()->when_; }
  size_t size() const { return heap_.size(); }
  Time now() const { return now_(); }

 private:
  friend class Timer;
  void insert(Timer* timer);
  void remove(Timer* timer);
  void place(size_t slot, Timer* timer);
  void sift_up(size_t slot);
  void sift_down(size_t slot);
  static bool before(const Timer* a, const Timer* b);
  void ask_for_wake();

  Clock now_;
  std::function<void(Time)> wake_at_;
  std::vector<Timer*> heap_;
  uint64_t orders_ = 0;
  Time asked_ = Time::max();
  bool running_ = false;
};

}  // namespace culvert::net
