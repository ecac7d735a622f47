// The subscription tree against a plain list that asks mqtt::matches about everything.
#include "model/mqtt/broker/subscriptions.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "model/mqtt/topic.h"
#include "tests/unit/mqtt_index/random_topics.h"

namespace culvert::mqtt {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What one match visited: sessions with their subscription identifiers, and the shared groups.
struct Found {
  std::vector<std::pair<SessionIndex, uint32_t>> ordinary;
  std::vector<std::vector<SessionIndex>> groups;
};

Found match(SubscriptionTree& tree, std::string_view topic) {
  Found found;
  tree.match(
      topic, &found,
      [](void* context, const Subscription& s) {
        auto& here = *static_cast<Found*>(context);
        EXPECT_TRUE(here.groups.empty()) << "ordinary ones come first";
        here.ordinary.emplace_back(s.session, s.subscription_id);
      },
      [](void* context, SharedGroup& group) {
        std::vector<SessionIndex> members;
        for (const Subscription& s : group.members) members.push_back(s.session);
        static_cast<Found*>(context)->groups.push_back(std::move(members));
      });
  return found;
}

Subscription of(SessionIndex session, uint32_t id = 0) {
  Subscription subscription;
  subscription.session = session;
  subscription.subscription_id = id;
  return subscription;
}

TEST(Subscriptions, MatchAsMatchesSays) {
  for (const uint64_t seed : {1, 2, 3}) {
    net::Random random(seed);
    SubscriptionTree tree(seed);
    std::map<std::pair<std::string, SessionIndex>, uint32_t> model;
    std::map<std::string, std::vector<SessionIndex>> groups;  // by "group filter"
    size_t hits = 0, group_hits = 0, most = 0;
    for (uint32_t round = 1; round < 6'000; ++round) {
      std::string filter = testing::random_filter(random);
      const auto session = static_cast<SessionIndex>(random.below(12));
      const bool grows = random.below(2000) > round % 2000;  // up and down again
      if (random.below(3) == 0) {
        const std::string group = random.below(2) ? "g" : "h";
        auto& members = groups[group + " " + filter];
        const auto at = std::find(members.begin(), members.end(), session);
        const std::string whole = "$share/" + group + "/" + filter;
        if (grows) {
          ASSERT_EQ(tree.put(whole, of(session)), at != members.end());
          if (at == members.end()) members.push_back(session);
        } else {
          ASSERT_EQ(tree.erase(whole, session), at != members.end());
          if (at != members.end()) members.erase(at);
        }
        if (members.empty()) groups.erase(group + " " + filter);
      } else if (grows) {
        ASSERT_EQ(tree.put(filter, of(session, round)), model.count({filter, session}) == 1);
        model[{filter, session}] = round;
      } else {
        ASSERT_EQ(tree.erase(filter, session), model.erase({filter, session}) == 1);
      }

      const std::string topic = testing::random_topic(random);
      Found expected;
      for (const auto& [key, id] : model)
        if (matches(key.first, topic)) expected.ordinary.emplace_back(key.second, id);
      size_t in_groups = 0;
      for (const auto& [key, members] : groups) {
        in_groups += members.size();
        if (matches(key.substr(2), topic)) expected.groups.push_back(members);
      }
      Found found = match(tree, topic);
      std::sort(found.ordinary.begin(), found.ordinary.end());
      std::sort(expected.ordinary.begin(), expected.ordinary.end());
      std::sort(found.groups.begin(), found.groups.end());
      std::sort(expected.groups.begin(), expected.groups.end());
      ASSERT_EQ(found.ordinary, expected.ordinary) << topic;
      ASSERT_EQ(found.groups, expected.groups) << topic;
      ASSERT_EQ(tree.size(), model.size() + in_groups);
      hits += found.ordinary.size();
      group_hits += found.groups.size();
      most = std::max(most, tree.size());
    }
    EXPECT_GT(hits, 4'000u);
    EXPECT_GT(group_hits, 1'000u);
    EXPECT_GT(most, 200u);
  }
}

TEST(Subscriptions, WildcardsAtTheStartDoNotMatchReservedTopics) {
  SubscriptionTree tree;
  tree.put("#", of(1));
  tree.put("+/x", of(2));
  tree.put("$SYS/#", of(3));
  tree.put("$SYS/+", of(4));
  EXPECT_THAT(match(tree, "$SYS/x").ordinary,
              ::testing::UnorderedElementsAre(std::pair(3u, 0u), std::pair(4u, 0u)));
  EXPECT_THAT(match(tree, "a/x").ordinary,
              ::testing::UnorderedElementsAre(std::pair(1u, 0u), std::pair(2u, 0u)));
}

TEST(Subscriptions, TheOrderDoesNotDependOnTheSeedOrOnHistory) {
  const auto sequence = [](uint64_t seed, bool history) {
    SubscriptionTree tree(seed);
    net::Random random(7);
    if (history) {
      for (int i = 0; i < 500; ++i) tree.put("x/" + std::to_string(i) + "/+", of(i));
      for (int i = 0; i < 500; ++i) tree.erase("x/" + std::to_string(i) + "/+", i);
    }
    for (uint32_t i = 0; i < 300; ++i)
      tree.put(testing::random_filter(random), of(static_cast<SessionIndex>(random.below(50)), i));
    std::vector<std::pair<SessionIndex, uint32_t>> all;
    for (int i = 0; i < 200; ++i)
      for (const auto& one : match(tree, testing::random_topic(random)).ordinary)
        all.push_back(one);
    return all;
  };
  const auto first = sequence(1, false);
  EXPECT_GT(first.size(), 500u);
  EXPECT_EQ(sequence(2, false), first);
  EXPECT_EQ(sequence(3, true), first);
}

TEST(Subscriptions, ASharedGroupKeepsItsOrderAndItsTurn) {
  SubscriptionTree tree;
  for (const SessionIndex session : {5, 3, 9}) tree.put("$share/g/a/b", of(session));
  const auto turn_to = [&](size_t turn) {
    tree.match(
        "a/b", &turn, [](void*, const Subscription&) { FAIL(); },
        [](void* context, SharedGroup& group) { group.turn = *static_cast<size_t*>(context); });
  };
  EXPECT_THAT(match(tree, "a/b").groups, ElementsAre(ElementsAre(5, 3, 9)));
  turn_to(2);  // 9 would be next
  tree.erase("$share/g/a/b", 5);
  tree.match(
      "a/b", nullptr, [](void*, const Subscription&) { FAIL(); },
      [](void*, SharedGroup& group) { EXPECT_EQ(group.members.at(group.turn).session, 9u); });
  EXPECT_FALSE(tree.erase("$share/h/a/b", 3));
  EXPECT_FALSE(tree.erase("a/b", 3));
  EXPECT_TRUE(tree.erase("$share/g/a/b", 3));
  EXPECT_TRUE(tree.erase("$share/g/a/b", 9));
  EXPECT_THAT(match(tree, "a/b").groups, IsEmpty());
  EXPECT_EQ(tree.size(), 0u);
}

TEST(Subscriptions, DeepFiltersNeedNoStack) {
  std::string deep;
  for (int i = 0; i < 30'000; ++i) deep += "+/";
  SubscriptionTree tree;
  EXPECT_FALSE(tree.put(deep + "#", of(1)));
  std::string topic;
  for (int i = 0; i < 30'000; ++i) topic += "x/";
  EXPECT_EQ(match(tree, topic + "y").ordinary.size(), 1u);
  EXPECT_TRUE(tree.erase(deep + "#", 1));
  EXPECT_EQ(tree.size(), 0u);
}

// Bytes for each of 20,000 clients with a filter of its own, as `memory_bytes` counts them.
double bytes_each(const std::string& before, const std::string& after) {
  SubscriptionTree tree;
  const size_t empty = tree.memory_bytes();
  constexpr int kClients = 20'000;
  for (int i = 0; i < kClients; ++i) tree.put(before + std::to_string(i) + after, of(i));
  return static_cast<double>(tree.memory_bytes() - empty) / kClients;
}

TEST(Subscriptions, OfThousandsOfClientsCostLittle) {
  for (const auto& [before, after] :
       {std::pair("c/", ""), {"client/", "/command"}, {"client/", "/#"}, {"client/", "/+/state"}}) {
    const double each = bytes_each(before, after);
    RecordProperty(std::string(before) + "N" + after, std::to_string(each));
    EXPECT_LT(each, 200) << before << "N" << after;
  }
  SubscriptionTree one;  // all of them on one filter
  for (int i = 0; i < 20'000; ++i) one.put("news", of(i));
  EXPECT_LT(one.memory_bytes() / 20'000, 24u);
}

TEST(Subscriptions, MemoryIsUsedAgain) {
  SubscriptionTree tree;
  const auto fill = [&](bool put) {
    for (int i = 0; i < 5'000; ++i) {
      const std::string filter = "client-with-a-long-name/" + std::to_string(i) + "/+/x";
      if (put)
        tree.put(filter, of(i));
      else
        EXPECT_TRUE(tree.erase(filter, i));
    }
  };
  fill(true);
  const size_t once = tree.memory_bytes();
  for (int round = 0; round < 5; ++round) {
    fill(false);
    EXPECT_EQ(tree.size(), 0u);
    fill(true);
  }
  EXPECT_LT(tree.memory_bytes(), once + once / 4);
}

}  // namespace
}  // namespace culvert::mqtt
