// Mapping, filtering, ports, pooling, exhaustion, hairpin and poisoning: one axis, one sentence.
#include <gmock/gmock.h>

#include <set>

#include "tests/unit/nat/net_of_one.h"

namespace culvert::nat {
namespace {

using namespace testing_;

TEST(Mapping, EndpointIndependentKeepsOnePortForEveryDestination) {
  NetOfOne n("eim-apdf");
  const Endpoint e = n.out(kA, kX);
  EXPECT_EQ(n.out(kA, kX2), e);
  EXPECT_EQ(n.out(kA, kY), e);
  EXPECT_NE(n.out(kA2, kX), e);
  EXPECT_EQ(n.nat->mapping_count(), 2u);
}

TEST(Mapping, AddressDependentTakesAnotherPortForAnotherAddress) {
  NetOfOne n("adm-apdf");
  const Endpoint e = n.out(kA, kX);
  EXPECT_EQ(n.out(kA, kX2), e);
  EXPECT_NE(n.out(kA, kY), e);
}

TEST(Mapping, AddressAndPortDependentTakesAnotherPortForAnotherPort) {
  NetOfOne n("apdm-apdf");
  const Endpoint e = n.out(kA, kX);
  EXPECT_EQ(n.out(kA, kX), e);
  EXPECT_NE(n.out(kA, kX2), e);
}

TEST(Mapping, ProtocolsDoNotShareMappings) {
  NetOfOne n("eim-eif,ports=preserving");
  EXPECT_EQ(n.out(kA, kX).port, kA.port);
  const Endpoint e{IpAddress::v4(0xcb007101), kA.port};
  EXPECT_EQ(n.in_tcp(kX, e, kSyn), kNone);
  EXPECT_EQ(n.last.reason, Reason::no_mapping);
  EXPECT_EQ(n.out_tcp(kB, kX, kSyn).port, kA.port);  // free for TCP
}

TEST(Filtering, DecidesWhoMayAnswer) {
  struct Case {
    const char* kind;
    bool contacted, other_port, other_address;
    Reason why_port, why_address;
  };
  for (const Case& c :
       {Case{"eim-eif", true, true, true, Reason::none, Reason::none},
        Case{"eim-adf", true, true, false, Reason::none, Reason::filtered_address},
        Case{"eim-apdf", true, false, false, Reason::filtered_port, Reason::filtered_address}}) {
    NetOfOne n(c.kind);
    const Endpoint e = n.out(kA, kX);
    EXPECT_EQ(n.in(kX, e) == kA, c.contacted) << c.kind;
    EXPECT_EQ(n.in(kX2, e) == kA, c.other_port) << c.kind;
    EXPECT_EQ(n.last.reason, c.why_port) << c.kind;
    EXPECT_EQ(n.in(kY, e) == kA, c.other_address) << c.kind;
    EXPECT_EQ(n.last.reason, c.why_address) << c.kind;
    EXPECT_EQ(n.in(kX, {e.ip, static_cast<uint16_t>(e.port ^ 1)}), kNone);
    EXPECT_EQ(n.last.reason, Reason::no_mapping);
  }
}

TEST(Filtering, PerMappingAsksTheMappingPerEndpointTheHost) {
  for (const bool endpoint : {false, true}) {
    NetOfOne n(endpoint ? "apdm-adf,filter_state=endpoint" : "apdm-adf");
    const Endpoint to_x = n.out(kA, kX);
    n.out(kA, kY);
    EXPECT_EQ(n.in(kY, to_x) == kA, endpoint);  // A has sent to Y, but not by this mapping
  }
}

TEST(Binding, TheAnswerLeavesByTheMappingThePacketCameInOn) {
  for (const bool bound : {true, false}) {
    NetOfOne n(bound ? "apdm-eif" : "apdm-eif,binding=no");
    const Endpoint e = n.out(kA, kX);
    EXPECT_EQ(n.in(kY, e), kA);
    EXPECT_EQ(n.out(kA, kY) == e, bound);
  }
}

TEST(Binding, DoesNotMoveAFlowThatHasAMappingAlready) {
  NetOfOne n("apdm-eif");
  const Endpoint e = n.out(kA, kX), to_y = n.out(kA, kY);
  EXPECT_EQ(n.in(kY, e), kA);
  EXPECT_EQ(n.out(kA, kY), to_y);
}

TEST(Ports, PreservingKeepsThePortWhileItIsFree) {
  NetOfOne n("eim-apdf,ports=preserving");
  EXPECT_EQ(n.out(kA, kX).port, 5000);
  EXPECT_NE(n.out(kB, kX).port, 5000);
}

TEST(Ports, OverloadingSharesThePortBetweenRemotes) {
  NetOfOne n("linux-masquerade");
  EXPECT_EQ(n.out(kA, kX).port, 5000);
  EXPECT_EQ(n.out(kA, kY).port, 5000);   // looks endpoint-independent
  EXPECT_EQ(n.out(kB, kX2).port, 5000);  // another host, another remote: shared
  const Endpoint clash = n.out(kB, kX);  // the same remote: must differ
  EXPECT_NE(clash.port, 5000);
  const Endpoint shared{clash.ip, 5000};
  EXPECT_EQ(n.in(kX, shared), kA);
  EXPECT_EQ(n.in(kX2, shared), kB);
  EXPECT_EQ(n.in(kX, clash), kB);
}

TEST(Ports, OverloadedEndpointIndependentMappingsDodgeAClash) {
  NetOfOne n("eim-apdf,ports=preserving,overloading=yes");
  EXPECT_EQ(n.out(kA, kX).port, 5000);
  EXPECT_EQ(n.out(kB, kY).port, 5000);
  const Endpoint e = n.out(kB, kX);  // X's port 5000 belongs to A
  EXPECT_NE(e.port, 5000);
  EXPECT_EQ(n.in(kX, e), kB);
  EXPECT_EQ(n.out(kB, kX2).port, 5000);  // the mapping itself lives on
  EXPECT_EQ(n.out(kB, kX), e);
}

TEST(Ports, ParityIsKept) {
  NetOfOne n("eim-apdf,ports=parity");
  for (uint16_t port = 5000; port < 5100; ++port)
    EXPECT_EQ(n.out({kA.ip, port}, kX).port % 2, port % 2);
}

TEST(Ports, SequentialGoesOneStepFurtherEachTime) {
  for (const int step : {1, 3}) {
    NetOfOne n("symmetric-sequential,port_step=" + std::to_string(step));
    uint16_t last = n.out(kA, kX).port;
    for (uint16_t port = 7001; port < 7050; ++port) {
      const uint16_t next = n.out(kA, {kX.ip, port}).port;
      const int wrapped = 1024 + (last - 1024 + step) % (65536 - 1024);
      EXPECT_EQ(next, wrapped);
      last = next;
    }
  }
}

TEST(Ports, RandomSpreadsOverTheWholeRange) {
  NetOfOne n("apdm-apdf");
  uint32_t low = 65535, high = 0;
  for (uint16_t port = 1; port <= 1000; ++port) {
    const uint32_t e = n.out(kA, {kX.ip, port}).port;
    low = std::min(low, e);
    high = std::max(high, e);
  }
  EXPECT_GE(low, 1024u);
  EXPECT_LT(low, 1024u + 1500);  // (1 - 1500/64512)^1000 is 6e-11
  EXPECT_GT(high, 65535u - 1500);
}

TEST(Ports, ContiguousGivesEachSubscriberARun) {
  NetOfOne n("apdm-apdf,ports=contiguous");
  uint16_t last_a = n.out(kA, kX).port, last_b = n.out(kB, kX).port;
  int runs = 0;
  for (uint16_t port = 7001; port < 7051; ++port) {
    const uint16_t a = n.out(kA, {kX.ip, port}).port, b = n.out(kB, {kX.ip, port}).port;
    runs += a == last_a + 1;
    runs += b == last_b + 1;
    last_a = a;
    last_b = b;
  }
  EXPECT_GE(runs, 98);  // a run ends only where it meets the range's end or another's port
}

TEST(Ports, BlocksBelongToSubscribersAndRunOut) {
  NetOfOne n(
      "apdm-apdf,ports=block,block_size=64,blocks_per_subscriber=2,port_first=1024,"
      "port_last=1215");  // three blocks
  std::set<uint16_t> a, b;
  for (uint16_t port = 1; port <= 128; ++port) a.insert(n.out(kA, {kX.ip, port}).port);
  EXPECT_EQ(a.size(), 128u);
  std::set<int> blocks;
  for (const uint16_t port : a) blocks.insert((port - 1024) / 64);
  EXPECT_EQ(blocks.size(), 2u);
  EXPECT_EQ(n.out(kA, {kX.ip, 200}), kNone);
  EXPECT_EQ(n.last.reason, Reason::block_exhausted);
  for (uint16_t port = 1; port <= 64; ++port) b.insert(n.out(kB, {kX.ip, port}).port);
  EXPECT_EQ(b.size(), 64u);
  for (const uint16_t port : b) EXPECT_EQ(blocks.count((port - 1024) / 64), 0u);
  EXPECT_EQ(n.out(kB, {kX.ip, 200}), kNone);
  EXPECT_EQ(n.last.reason, Reason::no_block_left);
  n.wait(6min);  // all expired: the blocks are free again
  EXPECT_NE(n.out(kB, {kX.ip, 201}), kNone);
}

TEST(Ports, ExhaustionIsRefusedAndEndsAtTheInstantAPortIsFree) {
  for (const char* ports : {"random", "sequential", "preserving", "contiguous"}) {
    NetOfOne n(std::string("apdm-apdf,port_first=2000,port_last=2009,udp_new=30s,ports=") + ports);
    std::set<uint16_t> used;
    for (uint16_t port = 1; port <= 10; ++port) {
      used.insert(n.out(kA, {kX.ip, port}).port);
      n.wait(1s);
    }
    EXPECT_EQ(used.size(), 10u) << ports;
    EXPECT_EQ(n.out(kA, {kX.ip, 11}), kNone) << ports;
    EXPECT_EQ(n.last.reason, Reason::ports_exhausted) << ports;
    n.now = 30s - 1ns;
    EXPECT_EQ(n.out(kA, {kX.ip, 11}), kNone) << ports;
    n.now = 30s;
    EXPECT_NE(n.out(kA, {kX.ip, 11}), kNone) << ports;
    EXPECT_EQ(n.out(kA, {kX.ip, 12}), kNone) << ports;
  }
}

TEST(Ports, ParityRunsOutOfItsHalf) {
  NetOfOne n("apdm-apdf,ports=parity,port_first=2000,port_last=2009");
  for (uint16_t port = 1; port <= 5; ++port) EXPECT_NE(n.out(kA, {kX.ip, port}), kNone);
  EXPECT_EQ(n.out(kA, {kX.ip, 6}), kNone);
  EXPECT_EQ(n.last.reason, Reason::ports_exhausted);
  EXPECT_NE(n.out(kA2, {kX.ip, 6}), kNone);
}

TEST(Limits, EachRefusesWithItsOwnReason) {
  {
    NetOfOne n("apdm-apdf,max_mappings_per_subscriber=2");
    EXPECT_NE(n.out(kA, kX), kNone);
    EXPECT_NE(n.out(kA, kX2), kNone);
    EXPECT_EQ(n.out(kA, kY), kNone);
    EXPECT_EQ(n.last.reason, Reason::subscriber_limit);
    EXPECT_NE(n.out(kB, kY), kNone);
  }
  {
    NetOfOne n("apdm-apdf,max_mappings=1");
    EXPECT_NE(n.out(kA, kX), kNone);
    EXPECT_EQ(n.out(kB, kX), kNone);
    EXPECT_EQ(n.last.reason, Reason::mapping_limit);
    n.wait(5min);
    EXPECT_NE(n.out(kB, kX), kNone);
  }
  {
    NetOfOne n("eim-apdf,max_sessions_per_mapping=1");
    EXPECT_NE(n.out(kA, kX), kNone);
    EXPECT_EQ(n.out(kA, kY), kNone);
    EXPECT_EQ(n.last.reason, Reason::session_limit);
  }
  {
    NetOfOne n("apdm-apdf,refusal=icmp,max_sessions=1");
    EXPECT_NE(n.out(kA, kX), kNone);
    EXPECT_EQ(n.out(kB, kX), kNone);
    EXPECT_EQ(n.last.action, Action::reply);
    const auto sent = n.nat->take_emitted();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].to, Side::inside);
    EXPECT_TRUE(checksums_right(sent[0].packet));
    EXPECT_EQ(sent[0].packet[20], 3);
    EXPECT_EQ(sent[0].packet[21], 13);
  }
}

