// Which lane has the next frame to deliver: a heap of lanes, each in it once, by its first frame.
#pragma once

#include <cstddef>
#include <cstdint>
#include <queue>
#include <vector>

#include "impl/wire/frame.h"

namespace culvert::wire {

class Lan;

// Frames on their way from one end of a link to another: first in, first out, so that jitter never
// reorders.
struct Lane {
  Lan* lan = nullptr;
  size_t from = 0, to = 0;
  Frame* first = nullptr;
  Frame* last = nullptr;
  int64_t latest_due_ns = 0;
};

class Scheduler {
 public:
  void add(Lane& lane, Frame* frame);  // frame->due_ns is not before that of the lane's last
  // The next frame due at or before `now_ns`, taken out of its lane; null: none.
  Frame* take_due(int64_t now_ns, Lane** lane);
  int64_t next_ns() const;  // INT64_MAX: nothing on its way

 private:
  struct Entry {
    int64_t due_ns;
    uint64_t order;  // equal times: in the order of arrival
    Lane* lane;
    bool operator>(const Entry& other) const {
      return due_ns != other.due_ns ? due_ns > other.due_ns : order > other.order;
    }
  };
  std::priority_queue<Entry, std::vector<Entry>, std::greater<Entry>> heap_;
  uint64_t orders_ = 0;
};

}  // namespace culvert::wire
