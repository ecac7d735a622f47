// Dialling: what is hard and what is soft, and the ways in which two dials meet.
#include "tests/contract/pair.h"

namespace culvert::contract {
namespace {

class DialCase : public StreamFixture {
 protected:
  net::DialOptions shared(const Endpoint& local, const Endpoint& remote) {
    net::DialOptions options;
    options.local = local;
    options.remote = remote;
    options.share_port = true;
    return options;
  }
  void expect_talk(std::unique_ptr<net::Stream> one, std::unique_ptr<net::Stream> other) {
    ASSERT_TRUE(one && other);
    Talk left(std::move(one)), right(std::move(other));
    left.say("to the right");
    right.say("to the left");
    EXPECT_TRUE(until([&] { return left.heard == "to the left" && right.heard == "to the right"; }))
        << left.heard << '/' << right.heard;
  }
};
CONTRACT_BOTH_FAMILIES(DialCase);

TEST_P(DialCase, a_closed_port_refuses) {
  auto dialled = call(world->a(), to({at().b, kClosedPort}));
  EXPECT_FALSE(dialled->done) << "a callback ran inside the call that caused it";
  ASSERT_TRUE(until([&] { return dialled->done; }));
  EXPECT_EQ(dialled->status.error, Error::refused);
  EXPECT_FALSE(dialled->status.detail.empty());
  EXPECT_LT(dialled->took, 500ms);
}

TEST_P(DialCase, silence_times_out_when_asked_to) {
  world->set_fate_towards_b(Fate::drop);
  auto options = to({at().b, 7000});
  options.timeout = 700ms;
  auto dialled = call(world->a(), options);
  ASSERT_TRUE(until([&] { return dialled->done; }));
  EXPECT_EQ(dialled->status.error, Error::timed_out);
  EXPECT_GE(dialled->took, 700ms);
  EXPECT_LT(dialled->took, 900ms);
  EXPECT_TRUE(dialled->soft.empty());
}

TEST_P(DialCase, a_destroyed_dial_gives_up) {
  world->set_fate_towards_b(Fate::drop);
  auto options = to({at().b, 7000});
  options.timeout = 300ms;
  auto dialled = call(world->a(), options);
  dialled->dial.reset();
  world->run_for(500ms);
  EXPECT_FALSE(dialled->done);
}

TEST_P(DialCase, unreachable_is_soft_and_the_dial_completes_later) {
  listener = listen(world->b(), {at().b, 7000});
  world->set_fate_towards_b(Fate::unreachable);
  auto dialled = call(world->a(), to({at().b, 7000}));
  ASSERT_TRUE(until([&] { return !dialled->soft.empty(); }));
  EXPECT_EQ(dialled->soft[0].error, Error::unreachable);
  EXPECT_EQ(dialled->soft[0].to, (Endpoint{at().b, 7000}));
  EXPECT_EQ(dialled->soft[0].reporter, at().r_near);
  EXPECT_FALSE(dialled->done);
  world->set_fate_towards_b(Fate::forward);
  ASSERT_TRUE(until([&] { return dialled->done; }));
  EXPECT_TRUE(dialled->stream) << dialled->status.to_string();
}

TEST_P(DialCase, unreachable_all_the_time_times_out_and_says_so) {
  world->set_fate_towards_b(Fate::unreachable);
  auto options = to({at().b, 7000});
  options.timeout = 500ms;
  auto dialled = call(world->a(), options);
  ASSERT_TRUE(until([&] { return dialled->done; }));
  EXPECT_EQ(dialled->status.error, Error::timed_out);
  EXPECT_NE(dialled->status.detail.find("unreachable"), std::string::npos)
      << dialled->status.detail;
  EXPECT_GE(dialled->took, 500ms) << "soft errors never shorten a dial";
}

TEST_P(DialCase, a_low_ttl_is_soft_and_restoring_it_completes_the_same_dial) {
  listener = listen(world->b(), {at().b, 7000});
  auto options = to({at().b, 7000});
  options.ttl = 1;
  auto dialled = call(world->a(), options);
  const uint16_t port = dialled->dial->local().port;
  EXPECT_NE(port, 0);
  ASSERT_TRUE(until([&] { return !dialled->soft.empty(); }));
  EXPECT_EQ(dialled->soft[0].error, Error::ttl_exceeded);
  EXPECT_EQ(dialled->soft[0].reporter, at().r_near);
  EXPECT_TRUE(dialled->dial->set_ttl(64).ok());
  ASSERT_TRUE(until([&] { return dialled->done; }));
  ASSERT_TRUE(dialled->stream) << dialled->status.to_string();
  EXPECT_EQ(dialled->stream->local().port, port);
}

TEST_P(DialCase, the_ttl_of_the_syn_does_not_outlive_the_handshake) {
  std::vector<int> syn_ttls, data_ttls;
  net::Selector tcp;
  tcp.protocol = 6;
  const bool v4 = family() == Family::v4;
  auto hook = world->b().add_hook(tcp, [&](net::MutableBytes packet) {
    const uint8_t ttl = packet[v4 ? 8 : 7];
    const size_t header = v4 ? 4 * (packet[0] & 15) : 40;
    const bool syn = packet[header + 13] & 2;
    const size_t data = header + 4 * (packet[header + 12] >> 4);
    if (syn) syn_ttls.push_back(ttl);
    if (packet.size() > data) data_ttls.push_back(ttl);
    return net::Verdict::pass;
  });
  ASSERT_TRUE(hook) << hook.status().to_string();
  listener = listen(world->b(), {at().b, 7000});
  auto options = to({at().b, 7000});
  options.ttl = 2;  // just enough to reach b
  auto dialled = call(world->a(), options);
  std::unique_ptr<net::Stream> accepted;
  ASSERT_TRUE(until([&] {
    if (!accepted) accepted = listener->accept();
    return dialled->done && accepted;
  }));
  expect_talk(std::move(dialled->stream), std::move(accepted));
  ASSERT_FALSE(syn_ttls.empty() || data_ttls.empty());
  for (const int ttl : syn_ttls) EXPECT_EQ(ttl, 1);
  for (const int ttl : data_ttls) EXPECT_EQ(ttl, 63);
}

TEST_P(DialCase, a_chosen_local_endpoint_is_used) {
  listener = listen(world->b(), {at().b, 7000});
  auto options = to({at().b, 7000});
  options.local = {at().a, 5000};
  auto dialled = call(world->a(), options);
  EXPECT_EQ(dialled->dial->local(), (Endpoint{at().a, 5000}));
  ASSERT_TRUE(until([&] { return dialled->done; }));
  ASSERT_TRUE(dialled->stream) << dialled->status.to_string();
  EXPECT_EQ(dialled->stream->local(), (Endpoint{at().a, 5000}));
}

TEST_P(DialCase, a_local_endpoint_taken_is_in_use) {
  auto taken = listen(world->a(), {at().a, 5000});
  auto options = to({at().b, 7000});
  options.local = {at().a, 5000};
  auto dialled = call(world->a(), options);
  ASSERT_TRUE(until([&] { return dialled->done; }));
  EXPECT_EQ(dialled->status.error, Error::in_use);
}

TEST_P(DialCase, several_dials_and_a_listener_share_an_endpoint) {
  listener = listen(world->b(), {at().b, 7000});
  auto second_listener = listen(world->b(), {at().b, 7001});
  auto own = listen(world->a(), {at().a, 5000}, true);
  auto one = call(world->a(), shared({at().a, 5000}, {at().b, 7000}));
  auto two = call(world->a(), shared({at().a, 5000}, {at().b, 7001}));
  ASSERT_TRUE(until([&] { return one->done && two->done; }));
  ASSERT_TRUE(one->stream) << one->status.to_string();
  ASSERT_TRUE(two->stream) << two->status.to_string();
  EXPECT_EQ(one->stream->local(), two->stream->local());
  auto back = call(world->b(), to({at().a, 5000}));  // and the listener still listens
  std::unique_ptr<net::Stream> accepted;
  ASSERT_TRUE(until([&] {
    if (!accepted) accepted = own->accept();
    return back->done && accepted;
  }));
  EXPECT_TRUE(back->stream);
}

//   a: SYN ──x (lost at r)          b dials a's endpoint while a still dials b's: one connection,
//   a ◀────────────────── SYN :b    two Dials done, no listener anywhere (RFC 9293 section 3.5).
TEST_P(DialCase, a_dial_meets_the_peers_dial_when_its_own_syn_was_lost) {
  world->set_fate_towards_b(Fate::drop);
  auto left = call(world->a(), shared({at().a, 5000}, {at().b, 7000}));
  world->settle();
  world->set_fate_towards_b(Fate::forward);
  auto right = call(world->b(), shared({at().b, 7000}, {at().a, 5000}));
  ASSERT_TRUE(until([&] { return left->done && right->done; }));
  expect_talk(std::move(left->stream), std::move(right->stream));
}

TEST_P(DialCase, dials_at_the_same_moment_meet_although_both_first_syns_expire) {
  auto options = shared({at().a, 5000}, {at().b, 7000});
  options.ttl = 1;
  auto left = call(world->a(), options);
  options = shared({at().b, 7000}, {at().a, 5000});
  options.ttl = 1;
  auto right = call(world->b(), options);
  ASSERT_TRUE(until([&] { return !left->soft.empty() && !right->soft.empty(); }));
  EXPECT_TRUE(left->dial->set_ttl(64).ok());
  EXPECT_TRUE(right->dial->set_ttl(64).ok());
  ASSERT_TRUE(until([&] { return left->done && right->done; }));
  ASSERT_TRUE(left->stream) << left->status.to_string();
  ASSERT_TRUE(right->stream) << right->status.to_string();
  EXPECT_LT(left->took, 2s) << "the first retransmission should have met";
  expect_talk(std::move(left->stream), std::move(right->stream));
}

TEST_P(DialCase, a_dial_takes_what_a_listener_on_its_endpoint_has_accepted_already) {
  auto own = listen(world->a(), {at().a, 5000}, true);
  auto far_dial = call(world->b(), shared({at().b, 7000}, {at().a, 5000}));
  ASSERT_TRUE(until([&] { return far_dial->done; }));
  ASSERT_TRUE(far_dial->stream) << far_dial->status.to_string();
  world->settle();
  auto dialled = call(world->a(), shared({at().a, 5000}, {at().b, 7000}));
  ASSERT_TRUE(until([&] { return dialled->done; }));
  ASSERT_TRUE(dialled->stream) << dialled->status.to_string();
  EXPECT_FALSE(own->accept()) << "one connection, one stream";
  expect_talk(std::move(dialled->stream), std::move(far_dial->stream));
}

TEST_P(DialCase, both_sides_listening_and_dialling_get_one_stream_each) {
  auto left_listener = listen(world->a(), {at().a, 5000}, true);
  auto right_listener = listen(world->b(), {at().b, 7000}, true);
  auto left = call(world->a(), shared({at().a, 5000}, {at().b, 7000}));
  auto right = call(world->b(), shared({at().b, 7000}, {at().a, 5000}));
  ASSERT_TRUE(until([&] { return left->done && right->done; }));
  ASSERT_TRUE(left->stream) << left->status.to_string();
  ASSERT_TRUE(right->stream) << right->status.to_string();
  EXPECT_FALSE(left_listener->accept());
  EXPECT_FALSE(right_listener->accept());
  expect_talk(std::move(left->stream), std::move(right->stream));
}

TEST_P(DialCase, a_dial_destroyed_in_its_done_callback_is_fine) {
  listener = listen(world->b(), {at().b, 7000});
  std::unique_ptr<net::Dial> dial;
  std::unique_ptr<net::Stream> stream;
  auto made = world->a().dial(to({at().b, 7000}), [&](auto result) {
    dial.reset();
    ASSERT_TRUE(result);
    stream = std::move(*result);
  });
  ASSERT_TRUE(made);
  dial = std::move(*made);
  std::unique_ptr<net::Stream> accepted;  // later than the dial: the last ACK has to get there
  ASSERT_TRUE(until([&] {
    if (!accepted) accepted = listener->accept();
    return stream && accepted;
  }));
  expect_talk(std::move(stream), std::move(accepted));
}

TEST_P(DialCase, a_dial_destroyed_in_its_soft_error_callback_is_gone) {
  auto options = to({at().b, 7000});
  options.ttl = 1;
  options.timeout = 300ms;
  auto dialled = call(world->a(), options);
  int soft = 0;
  dialled->dial->on_soft_error([&](const net::IcmpEvent&) {
    ++soft;
    dialled->dial.reset();
  });
  ASSERT_TRUE(until([&] { return soft > 0; }));
  world->run_for(500ms);
  EXPECT_FALSE(dialled->done);
  EXPECT_EQ(soft, 1);
}

TEST_P(DialCase, an_argument_without_sense_is_invalid) {
  auto none = world->a().dial(net::DialOptions{}, [](auto) {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error(), Error::invalid);
  auto mixed = to({at().b, 7000});
  mixed.local = {addresses(family() == Family::v4 ? Family::v6 : Family::v4).a, 0};
  auto dial = world->a().dial(mixed, [](auto) {});
  ASSERT_FALSE(dial);
  EXPECT_EQ(dial.error(), Error::invalid);
}

}  // namespace
}  // namespace culvert::contract
