// What our TCP adds to ns-3's, where the contract suite does not look: sequence numbers, loss at
// the awkward moments, and what a machine that vanishes leaves behind.
#include <gtest/gtest.h>

#include <set>

#include "ns3/tcp-header.h"
#include "tests/ns3/host_lab.h"

namespace culvert::ns3_world {
namespace {

using namespace std::chrono_literals;
using net::Error;

// A stream that sends one text, finishes, and keeps what it hears.
struct Talker {
  explicit Talker(std::unique_ptr<net::Stream> s) : stream(std::move(s)) {
    stream->on_readable([this] {
      uint8_t buffer[4096];
      const net::IoResult r = stream->read(buffer);
      heard.append(reinterpret_cast<char*>(buffer), r.count);
      if (r.error != Error::none && r.error != Error::would_block) end = r.error;
    });
  }
  void say(std::string more, bool finish) {
    text = std::move(more), finishing = finish, sent = 0;
    push();
  }
  void push() {
    while (sent < text.size()) {
      const net::IoResult r = stream->write(net::as_bytes(std::string_view(text).substr(sent)));
      sent += r.count;
      if (r.error == Error::would_block) return stream->on_writable([this] { push(); });
      if (r.error != Error::none) return;
    }
    if (finishing) stream->shutdown_write();
  }
  std::unique_ptr<net::Stream> stream;
  std::string text, heard;
  size_t sent = 0;
  bool finishing = false;
  Error end = Error::none;
};

std::string noise(size_t size, uint64_t seed) {
  net::Random random(seed);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random.next() >> 56);
  return out;
}

struct Pair {
  std::unique_ptr<Talker> left, right;
};

Pair connect(Lab& lab, net::Duration timeout = 60s) {
  Pair pair;
  net::ListenOptions listen;
  listen.local = {address("10.2.0.2"), 7000};
  auto listener = std::move(*lab.right->listen(listen));
  net::DialOptions dial;
  dial.remote = listen.local;
  dial.timeout = timeout;
  std::unique_ptr<net::Stream> near;
  auto dialling = lab.left->dial(dial, [&](auto result) {
    if (result) near = std::move(*result);
  });
  std::unique_ptr<net::Stream> far;
  lab.run_until(
      [&] {
        if (!far) far = listener->accept();
        return near && far;
      },
      timeout);
  if (near) pair.left = std::make_unique<Talker>(std::move(near));
  if (far) pair.right = std::make_unique<Talker>(std::move(far));
  return pair;
}

// The sequence numbers of the SYN and the SYN+ACK of one connection.
std::vector<uint32_t> initial_sequences(uint64_t seed) {
  std::vector<uint32_t> found;
  LabOptions options;
  options.seed = seed;
  Lab lab(options);
  lab.watcher.look = [&](const ns3::Ipv4Header&, const ns3::Packet& packet) {
    ns3::TcpHeader tcp;
    packet.PeekHeader(tcp);
    if (tcp.GetFlags() & ns3::TcpHeader::SYN) found.push_back(tcp.GetSequenceNumber().GetValue());
    return true;
  };
  const Pair pair = connect(lab);
  EXPECT_TRUE(pair.left && pair.right);
  return found;
}

TEST(Ns3HostTcp, initial_sequence_numbers_are_random_on_both_sides_and_repeat_with_the_seed) {
  const auto first = initial_sequences(1);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_NE(first[0], 0u);
  EXPECT_NE(first[1], 0u);
  EXPECT_EQ(initial_sequences(1), first);
  const auto second = initial_sequences(2);
  EXPECT_NE(second[0], first[0]);
  EXPECT_NE(second[1], first[1]);
}

// ns-3 closes in LAST-ACK on any acknowledgement and forgets data that comes with a FIN in
// FIN-WAIT: with loss, bytes were missing.
TEST(Ns3HostTcp, every_byte_arrives_through_loss_and_both_sides_end) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    LabOptions options;
    options.seed = seed;
    options.loss = 0.02;
    Lab lab(options);
    Pair pair = connect(lab);
    ASSERT_TRUE(pair.left && pair.right) << "seed " << seed;
    const std::string up = noise(300000, seed), down = noise(200000, seed + 100);
    pair.left->say(up, true);
    pair.right->say(down, true);
    ASSERT_TRUE(lab.run_until(
        [&] { return pair.left->end != Error::none && pair.right->end != Error::none; }, 600s))
        << "seed " << seed << ": " << pair.right->heard.size() << " and " << pair.left->heard.size()
        << " bytes";
    EXPECT_EQ(pair.left->end, Error::closed) << "seed " << seed;
    EXPECT_EQ(pair.right->end, Error::closed) << "seed " << seed;
    EXPECT_TRUE(pair.right->heard == up) << "seed " << seed;
    EXPECT_TRUE(pair.left->heard == down) << "seed " << seed;
  }
}

