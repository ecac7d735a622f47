// Punching where two devices do not simply sit behind one NAT each: one NAT for both, one carrier
// for both, no NAT, a NAT that restarts; and what cannot work, with its reason.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/nat/presets.h"
#include "tests/unit/punch/lab.h"

namespace culvert::testing {
namespace {

// Server and core; devices are hung up below what a test builds.
class Scene : public ::testing::Test {
 protected:
  Scene() : net(7) {
    core = net.router("core");
    s = net.host("s");
    net.uplink(s, "203.0.113.10", core, "203.0.113.1", 5ms);
    net.add_address(s, "203.0.113.11");
  }
  FakeNet::Node nat(const std::string& name, const std::string& preset, const std::string& address,
                    FakeNet::Node above, const std::string& above_address) {
    const auto config = nat::from_preset(preset);
    EXPECT_TRUE(config.ok()) << config.status().to_string();
    const FakeNet::Node node = net.nat(name, *config, {address});
    net.uplink(node, address, above, above_address, 8ms);
    return node;
  }
  FakeNet::Node host(const std::string& name, const std::string& address, FakeNet::Node above,
                     const std::string& above_address) {
    const FakeNet::Node node = net.host(name);
    net.uplink(node, address, above, above_address, 1ms);
    return node;
  }
  void start(FakeNet::Node a, FakeNet::Node b) {
    server =
        std::make_unique<rendezvous::RendezvousServer>(net.at(s), server_options({"a", "b", "c"}));
    ASSERT_TRUE(server->start().ok());
    device_a = make_device(net, a, "a", options);
    device_b = make_device(net, b, "b", options);
    ASSERT_TRUE(device_a->start().ok());
    ASSERT_TRUE(device_b->start().ok());
    ASSERT_TRUE(net.run_until([&] { return device_a->ready() && device_b->ready(); }, 20s));
    net.run_for(50ms);
  }
  Outcome punch() { return punch_between(net, *device_a, "a", "b", "b", options.budget + 5s); }

