// Rewrites the packets of installed flows in user space: what ns-3's and Linux's net::FlowTable
// both wrap. Stands on rewrite.h; time is an argument.
#pragma once

#include <cstdint>
#include <vector>

#include "model/net/bytes.h"
#include "model/net/flow_table.h"
#include "model/packet/flat_index.h"

namespace culvert::packet {

class SoftFlowTable {
 public:
  // At most `limit` flows. `seed` keys the hash, against chosen collisions.
  explicit SoftFlowTable(size_t limit, uint64_t seed = 0);

  // invalid: protocol is not TCP or UDP, families differ, or deltas on UDP. in_use, exhausted.
  net::Status install(const net::FlowKey& key, const net::FlowRewrite& rewrite);
  net::Status remove(const net::FlowKey& key);  // not_found
  net::Result<net::FlowStats> stats(const net::FlowKey& key) const;
  size_t size() const { return used_; }
  void clear();

  enum class Verdict : uint8_t {
    miss,       // of no flow; untouched. So are fragments and malformed packets
    rewritten,  // in place, same length, checksums right: route it on, one hop poorer
    expired,    // of a flow, but with no hop left (RFC 1812 section 5.3.1); untouched, not counted
  };
  // `packet` starts with an IP header and may be a truncated view of `total_length` bytes.
  Verdict process(net::Time now, net::MutableBytes packet, size_t total_length);
  Verdict process(net::Time now, net::MutableBytes packet) {
    return process(now, packet, packet.size());
  }

 private:
  struct Flow {
    net::FlowKey key;
    net::FlowRewrite rewrite;
    net::FlowStats stats;
  };
  uint32_t hash(const net::FlowKey& key) const;
  uint32_t find(const net::FlowKey& key) const;

  size_t limit_, used_ = 0;
  uint64_t seed_;
  FlatIndex index_;
  std::vector<Flow> flows_;
  std::vector<uint32_t> free_;
};

}  // namespace culvert::packet
