// Retained messages against a plain list that asks mqtt::matches about everything.
#include "model/mqtt/broker/retained.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "model/mqtt/topic.h"
#include "tests/unit/mqtt_index/random_topics.h"

namespace culvert::mqtt {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr size_t kPlenty = 1'000'000'000;

MessagePtr message(std::string_view topic, std::string_view payload = "x",
                   std::optional<uint32_t> expiry_s = {}, net::Time arrived = 0s) {
  Publish publish;
  publish.topic = topic;
  publish.payload = net::as_bytes(payload);
  publish.retain = true;
  publish.properties.expiry_s = expiry_s;
  return Message::make(publish, arrived);
}

std::vector<std::string> found(const RetainedMessages& retained, std::string_view filter,
                               net::Time now = 0s) {
  std::vector<std::string> topics;
  retained.match(filter, now, [&](const MessagePtr& m) { topics.emplace_back(m->topic()); });
  return topics;
}

TEST(Retained, AreFoundAsMatchesSays) {
  net::Random random(1);
  RetainedMessages retained(kPlenty, kPlenty);
  std::map<std::string, std::string> model;  // topic, payload
  size_t hits = 0;
  for (int round = 0; round < 5'000; ++round) {
    const std::string topic = testing::random_topic(random);
    switch (random.below(4)) {
      case 0:
      case 1: {
        const std::string payload = std::to_string(round);
        EXPECT_TRUE(retained.put(message(topic, payload)));
        model[topic] = payload;
        break;
      }
      case 2:
        EXPECT_EQ(retained.erase(topic), model.erase(topic) == 1) << topic;
        break;
      default: {
        const std::string filter = testing::random_filter(random);
        std::vector<std::string> expected;
        for (const auto& [name, payload] : model)
          if (matches(filter, name)) expected.push_back(name);
        std::vector<std::string> seen = found(retained, filter);
        std::sort(seen.begin(), seen.end());  // as the map is
        ASSERT_EQ(seen, expected) << filter;
        hits += expected.size();
      }
    }
    ASSERT_EQ(retained.size(), model.size());
    const MessagePtr one = retained.find(topic);
    const auto same = model.find(topic);
    ASSERT_EQ(one != nullptr, same != model.end()) << topic;
    if (one) {
      ASSERT_EQ(net::as_text(one->payload()), same->second);
    }
  }
  EXPECT_GT(hits, 5'000u);  // the comparison has compared something
}

TEST(Retained, ComeLevelByLevel) {
  RetainedMessages retained(kPlenty, kPlenty);
  for (const char* topic : {"b", "a!", "a/b", "a", "a/b/c", "a/a", "$SYS/x"})
    EXPECT_TRUE(retained.put(message(topic)));
  EXPECT_THAT(found(retained, "#"), ElementsAre("a", "a/a", "a/b", "a/b/c", "a!", "b"));
  EXPECT_THAT(found(retained, "a/#"), ElementsAre("a", "a/a", "a/b", "a/b/c"));
  EXPECT_THAT(found(retained, "+"), ElementsAre("a", "a!", "b"));
  EXPECT_THAT(found(retained, "+/x"), IsEmpty());
  EXPECT_THAT(found(retained, "$SYS/#"), ElementsAre("$SYS/x"));
}

TEST(Retained, ExpireAndAreNotFoundAnyMore) {
  RetainedMessages retained(kPlenty, kPlenty);
  retained.put(message("a", "x", 10, 5s));
  retained.put(message("b", "x", 20, 5s));
  retained.put(message("c"));
  EXPECT_THAT(found(retained, "#", 14s), ElementsAre("a", "b", "c"));
  EXPECT_THAT(found(retained, "#", 15s), ElementsAre("b", "c"));
  EXPECT_THAT(found(retained, "a", 15s), IsEmpty());
  EXPECT_EQ(retained.expire(14s, 10), 0u);
  EXPECT_EQ(retained.expiring(), 2u);
  EXPECT_EQ(retained.expire(25s, 1, [](const MessagePtr& m) { EXPECT_EQ(m->topic(), "a"); }), 1u);
  EXPECT_EQ(retained.expiring(), 1u);
  EXPECT_EQ(retained.size(), 2u);
  EXPECT_EQ(retained.expire(25s, 10), 1u);
  EXPECT_EQ(retained.expire(25s, 10), 0u);
  EXPECT_EQ(retained.size(), 1u);
}

TEST(Retained, AReplacementTakesItsOwnExpiry) {
  RetainedMessages retained(kPlenty, kPlenty);
  retained.put(message("a", "old", 10));
  retained.put(message("a", "new"));
  EXPECT_EQ(retained.expire(11s, 10), 0u);
  EXPECT_EQ(net::as_text(retained.find("a")->payload()), "new");
}

TEST(Retained, BeyondTheLimitKeepWhatTheyHad) {
  RetainedMessages few(2, kPlenty);
  EXPECT_TRUE(few.put(message("a")));
  EXPECT_TRUE(few.put(message("b")));
  EXPECT_FALSE(few.put(message("c")));
  EXPECT_TRUE(few.put(message("b", "again")));
  EXPECT_TRUE(few.erase("a"));
  EXPECT_TRUE(few.put(message("c")));

  const size_t one = message("a", std::string(100, 'x'))->bytes();
  RetainedMessages small(100, 2 * one);
  EXPECT_TRUE(small.put(message("a", std::string(100, 'x'))));
  EXPECT_TRUE(small.put(message("b", std::string(100, 'x'))));
  EXPECT_FALSE(small.put(message("b", std::string(300, 'x'))));
  EXPECT_EQ(small.find("b")->payload().size(), 100u);
  EXPECT_EQ(small.bytes(), 2 * one);
  EXPECT_FALSE(small.put(message("c", std::string(10'000, 'x'))));
  small.erase("a");
  small.erase("b");
  EXPECT_EQ(small.bytes(), 0u);
}

// A filter with "+" in the middle looks at each of its siblings a time or two, not at what is below
// them.
TEST(Retained, ASearchSkipsWhatCannotMatch) {
  RetainedMessages retained(kPlenty, kPlenty);
  for (int device = 0; device < 100; ++device)
    for (int value = 0; value < 1000; ++value)
      retained.put(message("d/" + std::to_string(device) + "/v/" + std::to_string(value)));
  for (int round = 0; round < 2000; ++round)  // 200 million looks if it looked at all of them
    ASSERT_EQ(found(retained, "d/+/v/7").size(), 100u);
}

}  // namespace
}  // namespace culvert::mqtt
