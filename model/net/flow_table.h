// Flows rewritten without asking anybody: install, remove, count. What matches no flow goes to the
// hooks. Implementations: user space and ns-3 (one table over model/packet), eBPF (with the
// splicer).
#pragma once

#include <cstdint>
#include <memory>

#include "model/net/address.h"
#include "model/net/error.h"
#include "model/net/time.h"

namespace culvert::net {

struct FlowKey {
  uint8_t protocol = 0;  // 6 or 17
  Endpoint source, destination;
  friend bool operator==(const FlowKey& a, const FlowKey& b) {
    return a.protocol == b.protocol && a.source == b.source && a.destination == b.destination;
  }
};

// New endpoints and, for TCP, what is added to its numbers (modulo 2^32).
struct FlowRewrite {
  Endpoint source, destination;
  uint32_t sequence_delta = 0, acknowledgement_delta = 0;
};

struct FlowStats {
  uint64_t packets = 0, bytes = 0;  // bytes of IP packets
  Time last_seen{0};                // exact to one second (field note splice.md)
};

// Rewriting is forwarding: it takes one hop. A packet that has none left, or is too big for the
// next link and may not be cut up, is answered with ICMP to its sender, about the packet as it
// came. Fragments match no flow.
class FlowTable {
 public:
  virtual ~FlowTable() = default;  // removes every flow
  // in_use: the key is there already. exhausted: the table is full (limit given when opened).
  virtual Status install(const FlowKey& key, const FlowRewrite& rewrite) = 0;
  virtual Status remove(const FlowKey& key) = 0;  // not_found
  virtual Result<FlowStats> stats(const FlowKey& key) const = 0;
  virtual size_t size() const = 0;
};

}  // namespace culvert::net
