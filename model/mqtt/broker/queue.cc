// A session's way out: what waits, what is sent, what is lost.
#include <algorithm>

#include "model/mqtt/broker/core.h"

namespace culvert::mqtt {
namespace {

// Ours: so many identifiers may lie between the oldest unacknowledged message and the newest sent
// one, however many in between are done. Far from 65,535, so that none is used twice.
constexpr uint32_t kWidestWindow = 16'384;
// Ours: a full queue is searched for expired messages no more often than this.
constexpr net::Duration kSweepAgain = net::Duration(1'000'000'000);

}  // namespace

bool Core::room_in_queue(const Session& s, const Message& message) const {
  const size_t all = s.out.size() - s.next + s.out_qos0.size();
  const size_t waiting = all > s.free ? all - s.free : 0;
  if (waiting == 0) return true;  // one always fits
  return waiting < options_.queued_messages &&
         s.queued_bytes + message.bytes() <= options_.queued_bytes &&
         counters_.queued_bytes + message.bytes() <= options_.queued_bytes_in_all;
}

IdLists::Ids Core::ids_of(const Target& target) {
  if (target.more.empty()) return target.id;
  std::vector<uint32_t> all = target.more;
  all.push_back(target.id);
  std::sort(all.begin(), all.end());
  return ids_.keep(std::move(all));
}

bool Core::make_room(Session& s, const Message& message) {
  if (room_in_queue(s, message)) return true;
  expire_queue(s);
  return room_in_queue(s, message);
}

void Core::count_queued(Session& s, const Message& message, bool free, int sign) {
  if (free) {
    s.free += static_cast<uint32_t>(sign);
    return;
  }
  const auto bytes = static_cast<uint64_t>(int64_t{sign} * static_cast<int64_t>(message.bytes()));
  s.queued_bytes += bytes;
  counters_.queued_bytes += bytes;
}

OutEntry* Core::enqueue(Session& s, const MessagePtr& message, const Target& target, bool pending) {
  if (!target.free && !make_room(s, *message)) {
    ++counters_.dropped_queue_full;
    overflow(s);
    return nullptr;
  }
  OutEntry entry;
  entry.message = message;
  entry.qos = target.qos;
  entry.retain = target.retain;
  entry.share = target.share;
  entry.ids = ids_of(target);
  entry.pending = pending;
  entry.free = target.free;
  count_queued(s, *message, target.free, 1);
  ++counters_.queued;
  ++s.live;
  return &s.out.push_back(std::move(entry));
}

void Core::drop(Session& s, OutEntry& entry) {
  if (entry.state == OutEntry::State::done) return;
  entry.state = OutEntry::State::done;
  --s.live;
  --counters_.queued;
  if (entry.counted) {
    entry.counted = false;
    --s.in_flight;
  }
  ids_.release(entry.ids);
  entry.ids = 0;
  forget_message(s, entry);
}

void Core::forget_message(Session& s, OutEntry& entry) {
  if (!entry.message) return;
  count_queued(s, *entry.message, entry.free, -1);
  entry.message.reset();
}

void Core::trim(Session& s) {
  while (!s.out.empty() && s.out.front().state == OutEntry::State::done) {
    s.out.pop_front();
    ++s.first;
    if (s.next > 0) --s.next;
  }
}

void Core::drop_qos0(Session& s) {
  WaitingQos0& oldest = s.out_qos0.front();
  count_queued(s, *oldest.message, oldest.free, -1);
  --counters_.queued;
  ids_.release(oldest.ids);
  s.out_qos0.pop_front();
}

void Core::deliver_qos0(Session& s, const MessagePtr& message, IdLists::Ids ids, bool retain,
                        bool free) {
  Connection* c = s.connection;
  if (c == nullptr || c->state != Connection::State::up) return ids_.release(ids);
  if (s.out_qos0.empty() && s.next == s.out.size() && c->writable()) {
    send_publish(*c, *message, 0, retain, false, ids, 0);
    return ids_.release(ids);
  }
  if (!free && !make_room(s, *message)) {
    ++counters_.dropped_qos0;
    return ids_.release(ids);
  }
  count_queued(s, *message, free, 1);
  ++counters_.queued;
  WaitingQos0 waiting;
  waiting.message = message;
  waiting.ids = ids;
  waiting.after = static_cast<uint32_t>(s.end());
  waiting.retain = retain;
  waiting.free = free;
  s.out_qos0.push_back(std::move(waiting));
  pump(s);
}

uint16_t Core::window(const Connection& c) const {
  return std::min(c.receive_maximum, options_.inflight_to_client);
}

// Sends what may go: in order, but QoS 0 does not wait for acknowledgements or the store.
void Core::pump(Session& s) {
  Connection* c = s.connection;
  if (c == nullptr) return;
  const uint16_t window_size = window(*c);
  bool mark = false;  // the store does not know that something was sent
  trim(s);
  while (c->writable()) {
    bool sendable = s.next < s.out.size();
    if (sendable) {
      const OutEntry& entry = s.out[s.next];
      const bool publish = entry.state == OutEntry::State::queued;
      if (entry.pending || s.next >= kWidestWindow || (publish && s.in_flight >= window_size)) {
        sendable = false;
      }
    }
    if (!s.out_qos0.empty()) {
      const WaitingQos0& waiting = s.out_qos0.front();
      // Signed, because sequence numbers wrap around here.
      const auto ahead =
          static_cast<int32_t>(waiting.after - static_cast<uint32_t>(s.first + s.next));
      if (!sendable || ahead <= 0) {
        if (waiting.message->expired(now_)) {
          ++counters_.dropped_expired;
        } else {
          send_publish(*c, *waiting.message, 0, waiting.retain, false, waiting.ids, 0);
        }
        drop_qos0(s);
        continue;
      }
    }
    if (!sendable) break;
    const uint64_t sequence = s.first + s.next;
    OutEntry& entry = s.out[s.next];
    ++s.next;
    mark |= entry.stored && !entry.told_sent;
    send_entry(s, entry, sequence);
    if (s.next == 1) trim(s);
  }
  if (mark) store_sent_mark(s);
}

void Core::send_entry(Session& s, OutEntry& entry, uint64_t sequence) {
  Connection& c = *s.connection;
  if (entry.state == OutEntry::State::released) return c.ack(Type::pubrel, s.packet_id(sequence));
  if (entry.state != OutEntry::State::queued) return;
  if (entry.message->expired(now_) && !entry.was_sent) {
    ++counters_.dropped_expired;
  } else if (send_publish(c, *entry.message, entry.qos, entry.retain, entry.was_sent, entry.ids,
                          s.packet_id(sequence))) {
    entry.state = OutEntry::State::sent;
    entry.counted = true;
    ++s.in_flight;
    return;
  }
  if (entry.stored) unstore_entry(s, sequence, entry);
  drop(s, entry);
}

// False: it was not sent and never will be.
bool Core::send_publish(Connection& c, const Message& message, uint8_t qos, bool retain, bool dup,
                        IdLists::Ids ids, uint16_t packet_id) {
  if (!c.unrestricted && !may_receive(c, message)) return false;
  PublishEncoder::Shape shape;
  shape.version = c.version;
  shape.qos = qos;
  shape.retain = retain;
  shape.dup = dup;
  shape.packet_id = packet_id;
  shape.ids = ids_.view(ids);
  shape.now = now_;
  if (c.alias_maximum > 0) choose_alias(c, message.topic(), shape);
  const auto append = [&] { return encoder_.append(message, shape, c.maximum_packet, c.out()); };
  size_t size = append();
  if (size == 0 && shape.alias > 0 && !shape.alias_known) {  // a new alias makes it longer
    c.aliases->to_client.pop_back();
    shape.alias = 0;
    size = append();
  }
  if (size == 0) {
    ++counters_.dropped_too_big;  // 3.1.2-24, 3.1.2-25: as if it had been sent
    return false;
  }
  ++counters_.packets_out;
  ++counters_.delivered[qos];
  c.written();
  return true;
}

// The first topics of a connection get its aliases (3.3.2.3.4) and keep them.
void Core::choose_alias(Connection& c, std::string_view topic, PublishEncoder::Shape& shape) {
  if (topic.size() <= 3) return;  // an alias takes as much
  if (!c.aliases) c.aliases = std::make_unique<Aliases>();
  auto& known = c.aliases->to_client;
  for (size_t i = 0; i < known.size(); ++i) {
    if (known[i] != topic) continue;
    shape.alias = static_cast<uint16_t>(i + 1);
    shape.alias_known = true;
    return;
  }
  if (known.size() >= c.alias_maximum) return;
  known.emplace_back(topic);
  shape.alias = static_cast<uint16_t>(known.size());
}

bool Core::may_receive(Connection& c, const Message& message) {
  AccessRequest request{c.peer, c.session->client_id, c.session->user};
  request.action = Action::receive;
  request.topic = message.topic();
  request.qos = message.qos();
  request.retain = message.retain();
  return access_.may(request, nullptr) == Reason::success;
}

void Core::overflow(Session& s) {
  ++s.need_rare().lost;
  if (!s.overflowing) {
    s.overflowing = true;
    if (logs()) {
      log("queue_overflow", {{"client", s.client_id},
                             {"queued", uint64_t{s.live} + s.out_qos0.size()},
                             {"queued_bytes", s.queued_bytes},
                             {"connected", s.connection != nullptr}});
    }
  }
  if (s.connection != nullptr) {
    doom(*s.connection, Reason::quota_exceeded, true, "its queue is full: it does not read");
  }
}

void Core::tell_lost(Session& s) {
  s.overflowing = false;
  if (!s.rare || s.rare->lost == 0) return;
  if (logs()) log("messages_lost", {{"client", s.client_id}, {"count", s.rare->lost}});
  s.rare->lost = 0;
}

// Makes room: what has expired while it waited goes.
void Core::expire_queue(Session& s) {
  Session::Rare& rare = s.need_rare();
  if (now_ < rare.swept + kSweepAgain) return;
  rare.swept = now_;
  for (uint32_t i = s.next; i < s.out.size(); ++i) {
    OutEntry& entry = s.out[i];
    if (entry.state != OutEntry::State::queued || entry.pending || entry.was_sent ||
        !entry.message->expired(now_)) {
      continue;
    }
    ++counters_.dropped_expired;
    if (entry.stored) unstore_entry(s, s.first + i, entry);
    drop(s, entry);
  }
  trim(s);
}

}  // namespace culvert::mqtt
