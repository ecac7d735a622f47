// The queue of what was published, without any connection.
#include "model/mqtt/client/outbox.h"

#include <gtest/gtest.h>

namespace culvert::mqtt {
namespace {

using State = Outbox::State;
using Verdict = Outbox::Verdict;

const auto kNothingTaken = [](uint16_t) { return false; };

Outbox::Entry entry(uint8_t qos) {
  Outbox::Entry e;
  e.qos = qos;
  e.packet.assign(10, qos);
  return e;
}
std::optional<uint64_t> send_next(Outbox& box) {
  const auto s = box.next(kNothingTaken);
  if (s) box.sent(*s);
  return s;
}
std::vector<Outbox::Ended> session(Outbox& box, bool present, uint16_t quota = 100) {
  std::vector<Outbox::Ended> ended;
  box.connection_began(10);
  box.session(present, quota, ended);
  return ended;
}

TEST(Outbox, AMessageIsFoundByItsIdentifierAsTheyGoRoundAndRound) {
  Outbox box;
  session(box, false, 65535);
  for (uint64_t i = 0; i < 200'000; ++i) {
    box.push(entry(1));
    const auto s = send_next(box);
    ASSERT_TRUE(s);
    const uint16_t id = Outbox::id_of(*s);
    ASSERT_NE(id, 0);
    ASSERT_EQ(box.sequence_of(id), *s);
    std::optional<Outbox::Ended> ended;
    ASSERT_EQ(box.puback(id, Reason::success, ended), Verdict::ended);
    ASSERT_TRUE(ended);
    ASSERT_EQ(box.puback(id, Reason::success, ended), Verdict::unknown);
  }
  EXPECT_EQ(box.messages(), 0u);
  EXPECT_EQ(box.bytes(), 0u);
}

TEST(Outbox, NoIdentifierIsUsedTwiceWhileTheOldestIsUnacknowledged) {
  Outbox box;
  session(box, false, 65535);
  std::optional<Outbox::Ended> ended;
  for (int i = 0; i < 70'000; ++i) box.push(entry(1));
  ASSERT_EQ(send_next(box), 0u);
  for (int i = 1; i < 65535; ++i) {
    const auto s = send_next(box);
    ASSERT_TRUE(s);
    box.puback(Outbox::id_of(*s), Reason::success, ended);
  }
  EXPECT_FALSE(send_next(box)) << "it would have the identifier of the first";
  box.puback(Outbox::id_of(0), Reason::success, ended);
  EXPECT_TRUE(send_next(box));
}

TEST(Outbox, TheWindowIsTheBrokersAndAnAcknowledgementOpensIt) {
  Outbox box;
  session(box, false, 2);
  for (int i = 0; i < 4; ++i) box.push(entry(i == 3 ? 1 : 2));
  ASSERT_EQ(send_next(box), 0u);
  ASSERT_EQ(send_next(box), 1u);
  EXPECT_FALSE(send_next(box));
  std::optional<Outbox::Ended> ended;
  EXPECT_EQ(box.pubrec(1, Reason::success, ended), Verdict::release);
  EXPECT_FALSE(send_next(box)) << "PUBREC opens nothing (4.9)";
  EXPECT_EQ(box.next_release(0), 0u);
  EXPECT_EQ(box.pubcomp(1, Reason::success, ended), Verdict::ended);
  EXPECT_EQ(send_next(box), 2u);
  EXPECT_EQ(box.pubrec(2, Reason::quota_exceeded, ended), Verdict::ended);
  EXPECT_EQ(ended->outcome.reason, Reason::quota_exceeded);
  EXPECT_EQ(send_next(box), 3u) << "a refusing PUBREC opens it, too";
}

TEST(Outbox, AQueueOfQos0NeedsNoWindowButKeepsItsPlace) {
  Outbox box;
  session(box, false, 1);
  box.push(entry(0));
  box.push(entry(1));
  box.push(entry(1));
  box.push(entry(0));
  for (uint64_t expected : {0, 1}) {
    const auto s = box.next(kNothingTaken);
    ASSERT_EQ(s, expected);
    box.sent(*s);
    if (box.at(*s).qos == 0) box.end(*s, {});
  }
  EXPECT_FALSE(box.next(kNothingTaken)) << "the last waits behind the one that waits";
}

TEST(Outbox, ASessionThatGoesOnSendsAgainInOrderPubrelsAsTheirPubrecsCame) {
  Outbox box;
  session(box, false);
  for (int i = 0; i < 4; ++i) box.push(entry(i == 1 ? 1 : 2));
  for (int i = 0; i < 4; ++i) send_next(box);
  std::optional<Outbox::Ended> ended;
  box.pubrec(4, Reason::success, ended);
  box.pubrec(3, Reason::success, ended);
  EXPECT_TRUE(session(box, true).empty());
  EXPECT_EQ(box.next_release(0), 3u);
  EXPECT_EQ(box.next_release(0), 2u);
  EXPECT_FALSE(box.next_release(0));
  EXPECT_TRUE(box.at(0).attempted) << "DUP";
  EXPECT_EQ(send_next(box), 0u);
  EXPECT_EQ(send_next(box), 1u);
  EXPECT_FALSE(send_next(box));
}

TEST(Outbox, ALostSessionLeavesInDoubtWhatHadNoPubrecAndSendsQos1AsNew) {
  Outbox box;
  session(box, false);
  for (uint8_t qos : {2, 1, 2, 2}) box.push(entry(qos));
  for (int i = 0; i < 3; ++i) send_next(box);
  std::optional<Outbox::Ended> ended;
  box.pubrec(3, Reason::success, ended);
  const auto lost = session(box, false);
  ASSERT_EQ(lost.size(), 2u);
  EXPECT_EQ(lost[0].sequence, 0u);
  EXPECT_TRUE(lost[0].outcome.in_doubt);
  EXPECT_FALSE(lost[0].outcome.status.ok());
  EXPECT_EQ(lost[1].sequence, 2u);
  EXPECT_FALSE(lost[1].outcome.in_doubt) << "the broker had taken it over";
  EXPECT_TRUE(lost[1].outcome.status.ok());
  EXPECT_EQ(send_next(box), 1u);
  EXPECT_FALSE(box.at(3).attempted);
  EXPECT_EQ(send_next(box), 3u) << "never sent, so never in doubt";
}

TEST(Outbox, APubrelWaitsForItsCommitAndAPubcompBeforeItIsWrong) {
  Outbox box;
  session(box, false);
  box.push(entry(2));
  send_next(box);
  std::optional<Outbox::Ended> ended;
  ASSERT_EQ(box.pubrec(1, Reason::success, ended), Verdict::release);
  box.at(0).barrier = 7;
  EXPECT_FALSE(box.next_release(6));
  EXPECT_EQ(box.pubcomp(1, Reason::success, ended), Verdict::wrong);
  EXPECT_EQ(box.next_release(7), 0u);
  EXPECT_EQ(box.pubrec(1, Reason::success, ended), Verdict::repeated);
  EXPECT_EQ(box.pubcomp(1, Reason::packet_identifier_not_found, ended), Verdict::ended);
  EXPECT_EQ(ended->outcome.reason, Reason::success);
}

TEST(Outbox, AcknowledgementsOfAnotherKindAreWrongAndStrangeOnesUnknown) {
  Outbox box;
  session(box, false);
  box.push(entry(1));
  box.push(entry(2));
  std::optional<Outbox::Ended> ended;
  EXPECT_EQ(box.puback(1, Reason::success, ended), Verdict::unknown) << "not sent yet";
  send_next(box);
  send_next(box);
  EXPECT_EQ(box.pubrec(1, Reason::success, ended), Verdict::wrong);
  EXPECT_EQ(box.puback(2, Reason::success, ended), Verdict::wrong);
  EXPECT_EQ(box.pubcomp(2, Reason::success, ended), Verdict::wrong);
  EXPECT_EQ(box.puback(0, Reason::success, ended), Verdict::unknown);
  EXPECT_EQ(box.puback(9, Reason::success, ended), Verdict::unknown);
}

TEST(Outbox, ARefusedConnectionTakesBackWhatWasSentBehindConnect) {
  Outbox box;
  box.connection_began(10);
  box.push(entry(2));
  send_next(box);
  box.refused();
  EXPECT_TRUE(box.nothing_attempted());
  EXPECT_TRUE(session(box, false).empty()) << "not in doubt: it was not looked at";
  EXPECT_EQ(send_next(box), 0u);
}

TEST(Outbox, WhatTheStoreGivesBackHasItsGaps) {
  Outbox box;
  Outbox::Entry first = entry(2);
  first.state = State::published;
  first.attempted = true;
  box.restore(5, std::move(first));
  box.restore(9, entry(1));
  EXPECT_EQ(box.messages(), 2u);
  EXPECT_TRUE(session(box, true).empty());
  EXPECT_EQ(send_next(box), 5u);
  EXPECT_EQ(send_next(box), 9u);
  std::optional<Outbox::Ended> ended;
  EXPECT_EQ(box.puback(Outbox::id_of(9), Reason::success, ended), Verdict::ended);
  EXPECT_EQ(box.push(entry(1)), 10u);
}

}  // namespace
}  // namespace culvert::mqtt
