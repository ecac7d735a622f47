// A hash index of 32-bit record numbers: open addressing, eight bytes a slot, no deletion marks.
// The records live elsewhere; the full 32-bit hash is kept beside each number, so a probe touches a
// record only when it is almost surely the right one, and growing touches none at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace culvert::packet {

constexpr uint32_t kNoRecord = 0xffffffffu;

// 64 -> 64 bits, good enough for tables whose seed the attacker does not know (wyhash's mix step).
inline uint64_t mix(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}
// Of two words; constants are wyhash's, odd and with balanced bits.
inline uint32_t hash_words(uint64_t a, uint64_t b, uint64_t seed) {
  const uint64_t h = mix(a ^ seed ^ 0xa0761d6478bd642full, b ^ 0xe7037ed1a0b428dbull);
  return static_cast<uint32_t>(h ^ (h >> 32));
}

class FlatIndex {
 public:
  FlatIndex() { clear(); }

  // The record with this hash for which `equal(record)` holds, or kNoRecord.
  template <class Equal>
  uint32_t find(uint32_t hash, Equal&& equal) const {
    for (size_t i = hash & mask_;; i = (i + 1) & mask_) {
      const Slot& slot = slots_[i];
      if (slot.record == kNoRecord) return kNoRecord;
      if (slot.hash == hash && equal(slot.record)) return slot.record;
    }
  }
  // The caller makes sure that no equal record is there.
  void insert(uint32_t hash, uint32_t record) {
    if ((size_ + 1) * 4 > slots_.size() * 3) grow();  // at most three quarters full
    place(hash, record);
    ++size_;
  }
  // True if it was there.
  bool erase(uint32_t hash, uint32_t record) {
    size_t i = hash & mask_;
    while (slots_[i].record != record || slots_[i].hash != hash) {
      if (slots_[i].record == kNoRecord) return false;
      i = (i + 1) & mask_;
    }
    // Moves back what probing had pushed over the gap (Knuth 6.4, algorithm R).
    for (size_t j = i;;) {
      j = (j + 1) & mask_;
      if (slots_[j].record == kNoRecord) break;
      const size_t home = slots_[j].hash & mask_;
      if (((j - home) & mask_) >= ((j - i) & mask_)) {
        slots_[i] = slots_[j];
        i = j;
      }
    }
    slots_[i].record = kNoRecord;
    --size_;
    return true;
  }
  // Another record takes the place of one with the same key.
  void replace(uint32_t hash, uint32_t record, uint32_t by) {
    size_t i = hash & mask_;
    while (slots_[i].record != record) {
      if (slots_[i].record == kNoRecord) return;
      i = (i + 1) & mask_;
    }
    slots_[i].record = by;
  }
  __attribute__((always_inline)) void prefetch(uint32_t hash) const {
    __builtin_prefetch(&slots_[hash & mask_]);
  }
  void clear() {
    slots_.assign(kSmallest, Slot{});
    slots_.shrink_to_fit();
    mask_ = kSmallest - 1;
    size_ = 0;
  }
  size_t size() const { return size_; }
  size_t memory_bytes() const { return slots_.capacity() * sizeof(Slot); }

 private:
  static constexpr size_t kSmallest = 16;
  struct Slot {
    uint32_t hash = 0;
    uint32_t record = kNoRecord;
  };
  void place(uint32_t hash, uint32_t record) {
    size_t i = hash & mask_;
    while (slots_[i].record != kNoRecord) i = (i + 1) & mask_;
    slots_[i] = {hash, record};
  }
  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    mask_ = slots_.size() - 1;
    for (const Slot& slot : old)
      if (slot.record != kNoRecord) place(slot.hash, slot.record);
  }

  std::vector<Slot> slots_;
  size_t mask_ = 0, size_ = 0;
};

}  // namespace culvert::packet
