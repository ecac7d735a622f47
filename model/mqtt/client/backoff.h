// When to try again: the limit doubles with each failure, the delay is drawn evenly below it ("full
// jitter"), so that a thousand clients of a broker that was restarted do not come back at once.
#pragma once

#include <algorithm>

#include "model/net/random.h"
#include "model/net/time.h"

namespace culvert::mqtt {

class Backoff {
 public:
  uint32_t failures() const { return failures_; }
  // The connection was good: the next failure counts as the first.
  void reset() { failures_ = 0; }
  net::Duration next(net::Duration least, net::Duration most, net::Random& random) {
    net::Duration limit = least;
    for (uint32_t i = 0; i < failures_ && limit < most; ++i) limit *= 2;
    limit = std::min(limit, most);
    if (failures_ < 32) ++failures_;
    if (limit <= net::Duration(0)) return net::Duration(0);
    return net::Duration(static_cast<int64_t>(random.below(static_cast<uint64_t>(limit.count()))));
  }

 private:
  uint32_t failures_ = 0;
};

}  // namespace culvert::mqtt
