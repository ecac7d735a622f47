#include "model/mqtt/topic.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace culvert::mqtt {
namespace {

using namespace std::literals;

struct Text {
  std::string_view text;
  bool valid;
  const char* why;
};

// RFC 3629 section 4 and MQTT 5.0 section 1.5.4.
const Text kTexts[] = {
    {"", true, "empty"},
    {"plain", true, "ASCII"},
    {"\xC3\xA9", true, "two bytes"},
    {"\xE2\x82\xAC", true, "three bytes"},
    {"A\xF0\xAA\x9B\x94", true, "four bytes, the specification's own example"},
    {"\xEF\xBB\xBFx", true, "a byte order mark is a character"},
    {"\xEF\xBF\xBF", true, "a non-character"},
    {"\x01\x1F\x7F", true, "control characters"},
    {"\xF4\x8F\xBF\xBF", true, "U+10FFFF"},
    {"a\0b"sv, false, "U+0000"},
    {"1234567\0"sv, false, "U+0000 at a word's end"},
    {"\0"sv, false, "only U+0000"},
    {"\x80", false, "a continuation alone"},
    {"\xC0\x80", false, "overlong U+0000"},
    {"\xC1\xBF", false, "overlong"},
    {"\xE0\x9F\xBF", false, "overlong in three bytes"},
    {"\xF0\x8F\xBF\xBF", false, "overlong in four bytes"},
    {"\xED\xA0\x80", false, "a surrogate, U+D800"},
    {"\xED\xBF\xBF", false, "a surrogate, U+DFFF"},
    {"\xF4\x90\x80\x80", false, "above U+10FFFF"},
    {"\xF5\x80\x80\x80", false, "no such first byte"},
    {"\xFF", false, "no such byte"},
    {"\xC3", false, "cut in two"},
    {"\xE2\x82", false, "cut in three"},
    {"\xF0\xAA\x9B", false, "cut in four"},
    {"long enough for words \xC3(", false, "a bad continuation after words"},
};

TEST(Utf8, IsWhatTheSpecificationSays) {
  for (const Text& row : kTexts) EXPECT_EQ(valid_utf8(row.text), row.valid) << row.why;
}

TEST(TopicName, HasNoWildcardsAndIsNotEmpty) {
  for (const char* good : {"a", "/", "a/b/c", "/finance", "a//b", "sport/tennis player1", "$SYS/x",
                           "exactly8", "nine byte"})
    EXPECT_TRUE(valid_topic_name(good)) << good;
  for (const char* bad : {"", "+", "#", "a/#", "a/+/b", "a+", "1234567+", "12345678#", "\xFF"})
    EXPECT_FALSE(valid_topic_name(bad)) << bad;
  EXPECT_TRUE(valid_topic_name(std::string(65535, 'x')));
  EXPECT_FALSE(valid_topic_name(std::string(65536, 'x')));
}

TEST(TopicFilter, WildcardsStandAloneAndHashStandsLast) {
  for (const char* good :
       {"#", "+", "a/#", "+/+", "/+", "+/", "/#", "a/+/b", "$SYS/#", "a", "$share/g/a",
        "$share/g/#", "$share/g/+/b", "$share/g//", "$share", "$shared/x"})
    EXPECT_TRUE(valid_topic_filter(good)) << good;
  for (const char* bad :
       {"",           "a#",         "#/a",         "a/#/b",        "a+",
        "+a",         "a/b+/c",     "##",          "++",           "a/#b",
        "$share/",    "$share/g",   "$share//a",   "$share/g/",    "$share/g+/a",
        "$share/#/a", "$share/+/a", "$share/g/a#", "$share/g/#/a", "$share/g/$share/h/a",
        "\xC3"})
    EXPECT_FALSE(valid_topic_filter(bad)) << bad;
  EXPECT_TRUE(valid_topic_filter(std::string(65535, 'x')));
  EXPECT_FALSE(valid_topic_filter(std::string(65536, 'x')));
}

struct Match {
  std::string_view filter, topic;
  bool matches;
};

// Section 4.7: the specification's examples, and their neighbours.
const Match kMatches[] = {
    {"sport/tennis/player1/#", "sport/tennis/player1", true},
    {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
    {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
    {"sport/tennis/player1/#", "sport/tennis/player2", false},
    {"sport/#", "sport", true},
    {"sport/#", "sports", false},
    {"#", "a", true},
    {"#", "a/b/c", true},
    {"#", "/", true},
    {"sport/tennis/+", "sport/tennis/player1", true},
    {"sport/tennis/+", "sport/tennis/player1/ranking", false},
    {"sport/+", "sport", false},
    {"sport/+", "sport/", true},
    {"+/+", "/finance", true},
    {"/+", "/finance", true},
    {"+", "/finance", false},
    {"+", "finance", true},
    {"+/tennis/#", "sport/tennis", true},
    {"a/+/c", "a/b/c", true},
    {"a/+/c", "a//c", true},
    {"a/+/c", "a/b/d", false},
    {"a/b", "a/b", true},
    {"a/b", "a/b/", false},
    {"a/b/", "a/b", false},
    {"a/b", "A/b", false},
    {"ACCOUNTS", "Accounts", false},
    {"#", "$SYS/monitor/clients", false},
    {"+/monitor/clients", "$SYS/monitor/clients", false},
    {"$SYS/#", "$SYS/monitor/clients", true},
    {"$SYS/monitor/+", "$SYS/monitor/clients", true},
    {"$SYS/#", "$SYS", true},
    {"+", "$SYS", false},
    {"a/#", "a/$b", true},
    {"/", "/", true},
    {"/+", "/", true},
    {"+/", "/", true},
    {"a/+/#", "a/b", true},
    {"a/+/#", "a", false},
};

TEST(TopicFilter, MatchesAsTheSpecificationSays) {
  for (const Match& row : kMatches)
    EXPECT_EQ(matches(row.filter, row.topic), row.matches) << row.filter << " : " << row.topic;
}

TEST(SharedFilter, ComesApart) {
  const auto one = shared("$share/workers/jobs/+/go");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->group, "workers");
  EXPECT_EQ(one->filter, "jobs/+/go");
  EXPECT_FALSE(shared("jobs/#"));
  EXPECT_FALSE(shared("$share/workers"));
  EXPECT_FALSE(shared("$share//jobs"));
  EXPECT_FALSE(shared("$share/workers/"));
  EXPECT_EQ(shared("$share/g//a")->filter, "/a");
}

TEST(Levels, AreWhatSlashesSeparate) {
  const auto all = [](std::string_view topic) {
    std::vector<std::string_view> out;
    for (Levels level(topic); level; ++level) out.push_back(*level);
    return out;
  };
  using List = std::vector<std::string_view>;
  EXPECT_EQ(all("a"), List({"a"}));
  EXPECT_EQ(all("a/b/c"), List({"a", "b", "c"}));
  EXPECT_EQ(all("/"), List({"", ""}));
  EXPECT_EQ(all("a//"), List({"a", "", ""}));
}

}  // namespace
}  // namespace culvert::mqtt
