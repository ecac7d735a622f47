// The device's client against the server on the network in memory: loss, restarts, another address.
#include "model/rendezvous/client.h"

#include <gtest/gtest.h>

#include "model/rendezvous/server.h"
#include "tests/support/fake_net.h"

namespace culvert::rendezvous {
namespace {

using namespace std::chrono_literals;
using testing::FakeNet;

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() : net(5) {
    core = net.router("core");
    s = net.host("s");
    net.uplink(s, "203.0.113.10", core, "203.0.113.1", 5ms);
    net.add_address(s, "203.0.113.11");
    nat = net.nat("n", {}, {"198.51.100.2"});
    net.uplink(nat, "198.51.100.2", core, "198.51.100.1", 10ms);
    a = net.host("a");
    link = net.uplink(a, "10.1.0.2", nat, "10.1.0.1", 1ms);
    start_server();
    net::DatagramOptions options;
    options.local = *net::Endpoint::parse("0.0.0.0:0");
    mux = std::make_unique<net::DatagramMux>(std::move(*net.at(a).open_datagram(options)));
    ClientOptions client_options;
    client_options.device = "a";
    client_options.secret = {1, 2, 3};
    client_options.server = *net::Endpoint::parse("203.0.113.10:3478");
    ClientEvents events;
    events.registered = [this](const Registered& reply, bool was_moved) {
      ++registered;
      moved += was_moved;
      observed = reply.observed;
    };
    events.measured = [this] { ++measured; };
    events.unanswered = [this] { ++unanswered; };
    events.listed = [this](const Listed&) { ++listed; };
    client = std::make_unique<Client>(net.at(a), *mux, client_options, std::move(events));
  }
  void start_server() {
    server.reset();
    ServerOptions options;
    options.bind = *net::Endpoint::parse("203.0.113.10:3478");
    options.alternate = *net::Endpoint::parse("203.0.113.11:3479");
    options.mediator.devices = {{"a", {1, 2, 3}}};
    server = std::make_unique<RendezvousServer>(net.at(s), options);
    ASSERT_TRUE(server->start().ok());
  }

  FakeNet net;
  FakeNet::Node core, s, nat, a;
  FakeNet::Link link;
  std::unique_ptr<RendezvousServer> server;
  std::unique_ptr<net::DatagramMux> mux;
  std::unique_ptr<Client> client;
  int registered = 0, moved = 0, measured = 0, unanswered = 0, listed = 0;
  net::Endpoint observed;
};

TEST_F(ClientTest, RegistersInTwoRoundTripsAndMeasuresOne) {
  client->start();
  ASSERT_TRUE(net.run_until([&] { return registered > 0; }, 5s));
  EXPECT_EQ(net.now(), net::Time(64ms));
  EXPECT_EQ(client->rtt(), net::Duration(32ms));
  EXPECT_EQ(observed.ip, *net::IpAddress::parse("198.51.100.2"));
}

TEST_F(ClientTest, GetsThroughHeavyLoss) {
  net.set_loss(link, 0.5);
  client->start();
  EXPECT_TRUE(net.run_until([&] { return registered > 0; }, 120s));
}

TEST_F(ClientTest, StaysRegisteredForMinutes) {
  client->start();
  net.run_for(300s);
  EXPECT_EQ(registered, 1);
  EXPECT_EQ(server->mediator().registered_count(), 1u);
  EXPECT_EQ(net.lines("s", "expired").size(), 0u);
}

TEST_F(ClientTest, ARestartedServerLearnsEverythingAgain) {
  client->start();
  net.run_until([&] { return registered > 0; }, 5s);
  client->measured({});
  net.run_until([&] { return measured > 0; }, 5s);
  start_server();
  EXPECT_TRUE(net.run_until([&] { return measured > 1; }, 30s));
  EXPECT_EQ(server->mediator().registered_count(), 1u);
}

TEST_F(ClientTest, ANatThatRestartsIsNoticedAtTheNextRefresh) {
  client->start();
  net.run_until([&] { return registered > 0; }, 5s);
  net.nat_at(nat).reboot(net.now());
  EXPECT_TRUE(net.run_until([&] { return moved == 1; }, 20s));
  EXPECT_TRUE(client->is_registered());
}

TEST_F(ClientTest, AServerThatIsGoneIsToldOnceARound) {
  server.reset();
  client->start();
  net.run_for(60s);
  EXPECT_EQ(unanswered, 1);
  EXPECT_TRUE(client->port_unreachable());
  start_server();
  EXPECT_TRUE(net.run_until([&] { return registered > 0; }, 10s));
}

TEST_F(ClientTest, GivesTheRegistrationBack) {
  client->start();
  net.run_until([&] { return registered > 0; }, 5s);
  client->unregister();
  net.run_for(2s);
  EXPECT_EQ(server->mediator().registered_count(), 0u);
  EXPECT_FALSE(client->is_registered());
  net.run_for(120s);
  EXPECT_EQ(registered, 1);
}

}  // namespace
}  // namespace culvert::rendezvous
