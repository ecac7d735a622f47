// ICMP errors about datagrams: soft events with their class, and the path MTU.
#include "tests/contract/collect.h"

namespace culvert::contract {
namespace {

class IcmpCase : public ContractBothFamilies {
 protected:
  void SetUp() override {
    ContractBothFamilies::SetUp();
    if (IsSkipped()) return;
    net::DatagramOptions options;
    options.local = {at().a, 5000};
    socket = std::move(*world->a().open_datagram(options));
    inbox = std::make_unique<Inbox>(*socket);
    options.local = {at().b, 6000};
    peer = std::move(*world->b().open_datagram(options));
    peer_inbox = std::make_unique<Inbox>(*peer);
  }
  void TearDown() override {  // before their Hosts
    inbox.reset(), peer_inbox.reset(), socket.reset(), peer.reset();
  }
  void expect_socket_lives() {
    peer_inbox->got.clear();
    EXPECT_TRUE(socket->send_to({at().b, 6000}, net::as_bytes("alive")).ok());
    EXPECT_TRUE(until([&] { return peer_inbox->got.size() == 1; }));
  }
  bool v4() const { return family() == Family::v4; }
  std::unique_ptr<net::DatagramSocket> socket, peer;
  std::unique_ptr<Inbox> inbox, peer_inbox;
};
CONTRACT_BOTH_FAMILIES(IcmpCase);

TEST_P(IcmpCase, a_closed_port_is_refused_and_the_socket_lives) {
  EXPECT_TRUE(socket->send_to({at().b, kClosedPort}, net::as_bytes("anyone?")).ok());
  ASSERT_TRUE(until([&] { return !inbox->icmp.empty(); }));
  const net::IcmpEvent& event = inbox->icmp[0];
  EXPECT_EQ(event.error, Error::refused);
  EXPECT_EQ(event.to, (Endpoint{at().b, kClosedPort}));
  EXPECT_EQ(event.reporter, at().b);
  EXPECT_EQ(event.type, v4() ? 3 : 1);
  EXPECT_EQ(event.code, v4() ? 3 : 4);
  expect_socket_lives();
  EXPECT_EQ(inbox->icmp.size(), 1u);
}

TEST_P(IcmpCase, a_pending_error_never_makes_a_send_or_receive_fail) {
  EXPECT_TRUE(socket->send_to({at().b, kClosedPort}, net::as_bytes("anyone?")).ok());
  world->settle();
  std::vector<DatagramOut> batch(2);
  for (auto& out : batch) out = {net::as_bytes("x"), {at().b, 6000}};
  EXPECT_TRUE(socket->send_to({at().b, kClosedPort}, net::as_bytes("anyone?")).ok());
  const net::IoResult result = socket->send(batch);
  EXPECT_EQ(result.count, 2u);
  EXPECT_EQ(result.error, Error::none);
  EXPECT_TRUE(until([&] { return peer_inbox->got.size() == 2; }));
  uint8_t buffer[16];
  DatagramIn in;
  in.buffer = buffer;
  EXPECT_EQ(socket->receive({&in, 1}).error, Error::would_block);
}

TEST_P(IcmpCase, a_short_ttl_is_reported_by_the_router) {
  EXPECT_TRUE(socket->send_to({at().b, 6000}, net::as_bytes("opener"), 1).ok());
  ASSERT_TRUE(until([&] { return !inbox->icmp.empty(); }));
  const net::IcmpEvent& event = inbox->icmp[0];
  EXPECT_EQ(event.error, Error::ttl_exceeded);
  EXPECT_EQ(event.to, (Endpoint{at().b, 6000}));
  EXPECT_EQ(event.reporter, at().r_near);
  EXPECT_EQ(event.type, v4() ? 11 : 3);
  EXPECT_EQ(event.code, 0);
  expect_socket_lives();
}

TEST_P(IcmpCase, no_way_beyond_the_router_is_unreachable) {
  world->set_fate_towards_b(Fate::unreachable);
  EXPECT_TRUE(socket->send_to({at().b, 6000}, net::as_bytes("anyone?")).ok());
  ASSERT_TRUE(until([&] { return !inbox->icmp.empty(); }));
  EXPECT_EQ(inbox->icmp[0].error, Error::unreachable);
  EXPECT_EQ(inbox->icmp[0].to, (Endpoint{at().b, 6000}));
  EXPECT_EQ(inbox->icmp[0].reporter, at().r_near);
  world->set_fate_towards_b(Fate::forward);
  expect_socket_lives();
}

TEST_P(IcmpCase, what_is_dropped_silently_tells_nothing) {
  world->set_fate_towards_b(Fate::drop);
  EXPECT_TRUE(socket->send_to({at().b, 6000}, net::as_bytes("anyone?")).ok());
  world->settle();
  EXPECT_TRUE(inbox->icmp.empty());
  EXPECT_TRUE(peer_inbox->got.empty());
  world->set_fate_towards_b(Fate::forward);
  expect_socket_lives();
}

TEST_P(IcmpCase, dont_fragment_beyond_the_own_link_is_too_big_at_once) {
  EXPECT_TRUE(socket->set_dont_fragment(true).ok());
  const std::string large(1600, 'l');
  const net::Status status = socket->send_to({at().b, 6000}, net::as_bytes(large));
  EXPECT_EQ(status.error, Error::too_big);
  expect_socket_lives();
  EXPECT_TRUE(socket->set_dont_fragment(false).ok());
  EXPECT_TRUE(socket->send_to({at().b, 6000}, net::as_bytes(large)).ok());
  EXPECT_TRUE(until([&] { return peer_inbox->got.size() == 2; }));
}

TEST_P(IcmpCase, dont_fragment_beyond_a_far_link_is_reported_and_learned) {
  const Endpoint far{at().b, 6000};
  world->set_far_mtu(1300);
  EXPECT_TRUE(socket->set_dont_fragment(true).ok());
  EXPECT_EQ(*socket->path_mtu(far), 1500u);
  const std::string large(1400, 'l');
  EXPECT_TRUE(socket->send_to(far, net::as_bytes(large)).ok());
  ASSERT_TRUE(until([&] { return !inbox->icmp.empty(); }));
  EXPECT_EQ(inbox->icmp[0].error, Error::too_big);
  EXPECT_EQ(inbox->icmp[0].mtu, 1300u);
  EXPECT_EQ(inbox->icmp[0].to, far);
  EXPECT_EQ(inbox->icmp[0].reporter, at().r_near);
  EXPECT_EQ(*socket->path_mtu(far), 1300u);
  EXPECT_EQ(socket->send_to(far, net::as_bytes(large)).error, Error::too_big);
  const std::string fits(1300 - (v4() ? 28 : 48), 'f');
  EXPECT_TRUE(socket->send_to(far, net::as_bytes(fits)).ok());
  EXPECT_TRUE(until([&] { return peer_inbox->got.size() == 1; }));
}

class IcmpV4Case : public IcmpCase {};  // IPv6 routers never fragment (RFC 8200 section 5)
INSTANTIATE_TEST_SUITE_P(Family, IcmpV4Case, ::testing::Values(Family::v4),
                         [](const auto&) { return "v4"; });

TEST_P(IcmpV4Case, without_dont_fragment_a_far_small_link_is_passed) {
  world->set_far_mtu(1300);
  const std::string large(1400, 'l');
  EXPECT_TRUE(socket->send_to({at().b, 6000}, net::as_bytes(large)).ok());
  ASSERT_TRUE(until([&] { return peer_inbox->got.size() == 1; }));
  EXPECT_EQ(peer_inbox->got[0].text, large);
}

TEST_P(IcmpCase, an_error_goes_to_the_socket_that_caused_it) {
  net::DatagramOptions options;
  options.local = {at().a, 5001};
  auto other = std::move(*world->a().open_datagram(options));
  Inbox others(*other);
  EXPECT_TRUE(socket->send_to({at().b, kClosedPort}, net::as_bytes("anyone?")).ok());
  ASSERT_TRUE(until([&] { return !inbox->icmp.empty(); }));
  world->settle();
  EXPECT_TRUE(others.icmp.empty());
}

TEST_P(IcmpCase, errors_nobody_listens_for_are_lost_and_later_ones_told) {
  socket->on_icmp({});
  EXPECT_TRUE(socket->send_to({at().b, kClosedPort}, net::as_bytes("unheard")).ok());
  world->settle();
  socket->on_icmp([&](const net::IcmpEvent& event) { inbox->icmp.push_back(event); });
  world->settle();
  EXPECT_TRUE(inbox->icmp.empty());
  // Linux sends a bounded number of errors a second for the whole machine (icmp_msgs_per_sec), and
  // others may be using them up: whoever is not told asks again.
  for (int tries = 0; inbox->icmp.empty() && tries < 50; ++tries) {
    EXPECT_TRUE(socket->send_to({at().b, kClosedPort}, net::as_bytes("heard")).ok());
    world->run_for(100ms);
  }
  EXPECT_FALSE(inbox->icmp.empty());
}

// RFC 1122 section 4.2.3.9: on an established connection unreachable is soft.
TEST_P(IcmpCase, an_established_stream_outlives_unreachable) {
  net::ListenOptions listen;
  listen.local = {at().b, 7000};
  auto listener = std::move(*world->b().listen(listen));
  auto dialled = call(world->a(), net::DialOptions{{}, listen.local});
  std::unique_ptr<net::Stream> far;
  ASSERT_TRUE(until([&] {
    if (!far) far = listener->accept();
    return dialled->done && far;
  }));
  ASSERT_TRUE(dialled->stream);
  Talk here(std::move(dialled->stream)), there(std::move(far));
  world->set_fate_towards_b(Fate::unreachable);
  here.say("through");
  world->run_for(500ms);  // several retransmissions, each answered with ICMP
  EXPECT_EQ(there.heard, "");
  EXPECT_EQ(here.end, Error::none);
  world->set_fate_towards_b(Fate::forward);
  ASSERT_TRUE(until([&] { return there.heard == "through"; }));
  there.say("and back");
  EXPECT_TRUE(until([&] { return here.heard == "and back"; }));
  EXPECT_EQ(here.write_end, Error::none);
}

TEST_P(IcmpCase, a_socket_destroyed_by_its_own_icmp_callback_is_gone) {
  inbox.reset();
  int calls = 0;
  socket->on_readable([&] { ADD_FAILURE() << "nothing to read"; });
  socket->on_icmp([&](const net::IcmpEvent&) {
    ++calls;
    socket.reset();
  });
  std::vector<DatagramOut> batch(2);
  for (auto& out : batch) out = {net::as_bytes("x"), {at().b, kClosedPort}};
  EXPECT_EQ(socket->send(batch).count, 2u);
  ASSERT_TRUE(until([&] { return calls > 0; }));
  world->settle();
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace culvert::contract
