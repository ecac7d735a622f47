#include "model/mqtt/broker/records.h"

#include "model/net/crypto.h"

namespace culvert::mqtt::record {
namespace {

// Numbers big endian, texts behind their length.
class Writer {
 public:
  Writer& number(uint64_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
      out_.push_back(static_cast<uint8_t>(value >> shift));
    }
    return *this;
  }
  Writer& bytes(Bytes value) {
    number(value.size(), 4);
    out_.insert(out_.end(), value.begin(), value.end());
    return *this;
  }
  net::Buffer take() { return std::move(out_); }

 private:
  net::Buffer out_;
};

class Reader {
 public:
  explicit Reader(Bytes in) : in_(in) {}
  template <class T>
  T number() {
    if (in_.size() < sizeof(T)) {
      well_ = false;
      return T{};
    }
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(T); ++i) value = value << 8 | in_[i];
    in_ = in_.subspan(sizeof(T));
    return static_cast<T>(value);
  }
  Bytes bytes() {
    const auto size = number<uint32_t>();
    if (!well_ || in_.size() < size) {
      well_ = false;
      return {};
    }
    const Bytes value = in_.first(size);
    in_ = in_.subspan(size);
    return value;
  }
  bool done() const { return well_ && in_.empty(); }
  bool well() const { return well_; }

 private:
  Bytes in_;
  bool well_ = true;
};

std::string key(char kind, uint64_t number, int bytes) {
  std::string out(1, kind);
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(number >> shift));
  }
  return out;
}

// Ours: far below what a store takes as a key (kStoreKeyMost).
constexpr size_t kLongText = 1024;

// A text in a key. A long one is cut and told from others by its digest, behind a byte that no
// topic contains (1.5.4-2).
std::string shortened(std::string_view text) {
  if (text.size() <= kLongText) return std::string(text);
  const auto digest = net::sha256(net::as_bytes(text));
  std::string out(text.substr(0, kLongText - 1 - digest.size()));
  out.push_back('\0');
  return out.append(digest.begin(), digest.end());
}

enum EntryFlag : uint8_t { kRetain = 4, kReleased = 8, kSent = 16, kFree = 32, kInside = 64 };

}  // namespace

std::string schema_key() { return "V"; }
std::string session_key(uint32_t session) { return key('s', session, 4); }
std::string subscription_key(uint32_t session, std::string_view filter) {
  return key('u', session, 4) + shortened(filter);
}
std::string entry_key(uint32_t session, uint64_t sequence) {
  std::string out = key('q', session, 4);
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(sequence >> shift));
  return out;
}
std::string mark_key(uint32_t session) { return key('n', session, 4); }
std::string inbound_key(uint32_t session, uint16_t id) {
  std::string out = key('i', session, 4);
  out.push_back(static_cast<char>(id >> 8));
  out.push_back(static_cast<char>(id));
  return out;
}
std::string message_key(uint64_t number) { return key('m', number, 8); }
std::string retained_key(std::string_view topic) { return "r" + shortened(topic); }

void put64(net::Buffer& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(value >> shift));
}

std::optional<uint64_t> number_at(std::string_view key, size_t at, size_t bytes) {
  if (key.size() < at + bytes) return {};
  uint64_t value = 0;
  for (size_t i = at; i < at + bytes; ++i) value = value << 8 | static_cast<uint8_t>(key[i]);
  return value;
}

net::Buffer encode(const SessionValue& v) {
  Writer w;
  w.number(static_cast<uint8_t>(v.version), 1).number(v.connected ? 1 : 0, 1);
  w.number(v.expiry_s, 4).number(v.ends_s, 4).number(v.will_due_s, 4).number(v.will_delay_s, 4);
  w.bytes(net::as_bytes(v.client_id)).bytes(net::as_bytes(v.user)).bytes(v.will);
  return w.take();
}

bool decode(Bytes record, SessionValue& v) {
  Reader r(record);
  const auto version = r.number<uint8_t>();
  if (version != 4 && version != 5) return false;
  v.version = static_cast<Version>(version);
  v.connected = r.number<uint8_t>() != 0;
  v.expiry_s = r.number<uint32_t>();
  v.ends_s = r.number<uint32_t>();
  v.will_due_s = r.number<uint32_t>();
  v.will_delay_s = r.number<uint32_t>();
  v.client_id = net::as_text(r.bytes());
  v.user = net::as_text(r.bytes());
  v.will = r.bytes();
  return r.done();
}

net::Buffer encode(const SubscriptionOptions& o, uint32_t id, std::string_view filter) {
  Writer w;
  w.number(o.qos | (o.no_local ? 4 : 0) | (o.retain_as_published ? 8 : 0) | o.retain_handling << 4,
           1);
  w.number(id, 4);
  w.bytes(net::as_bytes(filter.size() > kLongText ? filter : std::string_view()));
  return w.take();
}

bool decode(std::string_view key, Bytes record, SubscriptionOptions& o, uint32_t& id,
            std::string& filter) {
  Reader r(record);
  const auto bits = r.number<uint8_t>();
  o.qos = bits & 3;
  o.no_local = (bits & 4) != 0;
  o.retain_as_published = (bits & 8) != 0;
  o.retain_handling = bits >> 4 & 3;
  id = r.number<uint32_t>();
  filter = net::as_text(r.bytes());
  if (filter.empty() && key.size() > 5) filter = key.substr(5);
  return r.done() && o.qos < 3 && !filter.empty();
}

net::Buffer encode(const EntryValue& v) {
  Writer w;
  w.number(v.qos | (v.retain ? kRetain : 0) | (v.released ? kReleased : 0) | (v.sent ? kSent : 0) |
               (v.free ? kFree : 0) | (v.message.empty() ? 0 : kInside),
           1);
  w.number(v.share, 4).number(v.ids.size(), 2);
  for (const uint32_t id : v.ids) w.number(id, 4);
  if (v.message.empty()) {
    w.number(v.number, 8);
  } else {
    w.bytes(v.message);
  }
  return w.take();
}

bool decode(Bytes record, EntryValue& v) {
  Reader r(record);
  const auto bits = r.number<uint8_t>();
  v.qos = bits & 3;
  v.retain = (bits & kRetain) != 0;
  v.released = (bits & kReleased) != 0;
  v.sent = (bits & kSent) != 0;
  v.free = (bits & kFree) != 0;
  v.share = r.number<uint32_t>();
  const auto ids = r.number<uint16_t>();
  v.ids.clear();
  for (uint16_t i = 0; i < ids && r.well(); ++i) v.ids.push_back(r.number<uint32_t>());
  v.message = {};
  v.number = 0;
  if ((bits & kInside) != 0) {
    v.message = r.bytes();
  } else {
    v.number = r.number<uint64_t>();
  }
  return r.done() && (v.qos == 1 || v.qos == 2);
}

}  // namespace culvert::mqtt::record
