// IPv6 addresses by number, so that a session of either family fits one cache line. Counted: an
// address is forgotten with the last record that names it.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "model/nat/records.h"
#include "model/packet/flat_index.h"

namespace culvert::nat {

class AddressBook {
 public:
  using Address = std::array<uint8_t, 16>;
  explicit AddressBook(uint64_t seed) : seed_(seed) {}

  uint32_t find(const Address& a) const {
    return index_.find(hash(a), [&](uint32_t i) { return entries_[i].address == a; });
  }
  // Its number, new with a count of zero if it was not there. hold() it, or forget_unused() it.
  uint32_t intern(const Address& a) {
    uint32_t i = find(a);
    if (i != kNoRecord) return i;
    i = entries_.take();
    entries_[i] = {a, 0};
    index_.insert(hash(a), i);
    return i;
  }
  void hold(uint32_t i) { ++entries_[i].count; }
  void release(uint32_t i) {
    if (--entries_[i].count == 0) drop(i);
  }
  void forget_unused(uint32_t i) {
    if (entries_[i].count == 0) drop(i);
  }
  const Address& operator[](uint32_t i) const { return entries_[i].address; }
  void clear() {
    index_.clear();
    entries_.clear();
  }
  size_t size() const { return entries_.size(); }
  size_t memory_bytes() const { return index_.memory_bytes() + entries_.memory_bytes(); }

 private:
  struct Entry {
    Address address{};
    uint32_t count = 0;
  };
  uint32_t hash(const Address& a) const {
    uint64_t words[2];
    std::memcpy(words, a.data(), 16);
    return packet::hash_words(words[0], words[1], seed_);
  }
  void drop(uint32_t i) {
    index_.erase(hash(entries_[i].address), i);
    entries_.give_back(i);
  }

  uint64_t seed_;
  packet::FlatIndex index_;
  Slab<Entry> entries_;
};

}  // namespace culvert::nat
