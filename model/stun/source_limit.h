// How much one source address may ask for: a token bucket each, in a table of bounded size.
// Sans I/O. Stands on model/net.
#pragma once

#include <cstdint>
#include <vector>

#include "model/net/address.h"
#include "model/net/time.h"

namespace culvert::stun {

struct SourceLimitOptions {
  double per_second = 50;  // ours: one discovery takes about 20 requests; 0 = no limit
  double burst = 200;      // ours: several devices behind one carrier NAT start at once
  size_t sources = 4096;   // ours: 64 KB of table; must be a power of two
};

// Sources are hashed into buckets without any chain: two sources that meet in one bucket share its
// tokens. That bounds memory and work whatever is sent, and a flood from one address cannot evict
// others. Counted by IPv4 address or IPv6 /64.
class SourceLimit {
 public:
  explicit SourceLimit(const SourceLimitOptions& options, uint64_t seed = 0);
  bool allow(net::Time now, const net::IpAddress& source);

 private:
  struct Bucket {
    net::Time refilled{0};
    float tokens = -1;  // below zero: never used
  };
  SourceLimitOptions options_;
  uint64_t seed_;
  std::vector<Bucket> buckets_;
};

}  // namespace culvert::stun
