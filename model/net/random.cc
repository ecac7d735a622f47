#include "model/net/random.h"

namespace culvert::net {

uint64_t Random::below(uint64_t bound) {
  if (bound == 0) return 0;
  unsigned __int128 product = static_cast<unsigned __int128>(next()) * bound;
  auto low = static_cast<uint64_t>(product);
  if (low < bound) {
    const uint64_t threshold = (0 - bound) % bound;
    while (low < threshold) {
      product = static_cast<unsigned __int128>(next()) * bound;
      low = static_cast<uint64_t>(product);
    }
  }
  return static_cast<uint64_t>(product >> 64);
}

uint64_t derive_seed(uint64_t seed, std::string_view purpose) {
  uint64_t hash = 0xcbf29ce484222325ull;  // FNV-1a offset basis and prime (RFC draft eastlake-fnv)
  for (const char c : purpose) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  uint64_t z = seed + hash + 0x9e3779b97f4a7c15ull;  // SplitMix64's finaliser (Steele et al. 2014)
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

}  // namespace culvert::net
