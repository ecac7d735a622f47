// Ethernet frames in flight: a pool without allocation per frame, and what the event log says of
// one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/net/bytes.h"

namespace culvert::wire {

constexpr size_t kEthernetHeader = 14;  // IEEE 802.3: two addresses and a type
constexpr size_t kVlanTag = 4;          // IEEE 802.1Q

struct Frame {
  Frame* next = nullptr;
  int64_t due_ns = 0;
  uint32_t size = 0;
  std::unique_ptr<uint8_t[]> data;
};

// Frames of one capacity, reused. At most `limit` exist.
class FramePool {
 public:
  FramePool(size_t capacity, size_t limit) : capacity_(capacity), limit_(limit) {}
  Frame* take();  // null: the limit is reached
  void give(Frame* frame);
  size_t capacity() const { return capacity_; }

 private:
  size_t capacity_, limit_;
  std::vector<std::unique_ptr<Frame>> all_;
  Frame* free_ = nullptr;
};

// Who sent this to whom, as "address:port" (bare addresses where there are no ports, hardware
// addresses where there is no IP), and the payload mark of docs/reference/events.md.
struct FrameSummary {
  std::string source, destination, packet;
};
FrameSummary summarise(net::Bytes frame);

}  // namespace culvert::wire
