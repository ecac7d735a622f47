// What the NAT remembers: a session (one remote of one mapping) in one cache line, a mapping in
// another. A packet of a known session touches one index slot and one session, nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "model/nat/behaviour.h"
#include "model/packet/flat_index.h"

namespace culvert::nat {

using packet::kNoRecord;

enum : uint8_t {      // Session::flags
  kSentOut = 1,       // the inside host sent on it: it opens the filter
  kSeenIn = 2,        // the remote sent on it
  kOutIndexed = 4,    // packets from inside to this remote find it
  kPermits = 8,       // linked into a permission chain
  kPoison = 16,       // no session at all: an early inbound packet that conntrack remembers
  kFromOutside = 32,  // made by an inbound packet
};

struct alignas(64) Session {
  Point internal() const { return {internal_ip, internal_port}; }
  Point external() const { return {external_ip, external_port}; }
  Point remote() const { return {remote_ip, remote_port}; }

  int64_t expires = 0;  // ns; gone at that very instant
  uint32_t internal_ip = 0, external_ip = 0, remote_ip = 0;
  uint16_t internal_port = 0, external_port = 0, remote_port = 0;
  uint8_t tag = 0;
  uint8_t flags = 0;
  uint8_t tcp = 0;
  uint8_t unused = 0;
  uint16_t wheel_slot = 0;
  uint32_t mapping = kNoRecord;
  uint32_t next = kNoRecord, previous = kNoRecord;              // of the mapping
  uint32_t wheel_next = kNoRecord, wheel_previous = kNoRecord;  // of the wheel's slot
  uint32_t permit_next = kNoRecord, permit_previous = kNoRecord;
};
static_assert(sizeof(Session) == 64);

struct alignas(64) MappingRecord {
  Point internal() const { return {internal_ip, internal_port}; }
  Point external() const { return {external_ip, external_port}; }
  Point remote() const { return {remote_ip, remote_port}; }

  int64_t created = 0, ended = 0;  // ns; ended: latest end of a session that is gone
  uint32_t internal_ip = 0, external_ip = 0;
  uint32_t remote_ip = 0;  // blanked: what the mapping depends on
  uint16_t internal_port = 0, external_port = 0, remote_port = 0;
  uint8_t tag = 0;
  bool keyed = false;  // packets from inside find it; not so one made to dodge a clash of ports
  uint32_t first_session = kNoRecord;
  uint32_t sessions = 0, sessions_from_outside = 0;
  uint32_t chain_next = kNoRecord, chain_previous = kNoRecord;  // same external endpoint
  uint32_t subscriber = kNoRecord;
};
static_assert(sizeof(MappingRecord) == 64);

// Records by number, in chunks that never move.
template <class T>
class Slab {
 public:
  T& operator[](uint32_t i) { return chunks_[i >> kBits][i & (kChunk - 1)]; }
  const T& operator[](uint32_t i) const { return chunks_[i >> kBits][i & (kChunk - 1)]; }
  uint32_t take() {
    ++size_;
    if (!free_.empty()) {
      const uint32_t i = free_.back();
      free_.pop_back();
      (*this)[i] = T{};
      return i;
    }
    if (end_ >> kBits == chunks_.size()) chunks_.push_back(std::make_unique<T[]>(kChunk));
    return end_++;
  }
  void give_back(uint32_t i) {
    --size_;
    free_.push_back(i);
  }
  void clear() {
    chunks_.clear();
    free_.clear();
    size_ = 0;
    end_ = 0;
  }
  size_t size() const { return size_; }
  uint32_t end() const { return end_; }  // numbers ever taken are below
  size_t memory_bytes() const {
    return chunks_.size() * kChunk * sizeof(T) + chunks_.capacity() * sizeof(chunks_[0]) +
           free_.capacity() * sizeof(uint32_t);
  }

 private:
  static constexpr uint32_t kBits = 10, kChunk = 1u << kBits;
  std::vector<std::unique_ptr<T[]>> chunks_;
  std::vector<uint32_t> free_;
  size_t size_ = 0;
  uint32_t end_ = 0;
};

}  // namespace culvert::nat
