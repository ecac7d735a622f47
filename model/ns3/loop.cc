#include "model/ns3/loop.h"

#include <algorithm>
#include <utility>

#include "model/ns3/convert.h"
#include "ns3/simulator.h"

namespace culvert::ns3_world {

Loop::Loop(uint32_t context)
    : context_(context),
      timers_([this] { return now(); }, [this](net::Time when) { wake_at(when); }),
      alive_(std::make_shared<Loop*>(this)) {}

Loop::~Loop() {
  *alive_ = nullptr;
  ns3::Simulator::Remove(wake_);
}

net::Time Loop::now() const { return from_ns3(ns3::Simulator::Now()); }

void Loop::wake_at(net::Time when) {
  // Removed, not only cancelled: a cancelled event would stay in ns-3's queue until its time.
  if (wake_.IsRunning()) ns3::Simulator::Remove(wake_);
  if (when == net::Time::max()) return;
  const net::Duration delay = std::max(when - now(), net::Duration::zero());
  wake_ = ns3::Simulator::Schedule(to_ns3(delay), [this] { timers_.run_due(); });
}

void Loop::post(std::function<void()> task) { enqueue({nullptr, std::move(task)}); }

void Loop::after(net::Duration delay, std::function<void()> task) {
  ns3::Simulator::ScheduleWithContext(context_, to_ns3(delay),
                                      [alive = alive_, task = std::move(task)] {
                                        if (*alive) task();
                                      });
}

void Loop::enqueue(Entry entry) {
  queue_.push_back(std::move(entry));
  if (scheduled_) return;
  scheduled_ = true;
  ns3::Simulator::ScheduleWithContext(context_, ns3::Time(0), [alive = alive_] {
    if (*alive) (*alive)->run();
  });
}

void Loop::run() {
  // What is asked for from now on waits for the next turn.
  scheduled_ = false;
  const auto alive = alive_;
  for (size_t left = queue_.size(); left > 0; --left) {
    Entry entry = std::move(queue_.front());
    queue_.pop_front();
    ++taken_;
    if (entry.turn) {
      entry.turn->requested_ = false;
      const auto callback = entry.turn->callback_;
      (*callback)();
    } else if (entry.task) {
      entry.task();
    }
    if (!*alive) return;
  }
}

void Loop::Turn::request() {
  if (requested_) return;
  requested_ = true;
  place_ = loop_.taken_ + loop_.queue_.size();
  loop_.enqueue({this, {}});
}

void Loop::Turn::cancel() {
  if (!requested_) return;
  requested_ = false;
  loop_.queue_[place_ - loop_.taken_].turn = nullptr;
}

}  // namespace culvert::ns3_world
