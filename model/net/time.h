// Time as the model sees it: nanoseconds since the Host's world began, monotonic, never wall clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace culvert::net {

using Time = std::chrono::nanoseconds;      // a point: since the start of the world
using Duration = std::chrono::nanoseconds;  // a length

using namespace std::chrono_literals;  // 20ms, 5s

inline double to_ms(Duration d) { return static_cast<double>(d.count()) / 1e6; }
// Rounds to the nearest nanosecond.
inline Duration from_ms(double ms) {
  return Duration(static_cast<int64_t>(ms * 1e6 + (ms < 0 ? -0.5 : 0.5)));
}

}  // namespace culvert::net
