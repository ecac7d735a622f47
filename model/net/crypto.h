// The few primitives that the protocols need, over libsodium and GnuTLS (SHA-1 for old STUN).
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "model/net/bytes.h"
#include "model/net/error.h"

namespace culvert::net {

using Key = std::array<uint8_t, 32>;

// HMAC-SHA256 (RFC 2104, FIPS 180-4).
std::array<uint8_t, 32> hmac_sha256(Bytes key, Bytes data);
// HMAC-SHA1, only for STUN's MESSAGE-INTEGRITY (RFC 8489 section 14.5).
std::array<uint8_t, 20> hmac_sha1(Bytes key, Bytes data);
// SHA-1, only for the WebSocket opening (RFC 6455 section 4.2.2).
std::array<uint8_t, 20> sha1(Bytes data);
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

// What one hash of a password costs whoever guesses, and us: about 25 ms of a core and that much
// memory, so call these through Host::offload. The defaults are what OWASP's Password Storage Cheat
// Sheet names as the least for Argon2id (RFC 9106) on one lane.
struct PasswordCost {
  uint32_t passes = 2;          // 1 to 64
  uint32_t memory_kib = 19456;  // 8 to 1,048,576
};
// "$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH", with a random salt of libsodium's (it cannot be
// seeded: keep the line out of logs). invalid: a cost out of range; exhausted: no memory for it.
Result<std::string> hash_password(std::string_view password, PasswordCost cost = {});
// The line that mosquitto_passwd makes: "$7$ITERATIONS$SALT$HASH", PBKDF2 with SHA-512 (RFC 8018),
// salt and hash in base64. 1 to 10,000,000 iterations; `salt` of 1 to 64 bytes.
Result<std::string> hash_password_pbkdf2(std::string_view password, Bytes salt,
                                         uint32_t iterations);
// Whether `line` is a hash that verify_password understands: of the two kinds, or "$6$SALT$HASH" of
// mosquitto_passwd before 2.0, one salted SHA-512: it is read, never made.
bool known_password_hash(std::string_view line);
// False too for a line that it does not understand.
bool verify_password(std::string_view line, std::string_view password);
// Overwrites a secret in a way that no compiler leaves out.
void wipe(MutableBytes secret);

}  // namespace culvert::net
