// What a Host is besides its sockets: clock, timers, post, offload, random, names, secrets, log.
#include <set>

#include "tests/contract/collect.h"

namespace culvert::contract {
namespace {

class HostCase : public Contract {};

TEST_F(HostCase, has_its_name_and_a_clock_that_only_goes_forward) {
  EXPECT_EQ(world->a().name(), "a");
  EXPECT_EQ(world->b().name(), "b");
  const net::Time before = world->a().now();
  EXPECT_GE(before, net::Time(0));
  world->run_for(20ms);
  EXPECT_GE(world->a().now() - before, 20ms);
  EXPECT_LT(world->a().now() - before, 2s);
}

TEST_F(HostCase, timers_fire_in_the_order_of_their_times) {
  std::string order;
  net::Timer late(world->a().timers(), [&] { order += 'c'; });
  net::Timer early(world->a().timers(), [&] { order += 'a'; });
  net::Timer middle(world->a().timers(), [&] { order += 'b'; });
  late.arm_after(30ms);
  early.arm_after(10ms);
  middle.arm_after(20ms);
  EXPECT_TRUE(late.armed());
  ASSERT_TRUE(until([&] { return order.size() == 3; }));
  EXPECT_EQ(order, "abc");
  EXPECT_FALSE(late.armed());
}

TEST_F(HostCase, timers_of_one_time_fire_in_the_order_of_arming) {
  std::string order;
  std::vector<std::unique_ptr<net::Timer>> timers;
  const net::Time when = world->a().now() + 20ms;
  for (char c = 'a'; c <= 'h'; ++c) {
    timers.push_back(
        std::make_unique<net::Timer>(world->a().timers(), [&order, c] { order += c; }));
    timers.back()->arm_at(when);
  }
  ASSERT_TRUE(until([&] { return order.size() == 8; }));
  EXPECT_EQ(order, "abcdefgh");
}

TEST_F(HostCase, a_timer_fires_not_early_and_soon_after) {
  for (const net::Duration delay :
       {net::Duration(100us), net::Duration(1ms), net::Duration(25ms)}) {
    net::Time fired{0};
    net::Timer timer(world->a().timers(), [&] { fired = world->a().now(); });
    const net::Time due = world->a().now() + delay;
    timer.arm_at(due);
    ASSERT_TRUE(until([&] { return fired != net::Time(0); }));
    EXPECT_GE(fired, due);
    EXPECT_LT(fired - due, 20ms);
  }
}

TEST_F(HostCase, a_cancelled_or_destroyed_timer_never_fires) {
  int fired = 0;
  net::Timer cancelled(world->a().timers(), [&] { ++fired; });
  cancelled.arm_after(10ms);
  {
    net::Timer destroyed(world->a().timers(), [&] { ++fired; });
    destroyed.arm_after(10ms);
  }
  cancelled.cancel();
  cancelled.cancel();
  EXPECT_FALSE(cancelled.armed());
  world->run_for(30ms);
  EXPECT_EQ(fired, 0);
}

TEST_F(HostCase, rearming_moves_a_timer) {
  int fired = 0;
  net::Timer timer(world->a().timers(), [&] { ++fired; });
  timer.arm_after(10ms);
  timer.arm_after(60ms);
  world->run_for(35ms);
  EXPECT_EQ(fired, 0);
  ASSERT_TRUE(until([&] { return fired == 1; }));
  world->run_for(30ms);
  EXPECT_EQ(fired, 1);
}

TEST_F(HostCase, a_timer_may_arm_itself_again_and_destroy_itself) {
  int fired = 0;
  std::unique_ptr<net::Timer> timer;
  timer = std::make_unique<net::Timer>(world->a().timers(), [&] {
    if (++fired < 3)
      timer->arm_after(1ms);
    else
      timer.reset();
  });
  timer->arm_after(1ms);
  ASSERT_TRUE(until([&] { return fired == 3; }));
  EXPECT_FALSE(timer);
}

TEST_F(HostCase, a_delay_of_zero_does_not_run_inside_arm_and_starves_nobody) {
  int spins = 0;
  bool stop = false;
  net::Timer spinner(world->a().timers(), [&] {
    ++spins;
    if (!stop && spins < 1000000) spinner.arm_after(0ms);
  });
  spinner.arm_after(-5ms);
  EXPECT_EQ(spins, 0);
  net::DatagramOptions options;
  options.local = {ip("10.1.0.2"), 5000};
  auto sender = std::move(*world->a().open_datagram(options));
  options.local = {ip("10.2.0.2"), 6000};
  auto receiver = std::move(*world->b().open_datagram(options));
  Inbox inbox(*receiver);
  CONTRACT_SKIP("F-01", "a zero delay takes no virtual time, so a spinning timer stops the world");
  EXPECT_TRUE(sender->send_to({ip("10.2.0.2"), 6000}, net::as_bytes("x")).ok());
  ASSERT_TRUE(until([&] { return !inbox.got.empty() && spins > 10; }));
  EXPECT_LT(spins, 1000000);
  stop = true;
}

TEST_F(HostCase, post_runs_later_in_order) {
  std::string order;
  world->a().post([&] { order += '1'; });
  world->a().post([&] {
    order += '2';
    world->a().post([&] { order += '4'; });
    order += '3';
  });
  EXPECT_EQ(order, "");
  ASSERT_TRUE(until([&] { return order.size() == 4; }));
  EXPECT_EQ(order, "1234");
}

TEST_F(HostCase, hosts_of_one_process_talk_by_post) {
  std::string order;
  world->a().post([&] {
    order += 'a';
    world->b().post([&] {
      order += 'b';
      world->r().post([&] { order += 'r'; });
    });
  });
  ASSERT_TRUE(until([&] { return order == "abr"; }));
}

TEST_F(HostCase, offload_does_its_work_first_and_is_done_on_the_loop) {
  std::vector<std::string> results;
  int running = 0;
  for (int i = 0; i < 10; ++i) {
    auto result = std::make_shared<std::string>();
    world->a().offload([result, i] { *result = "work " + std::to_string(i); },
                       [&, result] {
                         EXPECT_EQ(running, 0);
                         ++running;
                         results.push_back(*result);
                         --running;
                       });
  }
  EXPECT_TRUE(results.empty());
  ASSERT_TRUE(until([&] { return results.size() == 10; }));
  EXPECT_EQ(std::set<std::string>(results.begin(), results.end()).size(), 10u);
}

TEST_F(HostCase, random_draws_repeat_with_the_seed_and_differ_between_hosts_and_seeds) {
  const auto draws = [](net::Host& host) {
    std::vector<uint64_t> out;
    for (int i = 0; i < 8; ++i) out.push_back(host.random().next());
    return out;
  };
  const auto a = draws(world->a()), b = draws(world->b());
  EXPECT_NE(a, b);
  world.reset();
  world = make_world({1});
  EXPECT_EQ(draws(world->a()), a);
  world.reset();
  world = make_world({2});
  EXPECT_NE(draws(world->a()), a);
}

TEST_F(HostCase, secure_random_fills_every_byte_and_does_not_repeat) {
  std::array<uint8_t, 4096> one{}, two{};
  world->a().secure_random(one);
  world->a().secure_random(two);
  EXPECT_NE(one, two);
  EXPECT_GT(std::set<uint8_t>(one.begin(), one.end()).size(), 200u);
  world->a().secure_random({});
}

TEST_F(HostCase, literal_addresses_and_names_resolve_later) {
  std::vector<net::Result<std::vector<IpAddress>>> answers;
  const auto keep = [&](auto answer) { answers.push_back(std::move(answer)); };
  auto one = world->a().resolve("192.0.2.7", keep);
  EXPECT_TRUE(answers.empty());
  ASSERT_TRUE(until([&] { return answers.size() == 1; }));
  ASSERT_TRUE(answers[0]);
  EXPECT_EQ(*answers[0], std::vector<IpAddress>{ip("192.0.2.7")});
  auto two = world->a().resolve("2001:db8::7", keep);
  ASSERT_TRUE(until([&] { return answers.size() == 2; }));
  EXPECT_EQ(*answers[1], std::vector<IpAddress>{ip("2001:db8::7")});
  auto three = world->a().resolve("b.test", keep);
  ASSERT_TRUE(until([&] { return answers.size() == 3; }));
  ASSERT_TRUE(answers[2]) << answers[2].status().to_string();
  EXPECT_EQ(std::set<IpAddress>(answers[2]->begin(), answers[2]->end()),
            (std::set<IpAddress>{ip("10.2.0.2"), ip("fd02::2")}));
  auto four = world->a().resolve("no-such-name.test", keep);
  ASSERT_TRUE(until([&] { return answers.size() == 4; }));
  EXPECT_EQ(answers[3].error(), Error::not_found);
  EXPECT_NE(answers[3].status().detail.find("no-such-name.test"), std::string::npos);
}

TEST_F(HostCase, a_destroyed_lookup_says_nothing) {
  bool answered = false;
  auto lookup = world->a().resolve("b.test", [&](auto) { answered = true; });
  lookup.reset();
  world->settle();
  EXPECT_FALSE(answered);
  std::unique_ptr<net::Lookup> own;  // and one may be destroyed in its own callback
  own = world->a().resolve("b.test", [&](auto) {
    own.reset();
    answered = true;
  });
  EXPECT_TRUE(until([&] { return answered; }));
}

TEST_F(HostCase, interfaces_are_those_of_the_machine) {
  std::set<std::string> found;
  for (const net::InterfaceAddress& i : world->b().interfaces()) {
    EXPECT_FALSE(i.interface.empty());
    if (i.address.ip.is_loopback() || (i.address.ip.is_v6() && i.address.ip.bytes()[0] == 0xfe))
      continue;
    found.insert(i.address.to_string());
    EXPECT_EQ(i.mtu, 1500u);
  }
  EXPECT_EQ(found,
            (std::set<std::string>{"10.2.0.2/24", "10.2.0.3/24", "fd02::2/64", "fd02::3/64"}));
}

TEST_F(HostCase, secrets_are_found_by_name_only) {
  const auto secret = world->a().secret(kSecretName);
  ASSERT_TRUE(secret) << secret.status().to_string();
  EXPECT_EQ(net::as_text(*secret), kSecretContent);
  EXPECT_EQ(world->a().secret("no-such-secret").error(), Error::not_found);
  for (const char* name : {"", ".", "..", "../contract-key", "a/b", "/etc/hostname"})
    EXPECT_EQ(world->a().secret(name).error(), Error::invalid) << name;
  EXPECT_EQ(world->a().secret(std::string("contract-key\0x", 14)).error(), Error::invalid);
}

TEST_F(HostCase, the_log_has_time_node_service_event_and_fields) {
  world->run_for(5ms);
  world->a().log().write("contract", "hello", {{"count", 3}, {"to", Endpoint{ip("192.0.2.1"), 9}}});
  world->b().log().write("contract", "other");
  const auto lines = world->log_lines(Machine::a);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].rfind("{\"time_ms\":", 0), 0u) << lines[0];
  EXPECT_NE(
      lines[0].find(",\"node\":\"a\",\"service\":\"contract\",\"event\":\"hello\",\"count\":3,"
                    "\"to\":\"192.0.2.1:9\"}"),
      std::string::npos)
      << lines[0];
  EXPECT_EQ(world->log_lines(Machine::b).size(), 1u);
}

}  // namespace
}  // namespace culvert::contract
