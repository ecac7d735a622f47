// The flow table: r rewrites a flow from a to its own port so that it reaches b, and back.
//
//   a:5000 ──▶ r_near:7777   becomes   r_far:8888 ──▶ b:6000
//   a:5000 ◀── r_near:7777   becomes   r_far:8888 ◀── b:6000
#include "tests/contract/packets.h"
#include "tests/contract/pair.h"

namespace culvert::contract {
namespace {

class FlowCase : public StreamFixture {
 protected:
  void SetUp() override {
    StreamFixture::SetUp();
    if (IsSkipped()) return;
    CONTRACT_SKIP("F-03", "this kernel or user cannot queue packets to user space");
  }
  void open(size_t limit = 16) {
    auto opened = world->r().open_flow_table(limit);
    ASSERT_TRUE(opened) << opened.status().to_string();
    table = std::move(*opened);
  }
  void TearDown() override {
    table.reset();
    StreamFixture::TearDown();
  }
  net::FlowKey out_key(uint8_t protocol) const {
    return {protocol, {at().a, 5000}, {at().r_near, 7777}};
  }
  net::FlowKey back_key(uint8_t protocol) const {
    return {protocol, {at().b, 6000}, {at().r_far, 8888}};
  }
  net::FlowRewrite out_rewrite() const { return {{at().r_far, 8888}, {at().b, 6000}}; }
  net::FlowRewrite back_rewrite() const { return {{at().r_near, 7777}, {at().a, 5000}}; }
  std::unique_ptr<net::DatagramSocket> open_socket(net::Host& host, const Endpoint& local) {
    net::DatagramOptions options;
    options.local = local;
    return std::move(*host.open_datagram(options));
  }
  std::unique_ptr<net::FlowTable> table;
};
CONTRACT_BOTH_FAMILIES(FlowCase);

TEST_P(FlowCase, datagrams_are_rewritten_both_ways_and_counted) {
  open();
  ASSERT_TRUE(table);
  auto socket = open_socket(world->a(), {at().a, 5000});
  auto peer = open_socket(world->b(), {at().b, 6000});
  Inbox inbox(*socket), peer_inbox(*peer);
  ASSERT_TRUE(table->install(out_key(17), out_rewrite()).ok());
  ASSERT_TRUE(table->install(back_key(17), back_rewrite()).ok());
  EXPECT_EQ(table->size(), 2u);
  EXPECT_TRUE(socket->send_to({at().r_near, 7777}, net::as_bytes("through")).ok());
  ASSERT_TRUE(until([&] { return !peer_inbox.got.empty(); }));
  EXPECT_EQ(peer_inbox.got[0].text, "through");
  EXPECT_EQ(peer_inbox.got[0].from, (Endpoint{at().r_far, 8888}));
  EXPECT_EQ(peer_inbox.got[0].ttl, 63) << "rewriting is forwarding: one hop";
  EXPECT_TRUE(peer->send_to({at().r_far, 8888}, net::as_bytes("and back")).ok());
  ASSERT_TRUE(until([&] { return !inbox.got.empty(); }));
  EXPECT_EQ(inbox.got[0].text, "and back");
  EXPECT_EQ(inbox.got[0].from, (Endpoint{at().r_near, 7777}));
  const auto stats = table->stats(out_key(17));
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->packets, 1u);
  EXPECT_EQ(stats->bytes, 7u + (family() == Family::v4 ? 28 : 48));
  EXPECT_LE(stats->last_seen, world->r().now());
  EXPECT_GT(stats->last_seen + 2s, world->r().now());
  EXPECT_TRUE(inbox.icmp.empty());
}

TEST_P(FlowCase, a_stream_is_redirected_whole) {
  open();
  ASSERT_TRUE(table);
  ASSERT_TRUE(table->install(out_key(6), out_rewrite()).ok());
  ASSERT_TRUE(table->install(back_key(6), back_rewrite()).ok());
  listener = listen(world->b(), {at().b, 6000});
  auto options = to({at().r_near, 7777});
  options.local = {at().a, 5000};
  auto dialled = call(world->a(), options);
  ASSERT_TRUE(until([&] {
    if (!far) far = listener->accept();
    return dialled->done && far;
  })) << dialled->status.to_string();
  ASSERT_TRUE(dialled->stream) << dialled->status.to_string();
  EXPECT_EQ(far->remote(), (Endpoint{at().r_far, 8888}));
  Talk left(std::move(dialled->stream)), right(std::move(far));
  const std::string text = noise(1 << 20);
  left.say(text);
  left.finish();
  ASSERT_TRUE(until([&] { return right.end != Error::none; }, 60s));
  EXPECT_TRUE(right.heard == text);
  right.say("received");
  right.finish();
  ASSERT_TRUE(until([&] { return left.end != Error::none; }, 60s));
  EXPECT_EQ(left.heard, "received");
}

TEST_P(FlowCase, sequence_numbers_are_moved_by_the_deltas) {
  open();
  ASSERT_TRUE(table);
  constexpr uint32_t kUp = 0x12345678, kDown = 0xfedcba98;  // one of them wraps early
  net::FlowRewrite out = out_rewrite(), back = back_rewrite();
  out.sequence_delta = kUp;
  out.acknowledgement_delta = 0 - kDown;
  back.sequence_delta = kDown;
  back.acknowledgement_delta = 0 - kUp;
  ASSERT_TRUE(table->install(out_key(6), out).ok());
  ASSERT_TRUE(table->install(back_key(6), back).ok());
  listener = listen(world->b(), {at().b, 6000});
  auto options = to({at().r_near, 7777});
  options.local = {at().a, 5000};
  auto dialled = call(world->a(), options);
  // The SYN has no acknowledgement: a delta must leave its zero field alone or be ignored.
  ASSERT_TRUE(until([&] {
    if (!far) far = listener->accept();
    return dialled->done && far;
  }));
  ASSERT_TRUE(dialled->stream) << dialled->status.to_string();
  Talk left(std::move(dialled->stream)), right(std::move(far));
  const std::string text = noise(300000);
  left.say(text);
  right.say(text);
  ASSERT_TRUE(
      until([&] { return right.heard.size() + left.heard.size() == 2 * text.size(); }, 60s));
  EXPECT_TRUE(right.heard == text && left.heard == text);
}

TEST_P(FlowCase, a_removed_flow_is_the_hosts_own_business_again) {
  open();
  ASSERT_TRUE(table);
  auto socket = open_socket(world->a(), {at().a, 5000});
  auto peer = open_socket(world->b(), {at().b, 6000});
  Inbox inbox(*socket), peer_inbox(*peer);
  ASSERT_TRUE(table->install(out_key(17), out_rewrite()).ok());
  EXPECT_TRUE(socket->send_to({at().r_near, 7777}, net::as_bytes("one")).ok());
  ASSERT_TRUE(until([&] { return peer_inbox.got.size() == 1; }));
  ASSERT_TRUE(table->remove(out_key(17)).ok());
  EXPECT_EQ(table->remove(out_key(17)).error, Error::not_found);
  EXPECT_EQ(table->stats(out_key(17)).error(), Error::not_found);
  EXPECT_EQ(table->size(), 0u);
  EXPECT_TRUE(socket->send_to({at().r_near, 7777}, net::as_bytes("two")).ok());
  ASSERT_TRUE(until([&] { return !inbox.icmp.empty(); }));  // nobody listens on r itself
  EXPECT_EQ(inbox.icmp[0].error, Error::refused);
  EXPECT_EQ(peer_inbox.got.size(), 1u);
}

TEST_P(FlowCase, a_key_is_installed_once_and_the_limit_holds) {
  open(2);
  ASSERT_TRUE(table);
  EXPECT_TRUE(table->install(out_key(17), out_rewrite()).ok());
  EXPECT_EQ(table->install(out_key(17), back_rewrite()).error, Error::in_use);
  EXPECT_TRUE(table->install(back_key(17), back_rewrite()).ok());
  EXPECT_EQ(table->install(out_key(6), out_rewrite()).error, Error::exhausted);
  EXPECT_EQ(table->size(), 2u);
  EXPECT_TRUE(table->remove(back_key(17)).ok());
  EXPECT_TRUE(table->install(out_key(6), out_rewrite()).ok());
  EXPECT_EQ(table->install({1, {at().a, 1}, {at().b, 1}}, out_rewrite()).error, Error::invalid);
}

TEST_P(FlowCase, what_misses_goes_to_the_hook_and_what_hits_does_not) {
  open();
  ASSERT_TRUE(table);
  std::vector<std::string> missed;
  net::Selector selector;
  selector.protocol = 17;
  auto hook = world->r().add_hook(selector, [&](net::MutableBytes packet) {
    missed.push_back(View(packet).udp_text());
    // The first packet of a flow installs it, as a splicer does.
    EXPECT_TRUE(table->install(out_key(17), out_rewrite()).ok());
    return net::Verdict::consume;
  });
  ASSERT_TRUE(hook);
  auto socket = open_socket(world->a(), {at().a, 5000});
  auto peer = open_socket(world->b(), {at().b, 6000});
  Inbox peer_inbox(*peer);
  EXPECT_TRUE(socket->send_to({at().r_near, 7777}, net::as_bytes("miss")).ok());
  ASSERT_TRUE(until([&] { return missed.size() == 1; }));
  EXPECT_TRUE(socket->send_to({at().r_near, 7777}, net::as_bytes("hit")).ok());
  ASSERT_TRUE(until([&] { return peer_inbox.got.size() == 1; }));
  EXPECT_EQ(missed, std::vector<std::string>{"miss"});
  EXPECT_EQ(peer_inbox.got[0].text, "hit");
}

TEST_P(FlowCase, destroying_the_table_removes_its_flows) {
  open();
  ASSERT_TRUE(table);
  auto socket = open_socket(world->a(), {at().a, 5000});
  Inbox inbox(*socket);
  ASSERT_TRUE(table->install(out_key(17), out_rewrite()).ok());
  table.reset();
  EXPECT_TRUE(socket->send_to({at().r_near, 7777}, net::as_bytes("x")).ok());
  ASSERT_TRUE(until([&] { return !inbox.icmp.empty(); }));
  EXPECT_EQ(inbox.icmp[0].error, Error::refused);
}

// Rewriting is forwarding, and whoever forwards tells of what it cannot: the sender hears about the
// packet that it sent, not about what became of it.
TEST_P(FlowCase, a_packet_on_its_last_hop_is_answered_as_a_router_does) {
  open();
  ASSERT_TRUE(table);
  auto socket = open_socket(world->a(), {at().a, 5000});
  auto peer = open_socket(world->b(), {at().b, 6000});
  Inbox inbox(*socket), peer_inbox(*peer);
  ASSERT_TRUE(table->install(out_key(17), out_rewrite()).ok());
  EXPECT_TRUE(socket->send_to({at().r_near, 7777}, net::as_bytes("last hop"), 1).ok());
  ASSERT_TRUE(until([&] { return !inbox.icmp.empty(); }));
  EXPECT_EQ(inbox.icmp[0].error, Error::ttl_exceeded);
  EXPECT_EQ(inbox.icmp[0].to, (Endpoint{at().r_near, 7777}));
  EXPECT_EQ(inbox.icmp[0].reporter, at().r_near);
  world->settle();
  EXPECT_TRUE(peer_inbox.got.empty());
  EXPECT_EQ(table->stats(out_key(17))->packets, 0u);
  EXPECT_TRUE(socket->send_to({at().r_near, 7777}, net::as_bytes("one more"), 2).ok());
  ASSERT_TRUE(until([&] { return peer_inbox.got.size() == 1; }));
  EXPECT_EQ(peer_inbox.got[0].ttl, 1);
}

TEST_P(FlowCase, a_packet_too_big_for_the_next_link_is_answered_and_the_sender_learns) {
  open();
  ASSERT_TRUE(table);
  world->set_far_mtu(1300);
  auto socket = open_socket(world->a(), {at().a, 5000});
  auto peer = open_socket(world->b(), {at().b, 6000});
  Inbox inbox(*socket), peer_inbox(*peer);
  EXPECT_TRUE(socket->set_dont_fragment(true).ok());
  ASSERT_TRUE(table->install(out_key(17), out_rewrite()).ok());
  const Endpoint to{at().r_near, 7777};
  EXPECT_TRUE(socket->send_to(to, net::as_bytes(std::string(1400, 'l'))).ok());
  ASSERT_TRUE(until([&] { return !inbox.icmp.empty(); }));
  EXPECT_EQ(inbox.icmp[0].error, Error::too_big);
  EXPECT_EQ(inbox.icmp[0].mtu, 1300u);
  EXPECT_EQ(inbox.icmp[0].to, to);
  EXPECT_EQ(*socket->path_mtu(to), 1300u);
  const size_t fits = 1300 - (family() == Family::v4 ? 28 : 48);
  EXPECT_TRUE(socket->send_to(to, net::as_bytes(std::string(fits, 'f'))).ok());
  ASSERT_TRUE(until([&] { return peer_inbox.got.size() == 1; }));
  EXPECT_EQ(peer_inbox.got[0].text.size(), fits);
}

class FlowV4Case : public FlowCase {};  // IPv6 routers never fragment (RFC 8200 section 5)
INSTANTIATE_TEST_SUITE_P(Family, FlowV4Case, ::testing::Values(Family::v4),
                         [](const auto&) { return "v4"; });

TEST_P(FlowV4Case, without_dont_fragment_a_small_next_link_is_passed) {
  open();
  ASSERT_TRUE(table);
  world->set_far_mtu(1300);
  auto socket = open_socket(world->a(), {at().a, 5000});
  auto peer = open_socket(world->b(), {at().b, 6000});
  Inbox peer_inbox(*peer);
  ASSERT_TRUE(table->install(out_key(17), out_rewrite()).ok());
  const std::string large = noise(1400);
  EXPECT_TRUE(socket->send_to({at().r_near, 7777}, net::as_bytes(large)).ok());
  ASSERT_TRUE(until([&] { return peer_inbox.got.size() == 1; }));
  EXPECT_EQ(peer_inbox.got[0].text, large);
}

}  // namespace
}  // namespace culvert::contract
