// Identifiers of QoS 2 and what the application has yet to acknowledge, without any connection.
#include "model/mqtt/client/inbox.h"

#include <gtest/gtest.h>

namespace culvert::mqtt {
namespace {

Inbox make(InboxOptions options) {
  Inbox inbox;
  inbox.configure(options);
  return inbox;
}

TEST(Inbox, EarlyAMessageIsHandedOnAtPublishOnceUntilItsPubrel) {
  Inbox inbox = make({});
  const auto first = inbox.qos2(7);
  EXPECT_TRUE(first.hand_on && first.note && first.answer);
  const auto again = inbox.qos2(7);
  EXPECT_FALSE(again.hand_on);
  EXPECT_FALSE(again.note);
  EXPECT_TRUE(again.answer);
  const auto release = inbox.pubrel(7);
  EXPECT_TRUE(release.known && release.erase);
  EXPECT_EQ(release.hand_on, 0u);
  inbox.completed(7);
  EXPECT_TRUE(inbox.qos2(7).hand_on) << "a new message under the identifier";
  EXPECT_FALSE(inbox.pubrel(8).known);
}

TEST(Inbox, LateItIsKeptAndHandedOnAtPubrel) {
  Inbox inbox = make({false, true, false});
  const auto first = inbox.qos2(7);
  EXPECT_TRUE(first.keep && first.note && first.answer);
  EXPECT_FALSE(first.hand_on);
  const uint8_t packet[] = {1, 2, 3};
  inbox.hold(7, packet);
  EXPECT_EQ(inbox.held_bytes(), 3u);
  EXPECT_FALSE(inbox.qos2(7).keep);
  const auto release = inbox.pubrel(7);
  EXPECT_EQ(release.hand_on, 1u);
  EXPECT_EQ(release.packet.size(), 3u);
  EXPECT_TRUE(release.erase);
  EXPECT_EQ(inbox.held_bytes(), 0u);
}

TEST(Inbox, WithoutDeduplicationBothWaysRepeat) {
  Inbox early = make({true, false, false});
  EXPECT_TRUE(early.qos2(7).hand_on);
  EXPECT_TRUE(early.qos2(7).hand_on);
  Inbox late = make({false, false, false});
  late.qos2(7);
  late.qos2(7);
  EXPECT_EQ(late.pubrel(7).hand_on, 2u);
}

TEST(Inbox, ManualAnswersGoOutInTheOrderOfTheMessages) {
  Inbox inbox = make({true, true, true});
  const uint64_t a = inbox.qos1(1).token, b = inbox.qos2(2).token, c = inbox.qos1(3).token;
  EXPECT_TRUE(a && b && c);
  EXPECT_TRUE(inbox.acknowledge(c, Reason::success).valid);
  const auto second = inbox.acknowledge(b, Reason::success);
  EXPECT_TRUE(second.valid && second.note);
  EXPECT_FALSE(inbox.next_answer()) << "4.6: the first is still being worked on";
  EXPECT_FALSE(inbox.acknowledge(b, Reason::success).valid) << "once";
  inbox.committed(b, 5);
  inbox.acknowledge(a, Reason::success);
  EXPECT_EQ(inbox.next_answer()->id, 1);
  const auto answer = inbox.next_answer();
  EXPECT_EQ(answer->type, Type::pubrec);
  EXPECT_EQ(answer->barrier, 5u);
  EXPECT_EQ(inbox.next_answer()->id, 3);
  EXPECT_FALSE(inbox.next_answer());
}

TEST(Inbox, ACutMakesQos1TokensVoidAndKeepsThoseOfQos2) {
  Inbox inbox = make({true, true, true});
  const uint64_t a = inbox.qos1(1).token, b = inbox.qos2(2).token;
  inbox.connection_ended();
  EXPECT_FALSE(inbox.acknowledge(a, Reason::success).valid) << "it will come again";
  EXPECT_FALSE(inbox.qos2(2).hand_on) << "the application still has it";
  EXPECT_TRUE(inbox.acknowledge(b, Reason::success).note);
  const auto answer = inbox.next_answer();
  ASSERT_TRUE(answer) << "its PUBLISH came again, so the PUBREC is due here";
  EXPECT_EQ(answer->id, 2);
}

TEST(Inbox, WhatWasAcknowledgedBetweenConnectionsIsAnsweredWhenItComesAgain) {
  Inbox inbox = make({true, true, true});
  const uint64_t token = inbox.qos2(2).token;
  inbox.connection_ended();
  EXPECT_TRUE(inbox.acknowledge(token, Reason::success).valid);
  EXPECT_FALSE(inbox.next_answer());
  const auto again = inbox.qos2(2);
  EXPECT_FALSE(again.hand_on);
  EXPECT_TRUE(again.answer);
}

TEST(Inbox, ARefusedMessagesIdentifierCountsAsNew) {
  Inbox inbox = make({true, true, true});
  const auto result = inbox.acknowledge(inbox.qos2(2).token, Reason::quota_exceeded);
  EXPECT_TRUE(result.valid);
  EXPECT_FALSE(result.note);
  EXPECT_EQ(inbox.next_answer()->reason, Reason::quota_exceeded);
  EXPECT_TRUE(inbox.qos2(2).hand_on);
}

TEST(Inbox, ALostSessionForgetsAllAndTellsWhatTheStoreMustForget) {
  Inbox inbox = make({true, true, true});
  inbox.restore(9, {});
  const uint64_t token = inbox.qos2(2).token;
  EXPECT_EQ(inbox.session_ended(), std::vector<uint16_t>{9});
  EXPECT_FALSE(inbox.acknowledge(token, Reason::success).valid);
  EXPECT_TRUE(inbox.qos2(9).hand_on);
}

TEST(Inbox, RestoredIdentifiersDeduplicateAndHeldMessagesWaitForPubrel) {
  Inbox inbox = make({false, true, false});
  inbox.restore(9, {});
  inbox.restore(10, {1, 2});
  EXPECT_FALSE(inbox.qos2(9).keep);
  EXPECT_EQ(inbox.pubrel(9).hand_on, 0u);
  EXPECT_EQ(inbox.pubrel(10).hand_on, 1u);
}

TEST(Inbox, CountsWhatIsUnanswered) {
  Inbox inbox = make({});
  inbox.qos1(1);
  inbox.qos2(2);
  inbox.qos2(2);
  EXPECT_EQ(inbox.unanswered(), 2u);
  inbox.answered();
  inbox.connection_ended();
  EXPECT_EQ(inbox.unanswered(), 0u);
}

}  // namespace
}  // namespace culvert::mqtt
