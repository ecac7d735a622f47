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

}  // namespace culvert::net
