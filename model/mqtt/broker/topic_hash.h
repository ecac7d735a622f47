// Hashes of topic levels under a secret seed, so that no peer can choose filters that collide:
// two 64-bit halves multiplied and folded, as wyhash does. Private to the broker.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace culvert::mqtt {

class TopicHash {
 public:
  explicit TopicHash(uint64_t seed)
      : a_(fold(seed ^ 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9)),  // SplitMix64's constants
        b_(fold(seed ^ 0x94d049bb133111eb, a_ | 1)) {}

  uint64_t operator()(std::string_view text) const {
    const char* at = text.data();
    size_t left = text.size();
    uint64_t state = a_ ^ left;
    for (; left > 16; at += 16, left -= 16) state = fold(read8(at) ^ state, read8(at + 8) ^ b_);
    uint64_t low = 0, high = 0;
    if (left >= 8) {
      low = read8(at);
      high = read8(at + left - 8);
    } else if (left >= 4) {
      low = read4(at);
      high = read4(at + left - 4);
    } else if (left > 0) {
      low = uint64_t(uint8_t(at[0])) << 16 | uint64_t(uint8_t(at[left / 2])) << 8 |
            uint8_t(at[left - 1]);
    }
    return fold(low ^ state, high ^ b_);
  }
  // Of a level below `parent`.
  uint32_t below(uint32_t parent, uint64_t level) const {
    return static_cast<uint32_t>(fold(level ^ a_, parent ^ b_));
  }

 private:
  static uint64_t read8(const char* at) {
    uint64_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  static uint64_t read4(const char* at) {
    uint32_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  static uint64_t fold(uint64_t x, uint64_t y) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(x) * y;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }
  uint64_t a_, b_;
};

}  // namespace culvert::mqtt
