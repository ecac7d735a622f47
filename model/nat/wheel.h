// Cleans up: a timing wheel over sessions, 8192 slots of one second (2 h 16 min, more than RFC 5382
// REQ-5 asks for). Prolonging a session does not move it; its slot, when it comes up, puts it where
// it belongs by then. So a packet never touches the wheel. Look-ups check expiry themselves: the
// wheel only has to be prompt enough to give memory and ports back.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "model/nat/records.h"

namespace culvert::nat {

class Wheel {
 public:
  explicit Wheel(Slab<Session>& sessions) : sessions_(sessions) { clear(); }

  // By the session's `expires`.
  void insert(uint32_t i) {
    Session& s = sessions_[i];
    const int64_t tick = std::clamp(s.expires / kTick, now_tick_, now_tick_ + kSlots - 2);
    const auto slot = static_cast<uint16_t>(tick % kSlots);
    s.wheel_slot = slot;
    s.wheel_previous = kNoRecord;
    s.wheel_next = heads_[slot];
    if (s.wheel_next != kNoRecord) sessions_[s.wheel_next].wheel_previous = i;
    heads_[slot] = i;
    bits_[slot >> 6] |= uint64_t{1} << (slot & 63);
    if (tick == now_tick_) swept_until_ = std::min(swept_until_, s.expires);
  }
  void remove(uint32_t i) {
    Session& s = sessions_[i];
    if (s.wheel_next != kNoRecord) sessions_[s.wheel_next].wheel_previous = s.wheel_previous;
    if (s.wheel_previous != kNoRecord)
      sessions_[s.wheel_previous].wheel_next = s.wheel_next;
    else
      heads_[s.wheel_slot] = s.wheel_next;
    if (heads_[s.wheel_slot] == kNoRecord)
      bits_[s.wheel_slot >> 6] &= ~(uint64_t{1} << (s.wheel_slot & 63));
  }
  // After `expires` became earlier.
  void advanced(uint32_t i) {
    remove(i);
    insert(i);
  }

  bool behind(int64_t now) const { return now >= next_tick_at_; }
  // Calls end(session) for every session whose second is over and that has expired. `end` removes
  // it from the wheel.
  template <class End>
  void turn(int64_t now, End&& end) {
    const int64_t from = now_tick_, to = std::max(from, now / kTick);  // time may start below zero
    now_tick_ = to;
    next_tick_at_ = (to + 1) * kTick;
    swept_until_ = 0;
    const int64_t count = std::min<int64_t>(to - from, kSlots);
    for (int64_t k = 0; k < count; ++k) sweep((from + k) % kSlots, now, end);
  }
  // Also the second that is under way: after this, no expired session is left. Costs one comparison
  // until the next one in this second is due.
  template <class End>
  void sweep_now(int64_t now, End&& end) {
    if (now < swept_until_) return;
    swept_until_ = next_tick_at_;
    const size_t slot = now_tick_ % kSlots;
    sweep(slot, now, end);
    for (uint32_t i = heads_[slot]; i != kNoRecord; i = sessions_[i].wheel_next)
      swept_until_ = std::min(swept_until_, sessions_[i].expires);
  }

  // When the next session expires: exact if few are due in that second, else no later than its end;
  // may be early if that session was prolonged. INT64_MAX: never.
  int64_t next_deadline() const {
    for (int64_t k = 0; k < kSlots; ++k) {
      const int64_t tick = now_tick_ + k;
      const size_t slot = tick % kSlots;
      if (!(bits_[slot >> 6] >> (slot & 63))) {
        k += 63 - (slot & 63);  // nothing in the rest of this word
        continue;
      }
      if (heads_[slot] == kNoRecord) continue;
      int64_t earliest = (tick + 1) * kTick;
      int looked = 0;
      for (uint32_t i = heads_[slot]; i != kNoRecord; i = sessions_[i].wheel_next) {
        if (++looked > kLook) return (tick + 1) * kTick;
        earliest = std::min(earliest, sessions_[i].expires);
      }
      return earliest;
    }
    return INT64_MAX;
  }
  void clear() {
    heads_.assign(kSlots, kNoRecord);
    bits_.fill(0);
    swept_until_ = 0;
  }
  size_t memory_bytes() const { return heads_.capacity() * sizeof(uint32_t) + sizeof(bits_); }

 private:
  static constexpr int64_t kTick = 1'000'000'000;  // ns
  static constexpr int64_t kSlots = 8192;
  static constexpr int kLook = 64;  // ours: entries looked at for an exact deadline

  template <class End>
  void sweep(size_t slot, int64_t now, End&& end) {
    uint32_t i = heads_[slot];
    heads_[slot] = kNoRecord;
    bits_[slot >> 6] &= ~(uint64_t{1} << (slot & 63));
    // A list of its own first: putting one back may use the same slot, ending one may end others.
    pending_.clear();
    for (; i != kNoRecord; i = sessions_[i].wheel_next) pending_.push_back(i);
    for (const uint32_t p : pending_) insert(p);
    for (const uint32_t p : pending_)
      if (sessions_[p].expires <= now) end(p);
  }

  Slab<Session>& sessions_;
  std::vector<uint32_t> heads_, pending_;
  std::array<uint64_t, kSlots / 64> bits_;
  int64_t now_tick_ = 0, next_tick_at_ = kTick, swept_until_ = 0;
};

}  // namespace culvert::nat
