// Time-outs and what refreshes them, TCP's states, held SYNs, and the events: reboot, rebinding,
// change of address. All times exact to the nanosecond.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "tests/unit/nat/net_of_one.h"

namespace culvert::nat {
namespace {

using namespace testing_;

TEST(Timeout, IsExactToTheNanosecond) {
  for (const char* kind : {"eim-eif", "eim-adf", "eim-apdf", "apdm-apdf"}) {
    NetOfOne n(std::string(kind) + ",udp_new=30s");
    const Endpoint e = n.out(kA, kX);
    n.now = 30s - 1ns;
    EXPECT_EQ(n.in(kX, e), kA) << kind;
    n.now = 30s;
    EXPECT_EQ(n.in(kX, e), kNone) << kind;
    EXPECT_EQ(n.last.reason, Reason::no_mapping) << kind;
  }
}

TEST(Timeout, RefreshDirections) {
  struct Case {
    const char* refresh;
    bool by_outbound, by_inbound;
  };
  for (const Case& c :
       {Case{"outbound", true, false}, Case{"inbound", false, true}, Case{"both", true, true}}) {
    for (const bool outbound : {true, false}) {
      NetOfOne n(std::string("eim-apdf,udp_new=30s,udp_stream=30s,udp_refresh=") + c.refresh);
      const Endpoint e = n.out(kA, kX);
      n.now = 20s;
      if (outbound)
        n.out(kA, kX);
      else
        n.in(kX, e);
      n.now = 40s;
      EXPECT_EQ(n.in(kX, e) == kA, outbound ? c.by_outbound : c.by_inbound) << c.refresh;
    }
  }
}

TEST(Timeout, AStreamLivesLongerThanAQuestion) {
  NetOfOne n("linux-masquerade");
  Endpoint e = n.out(kA, kX);
  n.now = 29s;
  EXPECT_EQ(n.in(kX, e), kA);  // answered: 120 s from here
  n.now = 29s + 120s - 1ns;
  EXPECT_EQ(n.in(kX, e), kA);
  n.wait(120s);
  EXPECT_EQ(n.in(kX, e), kNone);
}

TEST(Timeout, AMappingLivesAsLongAsItsLastSession) {
  NetOfOne n("eim-apdf,udp_new=30s,ports=preserving");
  const Endpoint e = n.out(kA, kX);
  n.now = 20s;
  n.out(kA, kY);
  n.now = 40s;
  EXPECT_EQ(n.in(kX, e), kNone);  // the session with X is over, its filter shut
  EXPECT_EQ(n.last.reason, Reason::filtered_address);
  EXPECT_EQ(n.in(kY, e), kA);
  EXPECT_EQ(n.out(kA, kX), e);
}

TEST(Timeout, AfterwardsTheMappingIsANewOne) {
  NetOfOne n("eim-apdf,udp_new=30s");
  const Endpoint e = n.out(kA, kX);
  n.now = 30s;
  EXPECT_NE(n.out(kA, kX), e);  // one in 64512 that it is the same; the seed is fixed
  EXPECT_TRUE(n.last.created);
}

TEST(Timeout, LifetimeEndsAMappingHoweverMuchItIsUsed) {
  NetOfOne n("eim-apdf,udp_new=30s,udp_stream=30s,lifetime=1min");
  const Endpoint e = n.out(kA, kX);
  for (n.now = 10s; n.now < 60s; n.now += 10s) EXPECT_EQ(n.out(kA, kX), e);
  EXPECT_EQ(n.in(kX, e), kNone);
}

TEST(Timeout, CleaningGivesEverythingBack) {
  NetOfOne n("apdm-apdf,udp_new=30s");
  for (uint16_t port = 1; port <= 5000; ++port) {
    n.out(kA, {kX.ip, port});
    n.wait(1ms);
  }
  EXPECT_EQ(n.nat->mapping_count(), 5000u);
  n.now = 31s;
  n.nat->expire(n.now);
  EXPECT_EQ(n.nat->mapping_count(), 3999u);  // 1001 were made by the end of the first second
  EXPECT_EQ(n.nat->mappings(n.now).size(), 3999u);
  n.now = 10h;
  n.nat->expire(n.now);
  EXPECT_EQ(n.nat->session_count(), 0u);
  EXPECT_EQ(n.nat->next_deadline(), Time::max());
}

TEST(Timeout, LongerThanTheWheelIsKept) {
  NetOfOne n("linux-masquerade");  // 120 h established
  n.out_tcp(kA, kX, kSyn);
  n.in_tcp(kX, source_of(n.packet), kSyn | kAck);
  const Endpoint e{IpAddress::v4(0xcb007101), 5000};
  EXPECT_EQ(n.out_tcp(kA, kX, kAck), e);
  n.now += 119h;
  n.nat->expire(n.now);
  EXPECT_EQ(n.in_tcp(kX, e, kAck), kA);
  n.now += 120h;
  EXPECT_EQ(n.in_tcp(kX, e, kAck), kNone);
}

TEST(Timeout, TheDeadlineIsWhenTheNextMappingEnds) {
  struct Watch : Observer {
    void mapping_ended(Time t, const MappingInfo&, Reason why) override {
      ended = t;
      reason = why;
    }
    Time ended{0};
    Reason reason = Reason::none;
  } watch;
  NetOfOne n("eim-apdf,udp_new=30s");
  n.nat->set_observer(&watch);
  n.now = 1500ms;
  n.out(kA, kX);
  EXPECT_EQ(n.nat->next_deadline(), 31500ms);
  n.now = 20s;
  n.out(kA, kX);
  while (n.nat->next_deadline() != Time::max()) {  // early deadlines are allowed, late ones not
    ASSERT_LE(n.nat->next_deadline(), 50s);
    n.nat->expire(n.nat->next_deadline());
  }
  EXPECT_EQ(watch.ended, 50s);
  EXPECT_EQ(watch.reason, Reason::expired);
}

// A connection followed from SYN to the end, and how long the NAT waits in each state.
TEST(Tcp, EachStateHasItsTime) {
  const std::string kind =
      "eim-apdf,tcp_opening=4min,tcp_established=2h,tcp_half_closed=1h,tcp_closing=3min,"
      "tcp_reset=10s";
  struct Step {
    bool out;
    uint8_t flags;
    Time alive;  // how long the session lives after this step
  };
  const std::vector<std::vector<Step>> stories = {
      {{true, kSyn, 4min},
       {false, kSyn | kAck, 2h},
       {true, kAck, 2h},
       {true, kFin | kAck, 1h},
       {false, kAck, 1h},
       {false, kFin | kAck, 3min},
       {true, kAck, 3min}},
      {{true, kSyn, 4min}, {false, kSyn, 2h}},                              // simultaneous open
      {{true, kSyn, 4min}, {false, kRst | kAck, 10s}},                      // refused
      {{true, kSyn, 4min}, {false, kRst | kAck, 10s}, {true, kSyn, 4min}},  // and tried again
      {{true, kSyn, 4min}, {false, kSyn | kAck, 2h}, {false, kRst, 10s}, {true, kAck, 2h}},
      {{true, kSyn, 4min}, {false, kSyn | kAck, 2h}, {true, kRst, 10s}},
      {{true, kAck, 4min}, {false, kAck, 2h}},  // its SYN was not seen
  };
  for (const auto& story : stories)
    for (size_t upto = 1; upto <= story.size(); ++upto)
      for (const bool late : {false, true}) {
        NetOfOne n(kind);
        Endpoint e;
        for (size_t i = 0; i < upto; ++i) {
          n.wait(1s);
          if (story[i].out)
            e = n.out_tcp(kA, kX, story[i].flags);
          else
            EXPECT_EQ(n.in_tcp(kX, e, story[i].flags), kA);
        }
        n.wait(story[upto - 1].alive - (late ? 0ns : 1ns));
        EXPECT_EQ(n.in_tcp(kX, e, kAck) == kA, !late) << upto;
      }
}

TEST(Tcp, WithoutLooseTakeoverAConnectionStartsWithSyn) {
  NetOfOne n("eim-eif,tcp_loose=no");
  EXPECT_EQ(n.out_tcp(kA, kX, kAck), kNone);
  EXPECT_EQ(n.last.reason, Reason::tcp_out_of_state);
  const Endpoint e = n.out_tcp(kA, kX, kSyn);
  EXPECT_EQ(n.in_tcp(kY, e, kAck), kNone);
  EXPECT_EQ(n.in_tcp(kY, e, kSyn), kA);
  EXPECT_EQ(n.in_tcp(kY, e, kAck), kA);
}

TEST(Tcp, AStrayResetMakesNoState) {
  NetOfOne n("eim-eif");
  EXPECT_EQ(n.out_tcp(kA, kX, kRst), kNone);
  EXPECT_EQ(n.nat->session_count(), 0u);
}

TEST(Unsolicited, SynIsDroppedResetRefusedOrHeld) {
  const Endpoint e = at("203.0.113.1:4000");
  {
    NetOfOne n("eim-apdf,unsolicited_tcp=drop");
    n.in_tcp(kX, e, kSyn);
    EXPECT_EQ(n.last.action, Action::drop);
  }
  {
    NetOfOne n("eim-apdf,unsolicited_tcp=rst");
    n.in_packet(tcp(kX, e, kSyn, 4711));
    EXPECT_EQ(n.last.action, Action::reply);
    const auto sent = n.nat->take_emitted();
    ASSERT_EQ(sent.size(), 1u);
    const Buffer& p = sent[0].packet;
    EXPECT_EQ(sent[0].to, Side::outside);
    EXPECT_TRUE(checksums_right(p));
    EXPECT_EQ(source_of(p), e);
    EXPECT_EQ(destination_of(p), kX);
    EXPECT_EQ(p[33], kRst | kAck);
    EXPECT_EQ(get32(p, 28), 4712u);
    n.in_tcp(kX, e, kAck);  // not a SYN: silence
    EXPECT_EQ(n.last.action, Action::drop);
  }
  {
    NetOfOne n("eim-apdf,unsolicited_tcp=icmp,unsolicited_udp=icmp");
    for (const Buffer& question : {tcp(kX, e, kSyn), udp(kX, e)}) {
      n.in_packet(question);
      EXPECT_EQ(n.last.action, Action::reply);
      const auto sent = n.nat->take_emitted();
      ASSERT_EQ(sent.size(), 1u);
      const Buffer& p = sent[0].packet;
      EXPECT_TRUE(checksums_right(p));
      EXPECT_EQ(p[20], 3);
      EXPECT_EQ(p[21], 3);
      EXPECT_TRUE(std::equal(question.begin(), question.begin() + 28, p.begin() + 28));
    }
  }
}

TEST(Unsolicited, MulticastIsNotAnswered) {
  NetOfOne n("firewall-only,unsolicited_udp=icmp");
  n.in(kX, kA);
  EXPECT_EQ(n.last.action, Action::reply);
  n.in(kX, at("239.1.2.3:5000"));
  EXPECT_EQ(n.last.action, Action::drop);
}

TEST(Unsolicited, HeldSynIsAnsweredAfterSixSecondsUnlessTheHostCalledBack) {
  for (const bool called : {false, true}) {
    NetOfOne n("eim-apdf,ports=preserving,unsolicited_tcp=hold");
    const Endpoint e = at("203.0.113.1:5000");
    EXPECT_EQ(n.in_tcp(kX, e, kSyn), kNone);
    EXPECT_EQ(n.last.action, Action::reply);
    n.wait(1s);
    n.in_tcp(kX, e, kSyn);  // retransmitted
    EXPECT_TRUE(!called || n.out_tcp(kA, kX, kSyn) == e);
    n.now = 6s - 1ns;
    n.nat->expire(n.now);
    EXPECT_FALSE(n.nat->has_emitted());
    EXPECT_EQ(n.nat->next_deadline(), 6s);
    n.now = 6s;
    n.nat->expire(n.now);
    EXPECT_EQ(n.nat->take_emitted().size(), called ? 0u : 1u);
  }
}

TEST(Unsolicited, PingGoesToTheRouterIfItMay) {
  const IpAddress e = *IpAddress::parse("203.0.113.1");
  NetOfOne ping("eim-eif"), none("eim-eif,local_delivery=none"), all("eim-eif,local_delivery=all");
  ping.in_packet(echo(kX.ip, e, 7, true));
  EXPECT_EQ(ping.last.action, Action::deliver_local);
  none.in_packet(echo(kX.ip, e, 7, true));
  EXPECT_EQ(none.last.action, Action::drop);
  all.in(kX, {e, 22});
  EXPECT_EQ(all.last.action, Action::deliver_local);
  ping.in(kX, {e, 22});
  EXPECT_EQ(ping.last.action, Action::drop);
  ping.in(kX, at("203.0.113.77:22"));
  EXPECT_EQ(ping.last.reason, Reason::not_public);
}

TEST(Events, RebootForgetsEverything) {
  NetOfOne n("eim-eif");
  const Endpoint e = n.out(kA, kX);
  n.now = 10s;
  n.nat->reboot(n.now);
  EXPECT_EQ(n.in(kX, e), kNone);
  EXPECT_EQ(n.last.reason, Reason::no_mapping);
  EXPECT_NE(n.out(kA, kX), e);
}

TEST(Events, RebindingMovesEveryMappingAndKeepsItsSessions) {
  for (const char* kind : {"eim-eif", "eim-adf", "eim-apdf", "apdm-apdf",
                           "eim-adf,filter_state=endpoint", "linux-masquerade"}) {
    struct Watch : Observer {
      void mapping_moved(Time, const MappingInfo& m, const Endpoint& old) override {
        moved[old] = m.external;
      }
      std::map<Endpoint, Endpoint> moved;
    } watch;
    NetOfOne n(kind);
    n.nat->set_observer(&watch);
    const Endpoint b{kB.ip, 5050};
    const Endpoint e = n.out(kA, kX), f = n.out(b, kY);
    n.nat->rebind(n.now);
    ASSERT_EQ(watch.moved.count(e), 1u) << kind;
    const Endpoint e2 = watch.moved[e], f2 = n.out(b, kY);
    EXPECT_NE(e2, e);
    EXPECT_NE(f2, f);
    EXPECT_EQ(n.in(kX, e), kNone) << kind;
    EXPECT_EQ(n.in(kX, e2), kA) << kind;
    EXPECT_EQ(n.out(kA, kX), e2) << kind;
    n.wait(10min);
    n.nat->expire(n.now);
    EXPECT_EQ(n.nat->mapping_count(), 0u) << kind;
  }
}

TEST(Events, AChangeOfAddressIsAFreshStart) {
  NetOfOne n("eim-eif");
  const Endpoint e = n.out(kA, kX);
  n.nat->change_address(n.now, {*IpAddress::parse("192.0.2.9")});
  EXPECT_EQ(n.in(kX, e), kNone);
  EXPECT_EQ(n.last.reason, Reason::not_public);
  const Endpoint f = n.out(kA, kX);
  EXPECT_EQ(f.ip, *IpAddress::parse("192.0.2.9"));
  EXPECT_EQ(n.in(kX, f), kA);
}

// Everything a NAT does, as text.
std::string diary(uint64_t seed) {
  NetOfOne n("apdm-adf,udp_new=30s,pooling=arbitrary", {"203.0.113.1", "203.0.113.2"}, seed);
  std::string text;
  for (uint16_t i = 1; i < 500; ++i) {
    n.wait(std::chrono::milliseconds(i * 7));
    const Endpoint e = n.out({kA.ip, static_cast<uint16_t>(5000 + i % 40)}, {kX.ip, i});
    text += e.to_string() + " " + n.in(kX2, e).to_string() + "\n";
  }
  return text;
}

TEST(Determinism, TheSameSeedGivesTheSameDiaryAnotherSeedAnother) {
  EXPECT_EQ(diary(1), diary(1));
  EXPECT_NE(diary(1), diary(2));
}

}  // namespace
}  // namespace culvert::nat
