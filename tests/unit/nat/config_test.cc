// Axes by name, presets, and what is said when they are wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "model/nat/nat.h"

namespace culvert::nat {
namespace {

using ::testing::HasSubstr;

TEST(Presets, AreAllPossibleAndNameTheirSource) {
  std::set<std::string_view> names;
  for (const Preset& p : presets()) {
    const auto config = from_preset(p.name);
    EXPECT_TRUE(config.ok()) << p.name << ": " << config.status().to_string();
    EXPECT_FALSE(p.source.empty()) << p.name;
    EXPECT_TRUE(names.insert(p.name).second) << p.name << " twice";
    EXPECT_NO_THROW(Nat(*config, {*net::IpAddress::parse("192.0.2.1")}, 1)) << p.name;
  }
  for (const char* name :
       {"full-cone", "restricted-cone", "port-restricted-cone", "symmetric", "symmetric-sequential",
        "linux-masquerade", "cgnat-port-block", "firewall-only", "open"})
    EXPECT_EQ(names.count(name), 1u) << name;
}

TEST(Presets, ParametricNamesAreTheNineCombinations) {
  const auto c = from_preset("adm-eif");
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(c->mapping, Mapping::adm);
  EXPECT_EQ(c->filtering, Filtering::eif);
  EXPECT_EQ(c->ports, Ports::random);
  EXPECT_FALSE(c->overloading);
  EXPECT_TRUE(c->binding);
  EXPECT_EQ(c->filter_state, FilterState::per_mapping);
}

TEST(Presets, TakeChanges) {
  const auto c = from_preset("symmetric,udp_new=30s,hairpin=external");
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(c->timeouts.udp_new, std::chrono::seconds(30));
  EXPECT_EQ(c->hairpin, Hairpin::external_source);
}

TEST(Presets, SayWhatIsWrong) {
  EXPECT_THAT(from_preset("fullcone").status().detail, HasSubstr("'fullcone'"));
  EXPECT_THAT(from_preset("symmetric,mapping=sim").status().detail,
              HasSubstr("mapping is eim, adm or apdm, not 'sim'"));
  EXPECT_THAT(from_preset("symmetric,udp_new=30").status().detail, HasSubstr("such as 500ms"));
  EXPECT_THAT(from_preset("symmetric,port_first=0").status().detail, HasSubstr("1 to 65535"));
  EXPECT_THAT(from_preset("symmetric,colour=red").status().detail, HasSubstr("no axis 'colour'"));
  EXPECT_THAT(from_preset("symmetric,hairpin").status().detail, HasSubstr("axis=value"));
  EXPECT_THAT(from_preset("symmetric,port_first=10,port_last=9").status().detail,
              HasSubstr("port_first"));
  EXPECT_THAT(from_preset("symmetric,udp_new=99999999h").status().detail, HasSubstr("720h"));
  EXPECT_FALSE(from_preset("").ok());
}

TEST(Axes, AWrongValueChangesNothing) {
  Config c;
  EXPECT_FALSE(set(c, "udp_new", "soon").ok());
  EXPECT_FALSE(set(c, "udp_new", "-3s").ok());
  EXPECT_FALSE(set(c, "max_mappings", "99999999999999999999").ok());
  EXPECT_EQ(describe(c), describe(Config()));
}

TEST(Axes, DescriptionReadsBackToTheSame) {
  for (const Preset& p : presets()) {
    const auto original = from_preset(p.name);
    Config copy;
    for (const auto& [axis, value] : describe(*original)) {
      const auto status = set(copy, axis, value);
      EXPECT_TRUE(status.ok()) << status.to_string();
    }
    EXPECT_EQ(describe(copy), describe(*original)) << p.name;
  }
}

TEST(Nat, RefusesWhatCannotBe) {
  EXPECT_THROW(Nat(Config(), {}, 1), std::invalid_argument);
  Config c;
  c.port_first = 0;
  EXPECT_THROW(Nat(c, {*net::IpAddress::parse("192.0.2.1")}, 1), std::invalid_argument);
  EXPECT_THROW(Nat(Config(), {*net::IpAddress::parse("2001:db8::1")}, 1), std::invalid_argument);
}

TEST(Reasons, HaveWordsOfTheirOwn) {
  std::set<std::string_view> words;
  for (int i = 0; i < kReasonCount; ++i) words.insert(to_string(static_cast<Reason>(i)));
  EXPECT_EQ(words.size(), static_cast<size_t>(kReasonCount));
}

}  // namespace
}  // namespace culvert::nat
