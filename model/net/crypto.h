// The few primitives that the protocols need, over libsodium and GnuTLS (SHA-1 for old STUN).
#pragma once

#include <array>
#include <string_view>

#include "model/net/bytes.h"
#include "model/net/error.h"

namespace culvert::net {

using Key = std::array<uint8_t, 32>;

// HMAC-SHA256 (RFC 2104, FIPS 180-4).
std::array<uint8_t, 32> hmac_sha256(Bytes key, Bytes data);
// HMAC-SHA1, only for STUN's MESSAGE-INTEGRITY (RFC 8489 section 14.5).
std::array<uint8_t, 20> hmac_sha1(Bytes key, Bytes data);
// MD5 and SHA-256, only for STUN's long-term keys (RFC 8489 section 9.2.2) and for checksums.
std::array<uint8_t, 16> md5(Bytes data);
std::array<uint8_t, 32> sha256(Bytes data);
// Compares in constant time; sizes may differ (then false).
bool equal_in_constant_time(Bytes a, Bytes b);

// A key for one purpose out of another: keyed BLAKE2b-256 of `purpose` and `context`.
Key derive_key(const Key& key, std::string_view purpose, Bytes context = {});
// Any secret's bytes turned into a key: BLAKE2b-256.
Key key_from(Bytes secret);

// BLAKE2b-256 (RFC 7693) of what comes piece by piece.
class Blake2b {
 public:
  Blake2b();
  void update(Bytes data);
  Key finish();  // once

 private:
  alignas(64) std::array<uint8_t, 384> state_;
};

constexpr size_t kSealNonce = 24;     // XChaCha20-Poly1305-IETF
constexpr size_t kSealOverhead = 16;  // bytes added
// `nonce` must be new for this key (random is fine at 24 bytes). `associated` is bound, not hidden.
Buffer seal(const Key& key, const std::array<uint8_t, kSealNonce>& nonce, Bytes associated,
            Bytes plain);
// Error::invalid if it was not sealed by this key with these associated bytes.
Result<Buffer> open(const Key& key, const std::array<uint8_t, kSealNonce>& nonce, Bytes associated,
                    Bytes sealed);

}  // namespace culvert::net
