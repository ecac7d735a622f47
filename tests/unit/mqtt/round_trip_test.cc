// Packets made from seeds: encoded, decoded and encoded again they are the same, and what encode
// cannot write it refuses without a trace.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "model/mqtt/codec.h"
#include "model/net/random.h"

namespace culvert::mqtt {
namespace {

// Draws packets; keeps the texts that they view.
class Maker {
 public:
  Maker(uint64_t seed, Version version) : random_(seed), version_(version) {}

  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(random_.next() % limit); }
  bool coin() { return below(2) == 1; }
  std::string_view text(size_t least = 0, size_t most = 40) {
    std::string made(least + below(static_cast<uint32_t>(most - least + 1)), 'x');
    for (char& c : made) c = static_cast<char>('a' + below(26));
    if (made.size() > 3 && coin()) made.replace(1, 2, "\xC3\xA9");
    if (made.size() > 8 && coin()) made[4] = '/';
    texts_.push_back(std::make_unique<std::string>(std::move(made)));
    return *texts_.back();
  }
  Bytes data(size_t most = 40) {
    std::string made(below(static_cast<uint32_t>(most + 1)), '\0');
    for (char& c : made) c = static_cast<char>(below(256));
    texts_.push_back(std::make_unique<std::string>(std::move(made)));
    return net::as_bytes(*texts_.back());
  }
  uint16_t id() { return static_cast<uint16_t>(1 + below(65535)); }
  Few<UserProperty> user() {
    Few<UserProperty> all;
    if (!five()) return all;
    for (uint32_t i = below(4); i > 0; --i) all.push_back({text(), text(0, 200)});
    return all;
  }
  bool five() const { return version_ == Version::v5; }
  bool maybe() { return five() && coin(); }
  MessageProperties message() {
    MessageProperties p;
    p.utf8_payload = maybe();
    if (maybe()) p.expiry_s = below(1'000'000);
    if (maybe()) p.content_type = text();
    if (maybe()) p.response_topic = text(1);
    if (maybe()) p.correlation_data = data(300);
    p.user = user();
    return p;
  }

  Packet packet(int kind) {
    switch (kind) {
      case 0: {
        Connect c;
        c.version = version_;
        c.clean_start = coin();
        c.keep_alive_s = id();
        c.client_id = text(1);
        if (coin()) {
          Will& w = c.will.emplace();
          w.topic = text(1);
          w.payload = data();
          w.qos = static_cast<uint8_t>(below(3));
          w.retain = coin();
          if (five()) w.delay_s = below(100);
          w.properties = message();
        }
        if (coin()) c.user_name = text();
        if ((five() || c.user_name) && coin()) c.password = data();
        if (maybe()) c.session_expiry_s = below(0xFFFFFFFF);
        if (maybe()) c.receive_maximum = id();
        if (maybe()) c.maximum_packet_size = 1 + below(1'000'000);
        if (maybe()) c.topic_alias_maximum = id();
        c.request_response_information = maybe();
        c.request_problem_information = !maybe();
        if (maybe()) c.authentication_method = text();
        if (c.authentication_method && coin()) c.authentication_data = data();
        c.user = user();
        return c;
      }
      case 1: {
        ConnAck c;
        c.session_present = coin();
        if (maybe()) c.session_expiry_s = below(100);
        if (maybe()) c.receive_maximum = id();
        if (maybe()) c.maximum_qos = static_cast<uint8_t>(below(2));
        c.retain_available = !maybe();
        if (maybe()) c.maximum_packet_size = 1 + below(1'000'000);
        if (maybe()) c.assigned_client_id = text();
        if (maybe()) c.topic_alias_maximum = id();
        if (maybe()) c.reason_string = text();
        c.wildcards_available = !maybe();
        c.subscription_ids_available = !maybe();
        c.shared_available = !maybe();
        if (maybe()) c.server_keep_alive_s = id();
        if (maybe()) c.response_information = text();
        if (maybe()) c.server_reference = text();
        if (maybe()) c.authentication_method = text();
        if (c.authentication_method && coin()) c.authentication_data = data();
        c.user = user();
        return c;
      }
      case 2: {
        Publish p;
        p.qos = static_cast<uint8_t>(below(3));
        p.dup = p.qos > 0 && coin();
        p.retain = coin();
        if (p.qos > 0) p.packet_id = id();
        p.topic_alias = maybe() ? id() : 0;
        p.topic = text(p.topic_alias ? 0 : 1);
        p.payload = data(300);
        if (five())
          for (uint32_t i = below(3); i > 0; --i)
            p.subscription_ids.push_back(1 + below(268'435'455));
        p.properties = message();
        return p;
      }
      case 3: {
        Ack a;
        a.type = static_cast<Type>(4 + below(4));
        a.packet_id = id();
        if (maybe())
          a.reason = a.type == Type::puback || a.type == Type::pubrec
                         ? Reason::quota_exceeded
                         : Reason::packet_identifier_not_found;
        if (maybe()) a.reason_string = text();
        a.user = user();
        return a;
      }
      case 4: {
        Subscribe s;
        s.packet_id = id();
        if (maybe()) s.subscription_id = 1 + below(268'435'455);
        for (uint32_t i = 1 + below(5); i > 0; --i) {
          SubscriptionOptions o;
          o.qos = static_cast<uint8_t>(below(3));
          o.no_local = maybe();
          o.retain_as_published = maybe();
          if (five()) o.retain_handling = static_cast<uint8_t>(below(3));
          s.entries.push_back({text(1), o});
        }
        s.user = user();
        return s;
      }
      case 5: {
        SubAck s;
        s.type = coin() ? Type::suback : Type::unsuback;
        s.packet_id = id();
        if (five() || s.type == Type::suback)
          for (uint32_t i = 1 + below(5); i > 0; --i)
            s.reasons.push_back(coin() ? Reason::success : Reason::unspecified_error);
        if (maybe()) s.reason_string = text();
        s.user = user();
        return s;
      }
      case 6: {
        Unsubscribe u;
        u.packet_id = id();
        for (uint32_t i = 1 + below(5); i > 0; --i) u.filters.push_back(text(1));
        u.user = user();
        return u;
      }
      case 7:
        return Ping{coin() ? Type::pingreq : Type::pingresp};
      case 8: {
        Disconnect d;
        if (maybe()) d.reason = Reason::quota_exceeded;
        if (maybe()) d.session_expiry_s = below(100);
        if (maybe()) d.reason_string = text();
        d.user = user();
        return d;
      }
      default: {
        Auth a;
        a.reason = Reason::continue_authentication;
        a.authentication_method = text();
        if (coin()) a.authentication_data = data();
        if (coin()) a.reason_string = text();
        a.user = user();
        return a;
      }
    }
  }