TEST(Limits, StrangersCannotFillTheTable) {
  NetOfOne n("eim-eif,max_inbound_sessions_per_mapping=10");
  const Endpoint e = n.out(kA, kX);
  for (uint16_t port = 1; port <= 100; ++port) EXPECT_EQ(n.in({kY.ip, port}, e), kA);
  EXPECT_EQ(n.nat->session_count(), 11u);
}

TEST(Pooling, PairedStaysWithOneAddressArbitraryDoesNot) {
  const std::vector<std::string> pool = {"203.0.113.1", "203.0.113.2", "203.0.113.9"};
  std::set<IpAddress> paired, arbitrary, hosts;
  NetOfOne p("apdm-apdf,pooling=paired", pool), a("apdm-apdf,pooling=arbitrary", pool);
  for (uint16_t port = 1; port <= 60; ++port) {
    paired.insert(p.out(kA, {kX.ip, port}).ip);
    arbitrary.insert(a.out(kA, {kX.ip, port}).ip);
    hosts.insert(p.out({IpAddress::v4(0x0a000100 + port), 1}, kX).ip);
  }
  EXPECT_EQ(paired.size(), 1u);
  EXPECT_EQ(arbitrary.size(), 3u);
  EXPECT_EQ(hosts.size(), 3u);
}

