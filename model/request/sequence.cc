#include "model/request/sequence.h"

namespace culvert::request {

SequenceTracker::What SequenceTracker::note(const Sequence& sequence) {
  if (!any_ || sequence.epoch != epoch_) {
    const bool first = !any_;
    any_ = true;
    epoch_ = sequence.epoch;
    highest_ = sequence.number;
    seen_ = 1;
    ++counters_.fresh;
    if (first) return What::fresh;
    ++counters_.restarts;
    return What::restart;
  }
  if (sequence.number > highest_) {
    const uint32_t ahead = sequence.number - highest_;
    highest_ = sequence.number;
    seen_ = ahead >= kWindow ? 1 : seen_ << ahead | 1;
    ++counters_.fresh;
    counters_.gaps += ahead - 1;
    return ahead == 1 ? What::fresh : What::gap;
  }
  const uint32_t behind = highest_ - sequence.number;
  if (behind >= kWindow) {
    ++counters_.too_old;
    return What::too_old;
  }
  const uint64_t bit = uint64_t{1} << behind;
  if (seen_ & bit) {
    ++counters_.duplicates;
    return What::duplicate;
  }
  seen_ |= bit;
  ++counters_.reordered;
  if (counters_.gaps > 0) --counters_.gaps;
  return What::reordered;
}

}  // namespace culvert::request
