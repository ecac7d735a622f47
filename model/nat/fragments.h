// Where the first fragment of a datagram went, so that the others follow: they carry no ports. RFC
// 4787 section 11. A later fragment that comes before the first is dropped
// (Reason::fragment_early): holding it would need its payload, which a truncated view does not
// have; the sender's retransmission repairs it. Bounded: the oldest datagram is forgotten for the
// newest.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "model/nat/nat.h"
#include "model/packet/flat_index.h"

namespace culvert::nat {

class Fragments {
 public:
  struct Key {
    std::array<uint8_t, 32> addresses{};  // source, destination, as they came
    uint32_t id = 0;
    uint8_t protocol = 0, version = 0;
    Side side = Side::inside;
    friend bool operator==(const Key& a, const Key& b) {
      return a.addresses == b.addresses && a.id == b.id && a.protocol == b.protocol &&
             a.version == b.version && a.side == b.side;
    }
  };
  struct Path {
    Action action = Action::drop;
    uint32_t mapping = 0;
    uint32_t source = 0, destination = 0;  // IPv4, host order; 0: unchanged
    Reason reason = Reason::none;          // of deliver_local
  };

  Fragments(uint32_t limit, uint64_t seed) : limit_(limit), seed_(seed) {}

  void remember(int64_t now, Duration life, const Key& key, const Path& path) {
    if (limit_ == 0) return;
    uint32_t i = find(key);
    if (i == packet::kNoRecord) {
      i = next_;
      next_ = (next_ + 1) % limit_;
      if (i < entries_.size())
        index_.erase(hash(entries_[i].key), i);
      else
        entries_.emplace_back();
      index_.insert(hash(key), i);
    }
    entries_[i] = {key, path, now + life.count()};
  }
  // Null: its first fragment is not known.
  const Path* find(int64_t now, const Key& key) const {
    const uint32_t i = find(key);
    return i == packet::kNoRecord || entries_[i].expires <= now ? nullptr : &entries_[i].path;
  }
  void clear() {
    entries_.clear();
    index_.clear();
    next_ = 0;
  }
  size_t memory_bytes() const {
    return entries_.capacity() * sizeof(Entry) + index_.memory_bytes();
  }

 private:
  struct Entry {
    Key key;
    Path path;
    int64_t expires = 0;
  };
  uint32_t hash(const Key& k) const {
    uint64_t w[4];
    std::memcpy(w, k.addresses.data(), 32);
    const uint64_t rest = uint64_t{k.id} << 32 | uint64_t{k.protocol} << 16 |
                          uint64_t{k.version} << 8 | static_cast<uint64_t>(k.side);
    const uint64_t h = packet::mix(w[0] ^ seed_, w[1] ^ 0x9e3779b97f4a7c15ull) ^
                       packet::mix(w[2] ^ 0xa0761d6478bd642full, w[3] ^ seed_);
    return packet::hash_words(h, rest, seed_);
  }
  uint32_t find(const Key& k) const {
    return index_.find(hash(k), [&](uint32_t i) { return entries_[i].key == k; });
  }

  const uint32_t limit_;
  const uint64_t seed_;
  uint32_t next_ = 0;
  std::vector<Entry> entries_;
  packet::FlatIndex index_;
};

}  // namespace culvert::nat
