// What the puncher concludes from packets, beside what the NATs themselves say that they did.
#include "model/punch/reason.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "tests/unit/punch/lab.h"

namespace culvert::testing {
namespace {

struct Case {
  const char *nat_a, *nat_b;
  rendezvous::Technique technique;
  const char *reason_a, *reason_b;
};
constexpr auto kCulvert = rendezvous::Technique::culvert;
constexpr auto kPlain = rendezvous::Technique::plain;
constexpr auto kSeed = rendezvous::Technique::seed002;

constexpr Case kCases[] = {
    {"eim-apdf", "apdm-apdf", kCulvert, "one_address_trusted", "port_changed"},
    {"eim-apdf", "adm-adf", kCulvert, "one_address_trusted", "port_changed"},
    {"apdm-adf", "eim-apdf", kCulvert, "port_changed", "one_address_trusted"},
    {"apdm-apdf", "adm-adf", kCulvert, "port_changed", "port_changed"},
    {"apdm-apdf", "apdm-apdf", kCulvert, "port_changed", "port_changed"},
    {"apdm-eif", "eim-apdf", kPlain, "port_changed", "one_address_trusted"},
    // The seed's side hears the changed port and, as the seed has it, does not answer there.
    {"eim-eif", "apdm-apdf", kSeed, "port_changed", "port_changed"},
    {"eim-adf", "apdm-apdf", kSeed, "port_changed", "port_changed"},
};

// All pairs that cannot become direct, both orders: a side whose own port changes says so, the
// other that its port trusts an address that the peer no longer has.
std::vector<Case> all_cases() {
  std::vector<Case> cases(std::begin(kCases), std::end(kCases));
  constexpr const char* kKinds[] = {"eim-apdf", "adm-adf", "adm-apdf", "apdm-adf", "apdm-apdf"};
  const auto reason = [](const std::string& own) {
    return own.rfind("eim", 0) == 0 ? "one_address_trusted" : "port_changed";
  };
  for (const char* a : kKinds) {
    for (const char* b : kKinds) {
      if (a == kKinds[0] && b == a) continue;  // direct
      cases.push_back({a, b, kCulvert, reason(a), reason(b)});
    }
  }
  return cases;
}
constexpr size_t kNotDirect = 24;

class Reasons : public ::testing::TestWithParam<Case> {};

// Whether NAT `nat` gave `internal` several external ports: then a port did change.
bool changed_port(const FakeNet& net, const std::string& nat, const net::IpAddress& inside,
                  uint16_t port) {
  std::set<uint16_t> external;
  for (const FakeNet::NatEvent& e : net.nat_events()) {
    if (e.nat == nat && e.created && e.source.ip == inside && e.source.port == port) {
      external.insert(e.destination.port);
    }
  }
  return external.size() > 1;
}

// Whether NAT `nat` refused packets of that address for its filter's sake since `since`.
bool filtered(const FakeNet& net, const std::string& nat, const net::IpAddress& from,
              net::Time since) {
  const auto& events = net.nat_events();
  return std::any_of(events.begin(), events.end(), [&](const FakeNet::NatEvent& e) {
    return e.nat == nat && !e.created && e.when >= since && e.source.ip == from &&
           (e.reason == nat::Reason::filtered_address || e.reason == nat::Reason::filtered_port);
  });
}

TEST_P(Reasons, AgreeWithTheNatsOwnWords) {
  const Case c = GetParam();
  LabOptions options;
  options.nat_a = c.nat_a;
  options.nat_b = c.nat_b;
  options.technique = c.technique;
  Lab lab(options);
  ASSERT_TRUE(lab.get_ready());
  lab.net.run_for(100ms);
  const net::Time since = lab.net.now();
  const Outcome outcome = lab.punch();
  ASSERT_FALSE(outcome.direct());
  EXPECT_GE(outcome.took, options.budget) << "the whole budget is spent";
  EXPECT_EQ(outcome.reason_a, c.reason_a) << outcome.detail_a;
  EXPECT_EQ(outcome.reason_b, c.reason_b) << outcome.detail_b;

  const net::IpAddress public_a = *net::IpAddress::parse("198.51.100.2");
  const net::IpAddress public_b = *net::IpAddress::parse("192.0.2.2");
  struct Side {
    std::string reason, nat;
    bool own_changed, peer_changed, refused_peer;
  };
  const uint16_t port = 40000;  // the first that the fake host gives
  const bool a_changed = changed_port(lab.net, "nat_a", *net::IpAddress::parse("10.1.0.2"), port);
  const bool b_changed = changed_port(lab.net, "nat_b", *net::IpAddress::parse("10.2.0.2"), port);
  const Side sides[] = {{outcome.reason_a, "nat_a", a_changed, b_changed,
                         filtered(lab.net, "nat_a", public_b, since)},
                        {outcome.reason_b, "nat_b", b_changed, a_changed,
                         filtered(lab.net, "nat_b", public_a, since)}};
  for (const Side& side : sides) {
    if (side.reason == "port_changed") {
      EXPECT_TRUE(side.own_changed || side.peer_changed) << side.nat << " kept its port";
    } else {
      EXPECT_TRUE(side.refused_peer) << side.nat << " refused nothing of the peer's";
      EXPECT_TRUE(side.peer_changed && !side.own_changed);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Pairs, Reasons, ::testing::ValuesIn(all_cases()));

TEST(ReasonCases, AreAskedOfAllPairsThatCannotBeDirect) {
  EXPECT_EQ(all_cases().size(), std::size(kCases) + kNotDirect);
}

// --- the pure function on its own ---------------------------------------------------------------

punch::Evidence both_cones() {
  punch::Evidence e;
  e.self = "a";
  e.peer = "b";
  e.me.mapping = e.them.mapping = stun::Mapping::eim;
  e.me.filtering = e.them.filtering = stun::Filtering::apdf;
  e.told = *net::Endpoint::parse("192.0.2.2:5000");
  e.my_told = *net::Endpoint::parse("198.51.100.2:4000");
  e.mine.sent = 20;
  e.theirs = rendezvous::Sighting{20, 0, {}, false};
  return e;
}

TEST(Conclude, NothingEitherWayBetweenConesIsABlockOnTheWay) {
  EXPECT_EQ(punch::conclude(both_cones()).reason, punch::Reason::udp_blocked);
}

TEST(Conclude, OneDirectionOnlyIsOneWay) {
  punch::Evidence e = both_cones();
  e.mine.received = 5;
  e.mine.seen_from = e.told;
  EXPECT_EQ(punch::conclude(e).reason, punch::Reason::one_way);
  e = both_cones();
  e.theirs->received = 5;
  e.theirs->seen_from = e.my_told;
  EXPECT_EQ(punch::conclude(e).reason, punch::Reason::one_way);
}

TEST(Conclude, APortSeenToChangeCountsEvenIfTheMeasurementSaidOtherwise) {
  punch::Evidence e = both_cones();
  e.theirs->received = 3;
  e.theirs->seen_from = *net::Endpoint::parse("198.51.100.2:4999");
  const punch::Conclusion found = punch::conclude(e);
  EXPECT_EQ(found.reason, punch::Reason::port_changed);
  EXPECT_NE(found.detail.find("198.51.100.2:4999"), std::string::npos);
}

TEST(Conclude, APeerThatNeverAcknowledgedIsSilent) {
  punch::Evidence e = both_cones();
  e.theirs.reset();
  e.peer_acknowledged = false;
  EXPECT_EQ(punch::conclude(e).reason, punch::Reason::peer_silent);
}

TEST(Conclude, ProhibitedByARouterIsABlock) {
  punch::Evidence e = both_cones();
  e.prohibited = 1;
  EXPECT_EQ(punch::conclude(e).reason, punch::Reason::udp_blocked);
}

}  // namespace
}  // namespace culvert::testing
