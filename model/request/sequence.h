// What became of a stream of sequence numbers: gaps, duplicates, reorderings. Pure. The window is
// the anti-replay window of RFC 4303 section 3.4.3.
#pragma once

#include <cstdint>

#include "model/request/wire.h"

namespace culvert::request {

struct SequenceCounters {
  uint64_t fresh = 0;       // new and in order
  uint64_t gaps = 0;        // numbers that were skipped (and did not come later)
  uint64_t duplicates = 0;  // came before
  uint64_t reordered = 0;   // came after a higher one; no longer a gap
  uint64_t too_old = 0;     // so far behind that nobody knows
  uint64_t restarts = 0;    // new epochs after the first
};

class SequenceTracker {
 public:
  enum class What : uint8_t { fresh, gap, duplicate, reordered, too_old, restart };
  // What this number is to those before it. An epoch other than the current one starts anew.
  What note(const Sequence& sequence);
  const SequenceCounters& counters() const { return counters_; }

 private:
  static constexpr uint32_t kWindow = 64;
  SequenceCounters counters_;
  bool any_ = false;
  uint32_t epoch_ = 0, highest_ = 0;
  uint64_t seen_ = 0;  // bit n: highest_ - n
};

}  // namespace culvert::request
