// A thousand seeds in ns-3: TCP on links that lose packets, one to four faults of any kind in each.
#include <gtest/gtest.h>

#include "tests/exactly_once/lab.h"
#include "tests/ns3/host_lab.h"

namespace culvert::mqtt::exactly_once {
namespace {

using namespace std::chrono_literals;

constexpr int kSeeds = 1000;

Outcome in_ns3(uint64_t seed, bool broker_deduplicates = true, bool client_deduplicates = true) {
  net::Random random(net::derive_seed(seed, "exactly once"));
  ns3_world::LabOptions options;
  options.seed = seed;
  options.host_on_middle = true;
  options.delay = net::Duration(static_cast<int64_t>(random.between(1'000'000, 10'000'000)));
  options.loss = random.below(4) == 0 ? 0.01 : 0;
  ns3_world::Lab lab(options);
  Machines machines;
  machines.hosts[kBroker] = lab.middle.get();
  machines.hosts[kPublisher] = lab.left.get();
  machines.hosts[kSubscriber] = lab.right.get();
  machines.door = *net::Endpoint::parse("0.0.0.0:1883");
  machines.run_until = [&lab](const std::function<bool()>& done, net::Duration limit) {
    return lab.run_until(done, limit);
  };
  Course setup;
  setup.messages = 3;
  setup.version = random.below(2) ? Version::v5 : Version::v311;
  setup.broker_qos2 = random.below(3) ? OnwardQos2::at_publish : OnwardQos2::at_pubrel;
  setup.client_early = random.below(3) != 0;
  setup.broker_deduplicates = broker_deduplicates;
  setup.client_deduplicates = client_deduplicates;
  machines.door = *net::Endpoint::parse("10.1.0.1:1883");
  for (uint64_t n = random.between(1, 4); n > 0; --n) {
    Fault fault;
    fault.at = random.below(2) ? Fault::At::packet : Fault::At::commit;
    fault.who = Who(random.below(kPrograms));
    fault.number = fault.at == Fault::At::packet ? random.below(70) : random.between(1, 8);
    fault.passed = random.below(2);
    setup.faults.push_back(fault);
  }
  return run(machines, setup);
}

TEST(ExactlyOnceInNs3, AThousandSeedsOfRandomFaults) {
  uint64_t kills = 0, cuts = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Outcome outcome = in_ns3(seed);
    ASSERT_EQ(outcome.wrong, "") << "seed " << seed;
    kills += outcome.kills;
    cuts += outcome.cuts;
  }
  EXPECT_GT(kills, 500u);
  EXPECT_GT(cuts, 500u);
  RecordProperty("kills", std::to_string(kills));
  RecordProperty("cuts", std::to_string(cuts));
}

TEST(ExactlyOnceInNs3, WithoutDeduplicationTheSameSeedsFindViolations) {
  int broker = 0, client = 0;
  for (uint64_t seed = 1; seed <= kSeeds && (broker == 0 || client == 0); ++seed) {
    if (broker == 0) broker += !in_ns3(seed, false, true).wrong.empty();
    if (client == 0) client += !in_ns3(seed, true, false).wrong.empty();
  }
  EXPECT_GT(broker, 0);
  EXPECT_GT(client, 0);
}

TEST(ExactlyOnceInNs3, ASeedRepeats) {
  for (uint64_t seed : {3, 17, 99}) {
    const Outcome a = in_ns3(seed), b = in_ns3(seed);
    EXPECT_EQ(a.packets, b.packets);
    EXPECT_EQ(a.arrived, b.arrived);
  }
}

}  // namespace
}  // namespace culvert::mqtt::exactly_once