TEST(Pooling, ArbitraryUsesEveryAddressBeforeItRefuses) {
  NetOfOne n("apdm-apdf,pooling=arbitrary,port_first=2000,port_last=2001",
             {"203.0.113.1", "203.0.113.2"});
  for (uint16_t port = 1; port <= 4; ++port) EXPECT_NE(n.out(kA, {kX.ip, port}), kNone);
  EXPECT_EQ(n.out(kA, {kX.ip, 5}), kNone);
}

TEST(Hairpin, OffExternalAndInternal) {
  for (const char* mode : {"none", "external", "internal"}) {
    NetOfOne n(std::string("eim-eif,hairpin=") + mode);
    const Endpoint ea = n.out(kA, kX), eb = n.out(kB, kX);
    const bool through = n.hairpin(udp(kA, eb));
    EXPECT_EQ(through, std::string(mode) != "none");
    if (!through) {
      EXPECT_EQ(n.last.reason, Reason::hairpin_off);
      continue;
    }
    EXPECT_EQ(destination_of(n.packet), kB);
    EXPECT_EQ(source_of(n.packet), std::string(mode) == "external" ? ea : kA);
  }
}

TEST(Hairpin, FiltersLikeAnyOtherPacketAndAnswersComeBack) {
  NetOfOne n("eim-apdf,hairpin=external");
  const Endpoint ea = n.out(kA, kX), eb = n.out(kB, kX);
  EXPECT_FALSE(n.hairpin(udp(kA, eb)));
  EXPECT_EQ(n.last.reason, Reason::filtered_address);
  EXPECT_TRUE(n.hairpin(udp(kB, ea)));  // A has sent to B by now
  EXPECT_TRUE(n.hairpin(udp(kA, eb)));
  EXPECT_EQ(destination_of(n.packet), kB);
  EXPECT_EQ(source_of(n.packet), ea);
  EXPECT_FALSE(n.hairpin(udp(kA, {ea.ip, 1})));
  EXPECT_EQ(n.last.reason, Reason::no_mapping);
}

