#include "model/tunnel/session.h"

#include <gtest/gtest.h>

#include <vector>

#include "model/net/random.h"

namespace culvert::tunnel {
namespace {

const net::Key kKey = net::key_from(net::as_bytes("a secret of the two"));

// Bytes that never come twice.
void draw(net::MutableBytes out) {
  static net::Random random(1);
  for (uint8_t& byte : out) byte = static_cast<uint8_t>(random.next());
}

struct Pair {
  Session a{kKey, true, draw}, b{kKey, false, draw};
  net::Buffer packet, said;
  void meet() {
    EXPECT_EQ(b.open(a.hello(), said), Incoming::answer);
    EXPECT_EQ(a.open(said, said), Incoming::connected);
    EXPECT_EQ(b.open(said, said), Incoming::connected);
    EXPECT_TRUE(said.empty());
  }
};

net::Buffer bytes(std::string_view text) { return {text.begin(), text.end()}; }

TEST(TunnelTest, two_ends_meet_and_carry_packets_both_ways) {
  Pair pair;
  EXPECT_FALSE(pair.a.seal(bytes("early")));
  pair.meet();
  for (const char* text : {"one", "", "three"}) {
    const auto there = pair.a.seal(bytes(text));
    EXPECT_EQ(there->size(), std::string_view(text).size() + kOverhead);
    EXPECT_EQ(pair.b.open(*there, pair.packet), Incoming::packet);
    EXPECT_EQ(pair.packet, bytes(text));
    EXPECT_EQ(pair.a.open(*pair.b.seal(bytes(text)), pair.packet), Incoming::packet);
    EXPECT_EQ(pair.packet, bytes(text));
  }
}

TEST(TunnelTest, a_packet_is_taken_once_in_any_order_within_the_window) {
  Pair pair;
  pair.meet();
  std::vector<net::Buffer> sealed;
  for (size_t i = 0; i < 2 * kWindow; ++i) sealed.push_back(*pair.a.seal(bytes("x")));
  const auto open = [&](size_t i) { return pair.b.open(sealed[i], pair.packet); };
  EXPECT_EQ(open(5), Incoming::packet);
  EXPECT_EQ(open(3), Incoming::packet);
  EXPECT_EQ(open(5), Incoming::replayed);
  EXPECT_EQ(open(3), Incoming::replayed);
  EXPECT_EQ(open(kWindow + 4), Incoming::packet);
  EXPECT_EQ(open(4), Incoming::replayed) << "older than the window";
  EXPECT_EQ(open(6), Incoming::packet);
  EXPECT_EQ(open(6), Incoming::replayed);
  EXPECT_EQ(open(2 * kWindow - 1), Incoming::packet);
  for (size_t i = kWindow; i < 2 * kWindow - 1; ++i) {
    EXPECT_EQ(open(i), i == kWindow + 4 ? Incoming::replayed : Incoming::packet) << i;
  }
  EXPECT_EQ(open(kWindow - 1), Incoming::replayed);
}

TEST(TunnelTest, every_changed_byte_is_noticed) {
  Pair pair;
  pair.meet();
  const net::Buffer good = *pair.a.seal(bytes("payload"));
  for (size_t i = 0; i < good.size(); ++i) {
    net::Buffer bad = good;
    bad[i] ^= 0x40;
    EXPECT_NE(pair.b.open(bad, pair.packet), Incoming::packet) << i;
  }
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(pair.b.open(net::Bytes(good).first(size), pair.packet), Incoming::forged);
  }
  EXPECT_EQ(pair.a.open(good, pair.packet), Incoming::forged) << "reflected to its sender";
  EXPECT_EQ(pair.b.open(good, pair.packet), Incoming::packet);
}

TEST(TunnelTest, another_key_opens_nothing) {
  Pair pair;
  Session stranger(net::key_from(net::as_bytes("another")), true, draw);
  EXPECT_EQ(pair.b.open(stranger.hello(), pair.packet), Incoming::forged);
}

TEST(TunnelTest, both_may_begin_at_once_and_a_lost_confirmation_is_asked_for_again) {
  Pair pair;
  net::Buffer to_a, to_b;
  EXPECT_EQ(pair.a.open(pair.b.hello(), to_b), Incoming::answer);
  EXPECT_EQ(pair.b.open(pair.a.hello(), to_a), Incoming::answer);
  EXPECT_EQ(pair.a.open(to_a, pair.said), Incoming::connected);
  EXPECT_FALSE(pair.b.connected());  // the confirmation is lost, b's earlier hello comes again
  EXPECT_EQ(pair.a.open(to_a, pair.said), Incoming::answer);
  EXPECT_EQ(pair.b.open(pair.said, pair.said), Incoming::connected);
  EXPECT_EQ(pair.b.open(*pair.a.seal(bytes("x")), pair.packet), Incoming::packet);
  EXPECT_EQ(pair.b.open(pair.a.confirm(), pair.said), Incoming::alive);
}

TEST(TunnelTest, whoever_restarts_meets_again_and_nothing_recorded_opens_anything) {
  Pair pair;
  std::vector<net::Buffer> of_a, of_b;  // all that somebody has recorded
  const auto keep = [](std::vector<net::Buffer>& all, net::Buffer one) {
    all.push_back(one);
    return one;
  };
  pair.b.open(keep(of_a, pair.a.hello()), pair.said);
  pair.a.open(keep(of_b, pair.said), pair.said);
  pair.b.open(keep(of_a, pair.said), pair.said);
  EXPECT_EQ(pair.b.open(keep(of_a, *pair.a.seal(bytes("unlock"))), pair.packet), Incoming::packet);
  EXPECT_EQ(pair.a.open(keep(of_b, *pair.b.seal(bytes("done"))), pair.packet), Incoming::packet);

  Session reborn(kKey, false, draw);  // b restarts
  for (const net::Buffer& recorded : of_a) {
    const Incoming what = reborn.open(recorded, pair.packet);
    EXPECT_TRUE(what == Incoming::answer || what == Incoming::forged);
  }
  EXPECT_FALSE(reborn.connected());
  EXPECT_EQ(pair.a.open(reborn.hello(), pair.said), Incoming::answer);
  EXPECT_EQ(reborn.open(pair.said, pair.said), Incoming::connected);
  EXPECT_EQ(pair.a.open(pair.said, pair.said), Incoming::connected);
  for (const net::Buffer& recorded : of_b) {  // what the old b said to the a that lives on
    const Incoming what = pair.a.open(recorded, pair.packet);
    EXPECT_TRUE(what == Incoming::answer || what == Incoming::forged || what == Incoming::replayed);
  }
  EXPECT_EQ(reborn.open(*pair.a.seal(bytes("new")), pair.packet), Incoming::packet);
  EXPECT_EQ(pair.a.open(*reborn.seal(bytes("new")), pair.packet), Incoming::packet);
}

TEST(TunnelTest, a_recorded_hello_does_not_stop_what_is_connected) {
  Pair pair;
  const net::Buffer old = Session(kKey, true, draw).hello();  // of an earlier life of a
  pair.meet();
  EXPECT_EQ(pair.b.open(old, pair.said), Incoming::answer);
  EXPECT_EQ(pair.b.open(*pair.a.seal(bytes("goes on")), pair.packet), Incoming::packet);
  EXPECT_EQ(pair.a.open(*pair.b.seal(bytes("here, too")), pair.packet), Incoming::packet);
}

}  // namespace
}  // namespace culvert::tunnel
