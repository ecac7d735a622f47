// Cutting packets out of a stream.
#include <gtest/gtest.h>

#include "model/mqtt/codec.h"
#include "tests/unit/mqtt/bytes.h"

namespace culvert::mqtt {
namespace {

using testing::bytes;

constexpr uint32_t kNoLimit = 268'435'460;

TEST(Frame, IsKnownOnceItsLengthIsThere) {
  const net::Buffer packet = bytes("32 0a 00 03 'a/b' 00 0a 00 'xx'");
  for (size_t size = 0; size <= packet.size(); ++size) {
    const net::Buffer part(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(size));
    const auto frame = next_frame(part, kNoLimit, Side::client);
    ASSERT_TRUE(std::holds_alternative<Frame>(frame)) << size;
    EXPECT_EQ(std::get<Frame>(frame).size, size < 2 ? 0u : 12u) << size;
    EXPECT_EQ(std::get<Frame>(frame).header, size < 2 ? 0u : 2u) << size;
  }
}

struct Length {
  const char* hex;
  size_t size, header;
};

// Table 1-1: the bounds of variable byte integers.
TEST(Frame, LengthsGoToFourBytes) {
  const Length kLengths[] = {
      {"30 00", 2, 2},
      {"30 7f", 129, 2},
      {"30 80 01", 131, 3},
      {"30 ff 7f", 3 + 16383, 3},
      {"30 80 80 01", 4 + 16384, 4},
      {"30 ff ff 7f", 4 + 2'097'151, 4},
      {"30 80 80 80 01", 5 + 2'097'152, 5},
      {"30 ff ff ff 7f", 5 + 268'435'455, 5},
  };
  for (const Length& row : kLengths) {
    const auto frame = next_frame(bytes(row.hex), kNoLimit, Side::client);
    ASSERT_TRUE(std::holds_alternative<Frame>(frame)) << row.hex;
    EXPECT_EQ(std::get<Frame>(frame).size, row.size) << row.hex;
    EXPECT_EQ(std::get<Frame>(frame).header, row.header) << row.hex;
  }
  EXPECT_EQ(std::get<Frame>(next_frame(bytes("30 ff ff ff"), kNoLimit, Side::client)).size, 0u);
}

TEST(Frame, AFifthLengthByteIsMalformedBeforeItComes) {
  const auto fault = next_frame(bytes("30 80 80 80 80"), kNoLimit, Side::client);
  ASSERT_TRUE(std::holds_alternative<Fault>(fault));
  EXPECT_EQ(std::get<Fault>(fault).reason, Reason::malformed_packet);
  EXPECT_EQ(std::get<Fault>(fault).statement, "MQTT-1.5.5-1");
}

TEST(Frame, TooLargeIsSaidBeforeThePacketHasCome) {
  EXPECT_TRUE(std::holds_alternative<Frame>(next_frame(bytes("30 62"), 100, Side::client)));
  const auto fault = next_frame(bytes("30 63"), 100, Side::client);
  ASSERT_TRUE(std::holds_alternative<Fault>(fault));
  EXPECT_EQ(std::get<Fault>(fault).reason, Reason::packet_too_large);
}

struct First {
  uint8_t byte;
  bool from_client, from_server;
};

// Tables 2-1 and 2-2: what may come from whom with which flags; everything else is refused.
TEST(Frame, TheFirstByteIsChecked) {
  const First kFirst[] = {
      {0x10, true, false}, {0x20, false, true}, {0x30, true, true},  {0x31, true, true},
      {0x32, true, true},  {0x33, true, true},  {0x34, true, true},  {0x35, true, true},
      {0x3A, true, true},  {0x3B, true, true},  {0x3C, true, true},  {0x3D, true, true},
      {0x40, true, true},  {0x50, true, true},  {0x62, true, true},  {0x70, true, true},
      {0x82, true, false}, {0x90, false, true}, {0xA2, true, false}, {0xB0, false, true},
      {0xC0, true, false}, {0xD0, false, true}, {0xE0, true, true},  {0xF0, true, true},
  };
  for (int byte = 0; byte < 256; ++byte) {
    bool client = false, server = false;
    for (const First& row : kFirst)
      if (row.byte == byte) client = row.from_client, server = row.from_server;
    const net::Buffer one{static_cast<uint8_t>(byte)};
    EXPECT_EQ(std::holds_alternative<Frame>(next_frame(one, kNoLimit, Side::client)), client)
        << byte;
    EXPECT_EQ(std::holds_alternative<Frame>(next_frame(one, kNoLimit, Side::server)), server)
        << byte;
  }
}

TEST(Varint, IsAsShortAsItCanBe) {
  for (const uint32_t value :
       {0u, 1u, 127u, 128u, 16383u, 16384u, 2'097'151u, 2'097'152u, 268'435'455u}) {
    net::Buffer out{0x30};
    append_varint(value, out);
    EXPECT_EQ(out.size() - 1, varint_size(value)) << value;
    const auto frame = next_frame(out, kNoLimit, Side::client);
    EXPECT_EQ(std::get<Frame>(frame).size, out.size() + value);
  }
}

}  // namespace
}  // namespace culvert::mqtt