TEST(Poisoning, AnEarlyPacketMovesTheLaterMappingToAnotherPort) {
  for (const bool poisoned : {true, false}) {
    NetOfOne n(poisoned ? "linux-masquerade-input-accept" : "linux-masquerade");
    const Endpoint e{IpAddress::v4(0xcb007101), 5000};
    EXPECT_EQ(n.out(kA, kX), e);
    EXPECT_EQ(n.in(kY, e), kNone);  // Y is early
    EXPECT_EQ(n.out(kA, kY) == e, !poisoned);
    EXPECT_EQ(n.out(kA, kX2), e);  // toward others the port is kept
  }
}

TEST(Poisoning, WearsOffAndAFreshLocalPortHelps) {
  NetOfOne n("linux-masquerade-input-accept");
  const Endpoint e{IpAddress::v4(0xcb007101), 5000};
  n.in(kY, e);
  EXPECT_NE(n.out(kA, kY).port, 5000);
  EXPECT_EQ(n.out(kA2, kY).port, 5001);
  NetOfOne later("linux-masquerade-input-accept");
  later.in(kY, e);
  later.wait(30s);
  EXPECT_EQ(later.out(kA, kY).port, 5000);
}

TEST(Poisoning, AlsoOfAnEndpointIndependentMapping) {
  NetOfOne n("eim-apdf,ports=preserving,poisoning=yes");
  const Endpoint e = n.out(kA, kX);
  n.in(kY, e);
  const Endpoint moved = n.out(kA, kY);
  EXPECT_NE(moved, e);
  EXPECT_EQ(n.in(kY, moved), kA);
  EXPECT_EQ(n.out(kA, kX2), e);
}

