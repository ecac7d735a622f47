#include "model/mqtt/broker/wheel.h"

#include <algorithm>
#include <utility>

namespace culvert::mqtt {

Wheel::Wheel(net::TimerQueue& timers, std::function<void(Place&)> due)
    : due_(std::move(due)), timers_(timers), timer_(timers, [this] { turn(); }) {
  for (Place& head : slots_) head.previous_ = head.next_ = &head;
}

Wheel::~Wheel() {
  for (Place& head : slots_) {
    while (head.next_ != &head) head.next_->leave_wheel();
    head.previous_ = head.next_ = nullptr;
  }
}

// The first tick that is not before `when`.
uint64_t Wheel::tick_of(net::Time when) {
  return static_cast<uint64_t>((when + kTick - net::Duration(1)) / kTick);
}

void Wheel::set(Place& place, net::Time when) {
  place.leave_wheel();
  place.tick_ = std::max(tick_of(std::max(when, net::Time(0))), seen_ + 1);
  Place& head = slots_[place.tick_ % kSlots];
  place.previous_ = head.previous_;
  place.next_ = &head;
  head.previous_->next_ = &place;
  head.previous_ = &place;
  const net::Time at = kTick * std::min(place.tick_, seen_ + kSlots);
  if (!timer_.armed() || at < timer_.when()) timer_.arm_at(at);
}

void Wheel::turn() {
  const auto now = static_cast<uint64_t>(timers_.now() / kTick);
  // After a long pause each slot is looked at once.
  const uint64_t first = now > kSlots ? std::max(seen_ + 1, now - kSlots + 1) : seen_ + 1;
  for (uint64_t tick = first; tick <= now; ++tick) {
    Place& head = slots_[tick % kSlots];
    // What is set anew meanwhile is due later than `now` and is not met again.
    seen_ = std::max(seen_, now);
    Place stop;  // marks where this slot's ring ended when we began
    stop.previous_ = head.previous_;
    stop.next_ = &head;
    head.previous_->next_ = &stop;
    head.previous_ = &stop;
    while (head.next_ != &stop) {
      Place& place = *head.next_;
      place.leave_wheel();
      if (place.tick_ <= now) {
        due_(place);
      } else {  // a later turn's; back to the end
        place.previous_ = head.previous_;
        place.next_ = &head;
        head.previous_->next_ = &place;
        head.previous_ = &place;
      }
    }
  }
  seen_ = std::max(seen_, now);
  rearm(seen_ + 1);
}

void Wheel::rearm(uint64_t from) {
  for (uint64_t tick = from; tick < from + kSlots; ++tick) {
    const Place& head = slots_[tick % kSlots];
    if (head.next_ == &head) continue;
    timer_.arm_at(kTick * tick);
    return;
  }
}

}  // namespace culvert::mqtt
