// Many small things by a 32-bit number instead of a pointer, in blocks that never move. Private to
// the broker.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace culvert::mqtt {

template <class T>
class Pool {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};

  uint32_t make() {
    if (!free_.empty()) {
      const uint32_t number = free_.back();
      free_.pop_back();
      return number;
    }
    if ((next_ & kMask) == 0) blocks_.push_back(std::make_unique<T[]>(size_t{1} << kShift));
    return next_++;
  }
  void release(uint32_t number) {
    (*this)[number] = T{};
    free_.push_back(number);
  }
  T& operator[](uint32_t number) { return blocks_[number >> kShift][number & kMask]; }
  const T& operator[](uint32_t number) const { return blocks_[number >> kShift][number & kMask]; }
  uint32_t made() const { return next_; }  // numbers below it have been given out
  size_t memory_bytes() const {
    return blocks_.size() * (sizeof(T) << kShift) + blocks_.capacity() * sizeof(blocks_[0]) +
           free_.capacity() * sizeof(uint32_t);
  }

 private:
  static constexpr uint32_t kShift = 7, kMask = (1u << kShift) - 1;  // ours: a few KB a block
  std::vector<std::unique_ptr<T[]>> blocks_;
  std::vector<uint32_t> free_;
  uint32_t next_ = 0;
};

}  // namespace culvert::mqtt
