#include "model/stun/source_limit.h"

#include <algorithm>

namespace culvert::stun {
namespace {

size_t floor_power_of_two(size_t n) {
  size_t power = 1;
  while (power * 2 <= n) power *= 2;
  return power;
}

// SplitMix64's finisher: spreads every input bit; the seed keeps outsiders from aiming at a bucket.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

}  // namespace

SourceLimit::SourceLimit(const SourceLimitOptions& options, uint64_t seed)
    : options_(options), seed_(seed), buckets_(floor_power_of_two(options.sources)) {}

bool SourceLimit::allow(net::Time now, const net::IpAddress& source) {
  if (options_.per_second <= 0) return true;
  uint64_t key = 0;
  const size_t counted = source.is_v6() ? 8 : 4;  // IPv6: a subscriber has a /64 (RFC 6177)
  for (size_t i = 0; i < counted; ++i) key = key << 8 | source.bytes()[i];
  Bucket& bucket = buckets_[mix(mix(key + 0x9e3779b97f4a7c15ull) ^ seed_) & (buckets_.size() - 1)];
  const double full = std::max(options_.burst, 1.0);
  double tokens = full;
  if (bucket.tokens >= 0) {
    const double seconds = net::to_ms(now - bucket.refilled) / 1e3;
    tokens = std::min(full, bucket.tokens + seconds * options_.per_second);
  }
  const bool allowed = tokens >= 1;
  bucket.tokens = static_cast<float>(allowed ? tokens - 1 : tokens);
  bucket.refilled = now;
  return allowed;
}

}  // namespace culvert::stun
