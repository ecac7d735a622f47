#include "model/net/timer.h"

#include <algorithm>

namespace culvert::net {

void Timer::arm_after(Duration delay) {
  arm_at(queue_.now() + std::max(delay, Duration::zero()));
}

void Timer::arm_at(Time when) {
  cancel();
  when_ = when;
  queue_.insert(this);
}

void Timer::cancel() {
  if (armed()) queue_.remove(this);
}

bool TimerQueue::before(const Timer* a, const Timer* b) {
  return a->when_ != b->when_ ? a->when_ < b->when_ : a->order_ < b->order_;
}

void TimerQueue::place(size_t slot, Timer* timer) {
  heap_[slot] = timer;
  timer->slot_ = slot;
}

void TimerQueue::sift_up(size_t slot) {
  Timer* timer = heap_[slot];
  while (slot > 0) {
    const size_t parent = (slot - 1) / 4;
    if (!before(timer, heap_[parent])) break;
    place(slot, heap_[parent]);
    slot = parent;
  }
  place(slot, timer);
}

void TimerQueue::sift_down(size_t slot) {
  Timer* timer = heap_[slot];
  for (;;) {
    const size_t first = slot * 4 + 1;
    if (first >= heap_.size()) break;
    const size_t last = std::min(first + 4, heap_.size());
    size_t best = first;
    for (size_t child = first + 1; child < last; ++child)
      if (before(heap_[child], heap_[best])) best = child;
    if (!before(heap_[best], timer)) break;
    place(slot, heap_[best]);
    slot = best;
  }
  place(slot, timer);
}

void TimerQueue::insert(Timer* timer) {
  timer->order_ = orders_++;
  heap_.push_back(timer);
  sift_up(heap_.size() - 1);
  ask_for_wake();
}

void TimerQueue::remove(Timer* timer) {
  const size_t slot = timer->slot_;
  timer->slot_ = Timer::kIdle;
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last != timer) {
    place(slot, last);
    sift_up(slot);
    sift_down(last->slot_);
  }
}

void TimerQueue::ask_for_wake() {
  if (running_ || heap_.empty() || next() >= asked_) return;
  asked_ = next();
  wake_at_(asked_);
}

void TimerQueue::run_due(size_t limit) {
  // A timer that is armed for "now" by a callback waits for the next turn: a chain of zero delays
  // must not keep the loop from its sockets.
  const Time now = now_();
  const uint64_t stop = orders_;
  running_ = true;
  for (size_t fired = 0; fired < limit && !heap_.empty(); ++fired) {
    Timer* timer = heap_.front();
    if (timer->when_ > now || timer->order_ >= stop) break;
    remove(timer);
    const auto callback = timer->callback_;  // a copy: the callback may destroy its timer
    callback();
  }
  running_ = false;
  asked_ = Time::max();
  if (heap_.empty())
    wake_at_(Time::max());
  else
    ask_for_wake();
}

}  // namespace culvert::net
