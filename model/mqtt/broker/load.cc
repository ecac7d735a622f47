// What the store held when the broker starts: sessions, their queues, retained messages. Records
// that make no sense are counted and left out. Then the wills of those who were connected go out.
#include <algorithm>

#include "model/mqtt/broker/core.h"
#include "model/mqtt/broker/records.h"
#include "model/mqtt/topic.h"

namespace culvert::mqtt {
namespace {

// Ours: between two entries of a queue. Acknowledged ones lie there, and no window is wider.
constexpr uint64_t kWidestGap = 1'000'000;

struct StoredEntry {
  uint32_t session;
  uint64_t sequence;
  net::Buffer value;
};

}  // namespace

struct Core::Loading {
  boost::unordered_flat_map<uint32_t, Session*> sessions;
  boost::unordered_flat_map<uint64_t, MessagePtr> messages;
  std::vector<Session*> were_connected;
  std::vector<uint64_t> unused;  // messages that nobody refers to
  size_t bad = 0;

  Session* session(std::string_view key) {
    const std::optional<uint64_t> serial = record::number_at(key, 1, 4);
    const auto found = serial ? sessions.find(static_cast<uint32_t>(*serial)) : sessions.end();
    return found == sessions.end() ? nullptr : found->second;
  }
};

net::Status Core::load() {
  note_time();
  if (!commits_.on()) return {};
  net::Store& store = *commits_.store();
  const net::Result<net::Buffer> schema = store.get(record::schema_key());
  if (schema && (schema->size() != 1 || (*schema)[0] != record::kSchema)) {
    return {net::Error::unsupported, "the store was written by another version of the broker"};
  }
  if (!schema && schema.error() != net::Error::not_found) return schema.status();
  if (!schema) {
    commits_.put(record::schema_key(), {record::kSchema}, CommitQueue::Fate::tried_again);
  }
  Loading loading;
  // What cannot be read is not taken for what is not there: nothing is tidied up after that.
  net::Status read = load_sessions(store, loading);
  if (read) read = load_queues(store, loading);
  if (!read) return read;
  read = store.scan("r", [&](const std::string& key, Bytes value) {
    const MessagePtr message = load_message(value);
    if (!message || key != record::retained_key(message->topic()) || !retained_.put(message)) {
      ++loading.bad;
      commits_.erase(key);
    }
  });
  if (!read) return read;
  counters_.retained = retained_.size();
  if (retained_.expiring() > 0) arm_sweep();
  for (const auto& [number, message] : loading.messages) {
    if (message->stored().references == 0) loading.unused.push_back(number);
  }
  std::sort(loading.unused.begin(), loading.unused.end());
  for (const uint64_t number : loading.unused) commits_.erase(record::message_key(number));
  log("loaded", {{"sessions", counters_.sessions},
                 {"subscriptions", counters_.subscriptions},
                 {"queued", counters_.queued},
                 {"retained", counters_.retained},
                 {"bad_records", uint64_t{loading.bad}}});
  // The crash, or the end of the last run, has cut their connections.
  for (Session* s : loading.were_connected) leave_alone(*s, false, Reason::server_shutting_down);
  return {};
}

net::Status Core::load_sessions(const net::Store& store, Loading& loading) {
  const net::Status read = store.scan("s", [&](const std::string& key, Bytes bytes) {
    record::SessionValue value;
    const std::optional<uint64_t> serial = record::number_at(key, 1, 4);
    if (!serial || key.size() != 5 || !record::decode(bytes, value) ||
        find_session(value.client_id) != nullptr) {
      ++loading.bad;
      commits_.erase(key);
      return;
    }
    Session& s = *create_session(std::string(value.client_id), std::string(value.user));
    s.serial = static_cast<uint32_t>(*serial);
    s.version = value.version;
    s.expiry_s = value.expiry_s;
    s.durable = true;
    loading.sessions.emplace(s.serial, &s);
    if (!value.will.empty()) {
      s.need_rare().will = load_message(value.will);
      s.rare->will_delay_s = value.will_delay_s;
    }
    if (value.connected) {
      loading.were_connected.push_back(&s);
      return;
    }
    if (value.ends_s != record::kNone) {
      set_due(s, Due::session, now_ + std::chrono::seconds(value.ends_s));
    }
    if (value.will_due_s != record::kNone) {
      set_due(s, Due::will, now_ + std::chrono::seconds(value.will_due_s));
    }
  });
  if (!read) return read;
  for (const auto& [serial, session] : loading.sessions) {
    session_serials_ = std::max(session_serials_, serial);
  }
  return store.scan("u", [&](const std::string& key, Bytes bytes) {
    Session* s = loading.session(key);
    SubscriptionOptions options;
    uint32_t id = 0;
    std::string filter;
    if (s == nullptr || !record::decode(key, bytes, options, id, filter)) {
      ++loading.bad;
      commits_.erase(key);
      return;
    }
    SubscriptionRecord subscription;
    subscription.filter = filter;
    subscription.id = id;
    subscription.options = options;
    if (shared(filter)) subscription.share = share_number(filter);
    tree_.put(filter, {s->index, id, options, subscription.share});
    s->subscriptions.push_back(std::move(subscription));
    ++counters_.subscriptions;
  });
}

net::Status Core::load_queues(const net::Store& store, Loading& loading) {
  net::Status read = store.scan("m", [&](const std::string& key, Bytes bytes) {
    const std::optional<uint64_t> number = record::number_at(key, 1, 8);
    const MessagePtr message = number ? load_message(bytes) : nullptr;
    if (!message) {
      ++loading.bad;
      commits_.erase(key);
      return;
    }
    message->stored().number = *number;
    message_numbers_ = std::max(message_numbers_, *number);
    loading.messages.emplace(*number, message);
  });
  if (!read) return read;
  // In order, whatever the store's is.
  std::vector<StoredEntry> entries;
  read = store.scan("q", [&](const std::string& key, Bytes bytes) {
    const std::optional<uint64_t> sequence = record::number_at(key, 5, 8);
    if (!sequence || loading.session(key) == nullptr) {
      ++loading.bad;
      commits_.erase(key);
      return;
    }
    entries.push_back({loading.session(key)->serial, *sequence, {bytes.begin(), bytes.end()}});
  });
  if (!read) return read;
  std::sort(entries.begin(), entries.end(), [](const StoredEntry& a, const StoredEntry& b) {
    return std::tie(a.session, a.sequence) < std::tie(b.session, b.sequence);
  });
  for (const StoredEntry& stored : entries) {
    if (load_entry(*loading.sessions.at(stored.session), stored.sequence, stored.value, loading)) {
      continue;
    }
    ++loading.bad;
    commits_.erase(record::entry_key(stored.session, stored.sequence));
  }
  read = store.scan("i", [&](const std::string& key, Bytes bytes) {
    Session* s = loading.session(key);
    const std::optional<uint64_t> id = record::number_at(key, 5, 2);
    const MessagePtr message = bytes.empty() ? nullptr : load_message(bytes);
    if (s == nullptr || !id || (!bytes.empty() && !message)) {
      ++loading.bad;
      commits_.erase(key);
      return;
    }
    s->inbound[static_cast<uint16_t>(*id)].message = message;
  });
  if (!read) return read;
  return store.scan("n", [&](const std::string& key, Bytes bytes) {
    Session* s = loading.session(key);
    const std::optional<uint64_t> mark = record::number_at(net::as_text(bytes), 0, 8);
    if (s == nullptr || !mark) return;
    for (uint64_t sequence = s->first; sequence < std::min(*mark, s->end()); ++sequence) {
      s->entry(sequence)->was_sent = true;
    }
  });
}

bool Core::load_entry(Session& s, uint64_t sequence, Bytes bytes, Loading& loading) {
  record::EntryValue value;
  if (!record::decode(bytes, value)) return false;
  if (s.out.empty()) s.first = sequence;
  if (sequence < s.end() || sequence - s.end() > kWidestGap) return false;
  OutEntry entry;
  entry.qos = value.qos;
  entry.retain = value.retain;
  entry.free = value.free;
  entry.share = value.share;
  entry.stored = true;
  entry.inside = value.number == 0;
  entry.was_sent = entry.told_sent = value.sent;
  if (value.released) {
    entry.state = OutEntry::State::released;
    entry.inside = true;
  } else {
    if (value.number == 0) {
      entry.message = load_message(value.message);
    } else if (const auto found = loading.messages.find(value.number);
               found != loading.messages.end()) {
      entry.message = found->second;
      ++entry.message->stored().references;
    }
    if (!entry.message) return false;
    if (value.ids.size() == 1) {
      entry.ids = value.ids[0];
    } else if (value.ids.size() > 1) {
      entry.ids = ids_.keep({value.ids.begin(), value.ids.end()});
    }
    count_queued(s, *entry.message, entry.free, 1);
  }
  // What lies between was acknowledged.
  while (s.end() < sequence) {
    OutEntry done;
    done.state = OutEntry::State::done;
    s.out.push_back(std::move(done));
  }
  s.out.push_back(std::move(entry));
  ++s.live;
  ++counters_.queued;
  return true;
}

MessagePtr Core::load_message(Bytes record) const {
  Publish p;
  Fault fault;
  if (decode_publish(record, Version::v5, p, fault, Side::server) != nullptr) return nullptr;
  return Message::make(p, now_);
}

}  // namespace culvert::mqtt