 private:
  net::Random random_;
  Version version_;
  std::vector<std::unique_ptr<std::string>> texts_;
};

Side sender_of(const net::Buffer& packet) {
  switch (static_cast<Type>(packet[0] >> 4)) {
    case Type::connack:
    case Type::suback:
    case Type::unsuback:
    case Type::pingresp:
      return Side::server;
    case Type::publish:
      return Side::server;  // for its subscription identifiers
    default:
      return Side::client;
  }
}

TEST(RoundTrip, EveryPacketInBothVersions) {
  for (const Version version : {Version::v311, Version::v5}) {
    for (int kind = 0; kind < (version == Version::v5 ? 10 : 9); ++kind) {
      for (uint64_t seed = 1; seed <= 300; ++seed) {
        Maker maker(seed * 64 + static_cast<uint64_t>(kind), version);
        const Packet packet = maker.packet(kind);
        net::Buffer first{0xAA};  // what is there before stays
        ASSERT_TRUE(encode(packet, version, first).ok());
        ASSERT_EQ(first[0], 0xAA);
        first.erase(first.begin());
        const auto frame = next_frame(first, 268'435'460, sender_of(first));
        ASSERT_TRUE(std::holds_alternative<Frame>(frame)) << kind << " " << seed;
        ASSERT_EQ(std::get<Frame>(frame).size, first.size()) << kind << " " << seed;
        const auto decoded = decode(first, version, sender_of(first));
        ASSERT_TRUE(std::holds_alternative<Packet>(decoded))
            << kind << " " << seed << " " << std::get<Fault>(decoded).why;
        ASSERT_EQ(std::get<Packet>(decoded).index(), packet.index());
        net::Buffer second;
        ASSERT_TRUE(encode(std::get<Packet>(decoded), version, second).ok());
        ASSERT_EQ(first, second) << kind << " " << seed;
        // Cut anywhere, it is a fault and never a packet.
        for (size_t size = 0; size < first.size(); size += 1 + first.size() / 40) {
          const net::Buffer part(first.begin(), first.begin() + static_cast<ptrdiff_t>(size));
          ASSERT_TRUE(std::holds_alternative<Fault>(decode(part, version, sender_of(first))));
        }
      }
    }
  }
}

TEST(RoundTrip, TheFastPathSaysTheSame) {
  Publish reused;
  for (const Version version : {Version::v311, Version::v5}) {
    for (uint64_t seed = 1; seed <= 500; ++seed) {
      Maker maker(seed, version);
      const Packet packet = maker.packet(2);
      const auto& publish = std::get<Publish>(packet);
      net::Buffer slow, fast, again;
      ASSERT_TRUE(encode(packet, version, slow).ok());
      ASSERT_TRUE(encode(publish, version, fast).ok());
      ASSERT_EQ(slow, fast);
      ASSERT_EQ(encoded_size(publish, version), fast.size());
      Fault fault;
      ASSERT_EQ(decode_publish(fast, version, reused, fault), nullptr) << fault.why;
      ASSERT_TRUE(encode(reused, version, again).ok());
      ASSERT_EQ(again, fast) << "nothing is left of the packet before: " << seed;
    }
  }
}

TEST(Encode, LeavesOutWhat311DoesNotHave) {
  Publish publish;
  publish.topic = "a";
  publish.topic_alias = 3;
  publish.properties.expiry_s = 9;
  publish.properties.user.push_back({"k", "v"});
  net::Buffer out;
  ASSERT_TRUE(encode(publish, Version::v311, out).ok());
  EXPECT_EQ(out, (net::Buffer{0x30, 3, 0, 1, 'a'}));
  out.clear();
  Ack ack{Type::pubrec, 1, Reason::quota_exceeded, "full", {}};
  ASSERT_TRUE(encode(ack, Version::v311, out).ok());
  EXPECT_EQ(out, (net::Buffer{0x50, 2, 0, 1}));
  out.clear();
  SubAck suback;
  suback.packet_id = 1;
  suback.reasons = {Reason::granted_qos1, Reason::not_authorized};
  ASSERT_TRUE(encode(suback, Version::v311, out).ok());
  EXPECT_EQ(out, (net::Buffer{0x90, 4, 0, 1, 1, 0x80}));
  out.clear();
  suback.type = Type::unsuback;
  ASSERT_TRUE(encode(suback, Version::v311, out).ok());
  EXPECT_EQ(out, (net::Buffer{0xB0, 2, 0, 1}));
  out.clear();
  ASSERT_TRUE(encode(Disconnect{Reason::server_busy, 5, "no", {}, {}}, Version::v311, out).ok());
  EXPECT_EQ(out, (net::Buffer{0xE0, 0}));
  out.clear();
  ASSERT_TRUE(encode(ConnAck{false, Reason::server_busy}, Version::v311, out).ok());
  EXPECT_EQ(out, (net::Buffer{0x20, 2, 0, 3}));
  EXPECT_EQ(encode(Auth{}, Version::v311, out).error, net::Error::unsupported);
}

TEST(Encode, RefusesWhatDoesNotFitAndLeavesNothing) {
  const std::string fits(65535, 'x'), longer(65536, 'x');
  const net::Buffer before{1, 2, 3};
  net::Buffer out = before;
  Publish publish;
  publish.topic = longer;
  EXPECT_EQ(encode(publish, Version::v5, out).error, net::Error::too_big);
  EXPECT_EQ(encoded_size(publish, Version::v5), 0u);
  publish.topic = fits;
  publish.properties.content_type = longer;
  EXPECT_EQ(encode(publish, Version::v5, out).error, net::Error::too_big);
  publish.properties.content_type = {};
  publish.properties.user.push_back({"k", longer});
  EXPECT_EQ(encode(publish, Version::v5, out).error, net::Error::too_big);
  publish.properties.user.clear();
  const net::Buffer huge(268'435'456 - 2 - 65535);
  publish.payload = huge;
  EXPECT_EQ(encode(publish, Version::v311, out).error, net::Error::too_big);
  EXPECT_EQ(out, before);
  publish.payload = Bytes(huge).subspan(1);
  EXPECT_EQ(encoded_size(publish, Version::v311), 268'435'460u) << "the largest packet there is";

  Unsubscribe unsubscribe;
  unsubscribe.packet_id = 1;
  unsubscribe.filters = {"a", longer};
  EXPECT_EQ(encode(Packet(unsubscribe), Version::v5, out).error, net::Error::too_big);
  Connect connect;
  connect.user.push_back({longer, "v"});
  EXPECT_EQ(encode(Packet(connect), Version::v5, out).error, net::Error::too_big);
  Ack ack;
  ack.packet_id = 1;
  ack.reason_string = longer;
  EXPECT_EQ(encode(ack, Version::v5, out).error, net::Error::too_big);
  EXPECT_EQ(out, before);
}

}  // namespace
}  // namespace culvert::mqtt
