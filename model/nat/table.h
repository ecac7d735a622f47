// The NAT's state: sessions, mappings, subscribers, and the indexes that find them. Knows how they
// hang together and when they end; decides nothing (core.h does). One session has
//   - an entry by (internal, remote), if packets from inside are to find it;
//   - an entry by (external, remote): unique, also where external ports are shared;
//   - a place in its mapping's list, in the wheel, and in a permission chain if the filter needs
//   one.
#pragma once

#include <cstdint>
#include <functional>

#include "model/nat/address_book.h"
#include "model/nat/behaviour.h"
#include "model/nat/config.h"
#include "model/nat/port_allocator.h"
#include "model/nat/reason.h"
#include "model/nat/records.h"
#include "model/nat/wheel.h"

namespace culvert::nat {

class Table {
 public:
  Table(const Config& config, uint64_t hash_seed);

  // Called when a mapping is about to go; `ended` in ns.
  std::function<void(uint32_t mapping, int64_t ended, Reason)> on_end;

  Slab<Session>& sessions() { return sessions_; }
  const Slab<Session>& sessions() const { return sessions_; }
  Slab<MappingRecord>& mappings() { return mappings_; }
  const Slab<MappingRecord>& mappings() const { return mappings_; }
  Slab<Subscriber>& subscribers() { return subscribers_; }
  AddressBook& book() { return book_; }

  // Look-ups. Nothing here asks whether what it finds has expired.
  uint32_t find_out(const Key& internal_remote) const {
    return out_.find(hash(internal_remote), [&](uint32_t i) {
      const Session& s = sessions_[i];
      return s.internal() == internal_remote.near && s.remote() == internal_remote.far &&
             s.tag == internal_remote.tag;
    });
  }
  uint32_t find_in(const Key& external_remote) const {
    return in_.find(hash(external_remote), [&](uint32_t i) {
      const Session& s = sessions_[i];
      return s.external() == external_remote.near && s.remote() == external_remote.far &&
             s.tag == external_remote.tag;
    });
  }
  uint32_t find_mapping(const Key& internal_blanked) const;
  // Of the mappings on an external endpoint, the newest; the others follow by chain_next.
  uint32_t find_external(Point external, uint8_t tag) const;
  // Head of the chain of sessions that opened the filter of `owner` for `remote` (blanked).
  uint32_t find_permits(const Key& owner_remote) const;

  // Making and linking. The caller has checked limits and clashes.
  uint32_t add_mapping(Key internal_blanked, Point external, bool keyed, int64_t now);
  uint32_t add_session(uint32_t mapping, Point remote, uint8_t flags);
  uint32_t add_poison(Point external, Point remote, uint8_t tag);
  void schedule(uint32_t session) { wheel_.insert(session); }
  void index_out(uint32_t session);
  // Enters the session into the chain that permits inbound packets. It must not be in one.
  void permit(uint32_t session);
  // Gives the mapping another external endpoint, its sessions with it.
  void move_mapping(uint32_t mapping, Point external);

  // Ends one session; its mapping too if that was the last one.
  void end_session(uint32_t session, Reason reason);
  // False if the mapping turned out to be over: its expired sessions are ended until a live one
  // shows up.
  bool alive(uint32_t mapping, int64_t now);
  // The first live session of a permission chain, or kNoRecord. Ends what has expired before it.
  uint32_t first_live_permit(const Key& owner_remote, int64_t now);

  void advance(int64_t now) {
    if (wheel_.behind(now))
      wheel_.turn(now, [this](uint32_t i) { end_session(i, Reason::expired); });
  }
  // After this no expired session is left.
  void sweep(int64_t now);
  void expires_earlier(uint32_t session) { wheel_.advanced(session); }
  int64_t next_deadline() const { return wheel_.next_deadline(); }
  void clear(int64_t now);

  // The subscriber's record, or kNoRecord.
  uint32_t find_subscriber(uint32_t ip, uint8_t tag) const;
  uint32_t intern_subscriber(uint32_t ip, uint8_t tag);
  void forget_subscriber_if_idle(uint32_t subscriber);
  std::function<void(Subscriber&)> on_subscriber_gone;

  uint32_t poison_count() const { return poison_; }
  size_t memory_bytes() const;
  uint32_t hash(const Key& k) const {
    return packet::hash_words(uint64_t{k.near.ip} << 32 | k.far.ip,
                              uint64_t{k.near.port} << 32 | uint64_t{k.far.port} << 16 | k.tag,
                              seed_);
  }
  // Hints: the index slot of a key with this hash; then, once that is here, its session.
  __attribute__((always_inline)) void prefetch_index(uint32_t hash, bool out) const {
    (out ? out_ : in_).prefetch(hash);
  }
  __attribute__((always_inline)) void prefetch_session(uint32_t hash, bool out) const {
    const uint32_t i = (out ? out_ : in_).find(hash, [](uint32_t) { return true; });
    if (i != kNoRecord) __builtin_prefetch(&sessions_[i], 1);
  }

 private:
  static Key in_key(const Session& s) { return {s.external(), s.remote(), s.tag}; }
  static Key out_key(const Session& s) { return {s.internal(), s.remote(), s.tag}; }
  void unpermit(uint32_t session);
  void end_mapping(uint32_t mapping, Reason reason);
  void link_external(uint32_t mapping);
  void unlink_external(uint32_t mapping);
  void hold(uint32_t ip, uint8_t tag) {
    if (tag & kTagV6) book_.hold(ip);
  }
  void release(uint32_t ip, uint8_t tag) {
    if (tag & kTagV6) book_.release(ip);
  }
  // The owner's endpoint and what the filter looks at of the remote.
  Key permit_key(const Session& s) const;

  const Config& config_;
  const uint64_t seed_;
  Slab<Session> sessions_;
  Slab<MappingRecord> mappings_;
  Slab<Subscriber> subscribers_;
  AddressBook book_;
  Wheel wheel_;
  packet::FlatIndex out_, in_, by_internal_, by_external_, permits_, by_subscriber_;
  uint32_t poison_ = 0;
};

}  // namespace culvert::nat
