// Appends a packet's fields to a buffer; what the encoders share. Stands on reader.h for the
// property identifiers.
#pragma once

#include <algorithm>
#include <cstring>

#include "model/mqtt/reader.h"

namespace culvert::mqtt {

constexpr size_t kLongestField = 65535;           // 1.5.4, 1.5.6: the length is two bytes
constexpr uint32_t kLongestVarint = 268'435'455;  // 1.5.5

// Makes room for `more` bytes without growing in small steps.
inline void make_room(net::Buffer& out, size_t more) {
  const size_t need = out.size() + more;
  if (out.capacity() < need) out.reserve(std::max(need, 2 * out.capacity()));
}

// Writes where the room is known to suffice.
struct RawWriter {
  uint8_t* at;
  void u8(uint8_t value) { *at++ = value; }
  void u16(uint16_t value) {
    at[0] = static_cast<uint8_t>(value >> 8);
    at[1] = static_cast<uint8_t>(value);
    at += 2;
  }
  void u32(uint32_t value) {
    u16(static_cast<uint16_t>(value >> 16));
    u16(static_cast<uint16_t>(value));
  }
  void varint(uint32_t value) {
    while (value >= 0x80) {
      u8(static_cast<uint8_t>(value | 0x80));
      value >>= 7;
    }
    u8(static_cast<uint8_t>(value));
  }
  void field(Bytes bytes) {
    u16(static_cast<uint16_t>(bytes.size()));
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
    at += bytes.size();
  }
  void field(std::string_view text) { field(net::as_bytes(text)); }
  void id(PropertyId value) { u8(static_cast<uint8_t>(value)); }
};

// A packet of whatever length: the lengths in front are filled in when their end is known.
class PacketWriter {
 public:
  PacketWriter(net::Buffer& out, uint8_t first, Version version)
      : out_(out), version_(version), start_(out.size()) {
    u8(first);
    open();
  }
  // Ends the packet; too_big leaves the buffer as it was.
  net::Status finish();

  void u8(uint8_t value) { out_.push_back(value); }
  void u16(uint16_t value) {
    u8(static_cast<uint8_t>(value >> 8));
    u8(static_cast<uint8_t>(value));
  }
  void u32(uint32_t value) {
    u16(static_cast<uint16_t>(value >> 16));
    u16(static_cast<uint16_t>(value));
  }
  void field(Bytes bytes) {
    if (bytes.size() > kLongestField) {
      too_big_ = true;
      return;
    }
    u16(static_cast<uint16_t>(bytes.size()));
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }
  void field(std::string_view text) { field(net::as_bytes(text)); }

  // Properties go between these two; in 3.1.1 nothing is written. Not nested.
  void open_properties() {
    if (version_ == Version::v5) open();
  }
  void close_properties() {
    if (version_ == Version::v5) close();
  }
  bool has_properties() const { return version_ == Version::v5; }

  void property(PropertyId id, uint8_t value) {
    if (wanted(id)) u8(value);
  }
  void property(PropertyId id, uint16_t value) {
    if (wanted(id)) u16(value);
  }
  void property(PropertyId id, uint32_t value) {
    if (wanted(id)) u32(value);
  }
  void property(PropertyId id, std::string_view value) {
    if (wanted(id)) field(value);
  }
  void property(PropertyId id, Bytes value) {
    if (wanted(id)) field(value);
  }
  void varint_property(PropertyId id, uint32_t value) {
    if (wanted(id)) append_varint(value, out_);
  }
  template <class T>
  void property(PropertyId id, const std::optional<T>& value) {
    if (value) property(id, *value);
  }
  void text_property(PropertyId id, std::string_view value) {
    if (!value.empty()) property(id, value);
  }
  void user(const Few<UserProperty>& all) {
    for (const UserProperty& one : all) {
      property(PropertyId::user_property, one.name);
      if (has_properties()) field(one.value);
    }
  }
  void message(const MessageProperties& properties);

 private:
  bool wanted(PropertyId id) {
    if (version_ != Version::v5) return false;
    u8(static_cast<uint8_t>(id));
    return true;
  }
  // A length of one byte for now; close() makes room if it needs more.
  void open() {
    open_[depth_++] = out_.size();
    u8(0);
  }
  void close();

  net::Buffer& out_;
  Version version_;
  size_t start_;
  size_t open_[2] = {};
  size_t depth_ = 0;
  bool too_big_ = false;
};

net::Status encode_connect(const Connect& packet, net::Buffer& out);
net::Status encode_connack(const ConnAck& packet, Version version, net::Buffer& out);

}  // namespace culvert::mqtt
