#include "model/mqtt/client/journal.h"

#include <boost/endian/conversion.hpp>

namespace culvert::mqtt {
namespace {

// Kinds of records; each is a key PREFIX KIND NUMBER (8 bytes, big endian, so that a scan is in
// order).
constexpr char kMessage = 'o';   // value: state, then the packet as it would be sent first
constexpr char kIncoming = 'i';  // value: empty, or the held PUBLISH
constexpr char kMark = 'm';      // value: 8 bytes
constexpr char kName = 'n';      // value: the assigned client identifier
constexpr uint8_t kQueued = 0, kReleased = 1;
constexpr uint64_t kWidestGap = 16'000'000;  // ours: a queue is shorter; more means damage

uint64_t number_of(Bytes bytes) {
  return bytes.size() == 8 ? boost::endian::load_big_u64(bytes.data()) : ~uint64_t{0};
}

}  // namespace

Journal::Journal(net::Store* store, const std::string& client_id) : store_(store) {
  if (!store) return;
  prefix_ = "mqtt-client/" + client_id;
  prefix_ += '\0';  // no identifier contains one, so no prefix begins another
}

std::string Journal::key(char kind, uint64_t number) const {
  std::string key = prefix_;
  key += kind;
  char bytes[8];
  boost::endian::store_big_u64(reinterpret_cast<unsigned char*>(bytes), number);
  return key.append(bytes, 8);
}

void Journal::put(std::string key, Bytes head, Bytes value) {
  net::StoreBatch::Change change;
  change.key = std::move(key);
  change.value.reserve(head.size() + value.size());
  change.value.insert(change.value.end(), head.begin(), head.end());
  change.value.insert(change.value.end(), value.begin(), value.end());
  batch_.changes.push_back(std::move(change));
}

void Journal::erase(std::string key) {
  net::StoreBatch::Change change;
  change.key = std::move(key);
  change.erase = true;
  batch_.changes.push_back(std::move(change));
}

void Journal::message(uint64_t sequence, Bytes packet) {
  if (on()) put(key(kMessage, sequence), {&kQueued, 1}, packet);
}
void Journal::released(uint64_t sequence) {
  if (on()) put(key(kMessage, sequence), {&kReleased, 1}, {});
}
void Journal::forget(uint64_t sequence) {
  if (on()) erase(key(kMessage, sequence));
}
void Journal::incoming(uint16_t id, Bytes packet) {
  if (on()) put(key(kIncoming, id), {}, packet);
}
void Journal::forget_incoming(uint16_t id) {
  if (on()) erase(key(kIncoming, id));
}
void Journal::also(net::StoreBatch batch) {
  if (!on()) return;
  for (auto& change : batch.changes) batch_.changes.push_back(std::move(change));
}
void Journal::assigned(const std::string& client_id) {
  if (on()) put(key(kName, 0), {}, net::as_bytes(client_id));
}

void Journal::mark(uint64_t sequence_end) {
  if (!on() || sequence_end <= marked_) return;
  marked_ = sequence_end;
  mark_changed_ = true;
}

void Journal::flush(std::function<void(net::Status)> done) {
  if (!on() || committing_ || idle()) return;
  if (mark_changed_) {
    uint8_t bytes[8];
    boost::endian::store_big_u64(bytes, marked_);
    put(key(kMark, 0), bytes, {});
    mark_changed_ = false;
  }
  mark_under_way_ = marked_;
  committing_ = true;
  ++started_;
  under_way_ = std::move(batch_);
  batch_.changes.clear();
  store_->commit(under_way_, std::move(done));
}

void Journal::finished(bool well) {
  committing_ = false;
  if (well) {
    durable_ = started_;
    durable_mark_ = mark_under_way_;
    under_way_.changes.clear();
    return;
  }
  // The same number again: whoever waits for it goes on waiting.
  --started_;
  for (auto& change : batch_.changes) under_way_.changes.push_back(std::move(change));
  batch_ = std::move(under_way_);
  under_way_.changes.clear();
}

Journal::Loaded Journal::load(Outbox& outbox,
                              const std::function<void(uint16_t, net::Buffer)>& incoming) {
  Loaded loaded;
  if (!on()) return loaded;
  if (const auto mark = store_->get(key(kMark, 0)); mark && mark->size() == 8)
    marked_ = durable_mark_ = number_of(*mark);
  if (const auto name = store_->get(key(kName, 0)))
    loaded.client_id.assign(name->begin(), name->end());
  bool first = true;
  loaded.status = store_->scan(prefix_ + kMessage, [&](const std::string& key, Bytes value) {
    const uint64_t sequence = number_of(net::as_bytes(key).subspan(prefix_.size() + 1));
    const bool shape = !value.empty() && (value[0] == kReleased || value.size() > 4);
    if (!shape || sequence == ~uint64_t{0} ||
        (!first &&
         (sequence < outbox.next_sequence() || sequence - outbox.next_sequence() > kWidestGap))) {
      ++loaded.damaged;
      return;
    }
    first = false;
    Outbox::Entry entry;
    entry.restored = true;
    if (value[0] == kReleased) {
      entry.state = Outbox::State::released;
      entry.qos = 2;
      entry.attempted = true;
    } else {
      const Bytes packet = value.subspan(1);
      entry.packet.assign(packet.begin(), packet.end());
      entry.qos = packet[0] >> 1 & 3;  // 3.3.1.2
      entry.attempted = entry.qos == 1 || sequence < marked_;
      if (entry.attempted) entry.state = Outbox::State::published;
    }
    outbox.restore(sequence, std::move(entry));
  });
  if (!loaded.status) return loaded;
  // Never below the mark: what was sent under a number must not be mistaken for what comes.
  if (outbox.messages() == 0 || marked_ < outbox.next_sequence() + kWidestGap)
    outbox.skip_to(marked_);
  loaded.status = store_->scan(prefix_ + kIncoming, [&](const std::string& key, Bytes value) {
    const uint64_t id = number_of(net::as_bytes(key).subspan(prefix_.size() + 1));
    if (id == 0 || id > 65535) {
      ++loaded.damaged;
      return;
    }
    incoming(static_cast<uint16_t>(id), {value.begin(), value.end()});
  });
  return loaded;
}

}  // namespace culvert::mqtt
