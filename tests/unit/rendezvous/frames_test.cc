// The rendezvous' frames: what goes in comes out; what was cut, changed, turned round or sealed by
// somebody else does not; no answer is longer than what asked for it.
#include "model/rendezvous/frames.h"

#include <gtest/gtest.h>

#include "model/net/random.h"
#include "model/rendezvous/replay_window.h"

namespace culvert::rendezvous {
namespace {

net::Endpoint at(const char* text) { return *net::Endpoint::parse(text); }

DeviceKeys keys_of(const std::string& name) { return device_keys(net::as_bytes("key"), name); }

Nonce nonce(uint8_t fill) {
  Nonce n;
  n.fill(fill);
  return n;
}

RequestHeader header() { return {11, 12, 13, {}}; }

Introduction largest_introduction() {
  Introduction i;
  i.session = 1;
  i.token = 2;
  i.role = Role::responder;
  i.technique = Technique::seed002;
  i.peer = std::string(kMaxName, 'p');
  i.peer_observed = at("[2001:db8::1]:4000");
  i.mine.mapping = stun::Mapping::apdm;
  i.mine.far = std::chrono::microseconds(1234);
  i.theirs.filtering = stun::Filtering::adf;
  i.theirs.hops = 3;
  i.theirs.rtt = std::chrono::milliseconds(77);
  i.same_public = true;
  for (size_t k = 0; k < kMaxHosts; ++k) i.hosts.push_back(at("[fd00::1]:1"));
  i.key.fill(9);
  return i;
}

TEST(Frames, WhatADeviceSendsComesOutAsItWentIn) {
  Measured m;
  m.behaviour.mapping = stun::Mapping::adm;
  m.behaviour.filtering = stun::Filtering::eif;
  m.behaviour.hairpin = stun::Hairpin::yes;
  m.behaviour.hops = 2;
  m.behaviour.far = std::chrono::milliseconds(20);
  m.behaviour.rtt = std::chrono::milliseconds(50);
  m.hosts.push_back(at("10.1.0.2:4000"));
  const auto keys = keys_of("a");
  const net::Buffer frame = encode(header(), m, "a", keys, nonce(1));
  const auto envelope = open_envelope(frame);
  ASSERT_TRUE(envelope.ok());
  EXPECT_EQ(envelope->name, "a");
  const auto decoded = decode_request(*envelope, keys);
  ASSERT_TRUE(decoded.ok()) << decoded.status().to_string();
  EXPECT_EQ(decoded->header.boot, 11u);
  EXPECT_EQ(decoded->header.number, 12u);
  EXPECT_EQ(decoded->header.epoch, 13u);
  const auto& back = std::get<Measured>(decoded->request);
  EXPECT_EQ(back.behaviour.kind(), "adm-eif");
  EXPECT_EQ(back.behaviour.far, m.behaviour.far);
  EXPECT_EQ(back.behaviour.rtt, m.behaviour.rtt);
  EXPECT_EQ(back.behaviour.hops, m.behaviour.hops);
  ASSERT_EQ(back.hosts.size(), 1u);
  EXPECT_EQ(back.hosts[0], at("10.1.0.2:4000"));
}

TEST(Frames, AnIntroductionComesOutAsItWentIn) {
  const Introduction i = largest_introduction();
  const auto keys = keys_of("a");
  const net::Buffer frame = encode(ReplyHeader{1, 2, 3, 4}, i, "a", keys, nonce(2));
  const auto decoded = decode_reply(*open_envelope(frame), keys);
  ASSERT_TRUE(decoded.ok()) << decoded.status().to_string();
  const auto& back = std::get<Introduction>(decoded->reply);
  EXPECT_EQ(back.peer, i.peer);
  EXPECT_EQ(back.peer_observed, i.peer_observed);
  EXPECT_EQ(back.theirs.rtt, i.theirs.rtt);
  EXPECT_EQ(back.mine.far, i.mine.far);
  EXPECT_EQ(back.hosts.size(), kMaxHosts);
  EXPECT_EQ(back.key, i.key);
  EXPECT_EQ(back.technique, Technique::seed002);
}

TEST(Frames, NoAnswerIsLongerThanItsRequest) {
  const std::string name(kMaxName, 'n');
  const auto keys = keys_of(name);
  const size_t connect = encode(header(), Connect{"p", {}, 1}, name, keys, nonce(1)).size();
  EXPECT_EQ(connect, kRequestSize);
  Registered registered;
  registered.observed = at("[2001:db8::1]:4000");
  registered.endpoints.fill(registered.observed);
  Listed listed;
  for (size_t i = 0; i < 40; ++i) {
    listed.devices.push_back({std::string(kMaxName, 'd'), registered.observed, {}, {}});
  }
  const auto size = [&](const Reply& reply) {
    return encode(ReplyHeader{}, reply, name, keys, nonce(3)).size();
  };
  EXPECT_LE(size(largest_introduction()), connect);
  EXPECT_LE(size(registered), connect);
  EXPECT_LE(size(Challenge{}), connect);
  EXPECT_LE(size(PeerReport{}), connect);
  EXPECT_LE(size(listed), encode(header(), List{}, name, keys, nonce(1)).size());
  EXPECT_LE(size(listed), kMaxFrame);
}

TEST(Frames, NothingSecretTravelsInTheClear) {
  const auto keys = keys_of("a");
  Introduction i = largest_introduction();
  const net::Buffer frame = encode(ReplyHeader{}, i, "a", keys, nonce(4));
  const std::string text(frame.begin(), frame.end());
  EXPECT_EQ(text.find(i.peer), std::string::npos);
  EXPECT_EQ(text.find(std::string(32, '\x09')), std::string::npos);
}

TEST(Frames, EveryCutAndEveryChangedByteIsRefused) {
  const auto keys = keys_of("dev");
  const net::Buffer frame = encode(header(), Connect{"peer", {}, 7}, "dev", keys, nonce(5));
  const auto opens = [&](const net::Buffer& bytes) {
    const auto envelope = open_envelope(bytes);
    return envelope.ok() && decode_request(*envelope, keys).ok();
  };
  ASSERT_TRUE(opens(frame));
  for (size_t length = 0; length < frame.size(); ++length) {
    EXPECT_FALSE(opens(net::Buffer(frame.begin(), frame.begin() + static_cast<long>(length))));
  }
  for (size_t i = 0; i < frame.size(); ++i) {
    net::Buffer changed = frame;
    changed[i] ^= 0x40;
    EXPECT_FALSE(opens(changed)) << "byte " << i;
  }
}

TEST(Frames, AFrameCannotBeTurnedRoundOrTakenForAnothers) {
  const auto keys = keys_of("a");
  net::Buffer frame = encode(header(), Acknowledge{5}, "a", keys, nonce(6));
  EXPECT_FALSE(decode_reply(*open_envelope(frame), keys).ok());
  EXPECT_EQ(decode_request(*open_envelope(frame), keys_of("b")).error(), net::Error::not_permitted);
  EXPECT_EQ(decode_request(*open_envelope(frame), device_keys(net::as_bytes("other"), "a")).error(),
            net::Error::not_permitted);
}

TEST(Frames, RandomBytesNeverOpenAndNeverCrash) {
  net::Random random(3);
  const auto keys = keys_of("a");
  for (int i = 0; i < 20000; ++i) {
    net::Buffer bytes(random.below(400));
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(random.next());
    if (bytes.size() > 3) bytes[0] = kFirstByte, bytes[2] = 1;
    const auto envelope = open_envelope(bytes);
    if (!envelope.ok()) continue;
    EXPECT_FALSE(decode_request(*envelope, keys).ok());
    EXPECT_FALSE(decode_reply(*envelope, keys).ok());
  }
}

TEST(Frames, SealedNonsenseIsMalformedNotACrash) {
  // Whoever holds the key can still send bodies cut short: nobody but the device itself suffers.
  const auto keys = keys_of("a");
  net::Random random(4);
  for (int i = 0; i < 3000; ++i) {
    net::Buffer body(random.below(120));
    for (uint8_t& b : body) b = static_cast<uint8_t>(random.next());
    const auto type = static_cast<uint8_t>(random.below(24));
    net::Buffer head{kFirstByte, type, 1, 'a'};
    const bool up = from_device(static_cast<FrameType>(type));
    const net::Buffer sealed =
        net::seal(up ? keys.to_server : keys.to_device, nonce(7), head, body);
    net::Buffer frame = head;
    frame.insert(frame.end(), 24, 7);
    frame.insert(frame.end(), sealed.begin(), sealed.end());
    const auto envelope = open_envelope(frame);
    ASSERT_TRUE(envelope.ok());
    if (up) {
      decode_request(*envelope, keys);
    } else {
      decode_reply(*envelope, keys);
    }
  }
}

TEST(ReplayWindow, TakesEveryNumberOnceInAnyOrderWithin64) {
  ReplayWindow window;
  EXPECT_FALSE(window.accept(0));
  for (const uint64_t n : {5, 3, 4, 70, 69, 7}) EXPECT_TRUE(window.accept(n)) << n;
  for (const uint64_t n : {5, 3, 70, 6, 1}) EXPECT_FALSE(window.accept(n)) << n;
  EXPECT_TRUE(window.accept(1u << 30));
  EXPECT_FALSE(window.accept(70));
}

}  // namespace
}  // namespace culvert::rendezvous
