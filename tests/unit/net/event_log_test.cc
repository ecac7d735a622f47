#include "model/net/event_log.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <limits>

namespace culvert::net {
namespace {

class EventLogTest : public ::testing::Test {
 protected:
  Time now{0};
  std::vector<std::string> lines;
  EventLog log{"a", [this] { return now; }, [this](std::string_view l) { lines.emplace_back(l); }};
};

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

TEST_F(EventLogTest, writes_one_json_line_with_exact_time) {
  now = 12345678ns;
  log.write("punch", "probe_sent", {{"to", *Endpoint::parse("198.51.100.1:4000")}});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0],
            "{\"time_ms\":12.345678,\"node\":\"a\",\"service\":\"punch\",\"event\":\"probe_sent\","
            "\"to\":\"198.51.100.1:4000\"}");
  now = 3600s + 1ns;
  log.write("s", "e");
  EXPECT_EQ(lines[1],
            "{\"time_ms\":3600000.000001,\"node\":\"a\",\"service\":\"s\",\"event\":\"e\"}");
}

TEST_F(EventLogTest, every_kind_of_value_is_json) {
  log.write("s", "e",
            {{"yes", true},
             {"int", -3},
             {"least", std::numeric_limits<int64_t>::min()},
             {"most", std::numeric_limits<uint64_t>::max()},
             {"double", 0.1},
             {"nan", std::nan("")},
             {"infinite", std::numeric_limits<double>::infinity()},
             {"text", "x"},
             {"ip", IpAddress::v4(0x01020304)},
             {"rtt_ms", Duration(1500us)}});
  const auto value = boost::json::parse(lines[0]).as_object();
  EXPECT_TRUE(value.at("yes").as_bool());
  EXPECT_EQ(value.at("int").as_int64(), -3);
  EXPECT_EQ(value.at("least").as_int64(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(value.at("most").as_uint64(), std::numeric_limits<uint64_t>::max());
  EXPECT_DOUBLE_EQ(value.at("double").as_double(), 0.1);
  EXPECT_TRUE(value.at("nan").is_null() && value.at("infinite").is_null());
  EXPECT_EQ(value.at("ip").as_string(), "1.2.3.4");
  EXPECT_DOUBLE_EQ(value.at("rtt_ms").as_double(), 1.5);
}

TEST_F(EventLogTest, no_byte_that_a_peer_sends_breaks_a_line) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  log.write(all, all, {{"x", std::string_view(all)}});
  EXPECT_EQ(lines[0].find('\n'), std::string::npos);
  EXPECT_NO_THROW(boost::json::parse(lines[0]));
}

TEST(AppendJsonString, keeps_well_formed_utf8_and_replaces_the_rest) {
  EXPECT_EQ(quoted("plain"), "\"plain\"");
  EXPECT_EQ(quoted("a\"b\\c\n\t"), "\"a\\\"b\\\\c\\u000a\\u0009\"");
  EXPECT_EQ(quoted("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
            "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(quoted("\xc0\xaf"), "\"" + bad + bad + "\"") << "overlong";
  EXPECT_EQ(quoted("\xed\xa0\x80"), "\"" + bad + bad + bad + "\"") << "a surrogate";
  EXPECT_EQ(quoted("\xf4\x90\x80\x80"), "\"" + bad + bad + bad + bad + "\"") << "above U+10FFFF";
  EXPECT_EQ(quoted("\xe2\x82"), "\"" + bad + bad + "\"") << "cut off";
}

TEST(EventLog, without_sink_it_is_off) {
  EventLog log("a", [] { return Time(0); }, {});
  EXPECT_FALSE(log.enabled());
  log.write("s", "e");
}

}  // namespace
}  // namespace culvert::net
