// Deadlines of connections (CONNECT has come, keep alive, the end of closing) on one wheel: no
// timer object each, 24 bytes a connection. Late by at most kTick.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "model/net/timer.h"

namespace culvert::mqtt {

class Wheel {
 public:
  // Ours: nobody needs a keep alive to the millisecond, and a turn of the wheel is 128 s.
  static constexpr net::Duration kTick = net::Duration(250'000'000);

  // A base of whatever has a deadline.
  class Place {
   public:
    Place() = default;
    ~Place() { leave_wheel(); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    void leave_wheel() {
      if (previous_ == nullptr) return;
      previous_->next_ = next_;
      next_->previous_ = previous_;
      previous_ = next_ = nullptr;
    }

   private:
    friend class Wheel;
    Place *previous_ = nullptr, *next_ = nullptr;
    uint64_t tick_ = 0;  // when it is due
  };

  // `due` is called for each place whose time has come, after it has left the wheel. It may set any
  // place anew and make any other leave.
  Wheel(net::TimerQueue& timers, std::function<void(Place&)> due);
  ~Wheel();

  void set(Place& place, net::Time when);  // moves it if it is there

 private:
  static constexpr size_t kSlots = 512;
  static uint64_t tick_of(net::Time when);
  void turn();
  void rearm(uint64_t from);

  std::function<void(Place&)> due_;
  net::TimerQueue& timers_;
  net::Timer timer_;
  uint64_t seen_ = 0;                // ticks up to this one were looked at
  std::array<Place, kSlots> slots_;  // heads of rings
};

}  // namespace culvert::mqtt
