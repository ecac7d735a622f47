// A cursor over a packet's bytes that never leaves them, and the properties of MQTT 5.0 (2.2.2).
// What the decoders share. Stands on fault_table.h.
#pragma once

#include "model/mqtt/fault_table.h"

namespace culvert::mqtt {

// Each read returns null and advances, or the fault.
class Reader {
 public:
  Reader() = default;
  explicit Reader(Bytes bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  bool done() const { return at_ == end_; }
  size_t left() const { return static_cast<size_t>(end_ - at_); }
  Bytes rest() const { return {at_, left()}; }

  const Fault* u8(uint8_t& out) {
    if (left() < 1) return &fault::kCut;
    out = *at_++;
    return nullptr;
  }
  const Fault* u16(uint16_t& out) {
    if (left() < 2) return &fault::kCut;
    out = static_cast<uint16_t>(at_[0] << 8 | at_[1]);
    at_ += 2;
    return nullptr;
  }
  const Fault* u32(uint32_t& out) {
    if (left() < 4) return &fault::kCut;
    out = static_cast<uint32_t>(at_[0]) << 24 | static_cast<uint32_t>(at_[1]) << 16 |
          static_cast<uint32_t>(at_[2]) << 8 | at_[3];
    at_ += 4;
    return nullptr;
  }
  const Fault* take(size_t count, Bytes& out) {
    if (left() < count) return &fault::kCut;
    out = {at_, count};
    at_ += count;
    return nullptr;
  }
  const Fault* binary(Bytes& out) {
    uint16_t length = 0;
    if (const Fault* f = u16(length)) return f;
    return take(length, out);
  }
  const Fault* varint(uint32_t& out);                     // 1.5.5
  const Fault* text(std::string_view& out);               // 1.5.4
  const Fault* properties(Reader& out, Version version);  // their block; empty in 3.1.1

 private:
  const uint8_t* at_ = nullptr;
  const uint8_t* end_ = nullptr;
};

// Property identifiers, table 2-4.
enum class PropertyId : uint8_t {
  payload_format_indicator = 0x01,
  message_expiry_interval = 0x02,
  content_type = 0x03,
  response_topic = 0x08,
  correlation_data = 0x09,
  subscription_identifier = 0x0B,
  session_expiry_interval = 0x11,
  assigned_client_identifier = 0x12,
  server_keep_alive = 0x13,
  authentication_method = 0x15,
  authentication_data = 0x16,
  request_problem_information = 0x17,
  will_delay_interval = 0x18,
  request_response_information = 0x19,
  response_information = 0x1A,
  server_reference = 0x1C,
  reason_string = 0x1F,
  receive_maximum = 0x21,
  topic_alias_maximum = 0x22,
  topic_alias = 0x23,
  maximum_qos = 0x24,
  retain_available = 0x25,
  user_property = 0x26,
  maximum_packet_size = 0x27,
  wildcard_subscription_available = 0x28,
  subscription_identifier_available = 0x29,
  shared_subscription_available = 0x2A,
};

// Where properties stand: in a packet, or in a CONNECT's will.
constexpr uint32_t place(Type type) { return 1u << static_cast<uint8_t>(type); }
constexpr uint32_t kPlaceWill = 1u;

struct Property {
  PropertyId id{};
  uint32_t number = 0;           // of bytes, integers and variable byte integers
  Bytes data;                    // of binary data
  std::string_view text, value;  // of strings; of pairs both
};

// The properties of a block one after the other, checked against table 2-4: allowed here, not
// twice, of their type, in their range.
class PropertyReader {
 public:
  PropertyReader(Reader block, uint32_t place) : block_(block), place_(place) {}
  bool done() const { return block_.done(); }
  const Fault* next(Property& out);

 private:
  Reader block_;
  uint32_t place_;
  uint64_t seen_ = 0;
};

// One property of a message; false: it is none of those.
const Fault* take_message_property(const Property& property, MessageProperties& out, bool& taken);

// The fixed header's first byte: type and flags (2.1.2, 2.1.3), and who may send it.
const Fault* check_first_byte(uint8_t byte, Side sender);
// Cuts a whole packet into type, flags and what follows the fixed header.
const Fault* open_packet(Bytes packet, uint8_t& first, bool& padded, Reader& body);

const Fault* decode_connect(Reader body, bool padded, Connect& out);
const Fault* decode_connack(Reader body, Version version, ConnAck& out);

}  // namespace culvert::mqtt
