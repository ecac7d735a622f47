// STUN messages: reading hostile ones safely, writing our own. Sans I/O; no clock, no allocation
// when reading. RFC 8489 (section numbers below are its), RFC 5780, and RFC 3489 for old clients.
// Stands on model/net (addresses, HMACs).
#pragma once

#include <array>
#include <boost/container/static_vector.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/net/address.h"
#include "model/net/bytes.h"
#include "model/net/crypto.h"
#include "model/net/error.h"
#include "model/net/random.h"

namespace culvert::stun {

constexpr uint32_t kMagicCookie = 0x2112A442;  // section 5
constexpr size_t kHeaderSize = 20;             // section 5
constexpr size_t kMaxAttributes = 32;          // ours: a message of ours has 9 at most
constexpr uint16_t kDefaultPort = 3478;        // section 8.1
constexpr uint16_t kBinding = 0x001;           // section 18.2: the only method that we speak

using TransactionId = std::array<uint8_t, 12>;
// For what need not be hard to guess; requests use fresh_id of model/stun/client.h.
TransactionId random_id(net::Random& random);

enum class Class : uint8_t { request = 0, indication = 1, success = 2, error = 3 };  // section 5

// Section 18.3 unless told otherwise. Below 0x8000: a receiver must understand it.
enum class Type : uint16_t {
  mapped_address = 0x0001,
  response_address = 0x0002,  // RFC 3489; refused, it is a reflection attack by design
  change_request = 0x0003,    // RFC 5780 section 7.2, RFC 3489 section 11.2.4
  source_address = 0x0004,    // RFC 3489
  changed_address = 0x0005,   // RFC 3489
  username = 0x0006,
  message_integrity = 0x0008,
  error_code = 0x0009,
  unknown_attributes = 0x000A,
  reflected_from = 0x000B,  // RFC 3489
  realm = 0x0014,
  nonce = 0x0015,
  message_integrity_sha256 = 0x001C,
  password_algorithm = 0x001D,
  userhash = 0x001E,
  xor_mapped_address = 0x0020,
  priority = 0x0024,                // RFC 8445; read so that the RFC 5769 vectors pass whole
  use_candidate = 0x0025,           // RFC 8445
  padding = 0x0026,                 // RFC 5780 section 7.6
  response_port = 0x0027,           // RFC 5780 section 7.5
  xor_mapped_address_old = 0x8020,  // drafts before RFC 5389; old clients understand it
  password_algorithms = 0x8002,
  alternate_domain = 0x8003,
  software = 0x8022,
  alternate_server = 0x8023,
  fingerprint = 0x8028,
  ice_controlled = 0x8029,   // RFC 8445
  ice_controlling = 0x802A,  // RFC 8445
  response_origin = 0x802B,  // RFC 5780 section 7.3
  other_address = 0x802C,    // RFC 5780 section 7.4
  // Ours, for punch probes; comprehension-optional, in a part of the range where IANA's registry
  // and Google's and Cisco's private numbers have nothing. Their meaning: model/punch/probe.h.
  punch_session = 0xC0C0,
  punch_kind = 0xC0C1,
  punch_number = 0xC0C2,
  punch_echo = 0xC0C3,
  punch_sealed = 0xC0C4,
  filler = 0xC0CF,  // zeros that make a request as long as its answer. Not PADDING: that asks the
                    // server for an answer that fragments (RFC 5780 section 6.1)
};

// A first look, for sharing a socket: could this be STUN (section 6.3: top bits zero, the magic
// cookie, a length that fits)? Says nothing about the attributes. `classic` also lets messages
// without the cookie through (RFC 3489).
bool looks_like_stun(net::Bytes datagram, bool classic = false);

struct Attribute {
  uint16_t type = 0;
  net::Bytes value;     // into the datagram; without padding
  uint16_t offset = 0;  // of the attribute's header in the datagram
};

struct ErrorCode {
  uint16_t code = 0;  // 300..699
  std::string_view reason;
};

// A message that was read. Views the datagram's bytes and must not outlive them.
class Message {
 public:
  // invalid, with the reason, unless the datagram is one whole well-formed message and nothing
  // else: lengths, padding, at most kMaxAttributes. Attributes behind an integrity attribute that
  // it does not cover are dropped (section 14.5, 14.6); a FINGERPRINT that is there must be right.
  static net::Result<Message> parse(net::Bytes datagram);

