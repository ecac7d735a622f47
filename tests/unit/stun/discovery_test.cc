// Behaviour discovery against the NAT core, over a network in memory: it must find what the NAT was
// told to be, in the readings of RFC 4787 that NATs differ in, with and without loss.
#include "model/stun/discovery.h"

#include <gtest/gtest.h>

#include <optional>

#include "tests/unit/stun/stun_lab.h"

namespace culvert::stun {
namespace {

using testing::StunLab;

std::optional<NatBehaviour> discover(StunLab& lab, net::Duration limit = 20s) {
  std::optional<NatBehaviour> found;
  DiscoveryOptions options;
  options.server = lab.primary;
  Discovery discovery(lab.net.at(lab.a), *lab.mux, options,
                      [&](const NatBehaviour& behaviour) { found = behaviour; });
  EXPECT_TRUE(discovery.start().ok());
  lab.net.run_until([&] { return found.has_value(); }, limit);
  return found;
}

constexpr const char* kKinds[] = {"eim-eif",  "eim-adf",  "eim-apdf", "adm-eif",  "adm-adf",
                                  "adm-apdf", "apdm-eif", "apdm-adf", "apdm-apdf"};

class NineKinds : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Discovery, NineKinds, ::testing::ValuesIn(kKinds));

TEST_P(NineKinds, AreFoundAsTheyAre) {
  StunLab lab(GetParam());
  const auto found = discover(lab);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->kind(), GetParam());
  EXPECT_EQ(found->local.ip.to_string(), "10.1.0.2");
  EXPECT_EQ(found->observed.ip.to_string(), "198.51.100.2");
  EXPECT_FALSE(found->same_as_local);
  EXPECT_EQ(found->rtt, 32ms);
  EXPECT_EQ(found->hops, 1);
  EXPECT_EQ(found->far, 1ms);
  EXPECT_LT(lab.net.now(), 300ms);  // about nine round trips
}

TEST_P(NineKinds, AreFoundThroughFivePercentLoss) {
  int right = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    StunLab lab(GetParam(), true, seed, 0.05);
    const auto found = discover(lab);
    ASSERT_TRUE(found);
    right += found->kind() == GetParam() && found->hops == 1;
  }
  EXPECT_EQ(right, 40);
}

TEST_P(NineKinds, WithOneServerAddressNothingIsGuessed) {
  StunLab lab(GetParam(), false);
  const auto found = discover(lab);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->mapping, Mapping::unknown);
  EXPECT_EQ(found->filtering, Filtering::unknown);
  EXPECT_EQ(found->kind(), "unknown");
  EXPECT_EQ(found->hops, 1);
}

TEST(Discovery, APublicHostHasNoNat) {
  StunLab lab("");
  const auto found = discover(lab);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->same_as_local);
  EXPECT_EQ(found->kind(), "eim-eif");
  EXPECT_EQ(found->hops, 0);
  EXPECT_EQ(found->far, 0ms);
}

TEST(Discovery, TwoLevelsOfNatAreTwoHops) {
  StunLab lab("eim-apdf", true, 1, 0, "apdm-apdf");
  const auto found = discover(lab);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->kind(), "apdm-apdf");
  EXPECT_EQ(found->hops, 2);
  EXPECT_EQ(found->far, 11ms);
}

TEST(Discovery, HairpinIsSeenWhereItIsAndMissedWhereItIsNot) {
  for (const char* kind : {"eim-eif", "eim-adf", "eim-apdf"}) {
    StunLab with(std::string(kind) + ",hairpin=external");
    EXPECT_EQ(discover(with)->hairpin, Hairpin::yes) << kind;
    StunLab without(kind);
    EXPECT_EQ(discover(without)->hairpin, Hairpin::no) << kind;
  }
}

// ADF would look like EIF had the socket ever contacted the second address (field note).
TEST(Discovery, ThePunchingSocketNeverContactsTheSecondAddress) {
  StunLab lab("eim-adf");
  const auto second = *net::IpAddress::parse("203.0.113.11");
  const uint16_t own = lab.mux->local().port;
  int contacts = 0, others = 0;
  lab.net.tap = [&](testing::FakeNet::Node sender, const net::Endpoint& from,
                    const net::Endpoint& to, net::Bytes) {
    if (sender == lab.a && to.ip == second) ++(from.port == own ? contacts : others);
    return false;
  };
  ASSERT_TRUE(discover(lab));
  EXPECT_EQ(contacts, 0);
  EXPECT_GE(others, 2);
}

TEST(Discovery, SilenceIsBlockedAfterFiveSeconds) {
  StunLab lab("eim-eif", true, 1, 1.0);
  const auto found = discover(lab);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->blocked);
  EXPECT_EQ(found->kind(), "unknown");
  EXPECT_EQ(lab.net.now(), 4700ms);
}

TEST(Discovery, MayBeDestroyedAtAnyMoment) {
  for (int ms = 0; ms < 250; ms += 3) {
    StunLab lab("eim-apdf");
    DiscoveryOptions options;
    options.server = lab.primary;
    auto discovery = std::make_unique<Discovery>(lab.net.at(lab.a), *lab.mux, options,
                                                 [](const NatBehaviour&) {});
    ASSERT_TRUE(discovery->start().ok());
    lab.net.run_for(std::chrono::milliseconds(ms));
    discovery.reset();
    lab.net.run_for(1s);
  }
}

}  // namespace
}  // namespace culvert::stun
