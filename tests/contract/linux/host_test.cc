// What only the Linux Host has: threads, the system's resolver, log descriptors, a kernel that ends
// dials on ICMP (docs/fidelity.md F-04), and rules that must not outlive their process.
#include "impl/linux/host.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "impl/linux/packet_tap.h"
#include "tests/contract/collect.h"

namespace culvert::contract {
namespace {

using linux_host::HostOptions;
using linux_host::LinuxHost;
using linux_host::Loop;

HostOptions named(const char* name) {
  HostOptions options;
  options.name = name;
  return options;
}

TEST(LinuxHostOnly, hosts_on_loops_of_their_own_talk_by_post) {
  Loop loops[2];
  LinuxHost one(loops[0], named("one")), two(loops[1], named("two"));
  std::atomic<int> rounds{0};
  std::thread::id ids[2];
  std::function<void()> ping, pong;
  ping = [&] {
    ids[0] = std::this_thread::get_id();
    two.post(pong);
  };
  pong = [&] {
    ids[1] = std::this_thread::get_id();
    if (++rounds < 1000)
      one.post(ping);
    else
      loops[0].stop(), loops[1].stop();
  };
  one.post(ping);
  std::thread other([&] { loops[1].run(); });
  loops[0].run();
  other.join();
  EXPECT_EQ(rounds, 1000);
  EXPECT_NE(ids[0], ids[1]);
}

// mqtt-pub --cafile /etc/ssl/ca.pem, as mosquitto's users write it.
TEST(LinuxHostOnly, secrets_are_called_by_paths_only_where_that_is_allowed) {
  char folder[] = "/tmp/culvert-secrets-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/key";
  std::ofstream(path) << "open sesame";
  HostOptions options = named("host");
  options.secrets_folder = "/tmp";
  Loop loop;
  LinuxHost strict(loop, options);
  EXPECT_EQ(strict.secret(path).error(), net::Error::invalid);
  options.secret_paths = true;
  LinuxHost free(loop, options);
  for (const std::string& name : {path, path.substr(5)}) {
    const auto secret = free.secret(name);
    ASSERT_TRUE(secret) << secret.status().to_string();
    EXPECT_EQ(net::as_text(*secret), "open sesame");
  }
  EXPECT_EQ(free.secret(path + "x").error(), net::Error::not_found);
  EXPECT_EQ(free.secret("..").error(), net::Error::invalid);
  EXPECT_EQ(free.secret(path + std::string("\0x", 2)).error(), net::Error::invalid);
  std::filesystem::remove_all(folder);
}

TEST(LinuxHostOnly, offloaded_work_runs_on_another_thread_and_is_awaited_at_the_end) {
  Loop loop;
  std::atomic<int> worked{0};
  bool done = false;
  {
    LinuxHost host(loop, named("host"));
    std::thread::id worker;
    host.offload([&] { worker = std::this_thread::get_id(); }, [&] { done = true; });
    ASSERT_TRUE(loop.run_until([&] { return done; }, Loop::monotonic() + 10s));
    EXPECT_NE(worker, std::this_thread::get_id());
    done = false;
    for (int i = 0; i < 100; ++i) host.offload([&] { ++worked; }, [&] { done = true; });
  }
  const int after = worked;
  loop.run_until([] { return false; }, Loop::monotonic() + 20ms);
  EXPECT_EQ(worked, after) << "work went on after its Host was gone";
  EXPECT_FALSE(done) << "a callback of a Host that is gone";
}

TEST(LinuxHostOnly, the_system_knows_localhost) {
  Loop loop;
  LinuxHost host(loop, named("host"));
  bool answered = false;
  auto lookup = host.resolve("localhost", [&](auto answer) {
    answered = true;
    ASSERT_TRUE(answer) << answer.status().to_string();
    for (const IpAddress& address : *answer) EXPECT_TRUE(address.is_loopback());
    EXPECT_FALSE(answer->empty());
  });
  EXPECT_TRUE(loop.run_until([&] { return answered; }, Loop::monotonic() + 10s));
}

TEST(LinuxHostOnly, log_lines_reach_a_descriptor_whole) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  Loop loop;
  HostOptions options = named("logger");
  options.log = linux_host::log_to(pipe_ends[1]);
  LinuxHost host(loop, std::move(options));
  host.log().write("s", "one");
  host.log().write("s", "two");
  char text[512];
  const ssize_t size = read(pipe_ends[0], text, sizeof text);
  const std::string lines(text, static_cast<size_t>(std::max<ssize_t>(size, 0)));
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  EXPECT_EQ(lines.back(), '\n');
  close(pipe_ends[0]), close(pipe_ends[1]);
}

class LinuxOnly : public Contract {};

// The kernel closes a socket in SYN_SENT when ICMP comes after connect(2) has returned, as that of
// the first retransmission does here. The dial must be there to be met nevertheless, all the time.
TEST_F(LinuxOnly, F04_a_low_ttl_dial_lives_through_icmp_that_comes_late) {
  net::DialOptions options;
  options.local = {ip("10.1.0.2"), 5000};
  options.remote = {ip("10.2.0.2"), 7000};
  options.share_port = true;
  options.ttl = 1;
  auto left = call(world->a(), options);
  ASSERT_TRUE(until([&] { return left->soft.size() >= 2; }));
  world->settle();
  EXPECT_FALSE(left->done);
  net::DialOptions back;
  back.local = options.remote;
  back.remote = options.local;
  back.share_port = true;
  left->dial->set_ttl(64);
  auto right = call(world->b(), back);
  ASSERT_TRUE(until([&] { return left->done && right->done; }));
  EXPECT_TRUE(left->stream && right->stream);
  EXPECT_LT(right->took, 500ms) << "the peer's SYN found nobody";
}

TEST_F(LinuxOnly, F04_a_dial_goes_on_after_the_kernel_gave_up_on_its_socket) {
  net::ListenOptions listen;
  listen.local = {ip("10.2.0.2"), 7000};
  auto listener = world->b().listen(listen);
  ASSERT_TRUE(listener);
  world->set_fate_towards_b(Fate::unreachable);
  net::DialOptions options;
  options.local = {ip("10.1.0.2"), 5000};
  options.remote = listen.local;
  auto dialled = call(world->a(), options);
  ASSERT_TRUE(until([&] { return dialled->soft.size() >= 4; }));
  EXPECT_FALSE(dialled->done);
  world->set_fate_towards_b(Fate::forward);
  ASSERT_TRUE(until([&] { return dialled->done; }));
  ASSERT_TRUE(dialled->stream) << dialled->status.to_string();
  EXPECT_EQ(dialled->stream->local(), options.local);
}

// No edge tells that there are descriptors again: whoever waits must not wait for the next caller.
TEST_F(LinuxOnly, a_listener_goes_on_when_there_are_descriptors_again) {
  net::ListenOptions listen;
  listen.local = {ip("10.2.0.2"), 7000};
  auto listener = std::move(*world->b().listen(listen));
  std::unique_ptr<net::Stream> far;
  listener->on_readable([&] {
    if (!far) far = listener->accept();
  });
  auto dialled = call(world->a(), to(listen.local));
  std::vector<int> taken;
  for (int fd; (fd = dup(0)) >= 0 && taken.size() < 1 << 20;) taken.push_back(fd);
  const bool connected = until([&] { return dialled->done; });
  world->settle();
  const bool none_yet = !far;
  for (const int fd : taken) close(fd);
  EXPECT_TRUE(connected && none_yet);
  EXPECT_TRUE(until([&] { return far != nullptr; }, 2s));
}

// The queue is one for all hooks of a Host and has an end; nobody empties it while we send.
TEST_F(LinuxOnly, F06_packets_beyond_the_queue_are_lost_and_counted_for_all_hooks_together) {
  CONTRACT_SKIP("F-03", "this kernel or user cannot queue packets to user space");
  const auto pass = [](net::MutableBytes) { return net::Verdict::pass; };
  net::Selector selector;
  selector.protocol = 17;
  auto wide = world->b().add_hook(selector, pass);
  selector.destination_port_first = selector.destination_port_last = 6000;
  auto narrow = world->b().add_hook(selector, pass);
  ASSERT_TRUE(wide && narrow);
  net::DatagramOptions options;
  options.local = {ip("10.2.0.2"), 6000};
  options.receive_buffer = 64 << 20;
  auto receiver = std::move(*world->b().open_datagram(options));
  Inbox inbox(*receiver, 64);
  options.local = {ip("10.1.0.2"), 5000};
  auto sender = std::move(*world->a().open_datagram(options));
  EXPECT_TRUE(sender->send_to({ip("10.2.0.2"), 6000}, net::as_bytes("x")).ok());
  ASSERT_TRUE(until([&] { return inbox.got.size() == 1; }));  // neighbours are known
  EXPECT_EQ((*wide)->stats().overflowed, 0u);
  constexpr size_t kSent = 12000;
  for (size_t i = 0; i < kSent; ++i)
    EXPECT_TRUE(sender->send_to({ip("10.2.0.2"), 6000}, net::as_bytes("x")).ok());
  const uint64_t lost = (*wide)->stats().overflowed;
  EXPECT_GT(lost, 0u);
  EXPECT_EQ((*narrow)->stats().overflowed, lost);
  ASSERT_TRUE(until([&] { return inbox.got.size() + lost >= kSent + 1; }));
  world->settle();
  EXPECT_EQ(inbox.got.size() + lost, kSent + 1);
}

TEST_F(LinuxOnly, trains_stay_whole_for_those_who_ask_and_only_for_them) {
  net::DatagramOptions options;
  options.local = {ip("10.1.0.2"), 5000};
  auto sender = std::move(*world->a().open_datagram(options));
  const std::string train = noise(20 * 1000);
  net::Buffer buffer(65536);
  for (const bool whole : {true, false}) {
    options.local = {ip("10.2.0.2"), 6000};
    options.receive_trains = whole;
    auto receiver = std::move(*world->b().open_datagram(options));
    DatagramOut out{net::as_bytes(train), options.local};
    out.segment_size = 1000;
    EXPECT_EQ(sender->send({&out, 1}).count, 1u);
    DatagramIn in;
    in.buffer = buffer;
    ASSERT_TRUE(until([&] { return receiver->receive({&in, 1}).count == 1; }));
    EXPECT_EQ(in.size, whole ? 20000u : 1000u);
    EXPECT_EQ(in.segment_size, whole ? 1000 : 0);
    EXPECT_EQ(in.ttl, 63) << "the other control messages are there, too";
  }
}

TEST_F(LinuxOnly, a_killed_process_leaves_neither_rules_nor_queue) {
  CONTRACT_SKIP("F-03", "this kernel or user cannot queue packets to user space");
  auto& host = static_cast<LinuxHost&>(world->b());
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Loop loop;
    HostOptions options = named("child");
    options.netns = host.netns();
    LinuxHost own(loop, std::move(options));
    auto hook = own.add_hook({}, [](net::MutableBytes) { return net::Verdict::consume; });
    const char ok = hook ? '1' : '0';
    if (write(ready[1], &ok, 1) == 1) pause();
    _exit(1);
  }
  char ok = 0;
  ASSERT_EQ(read(ready[0], &ok, 1), 1);
  EXPECT_EQ(ok, '1');
  kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  close(ready[0]), close(ready[1]);
  // Whatever matched everything is gone: datagrams arrive, and the same queue and table are free.
  net::DatagramOptions bind;
  bind.local = {ip("10.2.0.2"), 6000};
  auto receiver = std::move(*world->b().open_datagram(bind));
  bind.local = {ip("10.1.0.2"), 5000};
  auto sender = std::move(*world->a().open_datagram(bind));
  Inbox inbox(*receiver);
  EXPECT_TRUE(sender->send_to({ip("10.2.0.2"), 6000}, net::as_bytes("x")).ok());
  EXPECT_TRUE(until([&] { return inbox.got.size() == 1; }));
  EXPECT_TRUE(host.add_hook({}, [](net::MutableBytes) { return net::Verdict::pass; }));
}

}  // namespace
}  // namespace culvert::contract