  Class cls = Class::request;
  uint16_t method = 0;
  uint32_t cookie = kMagicCookie;  // else a classic client's (RFC 3489): part of the 128-bit id
  TransactionId id{};
  boost::container::static_vector<Attribute, kMaxAttributes> attributes;

  bool classic() const { return cookie != kMagicCookie; }
  bool is(Class c, uint16_t m = kBinding) const { return cls == c && method == m; }
  const Attribute* find(Type type) const;  // the first one counts (section 14); null if none
  bool has(Type type) const { return find(type) != nullptr; }

  // Nothing if the attribute is missing or malformed. Addresses come out plain, XORed or not.
  std::optional<net::Endpoint> address(Type type) const;
  std::optional<std::string_view> text(Type type) const;
  std::optional<uint32_t> u32(Type type) const;
  std::optional<uint64_t> u64(Type type) const;
  std::optional<net::Bytes> bytes(Type type) const;
  std::optional<ErrorCode> error() const;
  // XOR-MAPPED-ADDRESS, else its old number, else MAPPED-ADDRESS.
  std::optional<net::Endpoint> mapped() const;

  // Comprehension-required attributes that this room does not know (section 6.3.1).
  boost::container::static_vector<uint16_t, kMaxAttributes> unknown_required() const;

  size_t size() const { return datagram_.size(); }  // bytes, the header included
  bool fingerprinted() const { return has(Type::fingerprint); }
  // False if the attribute is missing too. Keys: short_term_key, long_term_key.
  bool integrity_ok(net::Bytes key) const;         // MESSAGE-INTEGRITY, HMAC-SHA1
  bool integrity_sha256_ok(net::Bytes key) const;  // MESSAGE-INTEGRITY-SHA256, 16..32 bytes

 private:
  net::Bytes datagram_;
};

// Writes a message, attribute by attribute, in the order of the calls. Integrity and fingerprint
// come last, in that order (section 14.7).
class Builder {
 public:
  Builder(Class cls, const TransactionId& id, uint16_t method = kBinding,
          uint32_t cookie = kMagicCookie);
  // A response to `request`: same id and cookie.
  static Builder reply(Class cls, const Message& request);

  Builder& bytes(Type type, net::Bytes value);  // at most 65,000 bytes together
  Builder& text(Type type, std::string_view value);
  Builder& u32(Type type, uint32_t value);
  Builder& u64(Type type, uint64_t value);
  Builder& flag(Type type) { return bytes(type, {}); }
  Builder& address(Type type, const net::Endpoint& endpoint);      // as it is
  Builder& xor_address(Type type, const net::Endpoint& endpoint);  // section 14.2
  Builder& error(uint16_t code, std::string_view reason);          // 300..699; section 14.8
  Builder& unknown(boost::span<const uint16_t> types);             // section 14.9
  Builder& change_request(bool ip, bool port);                     // RFC 5780 section 7.2
  Builder& response_port(uint16_t port);                           // RFC 5780 section 7.5
  Builder& padding(size_t bytes);                                  // RFC 5780 section 7.6; zeros
  // Fills with zeros (Type::filler) until the message has at least `size` bytes, the FINGERPRINT
  // that follows included: a request as long as its answer amplifies nothing.
  Builder& pad_to(size_t size);
  Builder& integrity(net::Bytes key);
  Builder& integrity_sha256(net::Bytes key, size_t length = 32);  // length 16..32, multiple of 4
  Builder& fingerprint();

  size_t size() const { return out_.size(); }
  net::Buffer take() { return std::move(out_); }
  net::Bytes view() const { return out_; }

 private:
  void set_length(size_t body);
  net::Buffer out_;
};

// The key of a short-term credential (section 9.1.1): the password's own bytes. OpaqueString
// (RFC 8265) changes nothing in what we take, printable ASCII; the caller checks.
net::Bytes short_term_key(std::string_view password);
// The key of a long-term credential, MD5 of user:realm:password (section 9.2.2).
std::array<uint8_t, 16> long_term_key(std::string_view user, std::string_view realm,
                                      std::string_view password);
// The same with SHA-256, when PASSWORD-ALGORITHM says so (section 18.5.1.2).
std::array<uint8_t, 32> long_term_key_sha256(std::string_view user, std::string_view realm,
                                             std::string_view password);

}  // namespace culvert::stun
