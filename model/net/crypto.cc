#include "model/net/crypto.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <sodium.h>

namespace culvert::net {

std::array<uint8_t, 32> hmac_sha256(Bytes key, Bytes data) {
  std::array<uint8_t, 32> out;
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, key.data(), key.size());
  crypto_auth_hmacsha256_update(&state, data.data(), data.size());
  crypto_auth_hmacsha256_final(&state, out.data());
  return out;
}

std::array<uint8_t, 20> hmac_sha1(Bytes key, Bytes data) {
  std::array<uint8_t, 20> out{};
  gnutls_hmac_fast(GNUTLS_MAC_SHA1, key.data(), key.size(), data.data(), data.size(), out.data());
  return out;
}

std::array<uint8_t, 20> sha1(Bytes data) {
  std::array<uint8_t, 20> out{};
  gnutls_hash_fast(GNUTLS_DIG_SHA1, data.data(), data.size(), out.data());
  return out;
}

std::array<uint8_t, 16> md5(Bytes data) {
  std::array<uint8_t, 16> out{};
  gnutls_hash_fast(GNUTLS_DIG_MD5, data.data(), data.size(), out.data());
  return out;
}

std::array<uint8_t, 32> sha256(Bytes data) {
  std::array<uint8_t, 32> out{};
  crypto_hash_sha256(out.data(), data.data(), data.size());
  return out;
}

bool equal_in_constant_time(Bytes a, Bytes b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

Key derive_key(const Key& key, std::string_view purpose, Bytes context) {
  Key out;
  crypto_generichash_state state;
  crypto_generichash_init(&state, key.data(), key.size(), out.size());
  const uint64_t size = purpose.size();  // keeps purpose and context apart
  uint8_t length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<uint8_t>(size >> 8 * i);
  crypto_generichash_update(&state, length, sizeof length);
  crypto_generichash_update(&state, as_bytes(purpose).data(), purpose.size());
  crypto_generichash_update(&state, context.data(), context.size());
  crypto_generichash_final(&state, out.data(), out.size());
  return out;
}

Key key_from(Bytes secret) {
  Key out;
  crypto_generichash(out.data(), out.size(), secret.data(), secret.size(), nullptr, 0);
  return out;
}

namespace {

crypto_generichash_state* blake2b(std::array<uint8_t, 384>& state) {
  static_assert(sizeof(crypto_generichash_state) <= 384);
  return reinterpret_cast<crypto_generichash_state*>(state.data());
}

}  // namespace

Blake2b::Blake2b() { crypto_generichash_init(blake2b(state_), nullptr, 0, 32); }

void Blake2b::update(Bytes data) {
  crypto_generichash_update(blake2b(state_), data.data(), data.size());
}

Key Blake2b::finish() {
  Key out;
  crypto_generichash_final(blake2b(state_), out.data(), out.size());
  return out;
}

Buffer seal(const Key& key, const std::array<uint8_t, kSealNonce>& nonce, Bytes associated,
            Bytes plain) {
  Buffer out(plain.size() + kSealOverhead);
  crypto_aead_xchacha20poly1305_ietf_encrypt(out.data(), nullptr, plain.data(), plain.size(),
                                             associated.data(), associated.size(), nullptr,
                                             nonce.data(), key.data());
  return out;
}

Result<Buffer> open(const Key& key, const std::array<uint8_t, kSealNonce>& nonce, Bytes associated,
                    Bytes sealed) {
  if (sealed.size() < kSealOverhead) return {Error::invalid, "shorter than an authentication tag"};
  Buffer out(sealed.size() - kSealOverhead);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, sealed.data(),
                                                 sealed.size(), associated.data(),
                                                 associated.size(), nonce.data(), key.data()) != 0)
    return {Error::invalid, "not sealed with this key"};
  return out;
}

