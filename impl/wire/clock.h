// The machine's monotonic clock, which all daemons of a run share (docs/reference/events.md).
#pragma once

#include <time.h>

#include <cstdint>

namespace culvert::wire {

inline int64_t now_ns() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

}  // namespace culvert::wire
