#include "model/mqtt/broker/acl.h"

#include <gmock/gmock.h>

#include "model/mqtt/topic.h"
#include "model/net/random.h"

namespace culvert::mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Acl parse(std::string_view text) {
  auto acl = Acl::parse(text);
  EXPECT_TRUE(acl) << acl.status().to_string();
  return acl ? std::move(*acl) : Acl();
}

constexpr std::string_view kHouse = R"(
# Those without a name may look.
topic read public/#

user alice
topic alice/#
topic deny alice/secret/#
topic write  alarm/+/ring
user bob the builder
topic read with space/#

pattern write devices/%c/state
pattern read  users/%u/inbox
)";

struct Case {
  const char *user, *client;
  Action action;
  const char* topic;
  bool allowed;
};
class Rights : public ::testing::TestWithParam<Case> {};

TEST_P(Rights, AreWhatTheFileSays) {
  const Case& c = GetParam();
  EXPECT_EQ(parse(kHouse).allows(c.user, c.client, c.action, c.topic), c.allowed)
      << c.user << " " << c.client << " " << c.topic;
}

constexpr Action kPub = Action::publish, kSub = Action::subscribe, kGet = Action::receive;
INSTANTIATE_TEST_SUITE_P(
    Table, Rights,
    ::testing::Values(
        Case{"", "c", kGet, "public/x", true}, Case{"", "c", kPub, "public/x", false},
        Case{"", "c", kGet, "alice/x", false}, Case{"alice", "c", kGet, "public/x", false},
        // Without read or write before the topic: both.
        Case{"alice", "c", kGet, "alice/x", true}, Case{"alice", "c", kPub, "alice/x", true},
        // A deny stands behind in the file, and still outweighs.
        Case{"alice", "c", kPub, "alice/secret/x", false},
        Case{"alice", "c", kGet, "alice/secret", false},
        Case{"alice", "c", kPub, "alarm/3/ring", true},
        Case{"alice", "c", kGet, "alarm/3/ring", false},
        Case{"bob", "c", kGet, "with space/x", false},
        Case{"bob the builder", "c", kGet, "with space/x", true},
        Case{"mallory", "c", kPub, "alice/x", false},
        // Subscriptions: something that matches may be read, and no deny covers it all.
        Case{"alice", "c", kSub, "alice/#", true}, Case{"alice", "c", kSub, "#", true},
        Case{"alice", "c", kSub, "alice/secret/x", false},
        Case{"alice", "c", kSub, "alice/secret/#", false},
        Case{"alice", "c", kSub, "alice/+/x", true}, Case{"alice", "c", kSub, "alarm/#", false},
        Case{"alice", "c", kSub, "$SYS/#", false}, Case{"", "c", kSub, "alice/#", false},
        // Patterns are for everybody.
        Case{"", "d1", kPub, "devices/d1/state", true},
        Case{"alice", "d1", kPub, "devices/d1/state", true},
        Case{"alice", "d1", kPub, "devices/d2/state", false},
        Case{"alice", "d1", kGet, "devices/d1/state", false},
        Case{"alice", "c", kGet, "users/alice/inbox", true},
        Case{"bob", "c", kGet, "users/alice/inbox", false},
        Case{"", "c", kGet, "users//inbox", false},
        // Names that would act as wildcards or reach into another's realm (CVE-2017-7650).
        Case{"bob", "+", kPub, "devices/d1/state", false},
        Case{"bob", "#", kPub, "devices/d1/state", false},
        Case{"+", "c", kGet, "users/alice/inbox", false},
        Case{"bob", "a/b", kPub, "devices/a/b/state", false}, Case{"alice", "c", kPub, "", false}));

TEST(Acl, ADenyInAPatternHoldsForAClientWhoseNameHasLevels) {
  const Acl acl = parse("pattern readwrite #\npattern deny private/%c/#\n");
  EXPECT_TRUE(acl.allows("", "a/b", Action::publish, "x"));
  EXPECT_FALSE(acl.allows("", "a/b", Action::publish, "private/a/b/x"));
  EXPECT_FALSE(acl.allows("", "a", Action::publish, "private/a"));
}

