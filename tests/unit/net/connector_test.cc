// The TCP connector over the fake network, and the fake network's own streams.
//
//   a ---5 ms--- core ---15 ms--- server
//   nat ---5 ms--- core;  inside ---1 ms--- nat
#include "model/net/connector.h"

#include <gtest/gtest.h>

#include "model/nat/presets.h"
#include "tests/contract/collect.h"
#include "tests/support/fake_net.h"

namespace culvert::net {
namespace {

using contract::Talk;
using testing::FakeNet;

class ConnectorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    core = world.router("core");
    a = world.host("a");
    server = world.host("server");
    inside = world.host("inside");
    nat = world.nat("nat", *nat::from_preset("port-restricted-cone"), {"198.51.100.2"});
    world.uplink(a, "192.0.2.2", core, "192.0.2.1", 5ms);
    to_server = world.uplink(server, "203.0.113.2", core, "203.0.113.1", 15ms);
    world.uplink(nat, "198.51.100.2", core, "198.51.100.1", 5ms);
    world.uplink(inside, "10.0.0.2", nat, "10.0.0.1", 1ms);
    world.name("server.test", {"203.0.113.2"});
  }
  void listen() {
    ListenOptions options;
    options.local = {IpAddress::any_v4(), 80};
    listener = std::move(*world.at(server).listen(options));
    listener->on_readable([this] {
      while (auto stream = listener->accept()) accepted.push_back(std::move(stream));
    });
  }
  void connect(FakeNet::Node from, const std::string& name, Duration timeout = 30s) {
    connector = tcp_connector(world.at(from), {name, 80, {}, timeout});
    connecting = connector->connect([this](Connected c) { connected = std::move(c); },
                                    [this](ConnectFailure f) { failure = f; });
    EXPECT_FALSE(connected || failure) << "told inside the call";
  }
  bool settled() {
    return world.run_until([this] { return connected || failure; }, 120s);
  }

  FakeNet world{1};
  FakeNet::Node core, a, server, inside, nat;
  FakeNet::Link to_server;
  std::unique_ptr<Listener> listener;
  std::vector<std::unique_ptr<Stream>> accepted;
  std::unique_ptr<Connector> connector;
  std::unique_ptr<Connecting> connecting;
  std::optional<Connected> connected;
  std::optional<ConnectFailure> failure;
};

TEST_F(ConnectorTest, reaches_a_name_in_one_round_trip) {
  listen();
  connect(a, "server.test");
  EXPECT_EQ(connector->describe(), "tcp://server.test:80");
  ASSERT_TRUE(settled());
  ASSERT_TRUE(connected);
  EXPECT_EQ(world.now(), 40ms);
  EXPECT_EQ(connected->times.tcp, 40ms);
  EXPECT_TRUE(connected->times.name);
  EXPECT_FALSE(connected->times.tls);
  Talk here(std::move(connected->stream));
  here.say("hello");
  ASSERT_TRUE(world.run_until([&] { return !accepted.empty(); }, 1s));
  Talk there(std::move(accepted.front()));
  ASSERT_TRUE(world.run_until([&] { return there.heard == "hello"; }, 1s));
  EXPECT_EQ(world.now(), 60ms);
  EXPECT_EQ(there.stream().remote(), here.stream().local());
}

TEST_F(ConnectorTest, a_literal_address_has_no_name_phase) {
  listen();
  connect(a, "203.0.113.2");
  EXPECT_EQ(connector->describe(), "tcp://203.0.113.2:80");
  ASSERT_TRUE(settled());
  ASSERT_TRUE(connected);
  EXPECT_FALSE(connected->times.name);
}

TEST_F(ConnectorTest, says_which_phase_failed_and_why) {
  connect(a, "nowhere.test");
  ASSERT_TRUE(settled());
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->phase, "name");
  EXPECT_EQ(failure->status.error, Error::not_found);
  EXPECT_EQ(failure->status.detail.find("name: "), 0u);
  failure.reset();
  connect(a, "server.test");
  ASSERT_TRUE(settled());
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->phase, "tcp");
  EXPECT_EQ(failure->status.error, Error::refused);
  EXPECT_EQ(failure->status.detail, "tcp: 203.0.113.2:80 answered with RST");
}

