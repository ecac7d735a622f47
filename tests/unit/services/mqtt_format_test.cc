// -F of mqtt-sub: mosquitto_sub 2.0's manual, escape by escape.
#include "model/services/mqtt_format.h"

#include <gtest/gtest.h>

#include "model/net/bytes.h"

namespace culvert::services {
namespace {

struct Format : ::testing::Test {
  Format() {
    message.topic = "home/7";
    message.payload = net::as_bytes("hello");
    message.qos = 1;
    message.packet_id = 9;
    message.retain = true;
    message.properties.content_type = "text/plain";
    message.properties.user = {{"k", "v"}, {"l", "w"}};
  }
  std::string operator()(const std::string& format, bool pretty = false) {
    EXPECT_TRUE(check_format(format)) << format;
    std::string out;
    EXPECT_TRUE(format_message(format, message, when, pretty, out)) << format;
    return out;
  }
  mqtt::Publish message;
  // 2026-11-21 10:38:19.000000007 UTC; no calendar: as in a simulation.
  FormatTime when{1'795'257'499'000'000'007, nullptr};
};

TEST_F(Format, EachEscape) {
  const struct {
    const char *format, *out;
  } kCases[] = {
      {"%t %p", "home/7 hello"},
      {"%x %X", "68656c6c6f 68656C6C6F"},
      {"%l %q %r %m", "5 1 1 9"},
      {"%C|%P|%E|%R|%A", "text/plain|k:v l:w|||"},
      {"[%8t][%-8t][%.4t][%6.2t]", "[  home/7][home/7  ][home][    ho]"},
      {"[%05l][%5l][%-05l]", "[00005][    5][5    ]"},
      {"%I", "2026-11-21T10:38:19+0000"},
      {"@Y-@m-@d @H:@M:@S.@N", "2026-11-21 10:38:19.000000007"},
      {"%U", "1795257499.000000007"},
      {"100%% @@ \\\\ \\t\\n\\e[0m", "100% @ \\ \t\n\x1B[0m"},
      {"%j",
       "{\"tst\":\"2026-11-21T10:38:19.000000+0000\",\"topic\":\"home/7\",\"qos\":1,\"retain\":1,"
       "\"payloadlen\":5,\"mid\":9,\"properties\":{\"content-type\":\"text/plain\","
       "\"user-properties\":{\"k\":\"v\",\"l\":\"w\"}},\"payload\":\"hello\"}"},
  };
  for (const auto& c : kCases) EXPECT_EQ((*this)(c.format), c.out) << c.format;
}

TEST_F(Format, JsonInsideJson) {
  std::string out;
  const net::Status status = format_message("%J", message, when, false, out);
  EXPECT_FALSE(status);
  EXPECT_NE(status.detail.find("home/7"), std::string::npos) << status.detail;

  message.payload = net::as_bytes("{\"a\":[1,\"x, {y\"]}");
  EXPECT_NE((*this)("%J").find("\"payload\":{\"a\":[1,\"x, {y\"]}}"), std::string::npos);
  EXPECT_NE((*this)("%J", true).find("\"a\":\t[\n\t\t\t1,\n\t\t\t\"x, {y\"\n\t\t]"),
            std::string::npos)
      << (*this)("%J", true);
}

TEST_F(Format, WhatThereIsNotIsRefused) {
  for (const char* format : {"%", "%z", "%5", "%5%", "%-", "@", "\\", "\\q", "%5.2"})
    EXPECT_FALSE(check_format(format)) << format;
}

}  // namespace
}  // namespace culvert::services
