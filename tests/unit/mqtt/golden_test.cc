// Packets written out by hand: what they decode to, and that they encode to the same bytes.
#include <gtest/gtest.h>

#include <deque>

#include "model/mqtt/codec.h"
#include "tests/unit/mqtt/bytes.h"

namespace culvert::mqtt {
namespace {

using testing::bytes;

// The packet in the bytes, which are kept: a packet's texts are views.
template <class T>
T read(net::Buffer given, Version version = Version::v5, Side sender = Side::client) {
  static std::deque<net::Buffer> kept;
  const net::Buffer& input = kept.emplace_back(std::move(given));
  const auto result = decode(input, version, sender);
  if (const auto* fault = std::get_if<Fault>(&result)) {
    ADD_FAILURE() << fault->why;
    return {};
  }
  const auto* packet = std::get_if<T>(&std::get<Packet>(result));
  if (!packet) {
    ADD_FAILURE() << "another packet";
    return {};
  }
  net::Buffer again;
  EXPECT_TRUE(encode(Packet(*packet), version, again).ok());
  EXPECT_EQ(again, input) << "the same bytes again";
  return *packet;
}

TEST(Golden, Connect311) {
  const auto input = bytes(
      "10 29 0004 'MQTT' 04 ee 000a 0003 'cli' 0006 'will/t' 0004 'gone' 0004 'user' 0004 'pass'");
  const auto packet = read<Connect>(input, Version::v5);
  EXPECT_EQ(packet.version, Version::v311);
  EXPECT_TRUE(packet.clean_start);
  EXPECT_EQ(packet.keep_alive_s, 10);
  EXPECT_EQ(packet.client_id, "cli");
  ASSERT_TRUE(packet.will);
  EXPECT_EQ(packet.will->topic, "will/t");
  EXPECT_EQ(net::as_text(packet.will->payload), "gone");
  EXPECT_EQ(packet.will->qos, 1);
  EXPECT_TRUE(packet.will->retain);
  EXPECT_EQ(packet.user_name, "user");
  EXPECT_EQ(net::as_text(*packet.password), "pass");
}

TEST(Golden, Connect5WithEverything) {
  const auto input = bytes(
      "10 74 0004 'MQTT' 05 d4 003c"
      "29 11 ffffffff 21 0014 27 00010000 22 000a 19 01 17 00 15 0005 'SCRAM' 16 0003 010203"
      "26 0001 'k' 0001 'v'"
      "0003 'cli'"
      "27 18 00000005 01 01 02 0000003c 03 0004 'text' 08 0005 're/ly' 09 0002 beef"
      "26 0001 'a' 0001 'b'"
      "0004 'will' 0003 'bye'"
      "0002 'me' 0002 0001");
  const auto packet = read<Connect>(input);
  EXPECT_EQ(packet.version, Version::v5);
  EXPECT_FALSE(packet.clean_start);
  EXPECT_EQ(packet.keep_alive_s, 60);
  EXPECT_EQ(packet.session_expiry_s, 0xFFFFFFFFu);
  EXPECT_EQ(packet.receive_maximum, 20);
  EXPECT_EQ(packet.maximum_packet_size, 65536u);
  EXPECT_EQ(packet.topic_alias_maximum, 10);
  EXPECT_TRUE(packet.request_response_information);
  EXPECT_FALSE(packet.request_problem_information);
  EXPECT_EQ(packet.authentication_method, "SCRAM");
  EXPECT_EQ(packet.authentication_data->size(), 3u);
  ASSERT_EQ(packet.user.size(), 1u);
  EXPECT_EQ(packet.user[0].value, "v");
  ASSERT_TRUE(packet.will);
  EXPECT_EQ(packet.will->qos, 2);
  EXPECT_FALSE(packet.will->retain);
  EXPECT_EQ(packet.will->delay_s, 5u);
  EXPECT_TRUE(packet.will->properties.utf8_payload);
  EXPECT_EQ(packet.will->properties.expiry_s, 60u);
  EXPECT_EQ(packet.will->properties.content_type, "text");
  EXPECT_EQ(packet.will->properties.response_topic, "re/ly");
  EXPECT_EQ(packet.will->properties.correlation_data->size(), 2u);
  EXPECT_EQ(packet.will->properties.user[0].name, "a");
  EXPECT_EQ(packet.password->size(), 2u);
}

TEST(Golden, ConnAck) {
  EXPECT_TRUE(read<ConnAck>(bytes("20 02 01 00"), Version::v311, Side::server).session_present);
  EXPECT_EQ(read<ConnAck>(bytes("20 02 00 04"), Version::v311, Side::server).reason,
            Reason::bad_user_name_or_password);
  const auto input = bytes(
      "20 47 00 00 44 11 00000e10 21 0064 24 01 25 00 27 00100000 12 0004 'id-7' 22 0040"
      "1f 0002 'ok' 28 00 29 00 2a 00 13 0078 1a 0003 'rsp' 1c 0003 'srv' 15 0001 'm' 16 0001 01"
      "26 0001 'k' 0001 'v'");
  const auto packet = read<ConnAck>(input, Version::v5, Side::server);
  EXPECT_EQ(packet.session_expiry_s, 3600u);
  EXPECT_EQ(packet.receive_maximum, 100);
  EXPECT_EQ(packet.maximum_qos, 1);
  EXPECT_FALSE(packet.retain_available);
  EXPECT_EQ(packet.maximum_packet_size, 1048576u);
  EXPECT_EQ(packet.assigned_client_id, "id-7");
  EXPECT_EQ(packet.topic_alias_maximum, 64);
  EXPECT_EQ(packet.reason_string, "ok");
  EXPECT_FALSE(packet.wildcards_available || packet.subscription_ids_available ||
               packet.shared_available);
  EXPECT_EQ(packet.server_keep_alive_s, 120);
  EXPECT_EQ(packet.response_information, "rsp");
  EXPECT_EQ(packet.server_reference, "srv");
  EXPECT_EQ(packet.authentication_method, "m");
  EXPECT_EQ(packet.authentication_data->size(), 1u);
  EXPECT_EQ(packet.user.size(), 1u);
}

TEST(Golden, Publish) {
  const auto old = read<Publish>(bytes("3d 0a 0003 'a/b' 000a 'xyz'"), Version::v311);
  EXPECT_TRUE(old.dup);
  EXPECT_TRUE(old.retain);
  EXPECT_EQ(old.qos, 2);
  EXPECT_EQ(old.packet_id, 10);
  EXPECT_EQ(old.topic, "a/b");
  EXPECT_EQ(net::as_text(old.payload), "xyz");

  const auto input = bytes(
      "32 2c 0001 't' 1234"
      "23 01 01 02 0000000a 23 0007 08 0001 'r' 09 0002 cafe 26 0001 'k' 0001 'v' 0b 01 0b 80 01"
      "03 0001 'c' 'pay'");
  const auto packet = read<Publish>(input, Version::v5, Side::server);
  EXPECT_EQ(packet.packet_id, 0x1234);
  EXPECT_TRUE(packet.properties.utf8_payload);
  EXPECT_EQ(packet.properties.expiry_s, 10u);
  EXPECT_EQ(packet.topic_alias, 7);
  EXPECT_EQ(packet.properties.response_topic, "r");
  EXPECT_EQ(packet.properties.correlation_data->size(), 2u);
  ASSERT_EQ(packet.subscription_ids.size(), 2u);
  EXPECT_EQ(packet.subscription_ids[0], 1u);
  EXPECT_EQ(packet.subscription_ids[1], 128u);
  EXPECT_EQ(packet.properties.content_type, "c");
  EXPECT_EQ(net::as_text(packet.payload), "pay");
  EXPECT_EQ(encoded_size(packet, Version::v5), input.size());

  const auto empty = read<Publish>(bytes("30 06 0000 03 23 0001"));
  EXPECT_TRUE(empty.topic.empty());
  EXPECT_TRUE(empty.payload.empty());
}

TEST(Golden, Acks) {
  const auto plain = read<Ack>(bytes("40 02 0001"));
  EXPECT_EQ(plain.type, Type::puback);
  EXPECT_EQ(plain.reason, Reason::success);
  EXPECT_EQ(read<Ack>(bytes("50 02 ffff"), Version::v311).packet_id, 65535);
  EXPECT_EQ(read<Ack>(bytes("50 03 0002 97")).reason, Reason::quota_exceeded);
  EXPECT_EQ(read<Ack>(bytes("62 03 0002 92")).type, Type::pubrel);
  const auto full = read<Ack>(bytes("70 10 0003 92 0c 1f 0002 'no' 26 0001 'k' 0001 'v'"));
  EXPECT_EQ(full.reason_string, "no");
  EXPECT_EQ(full.user.size(), 1u);
}

TEST(Golden, Subscribe) {
  const auto old = read<Subscribe>(bytes("82 0a 0001 0001 'a' 00 0001 'b' 02"), Version::v311);
  ASSERT_EQ(old.entries.size(), 2u);
  EXPECT_EQ(old.entries[1].filter, "b");
  EXPECT_EQ(old.entries[1].options.qos, 2);
  const auto packet =
      read<Subscribe>(bytes("82 11 0002 0a 0b 80 01 26 0001 'k' 0001 'v' 0001 '#' 2d"));
  EXPECT_EQ(packet.subscription_id, 128u);
  const SubscriptionOptions& options = packet.entries[0].options;
  EXPECT_EQ(options.qos, 1);
  EXPECT_TRUE(options.no_local);
  EXPECT_TRUE(options.retain_as_published);
  EXPECT_EQ(options.retain_handling, 2);
}

TEST(Golden, SubAckAndUnsubAck) {
  const auto old = read<SubAck>(bytes("90 04 0001 02 80"), Version::v311, Side::server);
  ASSERT_EQ(old.reasons.size(), 2u);
  EXPECT_EQ(old.reasons[1], Reason::unspecified_error);
  const auto packet =
      read<SubAck>(bytes("90 0a 0001 05 1f 0002 'no' 00 87"), Version::v5, Side::server);
  EXPECT_EQ(packet.reasons[1], Reason::not_authorized);
  EXPECT_EQ(packet.reason_string, "no");
  EXPECT_EQ(read<SubAck>(bytes("b0 02 0007"), Version::v311, Side::server).packet_id, 7);
  EXPECT_EQ(read<SubAck>(bytes("b0 05 0007 00 00 11"), Version::v5, Side::server).reasons[1],
            Reason::no_subscription_existed);
}

TEST(Golden, Unsubscribe) {
  EXPECT_EQ(read<Unsubscribe>(bytes("a2 08 0001 0001 'a' 0001 'b'"), Version::v311).filters.size(),
            2u);
  const auto packet = read<Unsubscribe>(bytes("a2 0d 0001 07 26 0001 'k' 0001 'v' 0001 'a'"));
  EXPECT_EQ(packet.filters[0], "a");
  EXPECT_EQ(packet.user.size(), 1u);
}

TEST(Golden, Ping) {
  EXPECT_EQ(read<Ping>(bytes("c0 00")).type, Type::pingreq);
  EXPECT_EQ(read<Ping>(bytes("d0 00"), Version::v311, Side::server).type, Type::pingresp);
}

TEST(Golden, Disconnect) {
  EXPECT_EQ(read<Disconnect>(bytes("e0 00"), Version::v311).reason, Reason::success);
  EXPECT_EQ(read<Disconnect>(bytes("e0 00")).reason, Reason::success);
  EXPECT_EQ(read<Disconnect>(bytes("e0 01 04")).reason, Reason::disconnect_with_will);
  EXPECT_EQ(read<Disconnect>(bytes("e0 07 00 05 11 00000e10")).session_expiry_s, 3600u);
  const auto packet =
      read<Disconnect>(bytes("e0 13 9d 11 1f 0002 'go' 1c 0002 'at' 26 0001 'k' 0001 'v'"),
                       Version::v5, Side::server);
  EXPECT_EQ(packet.reason, Reason::server_moved);
  EXPECT_EQ(packet.server_reference, "at");
}

TEST(Golden, Auth) {
  const auto packet = read<Auth>(bytes("f0 0c 18 0a 15 0002 'sc' 16 0002 0102"));
  EXPECT_EQ(packet.reason, Reason::continue_authentication);
  EXPECT_EQ(packet.authentication_method, "sc");
  EXPECT_EQ(packet.authentication_data->size(), 2u);
  EXPECT_EQ(read<Auth>(bytes("f0 00"), Version::v5, Side::server).reason, Reason::success);
}

}  // namespace
}  // namespace culvert::mqtt