TEST_F(ConnectorTest,
       takes_the_next_address_when_one_refuses_and_shares_its_time_when_one_is_silent) {
  listen();
  world.name("many.test", {"192.0.2.1", "203.0.113.77", "203.0.113.2"});
  connect(a, "many.test", 30s);
  ASSERT_TRUE(settled());
  ASSERT_TRUE(connected) << failure->status.to_string();
  EXPECT_EQ(connected->stream->remote().to_string(), "203.0.113.2:80");
  EXPECT_LT(world.now(), 16s);
}

TEST_F(ConnectorTest, destroying_the_attempt_cancels_it) {
  listen();
  connect(a, "server.test");
  connecting.reset();
  world.run_for(10s);
  EXPECT_FALSE(connected || failure);
  connect(a, "203.0.113.2");
  world.run_for(30ms);
  connecting.reset();
  world.run_for(10s);
  EXPECT_FALSE(connected || failure);
}

TEST_F(ConnectorTest, a_cut_link_times_out_and_a_mended_one_connects) {
  listen();
  world.cut(to_server);
  connect(a, "server.test", 2s);
  ASSERT_TRUE(settled());
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->status.error, Error::timed_out);
  EXPECT_EQ(world.now(), 2s);
  failure.reset();
  connect(a, "server.test", 30s);
  world.run_for(500ms);
  world.mend(to_server);
  ASSERT_TRUE(settled());
  ASSERT_TRUE(connected);
  EXPECT_EQ(world.now(), 3040ms);  // the second SYN went a second after the first
}

TEST_F(ConnectorTest, streams_wait_on_a_cut_link_and_die_when_reset) {
  listen();
  connect(a, "server.test");
  ASSERT_TRUE(settled());
  Talk here(std::move(connected->stream));
  ASSERT_TRUE(world.run_until([&] { return !accepted.empty(); }, 1s));
  Talk there(std::move(accepted.front()));
  world.cut(to_server);
  here.say("later");
  world.run_for(60s);
  EXPECT_EQ(there.heard, "");
  world.mend(to_server);
  ASSERT_TRUE(world.run_until([&] { return there.heard == "later"; }, 1s));
  world.reset_streams(to_server);
  ASSERT_TRUE(
      world.run_until([&] { return here.end == Error::reset && there.end == Error::reset; }, 1s));
}

TEST_F(ConnectorTest, a_nat_shows_its_own_address_and_lets_nobody_in) {
  listen();
  connect(inside, "server.test");
  ASSERT_TRUE(settled());
  ASSERT_TRUE(connected);
  ASSERT_TRUE(world.run_until([&] { return !accepted.empty(); }, 1s));
  EXPECT_EQ(accepted.front()->remote().ip.to_string(), "198.51.100.2");
  EXPECT_EQ(connected->stream->local().ip.to_string(), "10.0.0.2");
  connected.reset();
  connect(a, "198.51.100.2");
  ASSERT_TRUE(settled());
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->status.error, Error::refused);
}

TEST_F(ConnectorTest, a_host_reaches_itself) {
  listen();
  connect(server, "127.0.0.1");
  ASSERT_TRUE(settled());
  EXPECT_TRUE(connected);
}

TEST_F(ConnectorTest, a_listener_that_goes_resets_those_who_wait_in_it) {
  ListenOptions options;
  options.local = {IpAddress::any_v4(), 80};
  listener = std::move(*world.at(server).listen(options));
  EXPECT_EQ(world.at(server).listen(options).error(), Error::in_use);
  connect(a, "server.test");
  ASSERT_TRUE(settled());
  Talk here(std::move(connected->stream));
  world.run_for(1s);
  listener.reset();
  ASSERT_TRUE(world.run_until([&] { return here.end != Error::none; }, 1s));
  EXPECT_EQ(here.end, Error::reset);
}

}  // namespace
}  // namespace culvert::net