TEST(Acl, WithoutLinesAllowsNothing) {
  EXPECT_FALSE(Acl().allows("a", "c", Action::publish, "x"));
  EXPECT_FALSE(parse("# nothing\n\n").allows("", "c", Action::receive, "x"));
}

TEST(Acl, RefusesWhatItDoesNotUnderstandWithTheLine) {
  const struct {
    const char *text, *says;
  } kWrong[] = {
      {"topic\n", "line 1 names no topic"},
      {"\n\ntopic read\t\n#", "line 3"},
      {"user\n", "line 1 names no user"},
      {"topc read x\n", "line 1 begins with none of topic, user and pattern"},
      {"topic read a/#/b\n", "'a/#/b' is no topic filter"},
      {"pattern %c+\n", "'%c+' is no topic filter"},
      {"topic read $share/g/x\n", "is no topic filter"},
  };
  for (const auto& wrong : kWrong) {
    const auto acl = Acl::parse(wrong.text);
    if (std::string_view(wrong.text) == "\n\ntopic read\t\n#") {
      EXPECT_TRUE(acl) << "a topic named 'read', as in mosquitto";
      continue;
    }
    ASSERT_FALSE(acl) << wrong.text;
    EXPECT_THAT(acl.status().detail, HasSubstr(wrong.says));
  }
}

TEST(Acl, TellsWhoseRightsDiffer) {
  const Acl before = parse("topic read a\nuser u\ntopic x\nuser v\ntopic y\nuser gone\ntopic z\n");
  const Acl after = parse("topic read a\nuser u\ntopic x\nuser v\ntopic y2\nuser new\ntopic z\n");
  EXPECT_THAT(before.difference(after).users, ElementsAre("gone", "new", "v"));
  EXPECT_FALSE(before.difference(after).all);
  EXPECT_THAT(before.difference(before).users, IsEmpty());
  EXPECT_THAT(before.difference(parse("")).users, ElementsAre("", "gone", "u", "v"));
  EXPECT_TRUE(before.difference(parse("pattern read x")).all);
}

// Overlap and cover against all topics of up to four levels from a small alphabet.
TEST(Filters, OverlapAndCoverAsTheirTopicsDo) {
  std::vector<std::string> topics;
  const char* const kLevels[] = {"a", "b", "", "$s"};
  std::vector<std::string> level = {"a", "b", "", "$s"};
  for (int depth = 0; depth < 4; ++depth) {
    for (const std::string& topic : level)
      if (!topic.empty()) topics.push_back(topic);
    std::vector<std::string> next;
    for (const std::string& topic : level)
      for (const char* one : kLevels) next.push_back(topic + "/" + one);
    level = next;
  }
  net::Random random(5);
  const auto draw = [&] {
    std::string filter;
    const size_t levels = 1 + random.below(3);
    for (size_t i = 0; i < levels; ++i) {
      if (i > 0) filter += "/";
      const size_t which = random.below(6);
      // "/#" would match the empty topic, which is none.
      if (which == 5) return filter == "/" ? std::string("#") : filter + "#";
      filter += which == 4 ? "+" : kLevels[which];
    }
    return filter.empty() ? std::string("+") : filter;
  };
  size_t overlaps = 0, covers = 0;
  for (int round = 0; round < 3'000; ++round) {
    const std::string a = draw(), b = draw();
    bool overlap = false, cover = true;
    for (const std::string& topic : topics) {
      const bool in_a = matches(a, topic), in_b = matches(b, topic);
      overlap = overlap || (in_a && in_b);
      cover = cover && (in_a || !in_b);
    }
    ASSERT_EQ(filters_overlap(a, b), overlap) << a << " " << b;
    // A cover that is missed only refuses nothing; one that is none would refuse too much.
    if (filter_covers(a, b)) {
      ASSERT_TRUE(cover) << a << " " << b;
    } else if (a.find('#') == std::string::npos && b.find('#') == std::string::npos) {
      ASSERT_FALSE(cover) << a << " " << b;
    }
    overlaps += overlap;
    covers += cover;
  }
  EXPECT_GT(overlaps, 500u);
  EXPECT_GT(covers, 100u);
}

}  // namespace
}  // namespace culvert::mqtt
