// Back-off, aliases, subscriptions: the small pure parts.
#include <gtest/gtest.h>

#include "model/mqtt/client/aliases.h"
#include "model/mqtt/client/backoff.h"
#include "model/mqtt/client/subscriptions.h"

namespace culvert::mqtt {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, TheLimitDoublesTheDelayIsDrawnBelowIt) {
  net::Random random(1);
  for (int round = 0; round < 200; ++round) {
    Backoff backoff;
    for (const auto limit : {1s, 2s, 4s, 8s, 10s, 10s}) {
      const auto delay = backoff.next(1s, 10s, random);
      EXPECT_GE(delay, 0s);
      EXPECT_LT(delay, limit);
    }
  }
  // Full jitter: the whole range is used.
  int below_half = 0;
  for (int i = 0; i < 1000; ++i) below_half += Backoff().next(1s, 10s, random) < 500ms;
  EXPECT_GT(below_half, 400);
  EXPECT_LT(below_half, 600);
}

TEST(AliasesOut, ATopicGetsItsNumberTheSecondTimeAndIsLeftOutTheThird) {
  AliasesOut aliases(2);
  EXPECT_EQ(aliases.choose("topic/a").alias, 0);
  auto second = aliases.choose("topic/a");
  EXPECT_NE(second.alias, 0);
  EXPECT_FALSE(second.known);
  auto third = aliases.choose("topic/a");
  EXPECT_EQ(third.alias, second.alias);
  EXPECT_TRUE(third.known);
}

TEST(AliasesOut, NeverMoreThanTheBrokerTakesAndTheLeastUsedMakesRoom) {
  AliasesOut aliases(2);
  for (int i = 0; i < 2; ++i)
    for (const char* topic : {"topic/a", "topic/b"}) aliases.choose(topic);
  aliases.choose("topic/c");  // takes a's place
  const auto c = aliases.choose("topic/c");
  EXPECT_GE(c.alias, 1);
  EXPECT_LE(c.alias, 2);
  EXPECT_FALSE(c.known) << "the number still means another topic to the broker";
  EXPECT_TRUE(aliases.choose("topic/b").known);
  EXPECT_EQ(aliases.choose("topic/a").alias, 0);
  EXPECT_EQ(aliases.choose("t").alias, 0) << "not worth three bytes";
  EXPECT_EQ(AliasesOut(0).choose("topic/a").alias, 0);
}

TEST(AliasesIn, StandForTheirLastTopicWithinTheLimit) {
  AliasesIn aliases;
  EXPECT_EQ(aliases.resolve(2, "", 4), "");
  EXPECT_EQ(aliases.resolve(2, "a", 4), "a");
  EXPECT_EQ(aliases.resolve(2, "", 4), "a");
  EXPECT_EQ(aliases.resolve(2, "b", 4), "b");
  EXPECT_EQ(aliases.resolve(2, "", 4), "b");
  EXPECT_EQ(aliases.resolve(5, "a", 4), "");
  EXPECT_EQ(aliases.resolve(0, "a", 4), "");
}

SubAck answer(Type type, uint16_t id, std::vector<Reason> reasons) {
  SubAck ack;
  ack.type = type;
  ack.packet_id = id;
  ack.reasons.assign(reasons.begin(), reasons.end());
  return ack;
}

TEST(Wishes, OnlyWhatWasGrantedIsMadeAnew) {
  Wishes wishes;
  Wishes::Wish wish, ended;
  wish.filters = {{"a", {}}, {"b", {}}};
  wishes.add(wish);
  wishes.next()->id = 5;
  EXPECT_EQ(wishes.next(), nullptr);
  SubscribeOutcome outcome;
  EXPECT_FALSE(wishes.acknowledged(answer(Type::suback, 6, {{}, {}}), ended, outcome));
  EXPECT_FALSE(wishes.acknowledged(answer(Type::unsuback, 5, {{}, {}}), ended, outcome));
  EXPECT_TRUE(wishes.acknowledged(
      answer(Type::suback, 5, {Reason::success, Reason::not_authorized}), ended, outcome));
  EXPECT_TRUE(wishes.empty());
  wishes.connection_began();
  wishes.session_lost();
  ASSERT_NE(wishes.next(), nullptr);
  ASSERT_EQ(wishes.next()->filters.size(), 1u);
  EXPECT_EQ(wishes.next()->filters[0].filter, "a");
}

TEST(Wishes, WhatWasNotAcknowledgedIsSentAgainAndAnUnsubscribeIsNotUndone) {
  Wishes wishes;
  Wishes::Wish wish, ended;
  SubscribeOutcome outcome;
  wish.filters = {{"a", {}}};
  wishes.add(wish);
  wishes.next()->id = 5;
  wishes.connection_began();
  ASSERT_NE(wishes.next(), nullptr);
  wishes.next()->id = 6;
  EXPECT_TRUE(wishes.acknowledged(answer(Type::suback, 6, {{}}), ended, outcome));
  wish.away = true;
  wishes.add(wish);
  wishes.session_lost();
  ASSERT_NE(wishes.next(), nullptr);
  EXPECT_TRUE(wishes.next()->away);
  wishes.next()->id = 7;
  EXPECT_EQ(wishes.next(), nullptr);
}

TEST(Wishes, ManyFiltersAreMadeAnewInSmallPacketsGroupedByIdentifier) {
  Wishes wishes;
  for (int i = 0; i < 120; ++i) {
    Wishes::Wish wish, ended;
    SubscribeOutcome outcome;
    wish.filters = {{"t/" + std::to_string(i), {}}};
    if (i >= 60) wish.subscription_id = 9;
    wishes.add(wish);
    wishes.next()->id = 1;
    ASSERT_TRUE(wishes.acknowledged(answer(Type::suback, 1, {{}}), ended, outcome));
  }
  wishes.session_lost();
  size_t filters = 0;
  for (uint16_t id = 1; Wishes::Wish* wish = wishes.next(); ++id) {
    EXPECT_LE(wish->filters.size(), 50u);
    filters += wish->filters.size();
    wish->id = id;
  }
  EXPECT_EQ(filters, 120u);
}

}  // namespace
}  // namespace culvert::mqtt
