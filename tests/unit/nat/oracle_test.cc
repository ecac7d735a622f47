// The oracle: which of the 81 ordered pairs of mapping x filtering kinds can punch through, found
// by search over send orders on two real Nat instances, no network. Both sides keep sending to
// every address they have learned. The counts are those of the four readings of RFC 4787 (docs: the
// two choices it leaves open): direct in any order / if the right side leads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model/nat/nat.h"
#include "tests/unit/nat/packets.h"

namespace culvert::nat {
namespace {

using namespace culvert::testing;
using std::chrono::milliseconds;

constexpr int kSides = 2;
constexpr int kRounds = 6;  // of both sides sending to all they know, after the searched opening

struct Pair {
  Config config[kSides];
};

// Two hosts behind two NATs, introduced by a server that has seen their mappings.
struct World {
  explicit World(const Pair& pair) {
    for (int i = 0; i < kSides; ++i) {
      nat[i] = std::make_unique<Nat>(
          pair.config[i], std::vector<net::IpAddress>{*IpAddress::parse(i ? "2.0.0.1" : "1.0.0.1")},
          77 + i);
      Buffer hello = udp(host(i), at("9.9.9.9:3478"));
      EXPECT_EQ(nat[i]->outbound(now, hello).action, Action::forward_out);
      known[1 - i].insert(source_of(hello));
      told[1 - i] = source_of(hello);
    }
  }
  static Endpoint host(int) { return at("10.0.0.2:5000"); }

  // Side i sends to one address; whatever gets through teaches the other its source.
  void send(int i, const Endpoint& to) {
    now += milliseconds(1);
    Buffer p = udp(host(i), to);
    if (nat[i]->outbound(now, p).action != Action::forward_out) return;
    const int j = 1 - i;
    const Endpoint seen = source_of(p);
    if (!nat[j]->is_public(destination_of(p).ip)) return;
    if (nat[j]->inbound(now, p).action != Action::forward_in) return;
    EXPECT_EQ(destination_of(p), host(j));
    known[j].insert(seen);
    received[j].insert(seen);
    heard[j] = true;
  }
  void send_all(int i) {
    const std::set<Endpoint> targets = known[i];
    for (const Endpoint& to : targets) send(i, to);
  }
  // Both ends have heard, and what each sends now to where it last heard from gets through.
  bool direct() {
    for (int i = 0; i < kSides; ++i) {
      bool through = false;
      for (const Endpoint& to : received[i]) {
        heard[1 - i] = false;
        send(i, to);
        through = through || heard[1 - i];
      }
      if (!through) return false;
    }
    return true;
  }

