#include "model/mqtt/client/outbox.h"

#include <algorithm>

namespace culvert::mqtt {

namespace {

constexpr size_t kFirstRing = 4;     // ours: most clients have a message or two under way
constexpr size_t kKeptPacket = 512;  // ours: bytes a slot keeps, so that the next one fits
const char kInDoubt[] = "the session ended before the broker's PUBREC came";

}  // namespace

uint64_t Outbox::push(Entry entry) {
  if (tail_ - head_ == ring_.size()) {
    std::vector<Entry> larger(std::max(kFirstRing, ring_.size() * 2));
    for (uint64_t s = head_; s != tail_; ++s) larger[s & (larger.size() - 1)] = std::move(at(s));
    ring_.swap(larger);
  }
  ++live_;
  bytes_ += entry.packet.size();
  if (entry.attempted) ++attempted_;
  if (cursor_ == tail_ && entry.state == State::released) ++cursor_;
  at(tail_) = std::move(entry);
  return tail_++;
}

void Outbox::restore(uint64_t sequence, Entry entry) {
  skip_to(sequence);
  if (entry.state == State::released) entry.received = received_++;
  push(std::move(entry));
}

void Outbox::skip_to(uint64_t sequence) {
  if (live_ == 0 && sequence > tail_) begin_at(sequence);
  while (tail_ < sequence) {  // those between were acknowledged
    push({});
    --live_;
    at(tail_ - 1).state = State::gone;
  }
}

void Outbox::connection_began(uint16_t quota) {
  for (uint64_t s = head_; s != tail_; ++s) at(s).on_wire = false;
  cursor_ = head_;
  quota_ = quota_most_ = quota;
  releases_.clear();
}

void Outbox::session(bool present, uint16_t receive_maximum, std::vector<Ended>& ended) {
  const size_t used = quota_most_ - quota_;
  quota_most_ = receive_maximum;
  quota_ = static_cast<uint16_t>(receive_maximum > used ? receive_maximum - used : 0);
  std::vector<uint64_t> released;
  const uint64_t tail = tail_;
  for (uint64_t s = head_; s != tail; ++s) {
    Entry& e = at(s);
    if (e.state == State::gone || !e.attempted || e.on_wire) continue;
    if (present) {
      if (e.state == State::released) released.push_back(s);
    } else if (e.state == State::released) {
      ended.push_back(end(s, {}));
    } else if (e.qos == 2) {
      PublishOutcome outcome;
      outcome.status = {net::Error::failed, kInDoubt};
      outcome.in_doubt = true;
      ended.push_back(end(s, std::move(outcome)));
    } else {
      e.state = State::queued;
      e.attempted = false;
      --attempted_;
    }
  }
  std::sort(released.begin(), released.end(),
            [this](uint64_t a, uint64_t b) { return at(a).received < at(b).received; });
  for (const uint64_t s : released) releases_.push(s);
  forget_front();
}

void Outbox::refused() {
  for (uint64_t s = head_; s != tail_; ++s) {
    Entry& e = at(s);
    if (!e.on_wire || e.state != State::published) continue;
    e.on_wire = e.attempted = false;
    e.state = State::queued;
    --attempted_;
    give_quota();
  }
  cursor_ = head_;
}

void Outbox::sent(uint64_t sequence) {
  Entry& e = at(sequence);
  if (cursor_ == sequence) ++cursor_;
  if (e.qos == 0) return;
  if (!e.attempted) ++attempted_;
  e.attempted = e.on_wire = true;
  e.state = State::published;
  if (quota_ > 0) --quota_;
}

std::optional<uint64_t> Outbox::next_release(uint64_t durable) {
  while (!releases_.empty()) {
    const uint64_t sequence = releases_.front();
    Entry& e = at(sequence);
    // One that has ended meanwhile may have made room for another.
    if (sequence < head_ || e.state != State::released || e.on_wire) {
      releases_.pop();
      continue;
    }
    if (e.barrier > durable) return {};
    releases_.pop();
    e.on_wire = true;
    return sequence;
  }
  return {};
}

uint64_t Outbox::sequence_of(uint16_t id) const {
  // The first sequence number from head_ on that has this identifier.
  const uint64_t offset = (id - 1u + 65535 - head_ % 65535) % 65535;
  return head_ + offset;
}

Outbox::Entry* Outbox::find(uint16_t id) {
  const uint64_t s = sequence_of(id);
  if (id == 0 || s >= tail_) return nullptr;
  Entry& e = at(s);
  const bool known = (e.state == State::published && e.on_wire) || e.state == State::released;
  return known && e.qos > 0 ? &e : nullptr;
}

bool Outbox::uses(uint16_t id) const {
  const uint64_t s = sequence_of(id);
  if (s >= tail_) return false;
  const Entry& e = ring_[s & (ring_.size() - 1)];
  return e.state != State::gone && e.attempted;
}

Outbox::Verdict Outbox::puback(uint16_t id, Reason reason, std::optional<Ended>& ended) {
  Entry* e = find(id);
  if (!e) return Verdict::unknown;
  if (e->qos != 1) return Verdict::wrong;
  PublishOutcome outcome;
  outcome.reason = reason;
  give_quota();
  ended = end(sequence_of(id), std::move(outcome));
  return Verdict::ended;
}

Outbox::Verdict Outbox::pubrec(uint16_t id, Reason reason, std::optional<Ended>& ended) {
  Entry* e = find(id);
  if (!e) return Verdict::unknown;
  if (e->qos != 2) return Verdict::wrong;
  if (e->state == State::released) {
    if (e->on_wire) return Verdict::repeated;  // again: PUBREL again, at once
    return Verdict::ended;                     // its PUBREL waits for its turn already
  }
  if (is_error(reason)) {
    PublishOutcome outcome;
    outcome.reason = reason;
    give_quota();
    ended = end(sequence_of(id), std::move(outcome));
    return Verdict::ended;
  }
  bytes_ -= e->packet.size();
  e->packet.clear();
  if (e->packet.capacity() > kKeptPacket) net::Buffer().swap(e->packet);
  e->state = State::released;
  e->received = received_++;
  e->on_wire = false;  // the PUBREL is not
  releases_.push(sequence_of(id));
  return Verdict::release;
}

Outbox::Verdict Outbox::pubcomp(uint16_t id, Reason reason, std::optional<Ended>& ended) {
  Entry* e = find(id);
  if (!e) return Verdict::unknown;
  // 4.13: a PUBCOMP to what is not a released QoS 2 message belongs to nothing.
  if (e->qos != 2 || e->state != State::released || !e->on_wire) return Verdict::wrong;
  PublishOutcome outcome;
  // The broker does not know it any more: it has handled the PUBREL before, or lost it with its
  // session, which CONNACK would have told. 0x92 is no failure of this message.
  outcome.reason = reason == Reason::packet_identifier_not_found ? Reason::success : reason;
  give_quota();
  ended = end(sequence_of(id), std::move(outcome));
  return Verdict::ended;
}

void Outbox::give_quota() {
  if (quota_ < quota_most_) ++quota_;
}

Outbox::Ended Outbox::end(uint64_t sequence, PublishOutcome outcome) {
  Entry& e = at(sequence);
  bytes_ -= e.packet.size();
  --live_;
  if (e.attempted) --attempted_;
  Ended ended;
  ended.sequence = sequence;
  ended.outcome = std::move(outcome);
  ended.entry.state = e.state;
  ended.entry.qos = e.qos;
  ended.entry.attempted = e.attempted;
  ended.entry.restored = e.restored;
  ended.entry.done = std::move(e.done);
  e.done = nullptr;
  // Only what will be shown takes the packet along; else the slot keeps the memory.
  if (e.restored || e.packet.capacity() > kKeptPacket) ended.entry.packet = std::move(e.packet);
  e.packet.clear();
  e.state = State::gone;
  e.attempted = e.on_wire = e.restored = false;
  e.expires = net::Time::max();
  forget_front();
  return ended;
}

void Outbox::forget_front() {
  while (head_ != tail_ && at(head_).state == State::gone) ++head_;
  if (cursor_ < head_) cursor_ = head_;
}

void Outbox::drop_qos0(std::vector<Ended>& ended, const PublishOutcome& outcome) {
  const uint64_t tail = tail_;
  for (uint64_t s = head_; s < tail; ++s)
    if (at(s).state == State::queued && at(s).qos == 0) ended.push_back(end(s, outcome));
}

void Outbox::drop_all(std::vector<Ended>& ended, const PublishOutcome& outcome) {
  const uint64_t tail = tail_;
  for (uint64_t s = head_; s < tail; ++s)
    if (at(s).state != State::gone) ended.push_back(end(s, outcome));
}

void Outbox::trim() {
  if (live_ == 0) {
    head_ = cursor_ = tail_;
    std::vector<Entry>().swap(ring_);
  }
  releases_.trim();
}

}  // namespace culvert::mqtt
