#include "model/stun/message.h"

#include <algorithm>
#include <cstring>

#include "model/stun/wire.h"

namespace culvert::stun {
namespace {

using net::Bytes;
using net::Error;

constexpr uint16_t value_of(Type type) { return static_cast<uint16_t>(type); }

// The comprehension-required attributes that this room can read.
constexpr Type kKnownRequired[] = {
    Type::mapped_address,
    Type::change_request,
    Type::source_address,
    Type::changed_address,
    Type::username,
    Type::message_integrity,
    Type::error_code,
    Type::unknown_attributes,
    Type::reflected_from,
    Type::realm,
    Type::nonce,
    Type::message_integrity_sha256,
    Type::password_algorithm,
    Type::userhash,
    Type::xor_mapped_address,
    Type::priority,
    Type::use_candidate,
    Type::padding,
    Type::response_port,
};

net::Result<net::Endpoint> read_address(const Message& message, const Attribute& attribute,
                                        bool xored) {
  // Section 14.1: a byte to ignore, the family, the port, the address.
  const Bytes value = attribute.value;
  if (value.size() < 4) return {Error::invalid, "address attribute too short"};
  uint16_t port = wire::u16(value.data() + 2);
  if (xored) port ^= static_cast<uint16_t>(message.cookie >> 16);
  if (value[1] == 1 && value.size() == 8) {
    uint32_t ip = wire::u32(value.data() + 4);
    if (xored) ip ^= message.cookie;
    return net::Endpoint{net::IpAddress::v4(ip), port};
  }
  if (value[1] == 2 && value.size() == 20) {
    std::array<uint8_t, 16> ip;
    std::copy_n(value.data() + 4, 16, ip.begin());
    if (xored) {
      std::array<uint8_t, 16> mask;
      wire::put32(mask.data(), message.cookie);
      std::copy(message.id.begin(), message.id.end(), mask.begin() + 4);
      for (size_t i = 0; i < 16; ++i) ip[i] ^= mask[i];
    }
    return net::Endpoint{net::IpAddress::v6(ip), port};
  }
  return {Error::invalid, "address attribute with a wrong family or length"};
}

// What an integrity attribute covers: everything before it, with the header's length counting it
// as the last attribute (section 14.5).
net::Buffer covered(Bytes datagram, const Attribute& attribute) {
  net::Buffer bytes(datagram.begin(), datagram.begin() + attribute.offset);
  const size_t end = attribute.offset + 4 + wire::padded(attribute.value.size());
  wire::put16(bytes.data() + 2, static_cast<uint16_t>(end - kHeaderSize));
  return bytes;
}

}  // namespace

TransactionId random_id(net::Random& random) {
  TransactionId id;
  const uint64_t words[2] = {random.next(), random.next()};
  std::memcpy(id.data(), words, id.size());
  return id;
}

bool looks_like_stun(Bytes datagram, bool classic) {
  if (datagram.size() < kHeaderSize || datagram[0] > 3) return false;
  const size_t length = wire::u16(datagram.data() + 2);
  if (length % 4 != 0 || length + kHeaderSize != datagram.size()) return false;
  return classic || wire::u32(datagram.data() + 4) == kMagicCookie;
}

net::Result<Message> Message::parse(Bytes datagram) {
  if (datagram.size() < kHeaderSize) return {Error::invalid, "shorter than a STUN header"};
  if (datagram.size() > 0xFFFF) return {Error::invalid, "longer than a datagram can be"};
  const uint16_t type = wire::u16(datagram.data());
  if (type & 0xC000) return {Error::invalid, "not STUN: the first two bits are not zero"};
  const size_t length = wire::u16(datagram.data() + 2);
  if (length % 4 != 0) return {Error::invalid, "length is not a multiple of four"};
  if (length + kHeaderSize != datagram.size())
    return {Error::invalid, "length does not fit the datagram"};

  Message message;
  message.cls = static_cast<Class>(wire::class_of(type));
  message.method = wire::method_of(type);
  message.cookie = wire::u32(datagram.data() + 4);
  std::copy_n(datagram.data() + 8, message.id.size(), message.id.begin());
  message.datagram_ = datagram;

  // How far integrity has been seen: behind it only stronger protection still counts.
  bool after_sha1 = false, after_sha256 = false;
  size_t count = 0;
  for (size_t at = kHeaderSize; at < datagram.size();) {
    if (++count > kMaxAttributes) return {Error::invalid, "too many attributes"};
    Attribute attribute;  // the header fits: at and the size are multiples of four
    attribute.type = wire::u16(datagram.data() + at);
    attribute.offset = static_cast<uint16_t>(at);
    const size_t size = wire::u16(datagram.data() + at + 2);
    if (wire::padded(size) > datagram.size() - at - 4)
      return {Error::invalid, "an attribute reaches beyond the message"};
    attribute.value = datagram.subspan(at + 4, size);
    at += 4 + wire::padded(size);

    const bool is_fingerprint = attribute.type == value_of(Type::fingerprint);
    const bool is_sha256 = attribute.type == value_of(Type::message_integrity_sha256);
    if (is_fingerprint) {
      if (size != 4) return {Error::invalid, "FINGERPRINT of a wrong length"};
      if (at != datagram.size()) return {Error::invalid, "FINGERPRINT is not the last attribute"};
      const uint32_t crc = wire::crc32(datagram.first(attribute.offset)) ^ wire::kFingerprintXor;
      if (crc != wire::u32(attribute.value.data()))
        return {Error::invalid, "FINGERPRINT does not match"};
    } else if (after_sha256 || (after_sha1 && !is_sha256)) {
      continue;
    }
    after_sha1 = after_sha1 || attribute.type == value_of(Type::message_integrity);
    after_sha256 = after_sha256 || is_sha256;
    message.attributes.push_back(attribute);
  }
  return message;
}

const Attribute* Message::find(Type type) const {
  for (const Attribute& attribute : attributes)
    if (attribute.type == value_of(type)) return &attribute;
  return nullptr;
}

std::optional<net::Endpoint> Message::address(Type type) const {
  const Attribute* attribute = find(type);
  if (!attribute) return {};
  const bool xored = type == Type::xor_mapped_address || type == Type::xor_mapped_address_old;
  const auto endpoint = read_address(*this, *attribute, xored);
  if (!endpoint) return {};
  return *endpoint;
}

std::optional<net::Endpoint> Message::mapped() const {
  for (const Type type :
       {Type::xor_mapped_address, Type::xor_mapped_address_old, Type::mapped_address})
    if (const auto endpoint = address(type)) return endpoint;
  return {};
}

std::optional<Bytes> Message::bytes(Type type) const {
  const Attribute* attribute = find(type);
  if (!attribute) return {};
  return attribute->value;
}

std::optional<std::string_view> Message::text(Type type) const {
  const auto value = bytes(type);
  // Section 14.3, 14.9, 14.10, 14.14: 763 bytes is the longest that any text may have.
  if (!value || value->size() > 763) return {};
  return net::as_text(*value);
}

std::optional<uint32_t> Message::u32(Type type) const {
  const auto value = bytes(type);
  if (!value || value->size() != 4) return {};
  return wire::u32(value->data());
}

std::optional<uint64_t> Message::u64(Type type) const {
  const auto value = bytes(type);
  if (!value || value->size() != 8) return {};
  return wire::u64(value->data());
}

std::optional<ErrorCode> Message::error() const {
  const auto value = bytes(Type::error_code);
  if (!value || value->size() < 4) return {};
  const uint8_t hundreds = (*value)[2] & 7, rest = (*value)[3];
  if (hundreds < 3 || hundreds > 6 || rest > 99) return {};
  return ErrorCode{static_cast<uint16_t>(hundreds * 100 + rest), net::as_text(value->subspan(4))};
}

boost::container::static_vector<uint16_t, kMaxAttributes> Message::unknown_required() const {
  boost::container::static_vector<uint16_t, kMaxAttributes> unknown;
  for (const Attribute& attribute : attributes) {
    if (attribute.type >= 0x8000) continue;
    const bool known = std::any_of(std::begin(kKnownRequired), std::end(kKnownRequired),
                                   [&](Type type) { return value_of(type) == attribute.type; });
    const bool told = std::count(unknown.begin(), unknown.end(), attribute.type) > 0;
    if (!known && !told) unknown.push_back(attribute.type);
  }
  return unknown;
}

bool Message::integrity_ok(Bytes key) const {
  const Attribute* attribute = find(Type::message_integrity);
  if (!attribute || attribute->value.size() != 20) return false;
  return net::equal_in_constant_time(net::hmac_sha1(key, covered(datagram_, *attribute)),
                                     attribute->value);
}

bool Message::integrity_sha256_ok(Bytes key) const {
  const Attribute* attribute = find(Type::message_integrity_sha256);
  if (!attribute) return false;
  const size_t size = attribute->value.size();
  if (size < 16 || size > 32 || size % 4 != 0) return false;  // section 14.6
  const auto mac = net::hmac_sha256(key, covered(datagram_, *attribute));
  return net::equal_in_constant_time(Bytes(mac).first(size), attribute->value);
}

}  // namespace culvert::stun
