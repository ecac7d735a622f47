// Probes: bound to session, names and role; nothing forged, changed, turned round or repeated
// counts, and nobody can make a device send more than a little to an address that it did not
// choose.
#include "model/punch/probe.h"

#include <gtest/gtest.h>

#include <map>

#include "model/net/random.h"
#include "tests/unit/punch/lab.h"

namespace culvert::testing {
namespace {

using punch::Probe;
using punch::ProbeKind;
using punch::Role;

net::Key key(uint8_t fill) {
  net::Key k;
  k.fill(fill);
  return k;
}

Probe a_probe() {
  Probe probe;
  probe.id.fill(7);
  probe.session = 42;
  probe.kind = ProbeKind::probe;
  probe.sender = Role::initiator;
  probe.heard = true;
  probe.number = 9;
  probe.echo = 3;
  return probe;
}

std::optional<Probe> open(net::Bytes bytes, const punch::ProbeKeys& keys, Role self) {
  const auto message = stun::Message::parse(bytes);
  if (!message.ok()) return {};
  return punch::open_probe(*message, keys, self);
}

TEST(Probes, AreStunAndComeOutAsTheyWentIn) {
  const auto keys = punch::probe_keys(key(1), 42, "a", "b");
  const net::Buffer bytes = punch::encode(a_probe(), keys);
  ASSERT_TRUE(stun::looks_like_stun(bytes));
  EXPECT_LE(bytes.size(), 160u);
  const auto back = open(bytes, keys, Role::responder);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->session, 42u);
  EXPECT_EQ(back->number, 9u);
  EXPECT_EQ(back->echo, 3u);
  EXPECT_TRUE(back->heard);
  EXPECT_FALSE(back->confirmed);
}

TEST(Probes, EveryChangedByteIsRefused) {
  const auto keys = punch::probe_keys(key(1), 42, "a", "b");
  const net::Buffer bytes = punch::encode(a_probe(), keys);
  // The fingerprint's own header, the last eight bytes' first half, is not covered: it says
  // nothing.
  for (size_t i = 0; i + 8 < bytes.size(); ++i) {
    net::Buffer changed = bytes;
    changed[i] ^= 1;
    EXPECT_FALSE(open(changed, keys, Role::responder)) << "byte " << i;
  }
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(open({bytes.data(), length}, keys, Role::responder));
  }
}

TEST(Probes, AreBoundToRoleNamesSessionAndKey) {
  const auto keys = punch::probe_keys(key(1), 42, "a", "b");
  const net::Buffer bytes = punch::encode(a_probe(), keys);
  EXPECT_FALSE(open(bytes, keys, Role::initiator)) << "reflected to its sender";
  EXPECT_FALSE(open(bytes, punch::probe_keys(key(2), 42, "a", "b"), Role::responder));
  EXPECT_FALSE(open(bytes, punch::probe_keys(key(1), 43, "a", "b"), Role::responder));
  EXPECT_FALSE(open(bytes, punch::probe_keys(key(1), 42, "a", "c"), Role::responder));
  EXPECT_FALSE(open(bytes, punch::probe_keys(key(1), 42, "b", "a"), Role::responder));
}

TEST(Probes, AKindCannotComeAsWhatItIsNot) {
  const auto keys = punch::probe_keys(key(1), 42, "a", "b");
  Probe probe = a_probe();
  probe.cls = stun::Class::success;
  EXPECT_FALSE(open(punch::encode(probe, keys), keys, Role::responder));
  probe.kind = ProbeKind::answer;  // without the address that it was seen from
  EXPECT_FALSE(open(punch::encode(probe, keys), keys, Role::responder));
  probe.mapped = *net::Endpoint::parse("192.0.2.1:1");
  EXPECT_TRUE(open(punch::encode(probe, keys), keys, Role::responder));
}

// --- on the network in memory -------------------------------------------------------------------

class Attack : public ::testing::Test {
 protected:
  void prepare(const LabOptions& options) {
    lab = std::make_unique<Lab>(options);
    attacker = lab->net.host("m");
    lab->net.uplink(attacker, "192.0.2.66", lab->core, "192.0.2.65", 1ms);
    ASSERT_TRUE(lab->get_ready());
    lab->net.run_for(100ms);
  }
  std::unique_ptr<Lab> lab;
  FakeNet::Node attacker = 0;
};

