// The subscription identifiers that go with a queued message (MQTT 5.0 section 3.3.2.3.8), in 32
// bits: none, the one there is, or the number of a list, for the few messages that match several
// subscriptions of a session.
#pragma once

#include <boost/core/span.hpp>
#include <cstdint>
#include <utility>
#include <vector>

namespace culvert::mqtt {

class IdLists {
 public:
  using Ids = uint32_t;  // 0: none; below kMany: the identifier itself (at most 2^28 - 1)

  // More than one; `ids` in any order.
  Ids keep(std::vector<uint32_t> ids) {
    if (free_.empty()) {
      lists_.push_back(std::move(ids));
      return kMany | static_cast<uint32_t>(lists_.size() - 1);
    }
    const uint32_t slot = free_.back();
    free_.pop_back();
    lists_[slot] = std::move(ids);
    return kMany | slot;
  }
  // Whoever kept it gives it back once.
  void release(Ids ids) {
    if ((ids & kMany) == 0) return;
    lists_[ids & ~kMany] = {};
    free_.push_back(ids & ~kMany);
  }
  // Valid until the next keep().
  boost::span<const uint32_t> view(const Ids& ids) const {
    if (ids == 0) return {};
    if ((ids & kMany) == 0) return {&ids, 1};
    return lists_[ids & ~kMany];
  }

 private:
  static constexpr uint32_t kMany = uint32_t{1} << 31;
  std::vector<std::vector<uint32_t>> lists_;
  std::vector<uint32_t> free_;
};

}  // namespace culvert::mqtt
