// Hostile bytes: every truncation, every changed byte, every wrong length of good messages.
#include <gtest/gtest.h>

#include "model/net/random.h"
#include "model/stun/message.h"
#include "model/stun/server.h"
#include "tests/unit/stun/hex.h"

namespace culvert::stun {
namespace {

using testing::from_hex;

net::Buffer rich_message() {
  Builder builder(Class::request, {7, 7, 7});
  builder.text(Type::username, "somebody")
      .change_request(true, true)
      .address(Type::mapped_address, *net::Endpoint::parse("[2001:db8::1]:9"))
      .padding(21)
      .integrity(short_term_key("k"))
      .fingerprint();
  return builder.take();
}

// Touches everything that a reader may touch.
void read_all(net::Bytes bytes) {
  const auto message = Message::parse(bytes);
  if (!message) return;
  for (const Attribute& attribute : message->attributes) {
    const Type type = static_cast<Type>(attribute.type);
    message->address(type);
    message->text(type);
    message->u32(type);
    message->u64(type);
    EXPECT_LE(attribute.offset + 4 + attribute.value.size(), bytes.size());
  }
  message->mapped();
  message->error();
  message->unknown_required();
  message->integrity_ok(short_term_key("k"));
  message->integrity_sha256_ok(short_term_key("k"));
}

TEST(Malformed, EveryTruncationIsRefused) {
  const net::Buffer whole = rich_message();
  ASSERT_TRUE(Message::parse(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    const net::Buffer part(whole.begin(), whole.begin() + size);
    const auto message = Message::parse(part);
    EXPECT_FALSE(message.ok()) << size;
    EXPECT_FALSE(message.status().detail.empty());
  }
}

TEST(Malformed, TheFingerprintSeesEveryChangedByte) {
  const net::Buffer whole = rich_message();
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const uint8_t change : {0x01, 0x80, 0xff}) {
      net::Buffer changed = whole;
      changed[at] ^= change;
      const auto message = Message::parse(changed);
      // A FINGERPRINT whose type was changed is none: then it is simply absent.
      if (message.ok()) {
        EXPECT_FALSE(message->fingerprinted()) << at;
      }
      read_all(changed);
    }
  }
}

TEST(Malformed, NamedCasesAreRefusedWithAReason) {
  const struct {
    const char *what, *bytes;
  } kCases[] = {
      {"not STUN", "40 01 00 00 21 12 a4 42 00 00 00 00 00 00 00 00 00 00 00 00"},
      {"multiple of four", "00 01 00 02 21 12 a4 42 00 00 00 00 00 00 00 00 00 00 00 00 00 00"},
      {"does not fit", "00 01 00 08 21 12 a4 42 00 00 00 00 00 00 00 00 00 00 00 00 80 22 00 00"},
      {"does not fit", "00 01 00 00 21 12 a4 42 00 00 00 00 00 00 00 00 00 00 00 00 80 22 00 00"},
      {"beyond", "00 01 00 04 21 12 a4 42 00 00 00 00 00 00 00 00 00 00 00 00 80 22 00 01"},
      {"beyond",
       "00 01 00 08 21 12 a4 42 00 00 00 00 00 00 00 00 00 00 00 00 80 22 ff ff 00 00 00 00"},
      {"FINGERPRINT",
       "00 01 00 08 21 12 a4 42 00 00 00 00 00 00 00 00 00 00 00 00 80 28 00 04 00 00 00 00"},
      {"FINGERPRINT", "00 01 00 04 21 12 a4 42 00 00 00 00 00 00 00 00 00 00 00 00 80 28 00 00"},
  };
  for (const auto& c : kCases) {
    const net::Buffer bytes = from_hex(c.bytes);
    const auto message = Message::parse(bytes);
    ASSERT_FALSE(message.ok()) << c.bytes;
    EXPECT_NE(message.status().detail.find(c.what), std::string::npos) << message.status().detail;
  }
}

TEST(Malformed, MoreAttributesThanAllowedAreRefused) {
  Builder builder(Class::request, {});
  for (size_t i = 0; i < kMaxAttributes; ++i) builder.flag(Type::software);
  net::Buffer bytes(builder.view().begin(), builder.view().end());
  EXPECT_TRUE(Message::parse(bytes).ok());
  builder.flag(Type::software);
  bytes = builder.take();
  EXPECT_FALSE(Message::parse(bytes).ok());
}

TEST(Malformed, AddressesOfWrongShapeAreNone) {
  for (const char* value :
       {"", "00", "00 01 00 00", "00 01 00 00 01 02 03", "00 03 00 00 01 02 03 04",
        "00 02 00 00 01 02 03 04", "00 01 00 00 01 02 03 04 05"}) {
    Builder builder(Class::success, {});
    builder.bytes(Type::xor_mapped_address, from_hex(value));
    const net::Buffer bytes = builder.take();
    EXPECT_FALSE(Message::parse(bytes)->mapped()) << value;
  }
}

TEST(Malformed, RandomBytesNeitherCrashReaderNorServer) {
  net::Random random(1);
  ServerOptions options;
  options.limit.per_second = 0;
  for (int i = 0; i < 4; ++i)
    options.endpoints[i] = {net::IpAddress::v4(0xcb00710a + i / 2), uint16_t(3478 + i % 2)};
  Server server(options);
  const net::Endpoint from = *net::Endpoint::parse("192.0.2.1:1000");
  const net::Buffer good = rich_message();
  for (int round = 0; round < 20000; ++round) {
    net::Buffer bytes = good;
    if (round % 2) {
      bytes.resize(20 + 4 * random.below(20));
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next());
      bytes[0] &= 1;
      bytes[2] = 0;
      bytes[3] = static_cast<uint8_t>(bytes.size() - 20);
    } else {
      for (int i = 0; i < 3; ++i) bytes[random.below(bytes.size())] = uint8_t(random.next());
    }
    read_all(bytes);
    const Answer answer = server.handle(net::Time(0), {0}, from, bytes);
    if (answer.send) {
      EXPECT_TRUE(Message::parse(answer.data).ok());
    }
  }
}

}  // namespace
}  // namespace culvert::stun
