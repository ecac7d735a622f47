// What a server that is out of its mind, or somebody on the path, can make a device do: nothing
// that crashes it, and nothing that lets it be aimed at others.
#include <gtest/gtest.h>

#include "model/rendezvous/frames.h"
#include "tests/unit/punch/lab.h"

namespace culvert::testing {
namespace {

using rendezvous::Introduction;
using rendezvous::Reply;

const net::Endpoint kServer = *net::Endpoint::parse("203.0.113.10:3478");
const net::IpAddress kVictim = *net::IpAddress::parse("192.0.2.66");

// Speaks to device a as its server, with a's own keys.
class BadServer : public ::testing::Test {
 protected:
  BadServer() : lab(LabOptions{}) {
    const auto& devices = server_options({"a", "b"}).mediator.devices;
    keys = rendezvous::device_keys(devices[0].secret, "a");
    lab.net.tap = [this](FakeNet::Node node, const net::Endpoint&, const net::Endpoint& to,
                         net::Bytes data) {
      const auto envelope = rendezvous::open_envelope(data);
      if (node == lab.a && to == kServer && envelope.ok()) {
        const auto request = rendezvous::decode_request(*envelope, keys);
        if (request.ok()) header = request->header;
      }
      return false;
    };
  }
  void say(const Reply& reply) {
    const net::Endpoint a =
        *net::Endpoint::parse(field(lab.net.lines("a", "registered").back(), "observed"));
    const rendezvous::ReplyHeader h{header.epoch, header.boot, ++number, 0};
    rendezvous::Nonce nonce{};
    nonce[0] = static_cast<uint8_t>(number);
    lab.net.inject(lab.s, kServer, a, rendezvous::encode(h, reply, "a", keys, nonce));
    lab.net.run_for(200ms);
  }
  Introduction to(const char* peer, const char* observed) {
    Introduction i;
    i.session = 77;
    i.peer = peer;
    if (*observed) i.peer_observed = *net::Endpoint::parse(observed);
    return i;
  }

  Lab lab;
  rendezvous::DeviceKeys keys;
  rendezvous::RequestHeader header;
  uint64_t number = 40;  // ahead of the server, within the window of 64
};

TEST_F(BadServer, IntroductionsToNowhereAndToOneselfAreIgnored) {
  ASSERT_TRUE(lab.get_ready());
  say(to("b", ""));
  say(to("b", "192.0.2.9:0"));
  say(to("", "192.0.2.9:9"));
  say(to("a", "192.0.2.9:9"));
  EXPECT_TRUE(lab.net.lines("a", "introduced").empty());
  EXPECT_TRUE(lab.net.lines("a", "probe_sent").empty());
  say(to("b", "192.0.2.9:9"));  // the way of saying it is right
  EXPECT_EQ(lab.net.lines("a", "introduced").size(), 1u);
}

TEST_F(BadServer, AnswersToNothingChangeNothing) {
  ASSERT_TRUE(lab.get_ready());
  rendezvous::Registered registered;
  registered.observed = *net::Endpoint::parse("192.0.2.9:9");
  say(registered);
  say(rendezvous::Gone{});
  say(rendezvous::Listed{});
  say(rendezvous::Challenge{});
  say(rendezvous::Refused{1, rendezvous::RefusedWhy::busy});
  EXPECT_EQ(lab.net.lines("a", "registered").size(), 1u);
  EXPECT_TRUE(lab.punch().direct());
}

// Somebody on a's way holds back every packet of a's and sends it on from the address of a third
// party: fresh, authentic, never seen before. b must not be made to flood that one.
TEST(OnThePath, NobodyIsSentMoreThanThreeTimesWhatSeemedToComeFromThere) {
  LabOptions options;
  options.nat_b = "eim-eif";
  Lab lab(options);
  const FakeNet::Node victim = lab.net.host("m");
  lab.net.uplink(victim, "192.0.2.66", lab.core, "192.0.2.65", 1ms);
  ASSERT_TRUE(lab.get_ready());
  size_t given = 0, taken = 0;  // bytes
  int forwarded = 0;
  lab.net.tap = [&](FakeNet::Node node, const net::Endpoint&, const net::Endpoint& to,
                    net::Bytes data) {
    const bool probe = stun::looks_like_stun(data);
    if (node == lab.b && to.ip == kVictim) {
      taken += data.size();
      EXPECT_LE(taken, 3 * given);
    }
    if (node != lab.a || !probe || to.ip.to_string() != "192.0.2.2") return false;
    if (++forwarded <= 3) {
      given += data.size();
      const net::Buffer copy(data.begin(), data.end());
      lab.net.schedule(lab.net.now() + 1ms, [&lab, victim, copy, to] {
        lab.net.inject(victim, {kVictim, 53}, to, copy);
      });
    }
    return true;
  };
  EXPECT_FALSE(lab.punch().direct());
  EXPECT_GT(forwarded, 3);
  EXPECT_GT(taken, given) << "they were answered, and that address was checked";
  EXPECT_LE(taken, 3 * given);
}

TEST(Closed, ASessionIsNotRevivedByAnIntroductionOfThePast) {
  Lab lab(LabOptions{});
  ASSERT_TRUE(lab.get_ready());
  ASSERT_TRUE(lab.punch().direct());
  ASSERT_TRUE(lab.device_a->close("b").ok());
  lab.net.run_for(200ms);  // b hears of it
  // The server introduces both again, as b's address changes within half a minute.
  lab.net.nat_at(lab.nat_b).reboot(lab.net.now());
  lab.net.run_for(25s);
  EXPECT_EQ(lab.net.lines("a", "introduced").size(), 1u);
  EXPECT_EQ(lab.net.lines("a", "result").size(), 1u);
  EXPECT_TRUE(lab.punch().direct()) << "a new request makes a new session";
}

}  // namespace
}  // namespace culvert::testing