const net::IpAddress kAttacker = *net::IpAddress::parse("192.0.2.66");

// Everything that a sends is seen by the attacker and sent to b once more, from the attacker's own
// address. b's NAT lets everybody in. The punch goes on, and b never answers the attacker.
TEST_F(Attack, ReplayedProbesAreNeitherBelievedNorAnswered) {
  LabOptions options;
  options.nat_b = "eim-eif";
  prepare(options);
  net::Endpoint b_public;
  int replayed = 0, to_attacker = 0;
  lab->net.tap = [&](FakeNet::Node node, const net::Endpoint&, const net::Endpoint& to,
                     net::Bytes data) {
    to_attacker += to.ip == kAttacker;
    if (node == lab->a && stun::looks_like_stun(data) && to.ip.to_string() == "192.0.2.2") {
      const net::Buffer copy(data.begin(), data.end());
      ++replayed;
      lab->net.schedule(lab->net.now() + 60ms, [this, copy, to] {
        lab->net.inject(attacker, {kAttacker, 666}, to, copy);
      });
    }
    return false;
  };
  const Outcome outcome = lab->punch();
  lab->net.run_for(1s);
  EXPECT_TRUE(outcome.direct());
  EXPECT_GT(replayed, 1);
  EXPECT_EQ(to_attacker, 0);
  bool told = false;
  for (const std::string& line : lab->net.lines("b", "probe_received")) {
    told |= field(line, "why") == "replayed" && field(line, "authentic") == "false";
  }
  EXPECT_TRUE(told);
}

// Garbage, STUN that is not ours, and probes of the right session with a wrong signature.
TEST_F(Attack, ForgedProbesChangeNothing) {
  LabOptions options;
  options.nat_a = options.nat_b = "eim-eif";
  prepare(options);
  net::Random random(8);
  const auto wrong = punch::probe_keys(key(9), 1, "a", "b");
  std::optional<uint64_t> session;
  net::Endpoint b_public;
  int to_attacker = 0;
  lab->net.tap = [&](FakeNet::Node node, const net::Endpoint&, const net::Endpoint& to,
                     net::Bytes data) {
    to_attacker += to.ip == kAttacker;
    const auto message = stun::Message::parse(data);
    if (node != lab->a || !message.ok() || !punch::session_of(*message)) return false;
    Probe forged = a_probe();
    forged.session = *punch::session_of(*message);
    forged.number = 1u << 20;  // would push the replay window out of reach
    lab->net.inject(attacker, {kAttacker, 666}, to, punch::encode(forged, wrong));
    net::Buffer noise(random.below(200));
    for (uint8_t& b : noise) b = static_cast<uint8_t>(random.next());
    lab->net.inject(attacker, {kAttacker, 666}, to, noise);
    return false;
  };
  EXPECT_TRUE(lab->punch().direct());
  EXPECT_EQ(to_attacker, 0);
}

// Before an address has proven itself a device sends it at most three times what came from there;
// the addresses of the introduction were proven to the server, and get ten probes and a slow rest.
TEST_F(Attack, OnlyAddressesThatTheServerObservedAreProbed) {
  LabOptions options;
  options.nat_a = options.nat_b = "apdm-apdf";  // nothing ever arrives
  prepare(options);
  std::map<std::string, size_t> sent;
  lab->net.tap = [&](FakeNet::Node node, const net::Endpoint&, const net::Endpoint& to,
                     net::Bytes) {
    if (node == lab->a) ++sent[to.to_string()];
    return false;
  };
  EXPECT_FALSE(lab->punch().direct());
  ASSERT_EQ(sent.size(), 2u) << "the server, and the address that it told";
  for (const auto& [to, count] : sent) {
    EXPECT_LE(count, to == "203.0.113.10:3478" ? 10u : 50u) << to;
  }
}

TEST_F(Attack, TheSameSeedGivesTheSameLogAndAnotherSeedAnother) {
  std::vector<std::string> logs[3];
  for (int i = 0; i < 3; ++i) {
    LabOptions options;
    options.seed = i < 2 ? 5 : 6;
    options.loss = 0.02;
    Lab run(options);
    ASSERT_TRUE(run.get_ready());
    run.punch();
    logs[i] = run.net.log();
  }
  EXPECT_EQ(logs[0], logs[1]);
  EXPECT_NE(logs[0], logs[2]);
}

}  // namespace
}  // namespace culvert::testing
