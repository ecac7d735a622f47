// The codec against RFC 5769's vectors and against itself.
#include "model/stun/message.h"

#include <gtest/gtest.h>

#include "tests/unit/stun/hex.h"

namespace culvert::stun {
namespace {

using testing::from_hex;

// RFC 5769 section 2.1
const char* const kRequest =
    "00 01 00 58 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae"
    "80 22 00 10 53 54 55 4e 20 74 65 73 74 20 63 6c 69 65 6e 74"
    "00 24 00 04 6e 00 01 ff"
    "80 29 00 08 93 2f f9 b1 51 26 3b 36"
    "00 06 00 09 65 76 74 6a 3a 68 36 76 59 20 20 20"
    "00 08 00 14 9a ea a7 0c bf d8 cb 56 78 1e f2 b5 b2 d3 f2 49 c1 b5 71 a2"
    "80 28 00 04 e5 7a 3b cf";
// Section 2.2
const char* const kResponse4 =
    "01 01 00 3c 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae"
    "80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72 20"
    "00 20 00 08 00 01 a1 47 e1 12 a6 43"
    "00 08 00 14 2b 91 f5 99 fd 9e 90 c3 8c 74 89 f9 2a f9 ba 53 f0 6b e7 d7"
    "80 28 00 04 c0 7d 4c 96";
// Section 2.3
const char* const kResponse6 =
    "01 01 00 48 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae"
    "80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72 20"
    "00 20 00 14 00 02 a1 47 01 13 a9 fa a5 d3 f1 79 bc 25 f4 b5 be d2 b9 d9"
    "00 08 00 14 a3 82 95 4e 4b e6 7b f1 17 84 c9 7c 82 92 c2 75 bf e3 ed 41"
    "80 28 00 04 c8 fb 0b 4c";
// Section 2.4
const char* const kLongTerm =
    "00 01 00 60 21 12 a4 42 78 ad 34 33 c6 ad 72 c0 29 da 41 2e"
    "00 06 00 12 e3 83 9e e3 83 88 e3 83 aa e3 83 83 e3 82 af e3 82 b9 00 00"
    "00 15 00 1c 66 2f 2f 34 39 39 6b 39 35 34 64 36 4f 4c 33 34 6f 4c 39 46 53 54 76 79 36 34 73 "
    "41"
    "00 14 00 0b 65 78 61 6d 70 6c 65 2e 6f 72 67 00"
    "00 08 00 14 f6 70 24 65 6d d6 4a 3e 02 b8 e0 71 2e 85 c9 a2 8c a8 96 66";
const char* const kPassword = "VOkJxbRl1RmTxUk/WvJxBt";

TEST(Rfc5769, ReadsTheRequestAndItsShortTermCredential) {
  const auto bytes = from_hex(kRequest);
  const auto message = Message::parse(bytes);
  ASSERT_TRUE(message.ok()) << message.status().detail;
  EXPECT_TRUE(message->is(Class::request));
  EXPECT_FALSE(message->classic());
  EXPECT_EQ(message->text(Type::software), "STUN test client");
  EXPECT_EQ(message->text(Type::username), "evtj:h6vY");
  EXPECT_EQ(message->u32(Type::priority), 0x6e0001ffu);
  EXPECT_EQ(message->u64(Type::ice_controlled), 0x932ff9b151263b36ull);
  EXPECT_TRUE(message->fingerprinted());
  EXPECT_TRUE(message->integrity_ok(short_term_key(kPassword)));
  EXPECT_FALSE(message->integrity_ok(short_term_key("VOkJxbRl1RmTxUk/WvJxBu")));
  EXPECT_FALSE(message->integrity_sha256_ok(short_term_key(kPassword)));
  EXPECT_TRUE(message->unknown_required().empty());
}

TEST(Rfc5769, ReadsBothResponses) {
  const auto four = from_hex(kResponse4), six = from_hex(kResponse6);
  const auto a = Message::parse(four), b = Message::parse(six);
  ASSERT_TRUE(a.ok());
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(a->mapped()->to_string(), "192.0.2.1:32853");
  EXPECT_EQ(b->mapped()->to_string(), "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
  EXPECT_TRUE(a->integrity_ok(short_term_key(kPassword)));
  EXPECT_TRUE(b->integrity_ok(short_term_key(kPassword)));
}

TEST(Rfc5769, ReadsTheLongTermCredential) {
  const auto bytes = from_hex(kLongTerm);
  const auto message = Message::parse(bytes);
  ASSERT_TRUE(message.ok()) << message.status().detail;
  const std::string user(*message->text(Type::username));
  EXPECT_EQ(message->text(Type::realm), "example.org");
  EXPECT_TRUE(message->integrity_ok(long_term_key(user, "example.org", "TheMatrIX")));
  EXPECT_FALSE(message->integrity_ok(long_term_key(user, "example.com", "TheMatrIX")));
}

// Padding bytes are free; with the vector's blanks replaced by our zeros everything else is equal.
TEST(Rfc5769, WritesTheResponse) {
  const auto vector = from_hex(kResponse4);
  const auto read = Message::parse(vector);
  Builder builder(Class::success, read->id);
  builder.text(Type::software, "test vector")
      .xor_address(Type::xor_mapped_address, *read->mapped());
  auto expected = net::Buffer(vector.begin(), vector.begin() + 20 + 16 + 12);
  expected[35] = 0;
  expected[3] = 28;
  EXPECT_EQ(net::Buffer(builder.view().begin(), builder.view().end()), expected);
}

TEST(Message, EveryAttributeThatIsWrittenIsReadBack) {
  const TransactionId id{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const auto v4 = *net::Endpoint::parse("198.51.100.7:65535");
  const auto v6 = *net::Endpoint::parse("[2001:db8::1]:1");
  const std::array<uint16_t, 3> types{0x0101, 0x0102, 0x0103};
  Builder builder(Class::error, id);
  builder.address(Type::mapped_address, v4)
      .xor_address(Type::xor_mapped_address, v6)
      .address(Type::other_address, v6)
      .error(438, "Stale Nonce")
      .unknown(types)
      .change_request(true, false)
      .response_port(4711)
      .padding(13)
      .u64(Type::punch_session, 0x0123456789abcdefull)
      .text(Type::nonce, "n")
      .flag(Type::use_candidate)
      .integrity(short_term_key("one"))
      .integrity_sha256(short_term_key("two"))
      .fingerprint();
  const net::Buffer bytes = builder.take();
  const auto message = Message::parse(bytes);
  ASSERT_TRUE(message.ok()) << message.status().detail;
  EXPECT_TRUE(message->is(Class::error));
  EXPECT_EQ(message->id, id);
  EXPECT_EQ(message->address(Type::mapped_address), v4);
  EXPECT_EQ(message->address(Type::xor_mapped_address), v6);
  EXPECT_EQ(message->address(Type::other_address), v6);
  EXPECT_EQ(message->error()->code, 438);
  EXPECT_EQ(message->error()->reason, "Stale Nonce");
  EXPECT_EQ(message->bytes(Type::unknown_attributes)->size(), 6u);
  EXPECT_EQ(message->u32(Type::change_request), 4u);
  EXPECT_EQ(*message->u32(Type::response_port) >> 16, 4711u);
  EXPECT_EQ(message->bytes(Type::padding)->size(), 13u);
  EXPECT_EQ(message->u64(Type::punch_session), 0x0123456789abcdefull);
  EXPECT_EQ(message->text(Type::nonce), "n");
  EXPECT_TRUE(message->has(Type::use_candidate));
  EXPECT_TRUE(message->integrity_ok(short_term_key("one")));
  EXPECT_TRUE(message->integrity_sha256_ok(short_term_key("two")));
  EXPECT_FALSE(message->integrity_sha256_ok(short_term_key("one")));
}

TEST(Message, IntegritySurvivesWithoutFingerprintAndTruncated) {
  for (const size_t length : {16u, 20u, 32u}) {
    Builder builder(Class::request, {});
    builder.text(Type::username, "u").integrity_sha256(short_term_key("k"), length);
    const net::Buffer bytes = builder.take();
    const auto message = Message::parse(bytes);
    ASSERT_TRUE(message.ok());
    EXPECT_EQ(message->bytes(Type::message_integrity_sha256)->size(), length);
    EXPECT_TRUE(message->integrity_sha256_ok(short_term_key("k")));
  }
}

// RFC 8489 section 14.5: what follows MESSAGE-INTEGRITY is not protected by it.
TEST(Message, AttributesBehindIntegrityDoNotCount) {
  Builder builder(Class::success, {});
  builder.integrity(short_term_key("k"))
      .xor_address(Type::xor_mapped_address, *net::Endpoint::parse("192.0.2.66:6"))
      .fingerprint();
  const net::Buffer bytes = builder.take();
  const auto message = Message::parse(bytes);
  ASSERT_TRUE(message.ok());
  EXPECT_FALSE(message->mapped());
  EXPECT_TRUE(message->integrity_ok(short_term_key("k")));
}

TEST(Message, PadToReachesItsSizeWithTheFingerprint) {
  for (size_t size = 20; size < 200; ++size) {
    Builder builder(Class::request, {});
    builder.pad_to(size).fingerprint();
    EXPECT_GE(builder.size(), size);
    EXPECT_LE(builder.size(), std::max<size_t>(28, size + 7));
    const net::Buffer bytes = builder.take();
    EXPECT_TRUE(Message::parse(bytes).ok());
  }
}

TEST(Message, TellsUnknownRequiredAttributesOnce) {
  Builder builder(Class::request, {});
  for (const uint16_t type : {0x0fff, 0x0002, 0x0fff, 0x9999})
    builder.bytes(static_cast<Type>(type), {});
  const net::Buffer bytes = builder.take();
  const auto unknown = Message::parse(bytes)->unknown_required();
  ASSERT_EQ(unknown.size(), 2u);
  EXPECT_EQ(unknown[0], 0x0fff);
  EXPECT_EQ(unknown[1], 0x0002);  // RESPONSE-ADDRESS of RFC 3489: not with us
}

TEST(Message, ClassAndMethodKeepTheirBitsApart) {
  for (const Class cls : {Class::request, Class::indication, Class::success, Class::error}) {
    for (uint16_t method = 0; method < 0x1000; method += 7) {
      const net::Buffer bytes = Builder(cls, {}, method).take();
      const auto message = Message::parse(bytes);
      ASSERT_TRUE(message.ok());
      EXPECT_TRUE(message->is(cls, method)) << method;
    }
  }
}

}  // namespace
}  // namespace culvert::stun
