// The mediation server's decisions, driven frame by frame: who may register and from where, who
// sees whom, that both are introduced at the same moment, and what forged, replayed and excessive
// frames get.
#include "model/rendezvous/mediator.h"

#include <gtest/gtest.h>

#include "model/net/random.h"

namespace culvert::rendezvous {
namespace {

using namespace std::chrono_literals;

net::Endpoint at(const std::string& text) { return *net::Endpoint::parse(text); }

// A device as the server sees it: numbers its frames and opens what it is sent.
struct Device {
  std::string name;
  net::Endpoint from;
  uint64_t boot = 1;
  DeviceKeys keys = device_keys(net::as_bytes("key of " + name), name);
  uint64_t number = 0, epoch = 0;
  Cookie cookie{};

  net::Buffer frame(const Request& request) {
    Nonce nonce{};
    nonce[0] = static_cast<uint8_t>(++number);
    return encode({boot, number, epoch, cookie}, request, name, keys, nonce);
  }
  std::optional<DecodedReply> open(const Outgoing& out) const {
    const auto envelope = open_envelope(out.data);
    if (!envelope.ok() || envelope->name != name) return {};
    const auto decoded = decode_reply(*envelope, keys);
    return decoded.ok() ? std::optional(*decoded) : std::nullopt;
  }
};

class MediatorTest : public ::testing::Test {
 protected:
  MediatorTest()
      : log(
            "s", [this] { return now; },
            [this](std::string_view line) { lines.emplace_back(line); }) {
    for (const char* name : {"a", "b", "c"}) {
      const std::string key = std::string("key of ") + name;
      options.devices.push_back({name, net::Buffer(key.begin(), key.end())});
    }
    options.limit = {0, 0, 16};  // no limit, where it is not the point
    make();
  }
  void make() {
    mediator = std::make_unique<Mediator>(
        options,
        [this](net::MutableBytes out) {
          for (uint8_t& b : out) b = static_cast<uint8_t>(random.next());
        },
        &log);
  }
  std::vector<Outgoing> give(Device& device, const Request& request) {
    return mediator->handle(now, device.from, device.frame(request));
  }
  // Registers as a device does, with `rtt` on the way.
  void enter(Device& device, net::Duration rtt = 20ms) {
    auto out = give(device, Register{});
    ASSERT_EQ(out.size(), 1u);
    auto reply = device.open(out[0]);
    ASSERT_TRUE(reply && std::holds_alternative<Challenge>(reply->reply));
    device.epoch = reply->header.epoch;
    device.cookie = std::get<Challenge>(reply->reply).cookie;
    now += rtt;
    out = give(device, Register{});
    ASSERT_GE(out.size(), 1u);
    reply = device.open(out[0]);
    ASSERT_TRUE(reply && std::holds_alternative<Registered>(reply->reply));
    EXPECT_EQ(std::get<Registered>(reply->reply).observed, device.from);
    EXPECT_EQ(std::get<Registered>(reply->reply).rtt, rtt);
    device.cookie = {};
  }
  size_t count(const std::string& what) const {
    size_t n = 0;
    for (const std::string& line : lines) n += line.find(what) != std::string::npos;
    return n;
  }

