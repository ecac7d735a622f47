#include "impl/wire/scheduler.h"

namespace culvert::wire {

void Scheduler::add(Lane& lane, Frame* frame) {
  lane.latest_due_ns = frame->due_ns;
  frame->next = nullptr;
  if (lane.first == nullptr) {
    lane.first = lane.last = frame;
    heap_.push({frame->due_ns, orders_++, &lane});
  } else {
    lane.last->next = frame;
    lane.last = frame;
  }
}

Frame* Scheduler::take_due(int64_t now_ns, Lane** lane) {
  if (heap_.empty() || heap_.top().due_ns > now_ns) return nullptr;
  *lane = heap_.top().lane;
  heap_.pop();
  Frame* frame = (*lane)->first;
  (*lane)->first = frame->next;
  if (frame->next == nullptr) {
    (*lane)->last = nullptr;
  } else {
    heap_.push({frame->next->due_ns, orders_++, *lane});
  }
  return frame;
}

int64_t Scheduler::next_ns() const { return heap_.empty() ? INT64_MAX : heap_.top().due_ns; }

}  // namespace culvert::wire
