// A queue that costs nothing while it is empty: a vector with a head. (An empty std::deque takes
// 576 bytes with libstdc++, too much for thousands of clients in a process.)
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace culvert::mqtt {

template <class T>
class Fifo {
 public:
  bool empty() const { return head_ == items_.size(); }
  size_t size() const { return items_.size() - head_; }
  T& front() { return items_[head_]; }
  T& operator[](size_t i) { return items_[head_ + i]; }
  const T& operator[](size_t i) const { return items_[head_ + i]; }
  void push(T item) {
    if (head_ > 64 && head_ * 2 > items_.size()) {  // ours: keeps what is dead below a half
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
    items_.push_back(std::move(item));
  }
  T pop() {
    T item = std::move(items_[head_++]);
    if (empty()) clear();
    return item;
  }
  void clear() {
    items_.clear();
    head_ = 0;
  }
  // Gives memory back that a burst has left.
  void trim() {
    if (empty()) std::vector<T>().swap(items_), head_ = 0;
  }

 private:
  std::vector<T> items_;
  size_t head_ = 0;
};

}  // namespace culvert::mqtt
