#include "model/mqtt/reader.h"
#include "model/mqtt/text.h"
#include "model/mqtt/topic.h"

namespace culvert::mqtt {
namespace {

enum class Kind : uint8_t { none, flag, byte, u16, u32, varint, text, binary, pair };

struct Row {
  PropertyId id;
  Kind kind;
  uint32_t places;
  bool many = false;
};

constexpr uint32_t kConnect = place(Type::connect), kConnack = place(Type::connack),
                   kPublish = place(Type::publish), kSubscribe = place(Type::subscribe),
                   kDisconnect = place(Type::disconnect), kAuth = place(Type::auth),
                   kAcks = place(Type::puback) | place(Type::pubrec) | place(Type::pubrel) |
                           place(Type::pubcomp) | place(Type::suback) | place(Type::unsuback),
                   kUnsubscribe = place(Type::unsubscribe);
constexpr uint32_t kMessage = kPublish | kPlaceWill;
constexpr uint32_t kEverywhere = kConnect | kConnack | kPublish | kPlaceWill | kAcks | kSubscribe |
                                 kUnsubscribe | kDisconnect | kAuth;

// Section 2.2.2.2, table 2-4.
constexpr Row kRows[] = {
    {PropertyId::payload_format_indicator, Kind::flag, kMessage},
    {PropertyId::message_expiry_interval, Kind::u32, kMessage},
    {PropertyId::content_type, Kind::text, kMessage},
    {PropertyId::response_topic, Kind::text, kMessage},
    {PropertyId::correlation_data, Kind::binary, kMessage},
    // Twice only in a server's PUBLISH (3.3.2.3.8); decode_publish knows the sender.
    {PropertyId::subscription_identifier, Kind::varint, kPublish | kSubscribe},
    {PropertyId::session_expiry_interval, Kind::u32, kConnect | kConnack | kDisconnect},
    {PropertyId::assigned_client_identifier, Kind::text, kConnack},
    {PropertyId::server_keep_alive, Kind::u16, kConnack},
    {PropertyId::authentication_method, Kind::text, kConnect | kConnack | kAuth},
    {PropertyId::authentication_data, Kind::binary, kConnect | kConnack | kAuth},
    {PropertyId::request_problem_information, Kind::flag, kConnect},
    {PropertyId::will_delay_interval, Kind::u32, kPlaceWill},
    {PropertyId::request_response_information, Kind::flag, kConnect},
    {PropertyId::response_information, Kind::text, kConnack},
    {PropertyId::server_reference, Kind::text, kConnack | kDisconnect},
    {PropertyId::reason_string, Kind::text, kConnack | kAcks | kDisconnect | kAuth},
    {PropertyId::receive_maximum, Kind::u16, kConnect | kConnack},
    {PropertyId::topic_alias_maximum, Kind::u16, kConnect | kConnack},
    {PropertyId::topic_alias, Kind::u16, kPublish},
    {PropertyId::maximum_qos, Kind::flag, kConnack},
    {PropertyId::retain_available, Kind::flag, kConnack},
    {PropertyId::user_property, Kind::pair, kEverywhere, true},
    {PropertyId::maximum_packet_size, Kind::u32, kConnect | kConnack},
    {PropertyId::wildcard_subscription_available, Kind::flag, kConnack},
    {PropertyId::subscription_identifier_available, Kind::flag, kConnack},
    {PropertyId::shared_subscription_available, Kind::flag, kConnack},
};
constexpr size_t kIds = 0x2B;  // one above the highest

struct ById {
  Kind kind[kIds] = {};
  uint32_t places[kIds] = {};
  bool many[kIds] = {};
};
constexpr ById index_rows() {
  ById all;
  for (const Row& row : kRows) {
    const auto id = static_cast<size_t>(row.id);
    all.kind[id] = row.kind;
    all.places[id] = row.places;
    all.many[id] = row.many;
  }
  return all;
}
constexpr ById kById = index_rows();

// What may not be 0 (3.1.2.11.3, 3.1.2.11.4, 3.3.2.3.4, 3.8.2.1.2).
const Fault* check_not_zero(PropertyId id) {
  switch (id) {
    case PropertyId::receive_maximum:
      return &fault::kReceiveMaximum0;
    case PropertyId::maximum_packet_size:
      return &fault::kMaximumPacketSize0;
    case PropertyId::topic_alias:
      return &fault::kTopicAlias0;
    case PropertyId::subscription_identifier:
      return &fault::kSubscriptionId0;
    default:
      return nullptr;
  }
}

const Fault* read_value(Reader& block, Kind kind, Property& out) {
  uint8_t byte = 0;
  uint16_t word = 0;
  switch (kind) {
    case Kind::flag:
    case Kind::byte:
      if (const Fault* f = block.u8(byte)) return f;
      out.number = byte;
      return kind == Kind::flag && byte > 1 ? &fault::kPropertyFlag : nullptr;
    case Kind::u16:
      if (const Fault* f = block.u16(word)) return f;
      out.number = word;
      break;
    case Kind::u32:
      if (const Fault* f = block.u32(out.number)) return f;
      break;
    case Kind::varint:
      if (const Fault* f = block.varint(out.number)) return f;
      break;
    case Kind::text:
      return block.text(out.text);
    case Kind::binary:
      return block.binary(out.data);
    case Kind::pair: {
      const Fault* f = block.text(out.text);
      if (!f) f = block.text(out.value);
      return f == &fault::kUtf8 || f == &fault::kNull ? &fault::kPair : f;
    }
    case Kind::none:
      return &fault::kPropertyUnknown;
  }
  return out.number == 0 ? check_not_zero(out.id) : nullptr;
}

}  // namespace

const Fault* Reader::varint(uint32_t& out) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    uint8_t byte = 0;
    if (const Fault* f = u8(byte)) return f;
    value |= static_cast<uint32_t>(byte & 0x7F) << (7 * i);
    if (byte & 0x80) continue;
    if (i > 0 && byte == 0) return &fault::kVarintPadded;
    out = value;
    return nullptr;
  }
  return &fault::kVarintLong;
}