TEST(Poisoning, IsBounded) {
  NetOfOne n("linux-masquerade-input-accept,max_poison=10");
  for (uint16_t port = 1; port <= 100; ++port)
    n.in({kY.ip, port}, {IpAddress::v4(0xcb007101), 5000});
  EXPECT_EQ(n.nat->session_count(), 10u);
}

TEST(Firewall, FiltersWithoutTranslating) {
  NetOfOne n("firewall-only");
  EXPECT_EQ(n.out(kA, kX), kA);
  EXPECT_EQ(n.in(kX, kA), kA);
  EXPECT_EQ(n.in(kY, kA), kNone);
  EXPECT_EQ(n.last.reason, Reason::filtered_address);
  const Endpoint a6 = at("[2001:db8::2]:5000"), x6 = at("[2001:db8:1::1]:7000"),
                 y6 = at("[2001:db8:1::2]:7000");
  EXPECT_EQ(n.in(x6, a6), kNone);
  EXPECT_EQ(n.last.reason, Reason::no_mapping);
  EXPECT_EQ(n.out(a6, x6), a6);
  EXPECT_EQ(n.in(x6, a6), a6);
  EXPECT_EQ(n.in(y6, a6), kNone);
  EXPECT_EQ(n.last.reason, Reason::filtered_address);
  n.wait(5min);
  EXPECT_EQ(n.in(x6, a6), kNone);
}

TEST(Firewall, OfANatCarriesIpv6OrNot) {
  const Endpoint a6 = at("[2001:db8::2]:5000"), x6 = at("[2001:db8:1::1]:7000");
  EXPECT_EQ(NetOfOne("eim-apdf").out(a6, x6), a6);
  EXPECT_EQ(NetOfOne("eim-apdf").in(x6, a6), kNone);
  EXPECT_EQ(NetOfOne("eim-apdf,ipv6=open").in(x6, a6), a6);
  NetOfOne none("eim-apdf,ipv6=drop");
  EXPECT_EQ(none.out(a6, x6), kNone);
  EXPECT_EQ(none.last.reason, Reason::unsupported);
}

TEST(Open, LetsEverythingThroughAndRemembersNothing) {
  NetOfOne n("open", {});
  EXPECT_EQ(n.in(kX, kA), kA);
  EXPECT_EQ(n.out(kA, kX), kA);
  EXPECT_EQ(n.nat->session_count(), 0u);
}

}  // namespace
}  // namespace culvert::nat
