// A queue in a ring of memory: constant time at both ends and by index, nothing while it is empty,
// 24 bytes itself (std::deque: 80 and a block of 512).
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

namespace culvert::mqtt {

template <class T>
class Ring {
 public:
  bool empty() const { return size_ == 0; }
  uint32_t size() const { return size_; }
  T& operator[](uint32_t index) { return items_[(head_ + index) & (capacity_ - 1)]; }
  const T& operator[](uint32_t index) const { return items_[(head_ + index) & (capacity_ - 1)]; }
  T& front() { return items_[head_]; }
  T& back() { return (*this)[size_ - 1]; }

  T& push_back(T item) {
    if (size_ == capacity_) grow();
    T& place = items_[(head_ + size_) & (capacity_ - 1)];
    place = std::move(item);
    ++size_;
    return place;
  }
  void pop_front() {
    items_[head_] = T{};
    head_ = (head_ + 1) & (capacity_ - 1);
    if (--size_ == 0 && capacity_ > kKept) clear();
  }
  void clear() {
    items_.reset();
    head_ = size_ = capacity_ = 0;
  }

 private:
  // Ours: what an empty ring keeps, so that one message at a time costs no allocation each.
  static constexpr uint32_t kKept = 4;

  void grow() {
    const uint32_t capacity = capacity_ == 0 ? 2 : capacity_ * 2;
    std::unique_ptr<T[]> items(new T[capacity]{});
    for (uint32_t i = 0; i < size_; ++i) items[i] = std::move((*this)[i]);
    items_ = std::move(items);
    head_ = 0;
    capacity_ = capacity;
  }

  std::unique_ptr<T[]> items_;
  uint32_t head_ = 0, size_ = 0, capacity_ = 0;
};

}  // namespace culvert::mqtt
