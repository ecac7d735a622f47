#include "model/net/crypto.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <set>
#include <string>

namespace culvert::net {
namespace {

template <class Container>
std::string hex(const Container& bytes) {
  std::string out;
  char text[3];
  for (const uint8_t byte : bytes) {
    std::snprintf(text, sizeof text, "%02x", byte);
    out += text;
  }
  return out;
}

// RFC 4231 test cases 1, 2 and 6 (a key longer than a block).
TEST(Crypto, hmac_sha256_gives_the_vectors_of_rfc_4231) {
  EXPECT_EQ(hex(hmac_sha256(as_bytes(std::string(20, '\x0b')), as_bytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(hmac_sha256(as_bytes(std::string(131, '\xaa')),
                            as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

// RFC 2202 test cases 1 and 2.
TEST(Crypto, hmac_sha1_gives_the_vectors_of_rfc_2202) {
  EXPECT_EQ(hex(hmac_sha1(as_bytes(std::string(20, '\x0b')), as_bytes("Hi There"))),
            "b617318655057264e28bc0b6fb378c8ef146be00");
  EXPECT_EQ(hex(hmac_sha1(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
}

TEST(Crypto, comparison_is_by_content_and_length) {
  EXPECT_TRUE(equal_in_constant_time(as_bytes("abc"), as_bytes("abc")));
  EXPECT_FALSE(equal_in_constant_time(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(equal_in_constant_time(as_bytes("abc"), as_bytes("ab")));
  EXPECT_TRUE(equal_in_constant_time({}, {}));
}

TEST(Crypto, derived_keys_differ_by_key_purpose_and_context) {
  const Key one = key_from(as_bytes("one")), two = key_from(as_bytes("two"));
  const std::set<Key> keys{one,
                           two,
                           derive_key(one, "a"),
                           derive_key(two, "a"),
                           derive_key(one, "b"),
                           derive_key(one, "a", as_bytes("b")),
                           derive_key(one, "ab"),
                           derive_key(one, "", as_bytes("ab"))};
  EXPECT_EQ(keys.size(), 8u);
  EXPECT_EQ(derive_key(one, "a"), derive_key(one, "a"));
  // The boundary between purpose and context holds for long purposes, too.
  const std::string purpose(300, 'p');
  EXPECT_NE(derive_key(one, purpose, as_bytes("x")), derive_key(one, purpose + "x"));
  EXPECT_NE(derive_key(one, purpose), derive_key(one, std::string_view(purpose).substr(0, 44),
                                                 as_bytes(std::string(256, 'p'))))
      << "a length that wraps at 256 lets purpose and context run into each other";
}

TEST(Crypto, what_is_sealed_opens_only_unchanged) {
  const Key key = key_from(as_bytes("k"));
  std::array<uint8_t, kSealNonce> nonce{1, 2, 3};
  const Buffer sealed = seal(key, nonce, as_bytes("header"), as_bytes("secret"));
  EXPECT_EQ(sealed.size(), 6 + kSealOverhead);
  auto opened = open(key, nonce, as_bytes("header"), sealed);
  ASSERT_TRUE(opened);
  EXPECT_EQ(as_text(*opened), "secret");
  for (size_t i = 0; i < sealed.size(); ++i) {
    Buffer forged = sealed;
    forged[i] ^= 1;
    EXPECT_EQ(open(key, nonce, as_bytes("header"), forged).error(), Error::invalid);
  }
  for (size_t size = 0; size < sealed.size(); ++size)
    EXPECT_FALSE(open(key, nonce, as_bytes("header"), Bytes(sealed).first(size)));
  EXPECT_FALSE(open(key, nonce, as_bytes("headers"), sealed));
  EXPECT_FALSE(open(key_from(as_bytes("other")), nonce, as_bytes("header"), sealed));
  nonce[0] ^= 1;
  EXPECT_FALSE(open(key, nonce, as_bytes("header"), sealed));
  const Buffer empty = seal(key, nonce, {}, {});
  EXPECT_TRUE(open(key, nonce, {}, empty));
}

TEST(Crypto, a_password_matches_its_own_hash_only) {
  const PasswordCost little{1, 8};
  const auto line = hash_password("secret", little), again = hash_password("secret", little);
  ASSERT_TRUE(line && again);
  EXPECT_EQ(line->rfind("$argon2id$v=19$m=8,t=1,p=1$", 0), 0u) << *line;
  EXPECT_NE(*line, *again) << "the salt differs";
  EXPECT_TRUE(known_password_hash(*line));
  EXPECT_TRUE(verify_password(*line, "secret"));
  EXPECT_FALSE(verify_password(*line, "Secret"));
  EXPECT_FALSE(verify_password(*line, "secret2"));
  EXPECT_FALSE(verify_password(*line, ""));
  EXPECT_EQ(hash_password("x", {0, 8}).error(), Error::invalid);
  EXPECT_EQ(hash_password("x", {1, 2'000'000}).error(), Error::invalid);
}

TEST(Crypto, passwords_as_mosquitto_writes_them_are_understood) {
  // Made with mosquitto_passwd 2.0.11.
  const std::string alice =
      "$7$101$tCkxM9VyJ0PsgqHj$EcoEq/3yeGJFeNk54uzun/"
      "i1nj1Oz44jG2VfxxsRdNi4WnTXWfwTBlA81+GRVdxIJvfyNDJHCAOjVd+oblXPfQ==";
  EXPECT_TRUE(known_password_hash(alice));
  EXPECT_TRUE(verify_password(alice, "secret"));
  EXPECT_FALSE(verify_password(alice, "secret "));
  EXPECT_FALSE(verify_password(alice, ""));
  // As before mosquitto 2.0: SHA-512 of "secret" and the salt "0123456789ab" (by Python's hashlib).
  const std::string old =
      "$6$MDEyMzQ1Njc4OWFi$qEXipeLbgxRlwd06QHfY5WITkUZg0jLg9SZbXzq3ifXjfj+v3GbJGrSfC5PAg3UNCS+"
      "UFfbhUIZX4bmIAs330w==";
  EXPECT_TRUE(known_password_hash(old));
  EXPECT_TRUE(verify_password(old, "secret"));
  EXPECT_FALSE(verify_password(old, "secret0"));
  const auto ours = hash_password_pbkdf2("secret", as_bytes("salt of mine"), 1000);
  ASSERT_TRUE(ours);
  EXPECT_EQ(ours->rfind("$7$1000$c2FsdCBvZiBtaW5l$", 0), 0u) << *ours;
  EXPECT_TRUE(verify_password(*ours, "secret"));
  EXPECT_FALSE(verify_password(*ours, "secreT"));
}

TEST(Crypto, what_is_no_hash_is_neither_known_nor_verified) {
  for (const std::string& line :
       {std::string(), std::string("secret"), std::string("$7$"), std::string("$7$0$c2FsdA==$"),
        std::string("$7$101$tCkxM9VyJ0PsgqHj$EcoE"), std::string("$7$101$!$EcoE"),
        std::string("$7$99999999$c2FsdA==$EcoE"), std::string("$7$1x1$c2FsdA==$EcoE"),
        std::string("$6$salt$hash"), std::string("$argon2id$"),
        std::string("$argon2id$v=19$m=8,t=1,p=1$"), "$argon2id$" + std::string(1000, 'a')}) {
    EXPECT_FALSE(known_password_hash(line)) << line;
    EXPECT_FALSE(verify_password(line, "")) << line;
    EXPECT_FALSE(verify_password(line, "secret")) << line;
  }
}

}  // namespace
}  // namespace culvert::net
