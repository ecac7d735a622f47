// Whole packets to values: all but CONNECT and CONNACK, which have their own file.
#include "model/mqtt/reader.h"
#include "model/mqtt/reason_sets.h"
#include "model/mqtt/text.h"
#include "model/mqtt/topic.h"

namespace culvert::mqtt {
namespace {

void clear(Publish& out) {
  out.dup = out.retain = false;
  out.qos = 0;
  out.packet_id = 0;
  out.topic = {};
  out.payload = {};
  out.topic_alias = 0;
  out.subscription_ids.clear();
  MessageProperties& p = out.properties;
  p.utf8_payload = false;
  p.expiry_s.reset();
  p.content_type = {};
  p.response_topic.reset();
  p.correlation_data.reset();
  p.user.clear();
}

const Fault* read_topic(Reader& body, std::string_view& out) {
  if (body.done()) return &fault::kTopicMissing;
  Bytes bytes;
  if (const Fault* f = body.binary(bytes)) return f;
  out = net::as_text(bytes);
  const TextScan scan = scan_text(out);
  if (!scan.well_formed) return &fault::kUtf8;
  if (scan.null) return &fault::kNull;
  return scan.wildcard ? &fault::kTopicWildcard : nullptr;
}

const Fault* read_publish_properties(Reader block, Side sender, Publish& out) {
  PropertyReader properties(block, place(Type::publish));
  Property property;
  while (!properties.done()) {
    if (const Fault* f = properties.next(property)) return f;
    bool taken = false;
    if (const Fault* f = take_message_property(property, out.properties, taken)) return f;
    if (taken) continue;
    if (property.id == PropertyId::topic_alias) {
      out.topic_alias = static_cast<uint16_t>(property.number);
    } else {
      if (sender == Side::client) return &fault::kIdentifierFromClient;
      out.subscription_ids.push_back(property.number);
    }
  }
  return nullptr;
}

const Fault* read_publish(uint8_t first, Reader body, Version version, Side sender, Publish& out) {
  out.dup = (first & 8) != 0;
  out.qos = first >> 1 & 3;
  out.retain = (first & 1) != 0;
  if (const Fault* f = read_topic(body, out.topic)) return f;
  if (out.qos > 0) {
    if (const Fault* f = body.u16(out.packet_id)) return f;
    if (out.packet_id == 0) return &fault::kPacketId0;
  }
  if (version == Version::v5) {
    Reader block;
    if (const Fault* f = body.properties(block, version)) return f;
    if (!block.done())
      if (const Fault* f = read_publish_properties(block, sender, out)) return f;
  }
  if (out.topic.empty() && out.topic_alias == 0) return &fault::kTopicEmpty;
  out.payload = body.rest();
  return nullptr;
}

// Of packets that have nothing but a reason string, a server reference and user properties.
struct Told {
  std::string_view* reason_string;
  Few<UserProperty>* user;
};
const Fault* read_told(Reader block, Type type, Told out) {
  PropertyReader properties(block, place(type));
  Property property;
  while (!properties.done()) {
    if (const Fault* f = properties.next(property)) return f;
    if (property.id == PropertyId::reason_string)
      *out.reason_string = property.text;
    else
      out.user->push_back({property.text, property.value});
  }
  return nullptr;
}

const Fault* ack_reason_fault(Type type) {
  switch (type) {
    case Type::puback:
      return &fault::kPubackReason;
    case Type::pubrec:
      return &fault::kPubrecReason;
    case Type::pubrel:
      return &fault::kPubrelReason;
    default:
      return &fault::kPubcompReason;
  }
}

const Fault* read_ack(Type type, Reader body, Version version, Ack& out) {
  out.type = type;
  if (const Fault* f = body.u16(out.packet_id)) return f;
  if (out.packet_id == 0) return &fault::kAckId0;
  if (body.done()) return nullptr;  // 3.4.2.1: success may be left out
  if (version == Version::v311) return &fault::kTrailing;
  uint8_t code = 0;
  body.u8(code);
  out.reason = static_cast<Reason>(code);
  const bool first_answer = type == Type::puback || type == Type::pubrec;
  if (!allowed(first_answer ? kPubackReasons : kPubrelReasons, out.reason))
    return ack_reason_fault(type);
  if (body.done()) return nullptr;  // 3.4.2.2.1: and so may the property length
  Reader block;
  if (const Fault* f = body.properties(block, version)) return f;
  if (const Fault* f = read_told(block, type, {&out.reason_string, &out.user})) return f;
  return body.done() ? nullptr : &fault::kTrailing;
}

// A filter's text is read; whether it is well formed as a filter.
const Fault* check_filter(std::string_view filter) {
  if (filter.empty()) return &fault::kFilterEmpty;
  if (valid_topic_filter(filter)) return nullptr;
  return filter.substr(0, 7) == "$share/" ? &fault::kFilterShare : &fault::kFilter;
}

const Fault* read_options(uint8_t byte, Version version, std::string_view filter,
                          SubscriptionOptions& out) {
  // 3.8.3.1; in 3.1.1 all but the QoS is reserved (MQTT-3-8.3-4 there).
  if (byte & (version == Version::v5 ? 0xC0 : 0xFC)) return &fault::kOptionsReserved;
  out.qos = byte & 3;
  out.no_local = (byte & 4) != 0;
  out.retain_as_published = (byte & 8) != 0;
  out.retain_handling = byte >> 4 & 3;
  if (out.qos == 3) return &fault::kOptionsQos3;
  if (out.retain_handling == 3) return &fault::kRetainHandling3;
  return out.no_local && shared(filter) ? &fault::kNoLocalShared : nullptr;
}

const Fault* read_subscribe(Reader body, Version version, Subscribe& out) {
  if (const Fault* f = body.u16(out.packet_id)) return f;
  if (out.packet_id == 0) return &fault::kPacketId0;
  Reader block;
  if (const Fault* f = body.properties(block, version)) return f;
  PropertyReader properties(block, place(Type::subscribe));
  Property property;
  while (!properties.done()) {
    if (const Fault* f = properties.next(property)) return f;
    if (property.id == PropertyId::subscription_identifier)
      out.subscription_id = property.number;
    else
      out.user.push_back({property.text, property.value});
  }
  if (body.done()) return &fault::kSubscribeEmpty;
  while (!body.done()) {
    Subscribe::Entry entry;
    uint8_t options = 0;
    if (const Fault* f = body.text(entry.filter)) return f;
    if (const Fault* f = check_filter(entry.filter)) return f;
    if (const Fault* f = body.u8(options)) return f;
    if (const Fault* f = read_options(options, version, entry.filter, entry.options)) return f;
    out.entries.push_back(entry);
  }
  return nullptr;
}

const Fault* read_unsubscribe(Reader body, Version version, Unsubscribe& out) {
  if (const Fault* f = body.u16(out.packet_id)) return f;
  if (out.packet_id == 0) return &fault::kPacketId0;
  Reader block;
  if (const Fault* f = body.properties(block, version)) return f;
  std::string_view no_reason;
  if (const Fault* f = read_told(block, Type::unsubscribe, {&no_reason, &out.user})) return f;
  if (body.done()) return &fault::kUnsubscribeEmpty;
  while (!body.done()) {
    std::string_view filter;
    if (const Fault* f = body.text(filter)) return f;
    if (const Fault* f = check_filter(filter)) return f;
    out.filters.push_back(filter);
  }
  return nullptr;
}

const Fault* read_suback(Type type, Reader body, Version version, SubAck& out) {
  out.type = type;
  if (const Fault* f = body.u16(out.packet_id)) return f;
  if (out.packet_id == 0) return &fault::kSubAckId0;
  Reader block;
  if (const Fault* f = body.properties(block, version)) return f;
  if (const Fault* f = read_told(block, type, {&out.reason_string, &out.user})) return f;
  const bool of_subscribe = type == Type::suback;
  if (version == Version::v311 && !of_subscribe)
    return body.done() ? nullptr : &fault::kTrailing;  // 3.1.1 section 3.11: no payload
  const ReasonSet& set = !of_subscribe            ? kUnsubackReasons
                         : version == Version::v5 ? kSubackReasons
                                                  : kSubackReasonsV311;
  if (body.done()) return &fault::kNoReasons;
  for (const uint8_t code : body.rest()) {
    const auto reason = static_cast<Reason>(code);
    if (!allowed(set, reason))
      return of_subscribe ? &fault::kSubackReason : &fault::kUnsubackReason;
    out.reasons.push_back(reason);
  }
  return nullptr;
}

const Fault* read_disconnect(Reader body, Version version, Side sender, Disconnect& out) {
  // 3.1.1 has no DISCONNECT from the server (3.14 there).
  if (version == Version::v311 && sender == Side::server) return &fault::kDirection;
  if (body.done()) return nullptr;  // 3.14.2.1: 0x00
  if (version == Version::v311) return &fault::kTrailing;
  uint8_t code = 0;
  body.u8(code);
  out.reason = static_cast<Reason>(code);
  if (!allowed(sender == Side::client ? kClientDisconnectReasons : kServerDisconnectReasons,
               out.reason))
    return &fault::kDisconnectReason;
  if (body.done()) return nullptr;  // 3.14.2.2.1: no property length
  Reader block;
  if (const Fault* f = body.properties(block, version)) return f;
  PropertyReader properties(block, place(Type::disconnect));
  Property property;
  while (!properties.done()) {
    if (const Fault* f = properties.next(property)) return f;
    switch (property.id) {
      case PropertyId::session_expiry_interval:
        if (sender == Side::server) return &fault::kExpiryFromServer;
        out.session_expiry_s = property.number;
        break;
      case PropertyId::reason_string:
        out.reason_string = property.text;
        break;
      case PropertyId::server_reference:
        if (sender == Side::client) return &fault::kPropertyPlace;  // 3.14.2.2.5
        out.server_reference = property.text;
        break;
      default:
        out.user.push_back({property.text, property.value});
    }
  }
  return body.done() ? nullptr : &fault::kTrailing;
}

const Fault* read_auth(Reader body, Version version, Side sender, Auth& out) {
  if (version == Version::v311) return &fault::kTypeV311;
  if (!body.done()) {  // 3.15.2.1: else success without properties
    uint8_t code = 0;
    body.u8(code);
    out.reason = static_cast<Reason>(code);
  }
  if (!allowed(sender == Side::client ? kClientAuthReasons : kServerAuthReasons, out.reason))
    return &fault::kAuthReason;
  if (body.done()) return out.reason == Reason::success ? nullptr : &fault::kNoProperties;
  Reader block;
  if (const Fault* f = body.properties(block, version)) return f;
  PropertyReader properties(block, place(Type::auth));
  Property property;
  while (!properties.done()) {
    if (const Fault* f = properties.next(property)) return f;
    switch (property.id) {
      case PropertyId::authentication_method:
        out.authentication_method = property.text;
        break;
      case PropertyId::authentication_data:
        out.authentication_data = property.data;
        break;
      case PropertyId::reason_string:
        out.reason_string = property.text;
        break;
      default:
        out.user.push_back({property.text, property.value});
    }
  }
  if (!body.done()) return &fault::kTrailing;
  return out.authentication_method ? nullptr : &fault::kAuthMethodMissing;
}

const Fault* read_any(uint8_t first, bool padded, Reader body, Version version, Side sender,
                      Packet& out) {
  const auto type = static_cast<Type>(first >> 4);
  if (type == Type::connect) return decode_connect(body, padded, out.emplace<Connect>());
  if (padded && version == Version::v5) return &fault::kVarintPadded;
  switch (type) {
    case Type::connack:
      return decode_connack(body, version, out.emplace<ConnAck>());
    case Type::publish:
      return read_publish(first, body, version, sender, out.emplace<Publish>());
    case Type::puback:
    case Type::pubrec:
    case Type::pubrel:
    case Type::pubcomp:
      return read_ack(type, body, version, out.emplace<Ack>());
    case Type::subscribe:
      return read_subscribe(body, version, out.emplace<Subscribe>());
    case Type::suback:
    case Type::unsuback:
      return read_suback(type, body, version, out.emplace<SubAck>());
    case Type::unsubscribe:
      return read_unsubscribe(body, version, out.emplace<Unsubscribe>());
    case Type::pingreq:
    case Type::pingresp:
      out.emplace<Ping>().type = type;
      return body.done() ? nullptr : &fault::kTrailing;
    case Type::disconnect:
      return read_disconnect(body, version, sender, out.emplace<Disconnect>());
    case Type::auth:
      return read_auth(body, version, sender, out.emplace<Auth>());
    default:
      return &fault::kType;
  }
}

}  // namespace

std::variant<Packet, Fault> decode(Bytes packet, Version version, Side sender) {
  std::variant<Packet, Fault> result;
  uint8_t first = 0;
  bool padded = false;
  Reader body;
  const Fault* f = packet.empty() ? &fault::kCut : check_first_byte(packet[0], sender);
  if (!f) f = open_packet(packet, first, padded, body);
  if (!f) f = read_any(first, padded, body, version, sender, std::get<Packet>(result));
  if (f) result = *f;
  return result;
}

const Fault* decode_publish(Bytes packet, Version version, Publish& out, Fault& fault,
                            Side sender) {
  clear(out);
  uint8_t first = 0;
  bool padded = false;
  Reader body;
  const Fault* f = packet.empty() ? &fault::kCut : check_first_byte(packet[0], sender);
  if (!f) f = open_packet(packet, first, padded, body);
  if (!f && first >> 4 != static_cast<uint8_t>(Type::publish)) f = &fault::kType;
  if (!f && padded && version == Version::v5) f = &fault::kVarintPadded;
  if (!f) f = read_publish(first, body, version, sender, out);
  if (!f) return nullptr;
  fault = *f;
  return &fault;
}

}  // namespace culvert::mqtt
