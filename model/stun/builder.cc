#include <algorithm>

#include "model/net/crypto.h"
#include "model/stun/message.h"
#include "model/stun/wire.h"

namespace culvert::stun {
namespace wire {

uint32_t crc32(net::Bytes data) {
  static constexpr auto kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t n = 0; n < 256; ++n) {
      uint32_t c = n;
      for (int bit = 0; bit < 8; ++bit) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
      table[n] = c;
    }
    return table;
  }();
  uint32_t crc = 0xFFFFFFFFu;
  for (const uint8_t byte : data) crc = kTable[(crc ^ byte) & 0xFF] ^ (crc >> 8);
  return crc ^ 0xFFFFFFFFu;
}

}  // namespace wire

namespace {

constexpr size_t kMaxBody = 65000;      // leaves room for IP and UDP headers in 64 KB
constexpr size_t kFingerprintSize = 8;  // header and CRC

}  // namespace

Builder::Builder(Class cls, const TransactionId& id, uint16_t method, uint32_t cookie)
    : out_(kHeaderSize) {
  out_.reserve(128);
  wire::put16(out_.data(), wire::type_of(method, static_cast<uint8_t>(cls)));
  wire::put32(out_.data() + 4, cookie);
  std::copy(id.begin(), id.end(), out_.begin() + 8);
}

Builder Builder::reply(Class cls, const Message& request) {
  return Builder(cls, request.id, request.method, request.cookie);
}

void Builder::set_length(size_t body) { wire::put16(out_.data() + 2, static_cast<uint16_t>(body)); }

Builder& Builder::bytes(Type type, net::Bytes value) {
  const size_t at = out_.size();
  if (at + 4 + wire::padded(value.size()) > kMaxBody) return *this;
  out_.resize(at + 4 + wire::padded(value.size()));
  wire::put16(out_.data() + at, static_cast<uint16_t>(type));
  wire::put16(out_.data() + at + 2, static_cast<uint16_t>(value.size()));
  std::copy(value.begin(), value.end(), out_.begin() + at + 4);
  set_length(out_.size() - kHeaderSize);
  return *this;
}

Builder& Builder::text(Type type, std::string_view value) {
  if (wire::u32(out_.data() + 4) == kMagicCookie) return bytes(type, net::as_bytes(value));
  // RFC 3489 knows no padding: its texts fill whole words themselves.
  std::string whole(value);
  whole.resize(wire::padded(whole.size()), ' ');
  return bytes(type, net::as_bytes(whole));
}

Builder& Builder::u32(Type type, uint32_t value) {
  uint8_t raw[4];
  wire::put32(raw, value);
  return bytes(type, raw);
}

Builder& Builder::u64(Type type, uint64_t value) {
  uint8_t raw[8];
  wire::put32(raw, static_cast<uint32_t>(value >> 32));
  wire::put32(raw + 4, static_cast<uint32_t>(value));
  return bytes(type, raw);
}

Builder& Builder::address(Type type, const net::Endpoint& endpoint) {
  uint8_t raw[20] = {0, static_cast<uint8_t>(endpoint.ip.is_v6() ? 2 : 1)};
  wire::put16(raw + 2, endpoint.port);
  const size_t size = endpoint.ip.is_v6() ? 16 : 4;
  std::copy_n(endpoint.ip.bytes().begin(), size, raw + 4);
  return bytes(type, net::Bytes(raw, 4 + size));
}

Builder& Builder::xor_address(Type type, const net::Endpoint& endpoint) {
  // The mask is what stands in the header from the cookie on (section 14.2).
  const uint8_t* mask = out_.data() + 4;
  uint8_t raw[20] = {0, static_cast<uint8_t>(endpoint.ip.is_v6() ? 2 : 1)};
  wire::put16(raw + 2, static_cast<uint16_t>(endpoint.port ^ wire::u16(mask)));
  const size_t size = endpoint.ip.is_v6() ? 16 : 4;
  for (size_t i = 0; i < size; ++i) raw[4 + i] = endpoint.ip.bytes()[i] ^ mask[i];
  return bytes(type, net::Bytes(raw, 4 + size));
}

Builder& Builder::error(uint16_t code, std::string_view reason) {
  std::string value{'\0', '\0', static_cast<char>(code / 100), static_cast<char>(code % 100)};
  value += reason.substr(0, 508);  // section 14.8: fewer than 128 characters, 509 bytes
  return text(Type::error_code, value);
}

Builder& Builder::unknown(boost::span<const uint16_t> types) {
  net::Buffer raw(types.size() * 2);
  for (size_t i = 0; i < types.size(); ++i) wire::put16(raw.data() + i * 2, types[i]);
  // RFC 3489 section 11.2.10: an odd list repeats its last type to fill the word.
  if (types.size() % 2 && wire::u32(out_.data() + 4) != kMagicCookie)
    raw.insert(raw.end(), raw.end() - 2, raw.end());
  return bytes(Type::unknown_attributes, raw);
}

Builder& Builder::change_request(bool ip, bool port) {
  return u32(Type::change_request, (ip ? 4u : 0u) | (port ? 2u : 0u));
}

Builder& Builder::response_port(uint16_t port) {
  return u32(Type::response_port, static_cast<uint32_t>(port) << 16);
}

Builder& Builder::padding(size_t size) {
  return bytes(Type::padding, net::Buffer(std::min(size, kMaxBody)));
}

Builder& Builder::pad_to(size_t size) {
  const size_t without = out_.size() + kFingerprintSize;
  if (size <= without) return *this;
  const size_t missing = size - without;
  return bytes(Type::filler, net::Buffer(missing > 4 ? wire::padded(missing - 4) : 0));
}

Builder& Builder::integrity(net::Bytes key) {
  set_length(out_.size() - kHeaderSize + 4 + 20);
  return bytes(Type::message_integrity, net::hmac_sha1(key, out_));
}

Builder& Builder::integrity_sha256(net::Bytes key, size_t length) {
  length = std::clamp<size_t>(length & ~size_t{3}, 16, 32);
  set_length(out_.size() - kHeaderSize + 4 + length);
  const auto mac = net::hmac_sha256(key, out_);
  return bytes(Type::message_integrity_sha256, net::Bytes(mac).first(length));
}

Builder& Builder::fingerprint() {
  set_length(out_.size() - kHeaderSize + kFingerprintSize);
  return u32(Type::fingerprint, wire::crc32(out_) ^ wire::kFingerprintXor);
}

net::Bytes short_term_key(std::string_view password) { return net::as_bytes(password); }

namespace {

std::string long_term_text(std::string_view user, std::string_view realm,
                           std::string_view password) {
  return std::string(user) + ":" + std::string(realm) + ":" + std::string(password);
}

}  // namespace

std::array<uint8_t, 16> long_term_key(std::string_view user, std::string_view realm,
                                      std::string_view password) {
  return net::md5(net::as_bytes(long_term_text(user, realm, password)));
}

std::array<uint8_t, 32> long_term_key_sha256(std::string_view user, std::string_view realm,
                                             std::string_view password) {
  return net::sha256(net::as_bytes(long_term_text(user, realm, password)));
}

}  // namespace culvert::stun
