// Packet hooks: a selector chooses, the function counts, rewrites, consumes or injects.
#include "tests/contract/packets.h"
#include "tests/contract/pair.h"

namespace culvert::contract {
namespace {

class HookCase : public StreamFixture {
 protected:
  void SetUp() override {
    StreamFixture::SetUp();
    if (IsSkipped()) return;
    CONTRACT_SKIP("F-03", "this kernel or user cannot queue packets to user space");
    socket = open(world->a(), {at().a, 5000});
    inbox = std::make_unique<Inbox>(*socket);
    peer = open(world->b(), {at().b, 6000});
    peer_inbox = std::make_unique<Inbox>(*peer);
  }
  void TearDown() override {
    hook.reset(), inbox.reset(), peer_inbox.reset(), socket.reset(), peer.reset();
    StreamFixture::TearDown();
  }
  std::unique_ptr<net::DatagramSocket> open(net::Host& host, const Endpoint& local) {
    net::DatagramOptions options;
    options.local = local;
    return std::move(*host.open_datagram(options));
  }
  std::unique_ptr<net::PacketHook> add(net::Host& host, const net::Selector& selector,
                                       net::HookFunction function) {
    auto made = host.add_hook(selector, std::move(function));
    EXPECT_TRUE(made) << made.status().to_string();
    return made ? std::move(*made) : nullptr;
  }
  net::Selector udp() const {
    net::Selector out;
    out.protocol = 17;
    return out;
  }
  void send(uint16_t port, const char* text = "x") {
    EXPECT_TRUE(socket->send_to({at().b, port}, net::as_bytes(text)).ok());
  }
  std::unique_ptr<net::PacketHook> hook;
  std::unique_ptr<net::DatagramSocket> socket, peer;
  std::unique_ptr<Inbox> inbox, peer_inbox;
};
CONTRACT_BOTH_FAMILIES(HookCase);

TEST_P(HookCase, one_that_counts_sees_whole_packets_and_changes_nothing) {
  std::vector<std::string> seen;
  bool right = true;
  hook = add(world->b(), udp(), [&](net::MutableBytes packet) {
    View view(packet);
    right = right && view.checksums_are_right();
    seen.push_back(view.udp_text());
    return net::Verdict::pass;
  });
  ASSERT_TRUE(hook);
  send(6000, "counted");
  send(6000, "twice");
  ASSERT_TRUE(until([&] { return peer_inbox->got.size() == 2; }));
  EXPECT_EQ(seen, (std::vector<std::string>{"counted", "twice"}));
  EXPECT_TRUE(right);
  EXPECT_EQ(hook->stats().matched, 2u);
  EXPECT_EQ(hook->stats().passed, 2u);
  EXPECT_EQ(hook->stats().consumed, 0u);
}

TEST_P(HookCase, on_the_router_it_sees_what_is_forwarded) {
  int seen = 0;
  hook = add(world->r(), udp(), [&](net::MutableBytes) {
    ++seen;
    return net::Verdict::pass;
  });
  ASSERT_TRUE(hook);
  send(6000);
  ASSERT_TRUE(until([&] { return peer_inbox->got.size() == 1; }));
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(peer_inbox->got[0].ttl, 63);
}

TEST_P(HookCase, one_that_consumes_does_so_before_the_stack_answers) {
  net::Selector selector = udp();
  selector.destination_port_first = selector.destination_port_last = kClosedPort;
  hook = add(world->b(), selector, [](net::MutableBytes) { return net::Verdict::consume; });
  ASSERT_TRUE(hook);
  send(kClosedPort);
  send(6000);
  ASSERT_TRUE(until([&] { return peer_inbox->got.size() == 1; }));
  world->settle();
  EXPECT_TRUE(inbox->icmp.empty()) << "the stack answered a packet that was consumed";
  EXPECT_EQ(hook->stats().consumed, 1u);
  hook.reset();
  send(kClosedPort);
  EXPECT_TRUE(until([&] { return !inbox->icmp.empty(); })) << "without hook all is as before";
}

TEST_P(HookCase, a_consumed_syn_gets_no_reset) {
  net::Selector selector;
  selector.protocol = 6;
  hook = add(world->b(), selector, [](net::MutableBytes) { return net::Verdict::consume; });
  ASSERT_TRUE(hook);
  auto options = to({at().b, 7000});
  options.timeout = 300ms;
  auto dialled = call(world->a(), options);
  ASSERT_TRUE(until([&] { return dialled->done; }));
  EXPECT_EQ(dialled->status.error, Error::timed_out);
  EXPECT_GE(hook->stats().consumed, 1u);
}

TEST_P(HookCase, one_that_rewrites_in_place_is_believed) {
  hook = add(world->b(), udp(), [&](net::MutableBytes packet) {
    View view(packet);
    put16(view.transport() + 2, 6000);
    view.fix_checksums();
    return net::Verdict::pass;
  });
  ASSERT_TRUE(hook);
  send(1234, "redirected");
  ASSERT_TRUE(until([&] { return !peer_inbox->got.empty(); }));
  EXPECT_EQ(peer_inbox->got[0].text, "redirected");
}

TEST_P(HookCase, one_that_injects_sends_packets_of_its_own) {
  net::Selector selector = udp();
  selector.destination_port_first = selector.destination_port_last = 1234;
  int seen = 0;
  hook = add(world->r(), selector, [&](net::MutableBytes packet) {
    ++seen;
    View view(packet);
    net::Buffer answer =
        udp_packet({at().b, 1234}, {at().a, 5000}, "answered for b: " + view.udp_text());
    EXPECT_TRUE(hook->inject(answer).ok());
    return net::Verdict::consume;
  });
  ASSERT_TRUE(hook);
  send(1234, "question");
  ASSERT_TRUE(until([&] { return !inbox->got.empty(); }));
  EXPECT_EQ(inbox->got[0].text, "answered for b: question");
  EXPECT_EQ(inbox->got[0].from, (Endpoint{at().b, 1234}));
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(hook->stats().injected, 1u);
}

TEST_P(HookCase, what_it_injects_does_not_meet_it_again) {
  int seen = 0;
  hook = add(world->b(), udp(), [&](net::MutableBytes) {
    ++seen;
    return net::Verdict::pass;
  });
  ASSERT_TRUE(hook);
  const net::Buffer own = udp_packet({at().a, 5000}, {at().b, 6000}, "to the host itself");
  ASSERT_TRUE(hook->inject(own).ok());
  world->settle();
  EXPECT_EQ(seen, 0);
  EXPECT_EQ(hook->inject(net::Buffer(3)).error, Error::invalid);
}

TEST_P(HookCase, a_selector_is_exact_in_every_field) {
  const bool v4 = family() == Family::v4;
  net::Selector selector = udp();
  selector.source = {at().a, static_cast<uint8_t>(v4 ? 32 : 128)};
  selector.destination = *net::Prefix::parse(v4 ? "10.2.0.0/24" : "fd02::/64");
  selector.source_port_first = 5000;
  selector.source_port_last = 5001;
  selector.destination_port_first = 6000;
  selector.destination_port_last = 6999;
  std::vector<std::string> seen;
  hook = add(world->r(), selector, [&](net::MutableBytes packet) {
    seen.push_back(View(packet).udp_text());
    return net::Verdict::pass;
  });
  ASSERT_TRUE(hook);
  auto outside = open(world->a(), {at().a, 5002});
  send(5999, "below");
  send(6000, "first");
  send(6999, "last");
  send(7000, "above");
  EXPECT_TRUE(outside->send_to({at().b, 6000}, net::as_bytes("source port")).ok());
  EXPECT_TRUE(peer->send_to({at().a, 5000}, net::as_bytes("other way")).ok());
  ASSERT_TRUE(until([&] { return inbox->got.size() == 1 && peer_inbox->got.size() == 2; }));
  world->settle();
  EXPECT_EQ(seen, (std::vector<std::string>{"first", "last"}));
}

TEST_P(HookCase, hooks_run_in_the_order_of_adding_until_one_consumes) {
  std::string order;
  auto one = add(world->b(), udp(), [&](net::MutableBytes) {
    order += '1';
    return net::Verdict::pass;
  });
  auto two = add(world->b(), udp(), [&](net::MutableBytes) {
    order += '2';
    return net::Verdict::consume;
  });
  auto three = add(world->b(), udp(), [&](net::MutableBytes) {
    order += '3';
    return net::Verdict::pass;
  });
  ASSERT_TRUE(one && two && three);
  send(6000);
  ASSERT_TRUE(until([&] { return order.size() >= 2; }));
  world->settle();
  EXPECT_EQ(order, "12");
  two.reset();
  send(6000);
  ASSERT_TRUE(until([&] { return peer_inbox->got.size() == 1; }));
  EXPECT_EQ(order, "1213");
  EXPECT_EQ(one->stats().passed, 2u);
}

TEST_P(HookCase, a_hook_destroyed_by_its_own_function_is_gone) {
  int calls = 0;
  hook = add(world->b(), udp(), [&](net::MutableBytes) {
    ++calls;
    hook.reset();
    return net::Verdict::pass;
  });
  ASSERT_TRUE(hook);
  for (int i = 0; i < 3; ++i) send(6000);
  ASSERT_TRUE(until([&] { return peer_inbox->got.size() == 3; }));
  EXPECT_EQ(calls, 1);
}

TEST_P(HookCase, a_stream_through_a_passing_hook_is_unchanged) {
  net::Selector tcp;
  tcp.protocol = 6;
  hook = add(world->r(), tcp, [](net::MutableBytes) { return net::Verdict::pass; });
  ASSERT_TRUE(hook);
  talk();
  ASSERT_TRUE(here && there);
  const std::string text = noise(1 << 20);
  here->say(text);
  here->finish();
  ASSERT_TRUE(until([&] { return there->end != Error::none; }, 60s));
  EXPECT_TRUE(there->heard == text);
  EXPECT_GT(hook->stats().passed, 100u);
}

TEST_P(HookCase, a_selector_without_sense_is_invalid) {
  net::Selector selector;
  selector.protocol = 1;
  selector.destination_port_last = 80;  // ICMP has no ports
  auto made = world->b().add_hook(selector, [](net::MutableBytes) { return net::Verdict::pass; });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error(), Error::invalid);
}

TEST_P(HookCase, fragments_come_as_they_are_and_only_the_first_has_ports) {
  net::Selector with_ports = udp();
  with_ports.destination_port_first = with_ports.destination_port_last = 6000;
  const auto pass = [](net::MutableBytes) { return net::Verdict::pass; };
  hook = add(world->b(), udp(), pass);
  auto ported = add(world->b(), with_ports, pass);
  ASSERT_TRUE(hook && ported);
  const std::string large = noise(4000);  // three fragments of 1500 bytes
  EXPECT_TRUE(socket->send_to({at().b, 6000}, net::as_bytes(large)).ok());
  ASSERT_TRUE(until([&] { return peer_inbox->got.size() == 1; }));
  EXPECT_EQ(peer_inbox->got[0].text, large);
  EXPECT_EQ(hook->stats().matched, 3u);
  EXPECT_EQ(ported->stats().matched, 1u);
}

}  // namespace
}  // namespace culvert::contract
