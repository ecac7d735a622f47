#include "model/nat/table.h"

#include <algorithm>

namespace culvert::nat {
namespace {

Key subscriber_key(uint32_t ip, uint8_t tag) {
  return {{ip, 0}, {}, static_cast<uint8_t>(tag & kTagV6)};
}

}  // namespace

Table::Table(const Config& config, uint64_t hash_seed)
    : config_(config), seed_(hash_seed), book_(hash_seed), wheel_(sessions_) {}

uint32_t Table::find_mapping(const Key& k) const {
  return by_internal_.find(hash(k), [&](uint32_t i) {
    const MappingRecord& m = mappings_[i];
    return m.internal() == k.near && m.remote() == k.far && m.tag == k.tag;
  });
}

uint32_t Table::find_external(Point external, uint8_t tag) const {
  return by_external_.find(hash({external, {}, tag}), [&](uint32_t i) {
    return mappings_[i].external() == external && mappings_[i].tag == tag;
  });
}

Key Table::permit_key(const Session& s) const {
  const bool by_external = config_.filter_state == FilterState::per_mapping;
  return {by_external ? s.external() : s.internal(), blank(s.remote(), depends(config_.filtering)),
          s.tag};
}

uint32_t Table::find_permits(const Key& k) const {
  return permits_.find(hash(k), [&](uint32_t i) { return permit_key(sessions_[i]) == k; });
}

uint32_t Table::add_mapping(Key key, Point external, bool keyed, int64_t now) {
  const uint32_t i = mappings_.take();
  MappingRecord& m = mappings_[i];
  m.created = now;
  m.internal_ip = key.near.ip;
  m.internal_port = key.near.port;
  m.remote_ip = key.far.ip;
  m.remote_port = key.far.port;
  m.external_ip = external.ip;
  m.external_port = external.port;
  m.tag = key.tag;
  m.keyed = keyed;
  m.subscriber = intern_subscriber(key.near.ip, key.tag);
  ++subscribers_[m.subscriber].mappings;
  hold(m.internal_ip, m.tag);
  if (keyed) by_internal_.insert(hash(key), i);
  link_external(i);
  return i;
}

void Table::link_external(uint32_t i) {
  MappingRecord& m = mappings_[i];
  const uint32_t head = find_external(m.external(), m.tag);
  m.chain_previous = kNoRecord;
  m.chain_next = head;
  const uint32_t h = hash({m.external(), {}, m.tag});
  if (head == kNoRecord) {
    by_external_.insert(h, i);
  } else {
    mappings_[head].chain_previous = i;
    by_external_.replace(h, head, i);
  }
}

void Table::unlink_external(uint32_t i) {
  MappingRecord& m = mappings_[i];
  if (m.chain_next != kNoRecord) mappings_[m.chain_next].chain_previous = m.chain_previous;
  if (m.chain_previous != kNoRecord) {
    mappings_[m.chain_previous].chain_next = m.chain_next;
    return;
  }
  const uint32_t h = hash({m.external(), {}, m.tag});
  if (m.chain_next != kNoRecord)
    by_external_.replace(h, i, m.chain_next);
  else
    by_external_.erase(h, i);
}

uint32_t Table::add_session(uint32_t mapping, Point remote, uint8_t flags) {
  const uint32_t i = sessions_.take();
  Session& s = sessions_[i];
  MappingRecord& m = mappings_[mapping];
  s.internal_ip = m.internal_ip;
  s.internal_port = m.internal_port;
  s.external_ip = m.external_ip;
  s.external_port = m.external_port;
  s.remote_ip = remote.ip;
  s.remote_port = remote.port;
  s.tag = m.tag;
  s.flags = flags;
  s.mapping = mapping;
  s.next = m.first_session;
  if (s.next != kNoRecord) sessions_[s.next].previous = i;
  m.first_session = i;
  ++m.sessions;
  if (flags & kFromOutside) ++m.sessions_from_outside;
  hold(s.remote_ip, s.tag);
  in_.insert(hash(in_key(s)), i);
  return i;
}

uint32_t Table::add_poison(Point external, Point remote, uint8_t tag) {
  const uint32_t i = sessions_.take();
  Session& s = sessions_[i];
  s.external_ip = external.ip;
  s.external_port = external.port;
  s.remote_ip = remote.ip;
  s.remote_port = remote.port;
  s.tag = tag;
  s.flags = kPoison;
  in_.insert(hash(in_key(s)), i);
  ++poison_;
  return i;
}

void Table::index_out(uint32_t i) {
  Session& s = sessions_[i];
  s.flags |= kOutIndexed;
  out_.insert(hash(out_key(s)), i);
}

void Table::permit(uint32_t i) {
  Session& s = sessions_[i];
  const Key key = permit_key(s);
  const uint32_t head = find_permits(key);
  s.flags |= kPermits;
  s.permit_previous = kNoRecord;
  s.permit_next = head;
  if (head == kNoRecord) {
    permits_.insert(hash(key), i);
  } else {
    sessions_[head].permit_previous = i;
    permits_.replace(hash(key), head, i);
  }
}

void Table::unpermit(uint32_t i) {
  Session& s = sessions_[i];
  s.flags &= static_cast<uint8_t>(~kPermits);
  if (s.permit_next != kNoRecord) sessions_[s.permit_next].permit_previous = s.permit_previous;
  if (s.permit_previous != kNoRecord) {
    sessions_[s.permit_previous].permit_next = s.permit_next;
    return;
  }
  const uint32_t h = hash(permit_key(s));
  if (s.permit_next != kNoRecord)
    permits_.replace(h, i, s.permit_next);
  else
    permits_.erase(h, i);
}

void Table::move_mapping(uint32_t mapping, Point external) {
  MappingRecord& m = mappings_[mapping];
  unlink_external(mapping);
  m.external_ip = external.ip;
  m.external_port = external.port;
  link_external(mapping);
  for (uint32_t i = m.first_session; i != kNoRecord; i = sessions_[i].next) {
    Session& s = sessions_[i];
    const bool permits = (s.flags & kPermits) != 0;
    if (permits) unpermit(i);
    in_.erase(hash(in_key(s)), i);
    s.external_ip = external.ip;
    s.external_port = external.port;
    in_.insert(hash(in_key(s)), i);
    if (permits) permit(i);
  }
}

void Table::end_session(uint32_t i, Reason reason) {
  Session& s = sessions_[i];
  wheel_.remove(i);
  in_.erase(hash(in_key(s)), i);
  if (s.flags & kPoison) {
    --poison_;
    sessions_.give_back(i);
    return;
  }
  if (s.flags & kOutIndexed) out_.erase(hash(out_key(s)), i);
  if (s.flags & kPermits) unpermit(i);
  MappingRecord& m = mappings_[s.mapping];
  if (s.next != kNoRecord) sessions_[s.next].previous = s.previous;
  if (s.previous != kNoRecord)
    sessions_[s.previous].next = s.next;
  else
    m.first_session = s.next;
  --m.sessions;
  if (s.flags & kFromOutside) --m.sessions_from_outside;
  m.ended = std::max(m.ended, s.expires);
  const uint32_t mapping = s.mapping;
  release(s.remote_ip, s.tag);
  sessions_.give_back(i);
  if (m.first_session == kNoRecord) end_mapping(mapping, reason);
}

void Table::end_mapping(uint32_t i, Reason reason) {
  MappingRecord& m = mappings_[i];
  unlink_external(i);
  if (m.keyed) by_internal_.erase(hash({m.internal(), m.remote(), m.tag}), i);
  if (on_end) on_end(i, m.ended, reason);
  const uint32_t subscriber = m.subscriber;
  --subscribers_[subscriber].mappings;
  forget_subscriber_if_idle(subscriber);
  release(m.internal_ip, m.tag);
  mappings_.give_back(i);
}

bool Table::alive(uint32_t mapping, int64_t now) {
  for (;;) {
    const uint32_t first = mappings_[mapping].first_session;
    if (sessions_[first].expires > now) return true;
    const bool last = sessions_[first].next == kNoRecord;
    end_session(first, Reason::expired);
    if (last) return false;
  }
}

uint32_t Table::first_live_permit(const Key& key, int64_t now) {
  for (;;) {
    const uint32_t i = find_permits(key);
    if (i == kNoRecord || sessions_[i].expires > now) return i;
    end_session(i, Reason::expired);
  }
}

void Table::sweep(int64_t now) {
  advance(now);
  wheel_.sweep_now(now, [this](uint32_t i) { end_session(i, Reason::expired); });
}

void Table::clear(int64_t now) {
  sessions_.clear();
  mappings_.clear();
  subscribers_.clear();
  book_.clear();
  for (packet::FlatIndex* index :
       {&out_, &in_, &by_internal_, &by_external_, &permits_, &by_subscriber_})
    index->clear();
  wheel_.clear();
  wheel_.turn(now, [](uint32_t) {});
  poison_ = 0;
}

uint32_t Table::find_subscriber(uint32_t ip, uint8_t tag) const {
  const Key key = subscriber_key(ip, tag);
  return by_subscriber_.find(hash(key), [&](uint32_t i) {
    return subscribers_[i].ip == ip && subscribers_[i].tag == key.tag;
  });
}

uint32_t Table::intern_subscriber(uint32_t ip, uint8_t tag) {
  uint32_t i = find_subscriber(ip, tag);
  if (i != kNoRecord) return i;
  i = subscribers_.take();
  subscribers_[i].ip = ip;
  subscribers_[i].tag = tag & kTagV6;
  by_subscriber_.insert(hash(subscriber_key(ip, tag)), i);
  hold(ip, tag);
  return i;
}

void Table::forget_subscriber_if_idle(uint32_t i) {
  Subscriber& s = subscribers_[i];
  if (s.mappings != 0) return;
  if (on_subscriber_gone) on_subscriber_gone(s);
  by_subscriber_.erase(hash(subscriber_key(s.ip, s.tag)), i);
  release(s.ip, s.tag);
  subscribers_.give_back(i);
}

size_t Table::memory_bytes() const {
  size_t bytes = sessions_.memory_bytes() + mappings_.memory_bytes() + subscribers_.memory_bytes() +
                 book_.memory_bytes() + wheel_.memory_bytes();
  for (const packet::FlatIndex* index :
       {&out_, &in_, &by_internal_, &by_external_, &permits_, &by_subscriber_})
    bytes += index->memory_bytes();
  return bytes;
}

}  // namespace culvert::nat
