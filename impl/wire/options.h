// What culvert-wire is told: the links of one network, as JSON (the plan's `links`, whose ends may
// carry descriptors) or as text on the command line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/net/error.h"

namespace culvert::wire {

struct EndOptions {
  std::string interface;
  std::string node;  // as `count` calls it; empty: the interface
  int fd = -1;       // an open TAP; -1: make one with the interface's name
};

struct LinkOptions {
  std::string name;
  std::vector<EndOptions> ends;  // at least two
  double delay_ms = 0;           // one way, 0..3,600,000
  double jitter_ms = 0;          // uniform in 0..jitter added, without reordering
  double loss = 0;               // probability per frame and direction, 0..1
  double rate_mbps = 0;          // 0: as fast as it goes
  uint32_t mtu = 1500;           // bytes of IP packet, 68..65521
  uint32_t queue = 1000;         // frames of full size waiting at an end; netem's default limit
  // A cellular radio in front of every end but the last; delay_ms and the rest then are the
  // carrier's network behind it. Up: a device that has sent nothing for a while waits up to
  // up_grant_ms for its turn to ask. docs/reference/plan.md has the sources of what planners write.
  bool lte = false;
  double wake_ms = 0, idle_ms = 0;          // from idle to connected; until idle, 0: never
  double up_delay_ms = 0, up_grant_ms = 0;  // one way, and uniform in 0..this added
  double down_delay_ms = 0, down_grant_ms = 0;
  double up_mbps = 0, down_mbps = 0;  // of one device; 0: as fast as it goes
};

// "delay_ms=5 loss=0.1" (separated by spaces or commas). invalid with a sentence; `link` may then
// be half changed: pass a copy.
net::Status set_shape(LinkOptions& link, std::string_view text);

// "up=a-eth0,b-eth0:delay_ms=10,loss=0.01"
net::Result<LinkOptions> parse_link(std::string_view text);

// {"links": [{"name": "up", "ends": [{"interface": "a-eth0", "fd": 5}, "b-eth0"], "delay_ms": 10}]}
net::Result<std::vector<LinkOptions>> parse_config(std::string_view json);

}  // namespace culvert::wire
