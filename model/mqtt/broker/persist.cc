// What the store is told, key by key (big endian, so that a scan is in order):
//   V                       the schema's number
//   s SESSION               client identifier, user, expiry, will
//   u SESSION FILTER        a subscription
//   q SESSION SEQUENCE      a message of the session's queue, with the message or its number
//   n SESSION               up to which sequence number messages were sent
//   i SESSION IDENTIFIER    a QoS 2 message from the client, until PUBREL
//   m NUMBER                a message that several queues hold; the references are counted at start
//   r TOPIC                 a retained message
// A message is kept as the PUBLISH of 5.0 that it would be now, so that its expiry is what was left
// at that moment. host.now() begins anew with each start: the time in between does not count.
#include "model/mqtt/broker/core.h"
#include "model/mqtt/broker/records.h"

namespace culvert::mqtt {

net::Buffer Core::message_record(const Message& message) {
  PublishEncoder::Shape shape;
  shape.qos = message.qos();
  shape.retain = message.retain();
  shape.packet_id = 1;  // any
  shape.now = now_;
  net::Buffer record;
  encoder_.append(message, shape, 0xFFFFFFFF, record);
  return record;
}

namespace {

uint32_t seconds_left(net::Time due, net::Time now) {
  if (due == net::Time::max()) return record::kNone;
  const auto left = std::chrono::duration_cast<std::chrono::seconds>(due - now).count();
  return static_cast<uint32_t>(left < 0 ? 0 : left);
}

}  // namespace

void Core::store_session(Session& s, bool connected) {
  if (!s.durable) return;
  record::SessionValue value;
  value.client_id = s.client_id;
  value.user = s.user;
  value.version = s.version;
  value.expiry_s = s.expiry_s;
  value.connected = connected;
  net::Buffer will;
  if (s.rare) {
    value.ends_s = seconds_left(s.rare->ends, now_);
    value.will_due_s = seconds_left(s.rare->will_due, now_);
    if (s.rare->will) {
      will = message_record(*s.rare->will);
      value.will = will;
      value.will_delay_s = s.rare->will_delay_s;
    }
  }
  commits_.put(record::session_key(s.serial), record::encode(value),
               CommitQueue::Fate::tried_again);
}

void Core::unstore_session(Session& s) {
  for (const SubscriptionRecord& subscription : s.subscriptions) {
    unstore_subscription(s, subscription.filter);
  }
  commits_.erase(record::mark_key(s.serial));
  commits_.erase(record::session_key(s.serial));
}

void Core::store_subscription(const Session& s, const SubscriptionRecord& subscription) {
  commits_.put(record::subscription_key(s.serial, subscription.filter),
               record::encode(subscription.options, subscription.id, subscription.filter),
               CommitQueue::Fate::tried_again);
}

void Core::unstore_subscription(const Session& s, std::string_view filter) {
  commits_.erase(record::subscription_key(s.serial, filter));
}

void Core::store_entry(Session& s, uint64_t sequence, OutEntry& entry, bool inside,
                       CommitQueue::Fate fate) {
  record::EntryValue value;
  value.qos = entry.qos;
  value.retain = entry.retain;
  value.free = entry.free;
  value.share = entry.share;
  net::Buffer message;
  if (entry.state == OutEntry::State::released) {
    if (entry.stored && !entry.inside) unrefer(*entry.message);
    value.released = true;
    entry.inside = true;
  } else {
    const auto ids = ids_.view(entry.ids);
    value.ids.assign(ids.begin(), ids.end());
    // Whether it goes out as soon as it may: a later crash then sends it again with DUP.
    entry.told_sent = entry.was_sent || (s.connection != nullptr && s.next + 1 >= s.out.size());
    value.sent = entry.told_sent;
    entry.inside = inside;
    if (inside) {
      message = message_record(*entry.message);
      value.message = message;
    } else {
      Message::Stored& stored = entry.message->stored();
      if (stored.number == 0) {
        stored.number = ++message_numbers_;
        stored.references = 0;
        commits_.put(record::message_key(stored.number), message_record(*entry.message), fate);
      }
      ++stored.references;
      value.number = stored.number;
    }
  }
  entry.stored = true;
  commits_.put(record::entry_key(s.serial, sequence), record::encode(value), fate);
}

void Core::unstore_entry(Session& s, uint64_t sequence, OutEntry& entry) {
  commits_.erase(record::entry_key(s.serial, sequence));
  if (!entry.inside && entry.message) unrefer(*entry.message);
  entry.stored = false;
}

void Core::unrefer(const Message& message) {
  Message::Stored& stored = message.stored();
  if (stored.references == 0 || --stored.references > 0) return;
  commits_.erase(record::message_key(stored.number));
  stored.number = 0;
}

void Core::store_sent_mark(Session& s) {
  net::Buffer value;
  record::put64(value, s.first + s.next);
  commits_.put(record::mark_key(s.serial), std::move(value), CommitQueue::Fate::tried_again);
}

void Core::store_inbound(const Session& s, uint16_t id, const Message* message,
                         CommitQueue::Fate fate) {
  commits_.put(record::inbound_key(s.serial, id),
               message == nullptr ? net::Buffer() : message_record(*message), fate);
}

void Core::unstore_inbound(const Session& s, uint16_t id) {
  if (s.durable) commits_.erase(record::inbound_key(s.serial, id));
}

void Core::store_retained(const MessagePtr& message, CommitQueue::Fate fate) {
  if (!commits_.on()) return;
  commits_.put(record::retained_key(message->topic()), message_record(*message), fate);
}

void Core::unstore_retained(const MessagePtr& message, CommitQueue::Fate fate) {
  if (!commits_.on()) return;
  commits_.erase(record::retained_key(message->topic()), fate);
}

}  // namespace culvert::mqtt