  Time now{0};
  std::unique_ptr<Nat> nat[kSides];
  std::set<Endpoint> known[kSides], received[kSides];
  Endpoint told[kSides];
  bool heard[kSides] = {};
};

// Every opening up to this many single-side steps; afterwards both go on sending.
constexpr int kOpening = 4;

struct Answer {
  int any_order = 0, right_order = 0;
  std::set<std::string> pairs;  // direct in the right order
};

template <class Run>
Answer count(const std::vector<Config>& kinds, const std::vector<std::string>& names, Run run) {
  Answer answer;
  for (size_t a = 0; a < kinds.size(); ++a)
    for (size_t b = 0; b < kinds.size(); ++b) {
      bool all = true, any = false;
      for (int order = 0; order < 1 << kOpening; ++order) {
        World world(Pair{{kinds[a], kinds[b]}});
        const bool ok = run(world, order);
        all = all && ok;
        any = any || ok;
      }
      answer.any_order += all;
      answer.right_order += any;
      if (any) answer.pairs.insert(names[a] + " " + names[b]);
    }
  return answer;
}

// Both sides keep sending to every address they have learned.
bool learning(World& world, int order) {
  for (int step = 0; step < kOpening; ++step) world.send_all(order >> step & 1);
  for (int round = 0; round < kRounds; ++round)
    for (int i = 0; i < kSides; ++i) world.send_all(i);
  return world.direct();
}

// Seed 002: hellos only to the address that the server told; done when both sides received one.
bool seed002(World& world, int order) {
  for (int step = 0; step < kOpening; ++step) {
    const int i = order >> step & 1;
    world.send(i, world.told[i]);
  }
  world.received[0].clear();
  world.received[1].clear();
  for (int round = 0; round < kRounds; ++round)
    for (int i = 0; i < kSides; ++i) world.send(i, world.told[i]);
  return !world.received[0].empty() && !world.received[1].empty();
}

std::vector<std::string> nine() {
  std::vector<std::string> names;
  for (const char* m : {"eim", "adm", "apdm"})
    for (const char* f : {"eif", "adf", "apdf"}) names.push_back(std::string(m) + "-" + f);
  return names;
}

std::vector<Config> kinds_with(const std::string& changes) {
  std::vector<Config> kinds;
  for (const auto& name : nine()) {
    const auto config = from_preset(name + changes);
    EXPECT_TRUE(config.ok()) << config.status().to_string();
    kinds.push_back(*config);
  }
  return kinds;
}

struct Reading {
  const char* name;
  const char* changes;
  int any_order, right_order;
};
class FourReadings : public ::testing::TestWithParam<Reading> {};

TEST_P(FourReadings, OfRfc4787GiveTheirCounts) {
  const Answer answer = count(kinds_with(GetParam().changes), nine(), learning);
  EXPECT_EQ(answer.any_order, GetParam().any_order);
  EXPECT_EQ(answer.right_order, GetParam().right_order);
}

INSTANTIATE_TEST_SUITE_P(
    Oracle, FourReadings,
    ::testing::Values(Reading{"SessionTable", ",filter_state=mapping,binding=yes", 53, 57},
                      Reading{"PerMappingUnbound", ",filter_state=mapping,binding=no", 45, 45},
                      Reading{"PerEndpointBound", ",filter_state=endpoint,binding=yes", 65, 69},
                      Reading{"PerEndpointUnbound", ",filter_state=endpoint,binding=no", 49, 49}),
    [](const auto& info) { return info.param.name; });

TEST(Oracle, TheFiftySevenAreThoseOfTheRule) {
  // Direct if and only if either side is EIF, or either is EIM+ADF, or both are EIM.
  std::set<std::string> expected;
  for (const auto& a : nine())
    for (const auto& b : nine()) {
      const auto has = [](const std::string& s, const char* t) {
        return s.find(t) != std::string::npos;
      };
      const bool eim_a = a.rfind("eim", 0) == 0, eim_b = b.rfind("eim", 0) == 0;
      if (has(a, "eif") || has(b, "eif") || a == "eim-adf" || b == "eim-adf" || (eim_a && eim_b))
        expected.insert(a + " " + b);
    }
  EXPECT_EQ(expected.size(), 57u);
  EXPECT_EQ(count(kinds_with(""), nine(), learning).pairs, expected);
}

TEST(Oracle, SeedTwoReachesTwentyOneAndTwentyFive) {
  const Answer answer = count(kinds_with(""), nine(), seed002);
  EXPECT_EQ(answer.any_order, 21);
  EXPECT_EQ(answer.right_order, 25);
}

TEST(Oracle, WithSharedPreservedPortsEveryPairIsDirect) {
  const Answer answer = count(kinds_with(",ports=preserving,overloading=yes"), nine(), learning);
  EXPECT_EQ(answer.any_order, 81);
}

// Where a harder NAT (one step along one axis, the other side fixed) does better than an easier
// one.
std::set<std::string> surprises(const char* reading) {
  const auto names = nine();
  const std::set<std::string> direct = count(kinds_with(reading), names, learning).pairs;
  std::set<std::string> found;
  for (int m = 0; m < 3; ++m)
    for (int f = 0; f < 3; ++f)
      for (const auto& other : names) {
        const std::string& here = names[m * 3 + f];
        for (const auto& [m2, f2] : {std::pair(m + 1, f), std::pair(m, f + 1)}) {
          if (m2 > 2 || f2 > 2) continue;
          const std::string& there = names[m2 * 3 + f2];
          for (const bool left : {true, false}) {
            const auto pair = [&](const std::string& kind) {
              return left ? kind + " " + other : other + " " + kind;
            };
            if (direct.count(pair(there)) && !direct.count(pair(here)))
              found.insert(pair(there) + " > " + pair(here));
          }
        }
      }
  return found;
}

TEST(Oracle, AHarderNatNeverRaisesSuccess) {
  using ::testing::IsEmpty;
  EXPECT_THAT(surprises(",filter_state=mapping,binding=yes"), IsEmpty());
  EXPECT_THAT(surprises(",filter_state=mapping,binding=no"), IsEmpty());
  EXPECT_THAT(surprises(",filter_state=endpoint,binding=no"), IsEmpty());
}

// The one reading in which that is not so, and where: when the filter belongs to the endpoint, what
// opens it toward the peer's new address opens every mapping of the endpoint, so a second mapping
// (which only endpoint-dependent mapping has) is a second door, and the answer leaves through it.
TEST(Oracle, ExceptWhereAllMappingsShareOneFilterAndBind) {
  EXPECT_THAT(surprises(",filter_state=endpoint,binding=yes"),
              ::testing::ElementsAre("adm-adf adm-apdf > adm-adf eim-apdf",
                                     "adm-apdf adm-adf > eim-apdf adm-adf",
                                     "adm-apdf apdm-adf > eim-apdf apdm-adf",
                                     "apdm-adf adm-apdf > apdm-adf eim-apdf"));
}

}  // namespace
}  // namespace culvert::nat
