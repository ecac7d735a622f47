// CONNECT and CONNACK (3.1, 3.2).
#include "model/mqtt/reader.h"
#include "model/mqtt/reason_sets.h"
#include "model/mqtt/topic.h"

namespace culvert::mqtt {
namespace {

// Connect flags, section 3.1.2.3.
constexpr uint8_t kReserved = 0x01, kCleanStart = 0x02, kWill = 0x04, kWillRetain = 0x20,
                  kPassword = 0x40, kUserName = 0x80;
constexpr uint8_t will_qos(uint8_t flags) { return flags >> 3 & 3; }

const Fault* check_flags(uint8_t flags, Version version) {
  if (flags & kReserved) return &fault::kConnectReserved;
  if (flags & kWill) {
    if (will_qos(flags) == 3) return &fault::kWillQos3;
  } else {
    if (will_qos(flags) != 0) return &fault::kWillQosAlone;
    if (flags & kWillRetain) return &fault::kWillRetainAlone;
  }
  // 3.1.1 section 3.1.2.9, MQTT-3.1.2-22 there.
  if (version == Version::v311 && (flags & kPassword) && !(flags & kUserName))
    return &fault::kPasswordAlone;
  return nullptr;
}

const Fault* read_connect_properties(Reader block, Connect& out) {
  PropertyReader properties(block, place(Type::connect));
  Property property;
  while (!properties.done()) {
    if (const Fault* f = properties.next(property)) return f;
    switch (property.id) {
      case PropertyId::session_expiry_interval:
        out.session_expiry_s = property.number;
        break;
      case PropertyId::receive_maximum:
        out.receive_maximum = static_cast<uint16_t>(property.number);
        break;
      case PropertyId::maximum_packet_size:
        out.maximum_packet_size = property.number;
        break;
      case PropertyId::topic_alias_maximum:
        out.topic_alias_maximum = static_cast<uint16_t>(property.number);
        break;
      case PropertyId::request_response_information:
        out.request_response_information = property.number == 1;
        break;
      case PropertyId::request_problem_information:
        out.request_problem_information = property.number == 1;
        break;
      case PropertyId::authentication_method:
        out.authentication_method = property.text;
        break;
      case PropertyId::authentication_data:
        out.authentication_data = property.data;
        break;
      default:
        out.user.push_back({property.text, property.value});
    }
  }
  return out.authentication_data && !out.authentication_method ? &fault::kAuthDataAlone : nullptr;
}

const Fault* read_will(Reader& body, uint8_t flags, Version version, Will& out) {
  out.qos = will_qos(flags);
  out.retain = (flags & kWillRetain) != 0;
  if (body.done()) return &fault::kWillMissing;
  Reader block;
  if (const Fault* f = body.properties(block, version)) return f;
  PropertyReader properties(block, kPlaceWill);
  Property property;
  while (!properties.done()) {
    if (const Fault* f = properties.next(property)) return f;
    bool taken = false;
    if (const Fault* f = take_message_property(property, out.properties, taken)) return f;
    if (!taken) out.delay_s = property.number;  // the only other one there
  }
  if (body.done()) return &fault::kWillMissing;
  if (const Fault* f = body.text(out.topic)) return f;
  if (!valid_topic_name(out.topic)) return &fault::kWillTopic;
  if (body.done()) return &fault::kWillMissing;
  return body.binary(out.payload);
}

}  // namespace

const Fault* decode_connect(Reader body, bool padded, Connect& out) {
  Bytes name;
  if (body.binary(name) || net::as_text(name) != "MQTT") return &fault::kProtocolName;
  uint8_t level = 0, flags = 0;
  if (const Fault* f = body.u8(level)) return f;
  if (level != 4 && level != 5) return &fault::kProtocolLevel;
  out.version = static_cast<Version>(level);
  if (padded && out.version == Version::v5) return &fault::kVarintPadded;
  if (const Fault* f = body.u8(flags)) return f;
  if (const Fault* f = check_flags(flags, out.version)) return f;
  out.clean_start = (flags & kCleanStart) != 0;
  if (const Fault* f = body.u16(out.keep_alive_s)) return f;

  Reader block;
  if (const Fault* f = body.properties(block, out.version)) return f;
  if (const Fault* f = read_connect_properties(block, out)) return f;

  if (body.done()) return &fault::kClientIdMissing;
  if (const Fault* f = body.text(out.client_id)) return f;
  if (flags & kWill) {
    if (const Fault* f = read_will(body, flags, out.version, out.will.emplace())) return f;
  }
  if (flags & kUserName) {
    if (body.done()) return &fault::kUserNameMissing;
    if (const Fault* f = body.text(out.user_name.emplace())) return f;
  }
  if (flags & kPassword) {
    if (body.done()) return &fault::kPasswordMissing;
    if (const Fault* f = body.binary(out.password.emplace())) return f;
  }
  if (!body.done()) return &fault::kTrailing;
  // Last, so that an otherwise malformed packet is called that. 3.1.1 section 3.1.3.1.
  if (out.version == Version::v311 && out.client_id.empty() && !out.clean_start)
    return &fault::kClientIdEmpty;
  return nullptr;
}

namespace {

const Fault* read_connack_properties(Reader block, ConnAck& out) {
  PropertyReader properties(block, place(Type::connack));
  Property property;
  while (!properties.done()) {
    if (const Fault* f = properties.next(property)) return f;
    const bool yes = property.number == 1;
    switch (property.id) {
      case PropertyId::session_expiry_interval:
        out.session_expiry_s = property.number;
        break;
      case PropertyId::receive_maximum:
        out.receive_maximum = static_cast<uint16_t>(property.number);
        break;
      case PropertyId::maximum_qos:
        out.maximum_qos = static_cast<uint8_t>(property.number);
        break;
      case PropertyId::retain_available:
        out.retain_available = yes;
        break;
      case PropertyId::maximum_packet_size:
        out.maximum_packet_size = property.number;
        break;
      case PropertyId::assigned_client_identifier:
        out.assigned_client_id = property.text;
        break;
      case PropertyId::topic_alias_maximum:
        out.topic_alias_maximum = static_cast<uint16_t>(property.number);
        break;
      case PropertyId::reason_string:
        out.reason_string = property.text;
        break;
      case PropertyId::wildcard_subscription_available:
        out.wildcards_available = yes;
        break;
      case PropertyId::subscription_identifier_available:
        out.subscription_ids_available = yes;
        break;
      case PropertyId::shared_subscription_available:
        out.shared_available = yes;
        break;
      case PropertyId::server_keep_alive:
        out.server_keep_alive_s = static_cast<uint16_t>(property.number);
        break;
      case PropertyId::response_information:
        out.response_information = property.text;
        break;
      case PropertyId::server_reference:
        out.server_reference = property.text;
        break;
      case PropertyId::authentication_method:
        out.authentication_method = property.text;
        break;
      case PropertyId::authentication_data:
        out.authentication_data = property.data;
        break;
      default:
        out.user.push_back({property.text, property.value});
    }
  }
  return out.authentication_data && !out.authentication_method ? &fault::kAuthDataAlone : nullptr;
}

}  // namespace

const Fault* decode_connack(Reader body, Version version, ConnAck& out) {
  uint8_t flags = 0, code = 0;
  if (const Fault* f = body.u8(flags)) return f;
  if (flags & 0xFE) return &fault::kConnackFlags;
  if (const Fault* f = body.u8(code)) return f;
  out.session_present = (flags & 1) != 0;
  if (version == Version::v311) {
    if (code > 5) return &fault::kConnackReason;
    out.reason = reason_of_connack_v311(code);
  } else {
    out.reason = static_cast<Reason>(code);
    if (!allowed(kConnackReasons, out.reason)) return &fault::kConnackReason;
  }
  if (out.session_present && out.reason != Reason::success) return &fault::kSessionPresent;
  Reader block;
  if (const Fault* f = body.properties(block, version)) return f;
  if (const Fault* f = read_connack_properties(block, out)) return f;
  return body.done() ? nullptr : &fault::kTrailing;
}

}  // namespace culvert::mqtt