const Fault* Reader::text(std::string_view& out) {
  Bytes bytes;
  if (const Fault* f = binary(bytes)) return f;
  out = net::as_text(bytes);
  const TextScan scan = scan_text(out);
  if (!scan.well_formed) return &fault::kUtf8;
  return scan.null ? &fault::kNull : nullptr;
}

const Fault* Reader::properties(Reader& out, Version version) {
  out = Reader();
  if (version != Version::v5) return nullptr;
  if (done()) return &fault::kNoProperties;
  uint32_t length = 0;
  if (const Fault* f = varint(length)) return f;
  if (length > left()) return &fault::kPropertyLength;
  Bytes block;
  take(length, block);
  out = Reader(block);
  return nullptr;
}

const Fault* PropertyReader::next(Property& out) {
  uint32_t id = 0;
  if (const Fault* f = block_.varint(id)) return f == &fault::kCut ? &fault::kPropertyLength : f;
  if (id >= kIds || kById.kind[id] == Kind::none) return &fault::kPropertyUnknown;
  if ((kById.places[id] & place_) == 0) return &fault::kPropertyPlace;
  out.id = static_cast<PropertyId>(id);
  const uint64_t bit = 1ull << id;
  const bool many = kById.many[id] || (out.id == PropertyId::subscription_identifier &&
                                       place_ == place(Type::publish));
  if ((seen_ & bit) != 0 && !many) return &fault::kPropertyTwice;
  seen_ |= bit;
  const Fault* f = read_value(block_, kById.kind[id], out);
  return f == &fault::kCut ? &fault::kPropertyLength : f;
}

const Fault* take_message_property(const Property& property, MessageProperties& out, bool& taken) {
  taken = true;
  switch (property.id) {
    case PropertyId::payload_format_indicator:
      out.utf8_payload = property.number == 1;
      return nullptr;
    case PropertyId::message_expiry_interval:
      out.expiry_s = property.number;
      return nullptr;
    case PropertyId::content_type:
      out.content_type = property.text;
      return nullptr;
    case PropertyId::response_topic:
      if (!valid_topic_name(property.text)) return &fault::kResponseTopic;
      out.response_topic = property.text;
      return nullptr;
    case PropertyId::correlation_data:
      out.correlation_data = property.data;
      return nullptr;
    case PropertyId::user_property:
      out.user.push_back({property.text, property.value});
      return nullptr;
    default:
      taken = false;
      return nullptr;
  }
}

}  // namespace culvert::mqtt
