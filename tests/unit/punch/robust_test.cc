// What goes wrong around a punch: heavy loss, a peer or a server that vanishes and comes back, and
// several peers at once.
#include <gtest/gtest.h>

#include <map>

#include "model/nat/presets.h"
#include "tests/unit/punch/lab.h"

namespace culvert::testing {
namespace {

TEST(Robust, TenPercentLossFailsHardlyAny) {
  int direct = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    LabOptions o;
    o.seed = seed;
    o.loss = 0.1;
    o.nat_b = seed % 2 == 0 ? "eim-apdf" : "eim-adf";
    o.nat_a = seed % 2 == 0 ? "eim-apdf" : "apdm-apdf";
    Lab lab(o);
    ASSERT_TRUE(lab.get_ready()) << seed;
    direct += lab.punch(seed % 4 < 2 ? 'a' : 'b').direct();
  }
  std::printf("10 %% loss: %d of 100 direct\n", direct);
  EXPECT_GE(direct, 98);
}

TEST(Robust, APeerThatVanishesIsMissedAndFoundAgain) {
  LabOptions o;
  o.keepalive = 1s;
  Lab lab(o);
  ASSERT_TRUE(lab.get_ready());
  ASSERT_TRUE(lab.punch().direct());
  lab.net.set_loss(lab.link_b, 1);
  ASSERT_TRUE(lab.net.run_until([&] { return !lab.net.lines("a", "path_lost").empty(); }, 5s));
  lab.net.run_for(30s);
  EXPECT_TRUE(lab.net.lines("a", "path_restored").empty());
  lab.net.set_loss(lab.link_b, 0);
  EXPECT_TRUE(lab.net.run_until(
      [&] {
        return !lab.net.lines("a", "path_restored").empty() &&
               !lab.net.lines("b", "path_restored").empty();
      },
      90s));
}

class ServerGone : public ::testing::TestWithParam<int> {};

// The server is killed so many milliseconds after the start, or after the request, and started
// again a second later. It remembers nothing.
TEST_P(ServerGone, WhileDevicesRegister) {
  Lab lab(LabOptions{});
  lab.net.schedule(std::chrono::milliseconds(GetParam()), [&] { lab.server.reset(); });
  lab.net.schedule(std::chrono::milliseconds(GetParam()) + 1s, [&] {
    lab.server = std::make_unique<rendezvous::RendezvousServer>(lab.net.at(lab.s),
                                                                server_options({"a", "b"}));
    ASSERT_TRUE(lab.server->start().ok());
  });
  ASSERT_TRUE(lab.get_ready());
  lab.net.run_for(20s);  // a device refreshes after 15
  EXPECT_TRUE(lab.punch().direct());
}

TEST_P(ServerGone, WhileTheyAreIntroduced) {
  LabOptions o;
  o.refresh = 2s;
  Lab lab(o);
  ASSERT_TRUE(lab.get_ready());
  lab.net.run_for(100ms);
  lab.net.schedule(lab.net.now() + std::chrono::milliseconds(GetParam()),
                   [&] { lab.server.reset(); });
  lab.net.schedule(lab.net.now() + std::chrono::milliseconds(GetParam()) + 1s, [&] {
    lab.server = std::make_unique<rendezvous::RendezvousServer>(lab.net.at(lab.s),
                                                                server_options({"a", "b"}));
    ASSERT_TRUE(lab.server->start().ok());
  });
  lab.device_a->connect("b");
  ASSERT_TRUE(
      lab.net.run_until([&] { return !lab.net.lines("a", "result").empty(); }, o.budget + 1s));
  const std::string result = lab.net.lines("a", "result").front();
  // Either it was in time, or the new server does not know b yet and says so.
  if (field(result, "direct") == "true") return;
  EXPECT_EQ(field(result, "reason"), "peer_unknown");
  lab.net.run_for(5s);
  EXPECT_TRUE(lab.punch().direct());
}
INSTANTIATE_TEST_SUITE_P(AfterMs, ServerGone, ::testing::Values(1, 10, 17, 25, 33, 40, 60, 100));

TEST(Robust, ThreeDevicesTwoPeersAtOnceAndNobodyConnectsToHimself) {
  LabOptions o;
  Lab lab(o);
  const auto config = nat::from_preset("apdm-adf");
  ASSERT_TRUE(config.ok());
  const auto nat_c = lab.net.nat("nat_c", *config, {"198.18.0.2"});
  lab.net.uplink(nat_c, "198.18.0.2", lab.core, "198.18.0.1", 20ms);
  const auto c = lab.net.host("c");
  lab.net.uplink(c, "10.3.0.2", nat_c, "10.3.0.1", 1ms);
  lab.server = std::make_unique<rendezvous::RendezvousServer>(lab.net.at(lab.s),
                                                              server_options({"a", "b", "c"}));
  ASSERT_TRUE(lab.server->start().ok());
  lab.device_a = make_device(lab.net, lab.a, "a", o);
  lab.device_b = make_device(lab.net, lab.b, "b", o);
  const auto device_c = make_device(lab.net, c, "c", o);
  for (auto* device : {lab.device_a.get(), lab.device_b.get(), device_c.get()}) {
    ASSERT_TRUE(device->start().ok());
  }
  ASSERT_TRUE(lab.net.run_until(
      [&] { return lab.device_a->ready() && lab.device_b->ready() && device_c->ready(); }, 20s));
  EXPECT_EQ(lab.device_a->connect("a").error, net::Error::invalid);
  EXPECT_EQ(lab.device_a->connect("").error, net::Error::invalid);
  EXPECT_TRUE(lab.device_a->connect("b").ok());
  EXPECT_TRUE(lab.device_a->connect("c").ok());
  EXPECT_TRUE(lab.device_a->connect("nobody").ok());
  lab.net.run_for(12s);
  std::map<std::string, std::string> results;  // peer -> direct
  for (const std::string& line : lab.net.lines("a", "result")) {
    EXPECT_TRUE(results.emplace(field(line, "peer"), field(line, "direct")).second) << line;
  }
  EXPECT_EQ(results["b"], "true");
  EXPECT_EQ(results["c"], "false") << "port-restricted against symmetric";
  EXPECT_EQ(results["nobody"], "false");
  ASSERT_EQ(lab.net.lines("c", "result").size(), 1u);
  EXPECT_EQ(field(lab.net.lines("c", "result").front(), "reason"), "port_changed");
}

}  // namespace
}  // namespace culvert::testing
