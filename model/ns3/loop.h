// One Host's loop inside ns-3: its clock, its timers on a single simulator event, and the turns in
// which callbacks run, so that none runs inside the call that caused it.
// Stands on ns3::Simulator and model/net/timer.h.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "model/net/time.h"
#include "model/net/timer.h"
#include "ns3/event-id.h"

namespace culvert::ns3_world {

class Loop {
 public:
  // `context`: the node's id, which ns-3 shows in its own logs.
  explicit Loop(uint32_t context);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  net::Time now() const;
  net::TimerQueue& timers() { return timers_; }
  void post(std::function<void()> task);
  // Like post, but `delay` later; not run if the loop is destroyed before.
  void after(net::Duration delay, std::function<void()> task);

  // A callback that somebody owns: request() runs it once in the next turn, however often it is
  // asked for; destroying it cancels it, also from inside itself.
  class Turn {
   public:
    Turn(Loop& loop, std::function<void()> callback)
        : loop_(loop), callback_(std::make_shared<std::function<void()>>(std::move(callback))) {}
    ~Turn() { cancel(); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    void request();
    void cancel();
    bool requested() const { return requested_; }

   private:
    friend class Loop;
    Loop& loop_;
    std::shared_ptr<std::function<void()>> callback_;  // outlives a Turn that destroys itself
    bool requested_ = false;
    uint64_t place_ = 0;  // in the queue, counted from the beginning of the world
  };

 private:
  struct Entry {
    Turn* turn = nullptr;  // null with an empty task: cancelled
    std::function<void()> task;
  };
  void enqueue(Entry entry);
  void run();
  void wake_at(net::Time when);

  uint32_t context_;
  net::TimerQueue timers_;
  ns3::EventId wake_;
  std::deque<Entry> queue_;
  uint64_t taken_ = 0;  // entries that have left the queue's front
  bool scheduled_ = false;
  std::shared_ptr<Loop*> alive_;  // what a scheduled turn finds of a destroyed loop
};

}  // namespace culvert::ns3_world
