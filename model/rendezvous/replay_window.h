// Accepts every number of a sender once, whatever the order, within the last 64 (RFC 4303 section
// 3.4.3, the sliding window of IPsec). Stands on nothing.
#pragma once

#include <cstdint>

namespace culvert::rendezvous {

class ReplayWindow {
 public:
  // False: seen before, or too old to tell. Numbers begin at 1.
  bool accept(uint64_t number) {
    if (number == 0) return false;
    if (number > highest_) {
      const uint64_t ahead = number - highest_;
      seen_ = ahead >= 64 ? 1 : (seen_ << ahead) | 1;
      highest_ = number;
      return true;
    }
    const uint64_t behind = highest_ - number;
    if (behind >= 64 || (seen_ >> behind & 1)) return false;
    seen_ |= uint64_t{1} << behind;
    return true;
  }
  void reset() { highest_ = seen_ = 0; }

 private:
  uint64_t highest_ = 0, seen_ = 0;
};

}  // namespace culvert::rendezvous