  net::Time now{1s};
  net::Random random{1};
  std::vector<std::string> lines;
  net::EventLog log;
  MediatorOptions options;
  std::unique_ptr<Mediator> mediator;
  Device a{"a", at("198.51.100.2:4000")}, b{"b", at("192.0.2.2:5000")}, c{"c", at("192.0.2.9:1")};
};

TEST_F(MediatorTest, BothAreIntroducedAtTheSameMomentWithOneKey) {
  enter(a, 20ms);
  enter(b, 50ms);
  const auto out = give(a, Connect{"b", Technique::culvert, 77});
  ASSERT_EQ(out.size(), 2u);
  std::optional<Introduction> for_a, for_b;
  for (const Outgoing& o : out) {
    if (const auto reply = a.open(o)) {
      EXPECT_EQ(o.to, a.from);
      for_a = std::get<Introduction>(reply->reply);
    } else if (const auto reply = b.open(o)) {
      EXPECT_EQ(o.to, b.from);
      for_b = std::get<Introduction>(reply->reply);
    }
  }
  ASSERT_TRUE(for_a && for_b);
  EXPECT_EQ(for_a->session, for_b->session);
  EXPECT_EQ(for_a->key, for_b->key);
  EXPECT_EQ(for_a->role, Role::initiator);
  EXPECT_EQ(for_b->role, Role::responder);
  EXPECT_EQ(for_a->peer_observed, b.from);
  EXPECT_EQ(for_b->peer_observed, a.from);
  EXPECT_EQ(for_a->token, 77u);
  EXPECT_EQ(for_b->token, 0u);
  EXPECT_EQ(for_a->mine.rtt, net::Duration(20ms));
  EXPECT_EQ(for_a->theirs.rtt, net::Duration(50ms));
}

TEST_F(MediatorTest, IntroductionsAreRepeatedUntilAcknowledgedAndNotForEver) {
  enter(a, 20ms);
  enter(b, 20ms);
  const auto out = give(a, Connect{"b", {}, 1});
  const uint64_t session =
      std::get<Introduction>(a.open(out[0]) ? a.open(out[0])->reply : a.open(out[1])->reply)
          .session;
  give(a, Acknowledge{session});
  size_t to_a = 0, to_b = 0;
  const net::Time begin = now;
  net::Time first{0};
  while (mediator->next_deadline() != net::Time::max() && now - begin < 40s) {
    now = mediator->next_deadline();
    for (const Outgoing& o : mediator->on_time(now)) {
      if (first == 0s) first = now;
      (o.to == a.from ? to_a : to_b) += 1;
    }
  }
  EXPECT_EQ(to_a, 0u);
  EXPECT_EQ(to_b, 6u);
  EXPECT_EQ(first - begin, net::Duration(30ms)) << "one and a half round trips";
}

TEST_F(MediatorTest, ARepeatedRequestAndACrossingOneGetTheSameSession) {
  enter(a);
  enter(b);
  const auto session_for = [](Device& device, const std::vector<Outgoing>& out) {
    for (const Outgoing& o : out) {
      if (const auto reply = device.open(o)) return std::get<Introduction>(reply->reply).session;
    }
    return uint64_t{0};
  };
  const uint64_t first = session_for(a, give(a, Connect{"b", {}, 5}));
  now += 30ms;
  EXPECT_EQ(session_for(a, give(a, Connect{"b", {}, 5})), first);
  EXPECT_EQ(session_for(b, give(b, Connect{"a", {}, 6})), first);
  EXPECT_EQ(mediator->session_count(), 1u);
  now += 5s;
  EXPECT_NE(session_for(a, give(a, Connect{"b", {}, 8})), first) << "a new request, a new session";
}

TEST_F(MediatorTest, PrivateCandidatesAreToldOnlyBehindOnePublicAddress) {
  for (const bool same : {false, true}) {
    make();
    a.number = b.number = 0;
    a.epoch = b.epoch = 0;
    b.from = same ? at("198.51.100.2:5000") : at("192.0.2.2:5000");
    enter(a);
    enter(b);
    Measured measured;
    measured.hosts.push_back(at("10.1.0.3:5000"));
    measured.hosts.push_back(
        at("203.0.113.99:53"));  // not private: would be a way to aim at others
    give(b, measured);
    for (const Outgoing& o : give(a, Connect{"b", {}, 9})) {
      const auto reply = a.open(o);
      if (!reply) continue;
      const auto& i = std::get<Introduction>(reply->reply);
      EXPECT_EQ(i.same_public, same);
      ASSERT_EQ(i.hosts.size(), same ? 1u : 0u);
      for (const auto& host : i.hosts) EXPECT_EQ(host, at("10.1.0.3:5000"));
    }
  }
}

TEST_F(MediatorTest, NobodySpeaksForAnotherDevice) {
  enter(a);
  Device thief = a;
  thief.keys = device_keys(net::as_bytes("guessed"), "a");
  thief.from = at("192.0.2.66:6");
  EXPECT_TRUE(give(thief, Register{}).empty());
  EXPECT_EQ(count("bad_seal"), 1u);
  Device stranger{"x", at("192.0.2.66:6")};
  EXPECT_TRUE(give(stranger, Register{}).empty());
  EXPECT_EQ(count("unknown_device"), 1u);
  EXPECT_TRUE(mediator->handle(now, thief.from, net::as_bytes("\xC0nonsense")).empty());
  EXPECT_EQ(count("malformed"), 1u);
}

TEST_F(MediatorTest, AFrameThatIsReplayedIsRefusedFromWhereverItComes) {
  enter(a);
  enter(b);
  const net::Buffer frame = a.frame(Connect{"b", {}, 1});
  EXPECT_EQ(mediator->handle(now, a.from, frame).size(), 2u);
  EXPECT_TRUE(mediator->handle(now, a.from, frame).empty());
  EXPECT_TRUE(mediator->handle(now, at("192.0.2.66:6"), frame).empty());
  EXPECT_EQ(count("replayed"), 2u);
}

TEST_F(MediatorTest, ARegistrationMovesOnlyWithACookieThatWasSeenThere) {
  enter(a);
  enter(b);
  const net::Endpoint home = a.from;
  a.from = at("198.51.100.77:1234");
  auto out = give(a, Connect{"b", {}, 1});
  ASSERT_EQ(out.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Challenge>(a.open(out[0])->reply));
  // A cookie that another address was given is worth nothing.
  a.cookie = std::get<Challenge>(a.open(out[0])->reply).cookie;
  a.from = at("198.51.100.78:1234");
  out = give(a, Register{});
  EXPECT_TRUE(std::holds_alternative<Challenge>(a.open(out[0])->reply));
  for (const Outgoing& o : give(b, Connect{"a", {}, 2})) {
    if (const auto reply = b.open(o)) {
      EXPECT_EQ(std::get<Introduction>(reply->reply).peer_observed, home);
    }
  }
  // Nor an old one.
  a.from = at("198.51.100.77:1234");
  a.cookie = {};
  out = give(a, Register{});
  now += 20s;
  a.cookie = std::get<Challenge>(a.open(out[0])->reply).cookie;
  out = give(a, Register{});
  EXPECT_TRUE(std::holds_alternative<Challenge>(a.open(out[0])->reply));
}

TEST_F(MediatorTest, WhoMovesDuringAPunchIsIntroducedAgain) {
  enter(a);
  enter(b);
  give(a, Connect{"b", {}, 1});
  b.from = at("192.0.2.2:5999");
  auto out = give(b, Register{});
  b.cookie = std::get<Challenge>(b.open(out[0])->reply).cookie;
  out = give(b, Register{});
  bool told = false;
  for (const Outgoing& o : out) {
    const auto reply = a.open(o);
    told |= reply && std::get<Introduction>(reply->reply).peer_observed == b.from;
  }
  EXPECT_TRUE(told);
}

TEST_F(MediatorTest, AnOldBootsFramesDoNotComeBack) {
  enter(a);
  Device old = a;
  a.boot = 2;
  a.number = 0;
  now += 1s;
  enter(a);
  auto out = give(old, Unregister{});
  ASSERT_EQ(out.size(), 1u);  // a challenge that the old boot cannot answer: there is no old boot
  EXPECT_EQ(mediator->registered_count(), 1u);
}

TEST_F(MediatorTest, AfterARestartOfTheServerEverybodyHasToRegisterAgain) {
  enter(a);
  enter(b);
  make();
  const auto out = give(a, Connect{"b", {}, 1});
  ASSERT_EQ(out.size(), 1u);
  const auto reply = a.open(out[0]);
  ASSERT_TRUE(reply);
  EXPECT_TRUE(std::holds_alternative<Challenge>(reply->reply));
  EXPECT_NE(reply->header.epoch, a.epoch);
}

TEST_F(MediatorTest, RegistrationsExpireAndCanBeRefreshedAndGivenBack) {
  options.lifetime = 30s;
  make();
  enter(a);
  enter(b);
  now += 20s;
  give(a, Register{});
  EXPECT_EQ(count("refreshed"), 1u);
  now += 15s;
  mediator->on_time(now);
  EXPECT_EQ(count("\"expired\""), 1u);
  EXPECT_EQ(mediator->registered_count(), 1u);
  const auto out = give(a, Connect{"b", {}, 3});
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(std::get<Refused>(a.open(out[0])->reply).why, RefusedWhy::peer_unknown);
  give(a, Unregister{});
  EXPECT_EQ(mediator->registered_count(), 0u);
}

TEST_F(MediatorTest, GroupsDecideWhoSeesWhom) {
  options.groups = {{"a", "b"}};
  make();
  enter(a);
  enter(b);
  enter(c);
  const auto out = give(a, List{});
  const auto listed = std::get<Listed>(a.open(out[0])->reply);
  ASSERT_EQ(listed.devices.size(), 1u);
  EXPECT_EQ(listed.devices[0].name, "b");
  const auto refused = give(a, Connect{"c", {}, 1});
  // The same answer as for a device that does not exist: visibility itself is not told.
  EXPECT_EQ(std::get<Refused>(a.open(refused[0])->reply).why, RefusedWhy::peer_unknown);
  EXPECT_EQ(count("not_visible"), 1u);
}

// Somebody sends from a's own address, forged: nonsense, strangers, a's name under no key, and a's
// own frames once more. a is served as before.
TEST_F(MediatorTest, AFloodFromAForgedSourceKeepsNobodyOut) {
  options.limit = {20, 100, 4096};
  make();
  enter(a);
  Device stranger{"stranger", a.from}, forger{"a", a.from};
  forger.keys = stranger.keys;
  const net::Buffer old = a.frame(List{});
  EXPECT_EQ(mediator->handle(now, a.from, old).size(), 1u);
  for (int i = 0; i < 500; ++i) {
    mediator->handle(now, a.from, old);
    EXPECT_TRUE(give(stranger, List{}).empty());
    EXPECT_TRUE(give(forger, List{}).empty());
  }
  EXPECT_GT(count("\"limit\""), 200u) << "strangers are limited (the log thins out)";
  EXPECT_EQ(give(a, List{}).size(), 1u);
}

// The answer to a request is lost, and the peer leaves before the request is repeated.
TEST_F(MediatorTest, NobodyIsIntroducedToAPeerThatIsGone) {
  enter(a);
  enter(b);
  give(a, Connect{"b", {}, 1});
  give(b, Unregister{});
  const auto out = give(a, Connect{"b", {}, 1});
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(std::get<Refused>(a.open(out[0])->reply).why, RefusedWhy::peer_unknown);
  while (mediator->next_deadline() < now + 30s) {
    now = mediator->next_deadline();
    EXPECT_TRUE(mediator->on_time(now).empty());
  }
}

TEST_F(MediatorTest, SourcesAndSessionsAreBounded) {
  options.limit = {1, 6, 4096};
  options.max_sessions = 1;
  make();
  enter(a);
  enter(b);
  enter(c);
  give(a, Connect{"b", {}, 1});
  const auto out = give(a, Connect{"c", {}, 2});
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(std::get<Refused>(a.open(out[0])->reply).why, RefusedWhy::busy);
  for (int i = 0; i < 20; ++i) give(a, List{});
  EXPECT_GT(count("\"limit\""), 10u);
}

TEST(MediatorOptionsCheck, NamesWhatIsWrong) {
  MediatorOptions options;
  options.devices = {{"a", {}}, {"a", {}}};
  EXPECT_NE(Mediator::check(options).detail.find("twice"), std::string::npos);
  options.devices = {{"a", {}}};
  options.groups = {{"a", "z"}};
  EXPECT_NE(Mediator::check(options).detail.find("'z'"), std::string::npos);
}

}  // namespace
}  // namespace culvert::rendezvous
