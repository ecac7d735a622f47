// The states of a cellular radio, as far as they cost time: who was quiet for long is idle, and the
// first packet, of either direction, waits until the radio is connected again. Both worlds' links
// ask this. ns-3 does not model it (docs/fidelity.md, F-22). Stands on model/net.
#pragma once

#include <algorithm>

#include "model/net/time.h"

namespace culvert::link {

// Huang et al., "A Close Examination of Performance and Power Characteristics of 4G LTE Networks",
// MobiSys 2012: promotion 260.1 ms, back to idle after 11.576 s without a packet.
inline constexpr net::Duration kRadioWake{260'100'000};
inline constexpr net::Duration kRadioIdle{11'576'000'000};

struct RadioOptions {
  net::Duration wake = kRadioWake;  // from idle to connected (promotion); 0: no cost
  net::Duration idle = kRadioIdle;  // without a packet until it is idle; 0: never idle
};

class Radio {
 public:
  // When a packet that is there at `now` may cross. Starts idle.
  net::Time admit(net::Time now, const RadioOptions& options) {
    if (options.wake.count() == 0 || options.idle.count() == 0) return now;
    if (!used_ || now - last_ > options.idle) awake_ = now + options.wake;
    used_ = true;
    last_ = std::max({last_, now, awake_});
    return std::max(now, awake_);
  }

 private:
  net::Time awake_{0}, last_{0};  // connected from then on; the last packet
  bool used_ = false;
};

}  // namespace culvert::link
