// Requests and responses survive the way through a real PUBLISH in both versions.
#include "model/request/wire.h"

#include <gtest/gtest.h>

#include "model/mqtt/codec.h"

namespace culvert::request {
namespace {

using mqtt::Version;

// The message as the subscriber decodes it. The buffer keeps the views alive.
struct Arrived {
  net::Buffer bytes;
  mqtt::Publish publish;
};
Arrived through(const mqtt::OutgoingMessage& message, Version version) {
  mqtt::Publish out;
  out.topic = message.topic;
  out.payload = message.payload;
  out.properties.expiry_s = message.properties.expiry_s;
  out.properties.content_type = message.properties.content_type;
  if (message.properties.response_topic)
    out.properties.response_topic = *message.properties.response_topic;
  if (message.properties.correlation_data)
    out.properties.correlation_data = net::Bytes(*message.properties.correlation_data);
  for (const auto& [name, value] : message.properties.user)
    out.properties.user.push_back({name, value});
  Arrived arrived;
  EXPECT_TRUE(mqtt::encode(out, version, arrived.bytes));
  mqtt::Fault fault;
  EXPECT_EQ(mqtt::decode_publish(arrived.bytes, version, arrived.publish, fault), nullptr);
  return arrived;
}

class BothVersions : public ::testing::TestWithParam<Version> {};
INSTANTIATE_TEST_SUITE_P(Wire, BothVersions, ::testing::Values(Version::v311, Version::v5));

TEST_P(BothVersions, ARequestArrivesWhole) {
  RequestFrame frame;
  frame.sequence = {0xDEADBEEF, 7};
  frame.method = "POST";
  frame.reply_to = "replies/me";
  frame.deadline_ms = 1500;
  frame.attempt = 2;
  frame.content_type = "application/json";
  frame.body = net::as_bytes("{\"x\":1}");
  const auto message = to_message(frame, GetParam(), "home/valve", 1);
  ASSERT_TRUE(message);
  const Arrived arrived = through(*message, GetParam());
  const auto read = read_request(arrived.publish);
  ASSERT_TRUE(read) << read.status().to_string();
  EXPECT_EQ(read->sequence, frame.sequence);
  EXPECT_EQ(read->method, "POST");
  EXPECT_EQ(read->reply_to, "replies/me");
  EXPECT_EQ(read->deadline_ms, 1500u);
  EXPECT_EQ(read->attempt, 2);
  EXPECT_EQ(read->content_type, "application/json");
  EXPECT_EQ(net::as_text(read->body), "{\"x\":1}");
}

TEST_P(BothVersions, AResponseArrivesWhole) {
  ResponseFrame frame;
  frame.sequence = {1, 0xFFFFFFFF};
  frame.status = 404;
  frame.content_type = "text/plain";
  frame.body = net::as_bytes("no");
  const auto message = to_message(frame, GetParam(), "replies/me", 0);
  ASSERT_TRUE(message);
  const Arrived arrived = through(*message, GetParam());
  const auto read = read_response(arrived.publish);
  ASSERT_TRUE(read) << read.status().to_string();
  EXPECT_EQ(read->sequence, frame.sequence);
  EXPECT_EQ(read->status, 404);
  EXPECT_EQ(read->content_type, "text/plain");
  EXPECT_EQ(net::as_text(read->body), "no");
}

TEST(Wire, TheDeadlineIsTheMessageExpiryToo) {
  RequestFrame frame;
  frame.reply_to = "r";
  frame.deadline_ms = 1001;
  EXPECT_EQ(to_message(frame, Version::v5, "t", 0)->properties.expiry_s, 2u);
  frame.deadline_ms = 1000;
  EXPECT_EQ(to_message(frame, Version::v5, "t", 0)->properties.expiry_s, 1u);
  frame.deadline_ms = 0;
  EXPECT_FALSE(to_message(frame, Version::v5, "t", 0)->properties.expiry_s);
}

TEST(Wire, ACutHeaderIsRefusedAtEveryLength) {
  RequestFrame frame;
  frame.reply_to = "replies/me";
  frame.method = "GET";
  const auto message = to_message(frame, Version::v311, "t", 0);
  for (size_t size = 0; size < message->payload.size(); ++size) {
    mqtt::Publish publish;
    publish.payload = net::Bytes(message->payload).first(size);
    EXPECT_FALSE(read_request(publish)) << size;
  }
}

TEST(Wire, WhatIsNoRequestIsRefused) {
  mqtt::Publish publish;
  publish.payload = net::as_bytes("21.5");
  EXPECT_FALSE(read_request(publish));
  EXPECT_FALSE(read_response(publish));
}

// mosquitto_rr, say: a response topic, and correlation data of its own or none.
TEST(Wire, AnotherProgramsRequestGetsItsOwnCorrelationDataBack) {
  mqtt::Publish publish;
  publish.payload = net::as_bytes("21.5");
  publish.properties.response_topic = "r";
  const auto bare = read_request(publish);
  ASSERT_TRUE(bare) << bare.status().to_string();
  EXPECT_TRUE(bare->plain);
  EXPECT_FALSE(bare->correlation);

  const net::Buffer correlation(5, 1);
  publish.properties.correlation_data = net::Bytes(correlation);
  const auto read = read_request(publish);
  ASSERT_TRUE(read) << read.status().to_string();
  EXPECT_EQ(read->reply_to, "r");
  EXPECT_EQ(net::as_text(read->body), "21.5");
  ResponseFrame frame;
  frame.plain = read->plain;
  frame.correlation = read->correlation;
  EXPECT_EQ(to_message(frame, Version::v5, "r", 0)->properties.correlation_data, correlation);
  frame.correlation.reset();
  EXPECT_FALSE(to_message(frame, Version::v5, "r", 0)->properties.correlation_data);
}

TEST(Wire, ADeadlineThatIsNoNumberIsRefused) {
  const net::Buffer correlation(8, 1);
  mqtt::Publish publish;
  publish.properties.correlation_data = net::Bytes(correlation);
  publish.properties.response_topic = "r";
  publish.properties.user.push_back({"deadline-ms", "soon"});
  EXPECT_FALSE(read_request(publish));
}

TEST(Wire, WhatDoesNotFitIsRefused) {
  RequestFrame frame;
  EXPECT_EQ(to_message(frame, Version::v5, "t", 0).error(), net::Error::invalid);  // no reply_to
  frame.reply_to = "r";
  const std::string long_method(256, 'M');
  frame.method = long_method;
  EXPECT_EQ(to_message(frame, Version::v311, "t", 0).error(), net::Error::too_big);
}

}  // namespace
}  // namespace culvert::request