TEST(Ns3HostTcp, a_stream_destroyed_at_once_still_delivers_through_loss) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    LabOptions options;
    options.seed = seed;
    options.loss = 0.03;
    Lab lab(options);
    Pair pair = connect(lab);
    ASSERT_TRUE(pair.left && pair.right);
    const std::string text = noise(60000, seed);
    EXPECT_EQ(pair.left->stream->write(net::as_bytes(text)).count, text.size());
    pair.left.reset();
    ASSERT_TRUE(lab.run_until([&] { return pair.right->end != Error::none; }, 300s));
    EXPECT_EQ(pair.right->end, Error::closed);
    EXPECT_TRUE(pair.right->heard == text) << "seed " << seed;
  }
}

//   left                    right          right speaks first; the acknowledgement of its SYN is
//     SYN ─────────────────▶               lost once. ns-3 ignores the repeated SYN+ACK, so that
//     ◀───────────── SYN+ACK               right would never be connected.
//     ACK ──────x
TEST(Ns3HostTcp, a_lost_third_acknowledgement_is_repaired) {
  Lab lab;
  bool dropped = false;
  lab.watcher.look = [&](const ns3::Ipv4Header& header, const ns3::Packet& packet) {
    ns3::TcpHeader tcp;
    packet.PeekHeader(tcp);
    const bool third =
        tcp.GetFlags() == ns3::TcpHeader::ACK && header.GetSource() == ns3::Ipv4Address("10.1.0.2");
    if (!third || dropped) return true;
    dropped = true;
    return false;
  };
  Pair pair = connect(lab, 10s);
  ASSERT_TRUE(pair.left);
  ASSERT_TRUE(pair.right) << "the listener never saw the connection established";
  EXPECT_TRUE(dropped);
  pair.right->say("welcome", false);
  EXPECT_TRUE(lab.run_until([&] { return pair.left->heard == "welcome"; }, 5s));
}

// ns-3 says nothing when a full buffer is read, so the writer would wait for its next probe.
TEST(Ns3HostTcp, a_resumed_reader_is_told_of_within_a_round_trip) {
  Lab lab;
  Pair pair = connect(lab);
  ASSERT_TRUE(pair.left && pair.right);
  pair.right->stream->on_readable({});
  pair.left->say(noise(1 << 20, 1), false);
  lab.run_for(20s);  // until the probes are far apart
  ASSERT_LT(pair.left->sent, size_t{1} << 20);
  int segments = 0;  // of data, that pass the middle
  lab.watcher.look = [&](const ns3::Ipv4Header&, const ns3::Packet& packet) {
    segments += packet.GetSize() > 1000;
    return true;
  };
  const net::Time start = lab.left->now();
  std::string heard;
  const auto drain = [&] {
    uint8_t buffer[65536];
    const net::IoResult r = pair.right->stream->read(buffer);
    heard.append(reinterpret_cast<char*>(buffer), r.count);
  };
  pair.right->stream->on_readable(drain);
  ASSERT_TRUE(lab.run_until([&] { return segments > 0; }, 60s));
  EXPECT_LT(lab.left->now() - start, 20ms);  // the round trip is 20 ms, the middle halfway back
  ASSERT_TRUE(lab.run_until([&] { return heard.size() == size_t{1} << 20; }, 60s));
  EXPECT_TRUE(heard == pair.left->text);
}

TEST(Ns3HostTcp, a_machine_that_comes_back_resets_what_it_has_forgotten) {
  Lab lab;
  Pair pair = connect(lab);
  ASSERT_TRUE(pair.left && pair.right);
  pair.left->say("before", false);
  ASSERT_TRUE(lab.run_until([&] { return pair.right->heard == "before"; }));
  pair.right->stream.reset();
  lab.right.reset();  // the power is gone: no FIN, no RST
  lab.right = lab.make_host(2, "right");
  pair.left->say("after", false);
  ASSERT_TRUE(lab.run_until([&] { return pair.left->end != Error::none; }, 10s));
  EXPECT_EQ(pair.left->end == Error::closed || pair.left->end == Error::reset, true);
}

TEST(Ns3HostTcp, silence_in_an_established_stream_times_out) {
  Lab lab;
  Pair pair = connect(lab);
  ASSERT_TRUE(pair.left && pair.right);
  lab.watcher.look = [](const ns3::Ipv4Header&, const ns3::Packet&) { return false; };
  pair.left->say("anybody?", false);
  ASSERT_TRUE(lab.run_until([&] { return pair.left->end != Error::none; }, 1800s));
  EXPECT_EQ(pair.left->end, Error::timed_out);
}

