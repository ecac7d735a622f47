// Every packet boundary and every commit point, one after the other, in virtual time.
#include <gtest/gtest.h>

#include "tests/exactly_once/lab.h"
#include "tests/support/fake_net.h"

namespace culvert::mqtt::exactly_once {
namespace {

using namespace std::chrono_literals;
using testing::FakeNet;

Outcome in_memory(const Course& setup, uint64_t seed = 1) {
  FakeNet net(seed);
  const auto core = net.router("core");
  const auto b = net.host("broker"), p = net.host("publisher"), s = net.host("subscriber");
  net.uplink(b, "10.0.0.2", core, "10.0.0.1", 1ms);
  net.uplink(p, "10.0.1.2", core, "10.0.1.1", 2ms);
  net.uplink(s, "10.0.2.2", core, "10.0.2.1", 3ms);
  Machines machines;
  machines.hosts[kBroker] = &net.at(b);
  machines.hosts[kPublisher] = &net.at(p);
  machines.hosts[kSubscriber] = &net.at(s);
  machines.door = *net::Endpoint::parse("10.0.0.2:1883");
  machines.run_until = [&net](const std::function<bool()>& done, net::Duration limit) {
    return net.run_until(done, limit);
  };
  return run(machines, setup);
}

struct Way {
  const char* name;
  Version version;
  OnwardQos2 broker;
  bool client_early;
};
class EveryPoint : public ::testing::TestWithParam<Way> {
 protected:
  Course setup() const {
    Course s;
    s.version = GetParam().version;
    s.broker_qos2 = GetParam().broker;
    s.client_early = GetParam().client_early;
    return s;
  }
};
INSTANTIATE_TEST_SUITE_P(
    Ways, EveryPoint,
    ::testing::Values(Way{"early", Version::v5, OnwardQos2::at_publish, true},
                      Way{"late", Version::v5, OnwardQos2::at_pubrel, false},
                      Way{"broker_early", Version::v5, OnwardQos2::at_publish, false},
                      Way{"early_v311", Version::v311, OnwardQos2::at_publish, true},
                      Way{"late_v311", Version::v311, OnwardQos2::at_pubrel, false}),
    [](const auto& info) { return info.param.name; });

TEST_P(EveryPoint, ConnectionsCutAtEveryPacket) {
  Course s = setup();
  const Outcome whole = in_memory(s);
  ASSERT_EQ(whole.wrong, "");
  ASSERT_GT(whole.packets, 40u);
  for (uint64_t n = 0; n < whole.packets; ++n)
    for (const bool passed : {false, true}) {
      s.faults = {{Fault::At::packet, kBroker, n, passed}};
      const Outcome outcome = in_memory(s);
      ASSERT_EQ(outcome.wrong, "") << "cut " << (passed ? "after" : "at") << " packet " << n;
      ASSERT_EQ(outcome.cuts, 1u);
    }
}

TEST_P(EveryPoint, ProgramsKilledAtEveryCommit) {
  Course s = setup();
  const Outcome whole = in_memory(s);
  uint64_t points = 0;
  for (const Who who : {kBroker, kPublisher, kSubscriber})
    for (uint64_t n = 1; n <= whole.commits[who]; ++n)
      for (const bool passed : {false, true}) {
        s.faults = {{Fault::At::commit, who, n, passed}};
        const Outcome outcome = in_memory(s);
        ASSERT_EQ(outcome.wrong, "")
            << "program " << who << " killed " << (passed ? "after" : "before") << " commit " << n;
        ASSERT_EQ(outcome.kills, 1u);
        ++points;
      }
  EXPECT_GT(points, 25u);
}

TEST_P(EveryPoint, ACutBeforeEveryKill) {
  Course s = setup();
  s.messages = 2;
  const Outcome whole = in_memory(s);
  for (const Who who : {kBroker, kPublisher, kSubscriber})
    for (uint64_t n = 1; n <= whole.commits[who] + 3; ++n)
      for (uint64_t cut = 0; cut < whole.packets; cut += 2) {
        s.faults = {{Fault::At::packet, kBroker, cut, (cut + n) % 4 < 2},
                    {Fault::At::commit, who, n, (cut + n) % 3 == 0}};
        ASSERT_EQ(in_memory(s).wrong, "")
            << "cut at packet " << cut << ", program " << who << " killed at commit " << n;
      }
}

// The test tests: taken out, deduplication is missed.
int violations(Course s) {
  const uint64_t packets = in_memory(s).packets;
  int count = 0;
  for (uint64_t n = 0; n < packets; ++n)
    for (const bool passed : {false, true}) {
      s.faults = {{Fault::At::packet, kBroker, n, passed}};
      count += in_memory(s).wrong.find("arrived") != std::string::npos;
    }
  return count;
}
TEST_P(EveryPoint, ABrokerThatDoesNotDeduplicateIsFoundOut) {
  Course s = setup();
  s.broker_deduplicates = false;
  EXPECT_GT(violations(s), 0);
}
TEST_P(EveryPoint, AClientThatDoesNotDeduplicateIsFoundOut) {
  Course s = setup();
  s.client_deduplicates = false;
  EXPECT_GT(violations(s), 0);
}

}  // namespace
}  // namespace culvert::mqtt::exactly_once