  FakeNet net;
  LabOptions options;
  FakeNet::Node core, s;
  std::unique_ptr<rendezvous::RendezvousServer> server;
  std::unique_ptr<punch::Puncher> device_a, device_b;
};

TEST_F(Scene, BehindOneNatThatNeitherHairpinsNorLetsNeighboursTalkNothingWorks) {
  const auto n = nat("n", "port-restricted-cone", "198.51.100.2", core, "198.51.100.1");
  net.isolate(n);
  start(host("a", "10.1.0.2", n, "10.1.0.1"), host("b", "10.1.0.3", n, "10.1.0.1"));
  const Outcome outcome = punch();
  EXPECT_FALSE(outcome.direct());
  EXPECT_EQ(outcome.reason_a, "same_nat_no_hairpin");
  EXPECT_EQ(outcome.reason_b, "same_nat_no_hairpin");
}

TEST_F(Scene, BehindOneNatOnOneLanTheHostCandidatesWin) {
  const auto n = nat("n", "apdm-apdf", "198.51.100.2", core, "198.51.100.1");
  start(host("a", "10.1.0.2", n, "10.1.0.1"), host("b", "10.1.0.3", n, "10.1.0.1"));
  const Outcome outcome = punch();
  EXPECT_TRUE(outcome.direct());
  EXPECT_EQ(outcome.path_a, "host");
  EXPECT_EQ(outcome.path_b, "host");
}

TEST_F(Scene, BehindOneNatThatHairpinsThePublicAddressWorks) {
  const auto n = nat("n", "eim-apdf,hairpin=external", "198.51.100.2", core, "198.51.100.1");
  net.isolate(n);
  start(host("a", "10.1.0.2", n, "10.1.0.1"), host("b", "10.1.0.3", n, "10.1.0.1"));
  const Outcome outcome = punch();
  EXPECT_TRUE(outcome.direct());
  EXPECT_EQ(outcome.path_a, "hairpin");
}

TEST_F(Scene, BehindOneCarrierTheCarriersHairpinWorks) {
  const auto carrier =
      nat("carrier", "eim-apdf,hairpin=external", "198.51.100.2", core, "198.51.100.1");
  const auto home_a = nat("home_a", "eim-apdf", "100.64.0.2", carrier, "100.64.0.1");
  const auto home_b = nat("home_b", "eim-apdf", "100.64.0.3", carrier, "100.64.0.1");
  // The same private address on both sides: a wrong host would answer, and must not count.
  start(host("a", "192.168.1.2", home_a, "192.168.1.1"),
        host("b", "192.168.1.2", home_b, "192.168.1.1"));
  EXPECT_EQ(device_a->behaviour().hops, 2);
  const Outcome outcome = punch();
  EXPECT_TRUE(outcome.direct());
  EXPECT_EQ(outcome.path_a, "hairpin");
}

TEST_F(Scene, BehindOneCarrierWithoutHairpinTheReasonIsTold) {
  const auto carrier = nat("carrier", "eim-apdf", "198.51.100.2", core, "198.51.100.1");
  const auto home_a = nat("home_a", "eim-apdf", "100.64.0.2", carrier, "100.64.0.1");
  const auto home_b = nat("home_b", "eim-apdf", "100.64.0.3", carrier, "100.64.0.1");
  start(host("a", "192.168.1.2", home_a, "192.168.1.1"),
        host("b", "192.168.2.2", home_b, "192.168.2.1"));
  const Outcome outcome = punch();
  EXPECT_FALSE(outcome.direct());
  EXPECT_EQ(outcome.reason_a, "same_nat_no_hairpin");
  // The carrier's own words.
  const auto& events = net.nat_events();
  EXPECT_TRUE(std::any_of(events.begin(), events.end(), [](const FakeNet::NatEvent& e) {
    return e.nat == "carrier" && e.reason == nat::Reason::hairpin_off;
  }));
}

TEST_F(Scene, ThreeLevelsDeepAndAPublicHost) {
  const auto carrier = nat("carrier", "eim-apdf", "198.51.100.2", core, "198.51.100.1");
  const auto home = nat("home", "apdm-apdf", "100.64.0.2", carrier, "100.64.0.1");
  const auto inner = nat("inner", "eim-eif", "192.168.1.2", home, "192.168.1.1");
  const auto a = host("a", "10.0.0.2", inner, "10.0.0.1");
  const auto b = host("b", "203.0.113.77", core, "203.0.113.1");
  start(a, b);
  EXPECT_EQ(device_a->behaviour().hops, 3);
  EXPECT_TRUE(device_b->behaviour().same_as_local);
  const Outcome outcome = punch();
  EXPECT_TRUE(outcome.direct());
}

TEST_F(Scene, AnUnknownPeerAndOneThatIsNotThere) {
  const auto n = nat("n", "eim-apdf", "198.51.100.2", core, "198.51.100.1");
  const auto m = nat("m", "eim-apdf", "192.0.2.2", core, "192.0.2.1");
  start(host("a", "10.1.0.2", n, "10.1.0.1"), host("b", "10.2.0.2", m, "10.2.0.1"));
  for (const char* peer : {"nobody", "c"}) {
    const size_t before = net.lines("a", "result").size();
    EXPECT_TRUE(device_a->connect(peer).ok());
    net.run_until([&] { return net.lines("a", "result").size() > before; }, 20s);
    ASSERT_EQ(net.lines("a", "result").size(), before + 1);
    EXPECT_EQ(field(net.lines("a", "result").back(), "reason"), "peer_unknown");
  }
  EXPECT_FALSE(device_a->connect("").ok());
  EXPECT_FALSE(device_a->connect("a").ok());
}

TEST_F(Scene, ASilentPeerIsCalledSilent) {
  const auto n = nat("n", "eim-apdf", "198.51.100.2", core, "198.51.100.1");
  const auto m = nat("m", "eim-apdf", "192.0.2.2", core, "192.0.2.1");
  start(host("a", "10.1.0.2", n, "10.1.0.1"), host("b", "10.2.0.2", m, "10.2.0.1"));
  device_b.reset();  // killed: the registration outlives it for a while
  device_a->connect("b");
  net.run_until([&] { return !net.lines("a", "result").empty(); }, 20s);
  ASSERT_FALSE(net.lines("a", "result").empty());
  EXPECT_EQ(field(net.lines("a", "result").back(), "reason"), "peer_silent");
}

TEST_F(Scene, NobodyAtTheServersAddress) {
  const auto n = nat("n", "eim-apdf", "198.51.100.2", core, "198.51.100.1");
  const auto a = host("a", "10.1.0.2", n, "10.1.0.1");
  device_a = make_device(net, a, "a", options);
  ASSERT_TRUE(device_a->start().ok());
  device_a->connect("b");
  net.run_until([&] { return !net.lines("a", "result").empty(); }, 20s);
  ASSERT_FALSE(net.lines("a", "result").empty());
  EXPECT_EQ(field(net.lines("a", "result").back(), "reason"), "no_server");  // ICMP said so
}

TEST_F(Scene, WhereUdpIsBlockedNothingComesBackAtAll) {
  net.tap = [&](FakeNet::Node node, const net::Endpoint&, const net::Endpoint&, net::Bytes) {
    return node != s;
  };
  const auto n = nat("n", "eim-apdf", "198.51.100.2", core, "198.51.100.1");
  const auto a = host("a", "10.1.0.2", n, "10.1.0.1");
  device_a = make_device(net, a, "a", options);
  ASSERT_TRUE(device_a->start().ok());
  device_a->connect("b");
  net.run_until([&] { return !net.lines("a", "result").empty(); }, 20s);
  ASSERT_FALSE(net.lines("a", "result").empty());
  EXPECT_EQ(field(net.lines("a", "result").back(), "reason"), "udp_blocked");
}

// The path is restored on both sides within a few keepalives of the restart.
class Restart : public Scene, public ::testing::WithParamInterface<bool> {};

TEST_P(Restart, OfANatIsNoticedAndThePathIsFoundAgain) {
  options.keepalive = 1s;
  const auto n = nat("n", "eim-apdf", "198.51.100.2", core, "198.51.100.1");
  const auto m = nat("m", "eim-apdf", "192.0.2.2", core, "192.0.2.1");
  start(host("a", "10.1.0.2", n, "10.1.0.1"), host("b", "10.2.0.2", m, "10.2.0.1"));
  ASSERT_TRUE(punch().direct());
  net.run_for(3s);
  net.nat_at(GetParam() ? n : m).reboot(net.now());
  EXPECT_TRUE(net.run_until(
      [&] {
        return !net.lines("a", "path_restored").empty() && !net.lines("b", "path_restored").empty();
      },
      6s));
  // Whoever notices later still tells that there was a loss.
  EXPECT_EQ(net.lines("a", "path_lost").size(), 1u);
  EXPECT_EQ(net.lines("b", "path_lost").size(), 1u);
}
INSTANTIATE_TEST_SUITE_P(WhoseNat, Restart, ::testing::Bool());

// The first introductions to a are lost, so b's probes come to a's NAT before a has sent any. This
// NAT answers by giving a another port towards b, which b's NAT does not trust. From fresh sockets,
// with b only opening its own NAT, it works.
TEST_F(Scene, APoisonedMappingIsLeftBehindForAFreshSocket) {
  const auto n = nat("n", "eim-apdf,poisoning=yes,ports=preserving,overloading=yes", "198.51.100.2",
                     core, "198.51.100.1");
  const auto m = nat("m", "eim-apdf", "192.0.2.2", core, "192.0.2.1");
  start(host("a", "10.1.0.2", n, "10.1.0.1"), host("b", "10.2.0.2", m, "10.2.0.1"));
  int lost = 0;
  net.tap = [&](FakeNet::Node node, const net::Endpoint&, const net::Endpoint& to,
                net::Bytes data) {
    const bool introduction = node == s && data.size() > 2 && data[0] == 0xC0 && data[1] == 20;
    return introduction && to.ip == *net::IpAddress::parse("198.51.100.2") && lost++ < 2;
  };
  const Outcome outcome = punch();
  EXPECT_TRUE(outcome.direct());
  EXPECT_EQ(net.lines("a", "fresh_socket").size(), 1u);
  EXPECT_EQ(net.lines("b", "fresh_socket").size(), 1u);
}

// What the second address sends is lost while they measure, so nobody knows who must be silent: one
// order after the other is tried, on fresh sockets.
TEST_F(Scene, WithoutAMeasurementOneOrderAndThenTheOther) {
  const auto n = nat("n", "apdm-eif", "198.51.100.2", core, "198.51.100.1");
  const auto m = nat("m", "eim-apdf", "192.0.2.2", core, "192.0.2.1");
  net.tap = [&](FakeNet::Node node, const net::Endpoint& from, const net::Endpoint&, net::Bytes) {
    return node == s && (from.port != 3478 || from.ip != *net::IpAddress::parse("203.0.113.10"));
  };
  start(host("a", "10.1.0.2", n, "10.1.0.1"), host("b", "10.2.0.2", m, "10.2.0.1"));
  EXPECT_EQ(device_a->behaviour().kind(), "unknown");
  for (const bool hard_asks : {true, false}) {
    const Outcome outcome =
        hard_asks ? punch() : punch_between(net, *device_b, "a", "b", "a", options.budget + 5s);
    EXPECT_TRUE(outcome.direct());
    device_a->close("b");
    net.run_for(1s);
  }
}

// b's NAT admits everybody, so a's checks still arrive, from another port: b follows them.
TEST_F(Scene, APathWhosePeerMovedIsFollowedWithoutANewPunch) {
  options.keepalive = 1s;
  const auto n = nat("n", "eim-apdf", "198.51.100.2", core, "198.51.100.1");
  const auto m = nat("m", "eim-eif", "192.0.2.2", core, "192.0.2.1");
  start(host("a", "10.1.0.2", n, "10.1.0.1"), host("b", "10.2.0.2", m, "10.2.0.1"));
  ASSERT_TRUE(punch().direct());
  net.nat_at(n).reboot(net.now());
  EXPECT_TRUE(net.run_until([&] { return !net.lines("b", "path_restored").empty(); }, 3s));
  EXPECT_TRUE(net.lines("a", "path_lost").empty());
  EXPECT_EQ(net.lines("s", "introduced").size(), 1u);
  ASSERT_TRUE(device_b->send_text("a", "still there").ok());
  net.run_for(100ms);
  EXPECT_EQ(net.lines("a", "data_received").size(), 1u);
}

TEST_F(Scene, TextTravelsOverThePathAndCloseIsTold) {
  const auto n = nat("n", "eim-apdf", "198.51.100.2", core, "198.51.100.1");
  const auto m = nat("m", "eim-adf", "192.0.2.2", core, "192.0.2.1");
  start(host("a", "10.1.0.2", n, "10.1.0.1"), host("b", "10.2.0.2", m, "10.2.0.1"));
  EXPECT_FALSE(device_a->send_text("b", "too early").ok());
  ASSERT_TRUE(punch().direct());
  ASSERT_TRUE(device_a->send_text("b", "through the culvert").ok());
  net.run_for(1s);
  ASSERT_EQ(net.lines("b", "data_received").size(), 1u);
  EXPECT_EQ(field(net.lines("b", "data_received").front(), "text"), "through the culvert");
  ASSERT_TRUE(device_a->close("b").ok());
  net.run_for(1s);
  EXPECT_EQ(net.lines("b", "closed").size(), 1u);
  EXPECT_FALSE(device_b->send_text("a", "nobody there").ok());
}

TEST_F(Scene, WhenBothAskAtOnceThereIsOneSession) {
  const auto n = nat("n", "eim-apdf", "198.51.100.2", core, "198.51.100.1");
  const auto m = nat("m", "eim-apdf", "192.0.2.2", core, "192.0.2.1");
  start(host("a", "10.1.0.2", n, "10.1.0.1"), host("b", "10.2.0.2", m, "10.2.0.1"));
  device_b->connect("a");
  EXPECT_TRUE(punch().direct());
  EXPECT_EQ(net.lines("s", "introduced").size(), 1u);
}

}  // namespace
}  // namespace culvert::testing