Result<std::string> hash_password(std::string_view password, PasswordCost cost) {
  if (cost.passes < 1 || cost.passes > 64 || cost.memory_kib < 8 || cost.memory_kib > 1'048'576)
    return {Error::invalid, "a password's cost is 1 to 64 passes over 8 to 1,048,576 KiB"};
  if (sodium_init() < 0) return {Error::failed, "there is no source of randomness"};
  char line[crypto_pwhash_STRBYTES];
  if (crypto_pwhash_str_alg(line, password.data(), password.size(), cost.passes,
                            size_t{cost.memory_kib} * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0)
    return {Error::exhausted, "there is not enough memory to hash a password"};
  return std::string(line);
}

namespace {

constexpr uint32_t kMostIterations = 10'000'000;  // ours: some seconds
constexpr size_t kSha512Bytes = 64;

Buffer pbkdf2(std::string_view password, Bytes salt, uint32_t iterations, size_t size) {
  Buffer out(size);
  const gnutls_datum_t key{reinterpret_cast<unsigned char*>(const_cast<char*>(password.data())),
                           static_cast<unsigned>(password.size())};
  const gnutls_datum_t salted{const_cast<uint8_t*>(salt.data()),
                              static_cast<unsigned>(salt.size())};
  if (gnutls_pbkdf2(GNUTLS_MAC_SHA512, &key, &salted, iterations, out.data(), out.size()) != 0)
    return {};
  return out;
}

std::string base64(Bytes bytes) {
  std::string out(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(out.data(), out.size(), bytes.data(), bytes.size(),
                    sodium_base64_VARIANT_ORIGINAL);
  out.pop_back();  // its NUL
  return out;
}

Buffer from_base64(std::string_view text) {
  if (text.empty()) return {};  // libsodium wants no null pointer
  Buffer out(text.size());
  size_t size = 0;
  const char* end = nullptr;
  if (sodium_base642bin(out.data(), out.size(), text.data(), text.size(), nullptr, &size, &end,
                        sodium_base64_VARIANT_ORIGINAL) != 0 ||
      end != text.data() + text.size())
    return {};
  out.resize(size);
  return out;
}

// A line of mosquitto's.
struct HashLine {
  uint32_t iterations = 0;  // of PBKDF2; 0: one SHA-512
  Buffer salt, hash;        // no hash: the line is none
};
HashLine read_hash_line(std::string_view line) {
  HashLine read;
  const bool plain = line.substr(0, 3) == "$6$";
  if (!plain && line.substr(0, 3) != "$7$") return {};
  line.remove_prefix(3);
  if (!plain) {
    const size_t end = line.find('$');
    if (end == std::string_view::npos || end == 0 || end > 8) return {};
    for (const char digit : line.substr(0, end)) {
      if (digit < '0' || digit > '9') return {};
      read.iterations = read.iterations * 10 + static_cast<uint32_t>(digit - '0');
    }
    if (read.iterations == 0 || read.iterations > kMostIterations) return {};
    line.remove_prefix(end + 1);
  }
  const size_t end = line.find('$');
  if (end == std::string_view::npos) return {};
  read.salt = from_base64(line.substr(0, end));
  read.hash = from_base64(line.substr(end + 1));
  if (read.salt.empty() || read.hash.size() != kSha512Bytes) return {};
  return read;
}

Buffer hash_as(const HashLine& line, std::string_view password) {
  if (line.iterations > 0) {
    return pbkdf2(password, line.salt, line.iterations, line.hash.size());
  }
  std::string salted(password);
  salted.append(line.salt.begin(), line.salt.end());
  Buffer out(kSha512Bytes);
  const int failed = gnutls_hash_fast(GNUTLS_DIG_SHA512, salted.data(), salted.size(), out.data());
  sodium_memzero(salted.data(), salted.size());
  return failed == 0 ? out : Buffer{};
}

constexpr std::string_view kArgon2id = "$argon2id$";

}  // namespace

Result<std::string> hash_password_pbkdf2(std::string_view password, Bytes salt,
                                         uint32_t iterations) {
  if (iterations < 1 || iterations > kMostIterations)
    return {Error::invalid, "a password is hashed 1 to 10,000,000 times"};
  if (salt.empty() || salt.size() > 64) return {Error::invalid, "a salt has 1 to 64 bytes"};
  const Buffer hash = pbkdf2(password, salt, iterations, kSha512Bytes);
  if (hash.empty()) return {Error::failed, "PBKDF2 refused to run"};
  return "$7$" + std::to_string(iterations) + "$" + base64(salt) + "$" + base64(hash);
}

bool known_password_hash(std::string_view line) {
  if (line.substr(0, kArgon2id.size()) != kArgon2id) return !read_hash_line(line).hash.empty();
  if (line.size() >= crypto_pwhash_STRBYTES) return false;
  // With costs that we hash with ourselves it needs another pass or not (0, 1); -1: unreadable.
  return crypto_pwhash_str_needs_rehash(std::string(line).c_str(), 1, 8192) != -1;
}

bool verify_password(std::string_view line, std::string_view password) {
  if (sodium_init() < 0) return false;
  if (line.substr(0, kArgon2id.size()) == kArgon2id) {
    if (line.size() >= crypto_pwhash_STRBYTES) return false;
    return crypto_pwhash_str_verify(std::string(line).c_str(), password.data(), password.size()) ==
           0;
  }
  const HashLine read = read_hash_line(line);
  return !read.hash.empty() && equal_in_constant_time(hash_as(read, password), read.hash);
}

void wipe(MutableBytes secret) { sodium_memzero(secret.data(), secret.size()); }

}  // namespace culvert::net
