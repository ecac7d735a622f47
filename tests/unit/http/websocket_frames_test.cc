// RFC 6455's own examples, every cut of a stream of frames, and what must be refused.
#include "model/http/websocket_frames.h"

#include <gtest/gtest.h>

#include <random>

namespace culvert::http {
namespace {

struct Heard : FrameReader::Events {
  void on_ping(net::Bytes payload) override { pings.emplace_back(net::as_text(payload)); }
  void on_close(CloseCode c, std::string_view r) override {
    code = c;
    reason = r;
  }
  std::vector<std::string> pings;
  CloseCode code = CloseCode::none;
  std::string reason, data;

  void feed(FrameReader& reader, net::Buffer bytes) {
    const size_t count = reader.decode(bytes, *this);
    data.append(reinterpret_cast<const char*>(bytes.data()), count);
  }
};

const FrameRules kServer{true, 1 << 20, false}, kClient{false, 1 << 20, false};

net::Buffer frame(Opcode opcode, std::string_view payload, bool masked, bool final = true) {
  net::Buffer out;
  const Mask mask{0x37, 0xfa, 0x21, 0x3d};
  append_frame(out, opcode, net::as_bytes(payload), masked ? &mask : nullptr);
  if (!final) out[0] &= 0x7f;
  return out;
}
net::Buffer operator+(net::Buffer a, const net::Buffer& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(WebSocketFrames, TheExamplesOfTheRfc) {  // section 5.7
  EXPECT_EQ(frame(Opcode::text, "Hello", false),
            (net::Buffer{0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}));
  EXPECT_EQ(frame(Opcode::text, "Hello", true),
            (net::Buffer{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}));
  EXPECT_EQ(frame(Opcode::text, "Hel", false, false), (net::Buffer{0x01, 0x03, 0x48, 0x65, 0x6c}));
  const net::Buffer longer = frame(Opcode::binary, std::string(256, 'x'), false);
  EXPECT_EQ(net::Buffer(longer.begin(), longer.begin() + 4), (net::Buffer{0x82, 0x7e, 0x01, 0x00}));
  const net::Buffer longest = frame(Opcode::binary, std::string(65536, 'x'), false);
  EXPECT_EQ(net::Buffer(longest.begin(), longest.begin() + 10),
            (net::Buffer{0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0}));
}

TEST(WebSocketFrames, AnyCutGivesTheSame) {
  for (const bool masked : {true, false}) {
    const std::string large(70000, 'z');
    const net::Buffer bytes =
        frame(Opcode::binary, "one", masked) + frame(Opcode::ping, "p", masked) +
        frame(Opcode::binary, "two", masked, false) + frame(Opcode::ping, "", masked) +
        frame(Opcode::continuation, "", masked, false) +
        frame(Opcode::continuation, "three", masked) + frame(Opcode::pong, "x", masked) +
        frame(Opcode::binary, "", masked) + frame(Opcode::binary, std::string(200, 'y'), masked) +
        frame(Opcode::binary, large, masked) +
        frame(Opcode::close, std::string("\x03\xe8good", 6), masked) +
        frame(Opcode::binary, "no", masked);
    std::mt19937 random(1);
    for (int round = 0; round < 300; ++round) {
      FrameReader reader(masked ? kServer : kClient);
      Heard heard;
      for (size_t at = 0; at < bytes.size();) {
        const size_t part = std::min<size_t>(
            bytes.size() - at, round == 0 ? 1 : 1 + random() % (round < 150 ? 9 : 9000));
        heard.feed(reader, net::Buffer(bytes.begin() + at, bytes.begin() + at + part));
        at += part;
      }
      ASSERT_EQ(heard.data, "onetwothree" + std::string(200, 'y') + large);
      ASSERT_EQ(heard.pings, (std::vector<std::string>{"p", ""}));
      ASSERT_EQ(heard.code, CloseCode::normal);
      ASSERT_EQ(heard.reason, "good");
      ASSERT_TRUE(reader.closed());
      ASSERT_EQ(reader.fault(), CloseCode::none);
    }
  }
}

TEST(WebSocketFrames, ViolationsGetTheirCloseCode) {
  const std::string mask("\0\0\0\0", 4);
  const struct {
    const char* what;
    std::string bytes;
    CloseCode code;
  } kCases[] = {
      {"not masked", std::string("\x82\x01x", 3), CloseCode::protocol_error},
      {"reserved bit", "\xc2\x81" + mask + "x", CloseCode::protocol_error},
      {"reserved opcode 3", "\x83\x81" + mask + "x", CloseCode::protocol_error},
      {"reserved opcode 11", "\x8b\x81" + mask + "x", CloseCode::protocol_error},
      {"fragmented ping", "\x09\x81" + mask + "x", CloseCode::protocol_error},
      {"long ping", std::string("\x89\xfe\x00\x7e", 4) + mask, CloseCode::protocol_error},
      {"continues nothing", "\x80\x81" + mask + "x", CloseCode::protocol_error},
      {"begins inside", "\x02\x81" + mask + "x" + "\x82\x81" + mask + "x",
       CloseCode::protocol_error},
      {"text", "\x81\x81" + mask + "x", CloseCode::unsupported_data},
      {"too large", std::string("\x82\xff\0\0\0\0\0\x10\0\x01", 10) + mask, CloseCode::too_big},
      {"16 bits for 125", std::string("\x82\xfe\0\x7d", 4) + mask, CloseCode::protocol_error},
      {"64 bits for 65535", std::string("\x82\xff\0\0\0\0\0\0\xff\xff", 10) + mask,
       CloseCode::protocol_error},
      {"highest bit", std::string("\x82\xff\x80\0\0\0\0\0\0\0", 10) + mask,
       CloseCode::protocol_error},
      {"half a code", "\x88\x81" + mask + "\x03", CloseCode::protocol_error},
      {"code 1005", "\x88\x82" + mask + "\x03\xed", CloseCode::protocol_error},
      {"code 999", "\x88\x82" + mask + "\x03\xe7", CloseCode::protocol_error},
      {"code 5000", "\x88\x82" + mask + "\x13\x88", CloseCode::protocol_error},
      {"reason not UTF-8", "\x88\x83" + mask + "\x03\xe8\xff", CloseCode::bad_payload},
  };
  for (const auto& c : kCases) {
    FrameReader reader(kServer);
    Heard heard;
    heard.feed(reader, net::Buffer(c.bytes.begin(), c.bytes.end()));
    EXPECT_EQ(reader.fault(), c.code) << c.what;
    EXPECT_FALSE(reader.closed()) << c.what;
    EXPECT_NE(std::string(reader.fault_text()), "") << c.what;
  }
  FrameReader reader(kClient);
  Heard heard;
  heard.feed(reader, frame(Opcode::binary, "x", true));
  EXPECT_EQ(reader.fault(), CloseCode::protocol_error);
}

TEST(WebSocketFrames, CloseFramesMayCarryNothing) {
  FrameReader reader(kClient);
  Heard heard;
  net::Buffer bytes;
  append_close(bytes, CloseCode::no_status, "", nullptr);
  EXPECT_EQ(bytes, (net::Buffer{0x88, 0x00}));
  heard.feed(reader, bytes);
  EXPECT_EQ(heard.code, CloseCode::no_status);
  bytes.clear();
  append_close(bytes, CloseCode::policy, std::string(500, 'r'), nullptr);
  EXPECT_EQ(bytes.size(), 2 + kMaxControl);
}

TEST(WebSocketFrames, Utf8AsRfc3629Says) {
  const auto good = [](std::string_view text) { return is_utf8(net::as_bytes(text)); };
  for (const char* text : {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xef\xbf\xbd"})
    EXPECT_TRUE(good(text)) << text;
  for (const char* text : {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80",
                           "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xe2\x82", "a\xff"})
    EXPECT_FALSE(good(text)) << text;
}

}  // namespace
}  // namespace culvert::http
