// What happens to sessions in time: their end, the will that was delayed. And retained messages
// that have expired.
#include <tuple>

#include "model/mqtt/broker/core.h"

namespace culvert::mqtt {
namespace {

// Ours: expired retained messages are not delivered anyway; this is how long they take up room.
constexpr net::Duration kSweepEvery = net::Duration(10'000'000'000);
constexpr size_t kSweepMost = 1000;  // a turn of the loop must not take long

}  // namespace

void Core::set_due(Session& s, Due what, net::Time when) {
  if (when == net::Time::max() && !s.rare) return;
  Session::Rare& rare = s.need_rare();
  net::Time& due = what == Due::will ? rare.will_due : rare.ends;
  if (due != net::Time::max()) due_.erase({due, s.index, what});
  due = when;
  if (due != net::Time::max()) due_.insert({due, s.index, what});
  arm_due();
}

void Core::arm_due() {
  if (due_.empty()) return due_timer_.cancel();
  const net::Time next = std::get<0>(*due_.begin());
  if (!due_timer_.armed() || due_timer_.when() != next) due_timer_.arm_at(next);
}

void Core::run_due() {
  note_time();
  while (!due_.empty() && std::get<0>(*due_.begin()) <= now_) {
    const auto [when, index, what] = *due_.begin();
    Session& s = *sessions_[index];
    if (what == Due::will) {
      publish_will(s);
      if (s.durable) store_session(s, false);
      continue;
    }
    if (logs()) log("session_expired", {{"client", s.client_id}, {"queued", s.live}});
    end_session(s, Reason::success);
  }
  arm_due();
}

// A session has lost its connection: its will, how long it stays.
void Core::leave_alone(Session& s, bool clean_end, Reason reason) {
  const bool ends = !s.outlives_connection();
  will_on_close(s, clean_end, ends);
  if (ends) return end_session(s, reason);
  if (s.expiry_s != kNever) {
    set_due(s, Due::session, now_ + std::chrono::seconds(s.expiry_s));
  }
  if (s.durable) store_session(s, false);
}

void Core::arm_sweep() {
  if (!sweep_timer_.armed()) sweep_timer_.arm_after(kSweepEvery);
}

void Core::sweep() {
  note_time();
  const size_t gone = retained_.expire(now_, kSweepMost, [this](const MessagePtr& message) {
    unstore_retained(message, CommitQueue::Fate::tried_again);
  });
  counters_.retained = retained_.size();
  if (gone == kSweepMost || retained_.expiring() > 0) arm_sweep();
}

}  // namespace culvert::mqtt