// ns-3 echoes time stamp 0 to a SYN whose sequence number it does not expect: the round trip would
// be as long as the simulation, and what is lost first on a connection sent again minutes later.
TEST(Ns3HostTcp, the_round_trip_is_known_from_the_handshake_and_a_lost_first_segment_sent_again) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {  // sequence numbers in either half of their circle
    LabOptions options;
    options.seed = seed;
    Lab lab(options);
    lab.run_for(100s);
    Pair pair = connect(lab);
    ASSERT_TRUE(pair.left && pair.right);
    EXPECT_LT(*pair.left->stream->stats().rtt, 30ms);  // 20 ms of links
    int drop = 1;
    lab.watcher.look = [&](const ns3::Ipv4Header&, const ns3::Packet& packet) {
      return packet.GetSize() < 60 || drop-- <= 0;
    };
    const net::Time start = lab.left->now();
    pair.left->say("the first of the one, sixty bytes and more so that it is dropped.", false);
    ASSERT_TRUE(lab.run_until([&] { return pair.right->heard == pair.left->text; }, 200s));
    EXPECT_LT(lab.left->now() - start, 300ms) << "seed " << seed;  // 200 ms and a way
    drop = 1;
    const net::Time back = lab.left->now();
    pair.right->say("the first of the other, sixty bytes and more so that it is dropped.", false);
    ASSERT_TRUE(lab.run_until([&] { return pair.left->heard == pair.right->text; }, 200s));
    EXPECT_LT(lab.left->now() - back, 300ms) << "seed " << seed;
  }
}

// Six hundred connections that are still ending have six hundred ports of 28,232.
TEST(Ns3HostTcp, a_port_whose_connection_still_ends_is_passed_over) {
  Lab lab;
  net::ListenOptions listen;
  listen.local = {address("10.2.0.2"), 7000};
  auto listener = std::move(*lab.right->listen(listen));
  std::vector<std::unique_ptr<net::Stream>> taken;
  for (int round = 0; round < 2; ++round) {
    std::vector<std::unique_ptr<net::Dial>> dials;
    std::vector<std::unique_ptr<net::Stream>> streams;
    std::string why;
    net::DialOptions dial;
    dial.remote = listen.local;
    dial.timeout = 20s;
    size_t done = 0;
    for (int i = 0; i < 600; ++i)
      dials.push_back(std::move(*lab.left->dial(dial, [&](auto result) {
        ++done;
        if (result)
          streams.push_back(std::move(*result));
        else
          why = result.status().to_string();
      })));
    lab.run_until([&] {
      while (auto stream = listener->accept()) taken.push_back(std::move(stream));
      return done == 600;
    });
    EXPECT_EQ(streams.size(), 600u) << why;
  }
}

// As long as data carries every acknowledgement, ns-3 echoes the time stamp of the last segment
// that had a bare one.
TEST(Ns3HostTcp, a_conversation_without_bare_acknowledgements_keeps_its_round_trip) {
  Lab lab;
  Pair pair = connect(lab);
  ASSERT_TRUE(pair.left && pair.right);
  for (int turn = 0; turn < 50; ++turn) {
    pair.right->heard.clear(), pair.left->heard.clear();
    pair.left->say("to you", false);
    ASSERT_TRUE(lab.run_until([&] { return pair.right->heard == "to you"; }, 1s));
    pair.right->say("to me", false);
    ASSERT_TRUE(lab.run_until([&] { return pair.left->heard == "to me"; }, 1s));
    lab.run_for(20ms);
  }
  EXPECT_LT(*pair.left->stream->stats().rtt, 30ms);
}

// The host talks to itself over the loopback, and the calls do not nest.
TEST(Ns3HostTcp, a_host_dials_itself) {
  Lab lab;
  net::ListenOptions listen;
  listen.local = {address("10.1.0.2"), 7000};
  auto listener = std::move(*lab.left->listen(listen));
  net::DialOptions dial;
  dial.remote = listen.local;
  std::unique_ptr<net::Stream> near, far;
  auto dialling = lab.left->dial(dial, [&](auto result) {
    if (result) near = std::move(*result);
  });
  ASSERT_TRUE(lab.run_until(
      [&] {
        if (!far) far = listener->accept();
        return near && far;
      },
      5s));
  Talker one(std::move(near)), two(std::move(far));
  const std::string text = noise(500000, 3);
  one.say(text, true);
  ASSERT_TRUE(lab.run_until([&] { return two.end != Error::none; }, 20s));
  EXPECT_TRUE(two.heard == text);
}

}  // namespace
}  // namespace culvert::ns3_world
