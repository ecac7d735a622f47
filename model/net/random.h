// The seeded random source of a Host: the same seed gives the same draws, in both worlds and with
// every standard library (the standard's distributions do not promise that, so the draws are here).
#pragma once

#include <cstdint>
#include <random>
#include <string_view>

namespace culvert::net {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint64_t next() { return engine_(); }
  // Uniform in [0, bound); bound 0 gives 0. Lemire 2019, without bias.
  uint64_t below(uint64_t bound);
  // Uniform in [low, high], both included.
  uint64_t between(uint64_t low, uint64_t high) {
    const uint64_t count = high - low + 1;
    return count == 0 ? next() : low + below(count);  // 0: all 64 bits
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // [0, 1)

 private:
  std::mt19937_64 engine_;
};

// A seed for one purpose out of a run's seed: FNV-1a over `purpose`, mixed with `seed`
// (SplitMix64), so that adding a draw in one place never shifts the draws of another.
uint64_t derive_seed(uint64_t seed, std::string_view purpose);

}  // namespace culvert::net
