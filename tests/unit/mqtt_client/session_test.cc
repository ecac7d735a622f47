// Messages both ways over a connection, against a broker of which the test is every word.
#include "tests/unit/mqtt_client/script.h"

namespace culvert::mqtt {
namespace {

class Session : public ::testing::TestWithParam<Version> {
 protected:
  Session() : broker(GetParam()) {}
  void begin(ClientOptions options, bool present = false, ConnAck ack = {}) {
    client = std::make_unique<Client>(broker.lone.host, options, broker.connector());
    client->on_message([this](const IncomingMessage& m) {
      heard.emplace_back(net::as_text(m.publish.payload));
      topics.emplace_back(m.publish.topic);
      token = m.token;
    });
    client->on_lost([this](const Client::Lost& l) {
      lost_reasons.push_back(l.reason);
      last_status = l.status;
    });
    client->start();
    broker.welcome(present, ack);
    broker.lone.run_for(20ms);
  }
  void publish(std::string_view payload, uint8_t qos) {
    ASSERT_TRUE(client
                    ->publish(message("t", payload, qos),
                              [this](const PublishOutcome& o) { outcomes.push_back(o); })
                    .ok());
  }
  // The client comes back after a cut.
  void again(bool present) {
    broker.cut();
    broker.welcome(present);
  }

  Script broker;
  std::unique_ptr<Client> client;
  std::vector<std::string> heard, topics;
  std::vector<PublishOutcome> outcomes;
  std::vector<Reason> lost_reasons;
  net::Status last_status;
  uint64_t token = 0;
};
INSTANTIATE_TEST_SUITE_P(Versions, Session, ::testing::Values(Version::v311, Version::v5),
                         [](const auto& info) {
                           return info.param == Version::v5 ? "v5" : "v311";
                         });

TEST_P(Session, PublishesAtEachQos) {
  begin(quick(GetParam()));
  publish("zero", 0);
  publish("one", 1);
  publish("two", 2);
  EXPECT_TRUE(outcomes.empty()) << "no callback inside the call";
  EXPECT_EQ(net::as_text(broker.next_as<Publish>().payload), "zero");
  EXPECT_EQ(outcomes.size(), 1u);
  const auto one = broker.next_as<Publish>();
  EXPECT_FALSE(one.dup);
  broker.ack(Type::puback, one.packet_id);
  const auto two = broker.next_as<Publish>();
  EXPECT_NE(one.packet_id, two.packet_id);
  broker.ack(Type::pubrec, two.packet_id);
  const auto release = broker.next_as<Ack>();
  EXPECT_EQ(release.type, Type::pubrel);
  EXPECT_EQ(release.packet_id, two.packet_id);
  EXPECT_EQ(outcomes.size(), 2u);
  broker.ack(Type::pubcomp, two.packet_id);
  broker.lone.run_for(20ms);
  ASSERT_EQ(outcomes.size(), 3u);
  for (const auto& outcome : outcomes) EXPECT_TRUE(outcome.status.ok());
  EXPECT_EQ(client->unacknowledged(), 0u);
}

TEST_P(Session, Qos2IsHandedOnAtPublishAndNotAgainUntilPubrel) {
  begin(quick(GetParam()));
  broker.publish(2, 9, "once");
  EXPECT_EQ(broker.next_as<Ack>().type, Type::pubrec);
  EXPECT_EQ(heard.size(), 1u);
  broker.publish(2, 9, "once", true);
  EXPECT_EQ(broker.next_as<Ack>().type, Type::pubrec);
  EXPECT_EQ(heard.size(), 1u);
  broker.ack(Type::pubrel, 9);
  EXPECT_EQ(broker.next_as<Ack>().type, Type::pubcomp);
  broker.publish(2, 9, "another");
  EXPECT_EQ(broker.next_as<Ack>().type, Type::pubrec);
  EXPECT_EQ(heard, (std::vector<std::string>{"once", "another"}));
}

TEST_P(Session, TheOtherWayAtPubrelToo) {
  ClientOptions options = quick(GetParam());
  options.qos2_early = false;
  begin(options);
  broker.publish(2, 9, "once");
  broker.next_as<Ack>();
  broker.publish(2, 9, "once", true);
  broker.next_as<Ack>();
  EXPECT_TRUE(heard.empty());
  broker.ack(Type::pubrel, 9);
  EXPECT_EQ(broker.next_as<Ack>().type, Type::pubcomp);
  EXPECT_EQ(heard, std::vector<std::string>{"once"});
}

TEST_P(Session, ResumedItSendsAgainWithDupAndTheSameIdentifier) {
  begin(lasting(GetParam()));
  publish("one", 1);
  publish("two", 2);
  publish("three", 2);
  const auto one = broker.next_as<Publish>(), two = broker.next_as<Publish>(),
             three = broker.next_as<Publish>();
  broker.ack(Type::pubrec, three.packet_id);
  EXPECT_EQ(broker.next_as<Ack>().type, Type::pubrel);
  again(true);
  const auto release = broker.next_as<Ack>();
  EXPECT_EQ(release.type, Type::pubrel);
  EXPECT_EQ(release.packet_id, three.packet_id);
  for (const uint16_t id : {one.packet_id, two.packet_id}) {
    const auto p = broker.next_as<Publish>();
    EXPECT_TRUE(p.dup);
    EXPECT_EQ(p.packet_id, id);
  }
  EXPECT_TRUE(broker.quiet());
  EXPECT_TRUE(outcomes.empty());
}

TEST_P(Session, LostItIsInDoubtAboutQos2AndNeverSendsItUnderANewIdentifier) {
  begin(lasting(GetParam()));
  publish("two", 2);
  broker.next_as<Publish>();
  publish("one", 1);
  broker.next_as<Publish>();
  again(false);
  const auto p = broker.next_as<Publish>();
  EXPECT_EQ(net::as_text(p.payload), "one");
  EXPECT_FALSE(p.dup) << "a new session has seen nothing";
  EXPECT_TRUE(broker.quiet());
  ASSERT_EQ(outcomes.size(), 1u);
  EXPECT_TRUE(outcomes[0].in_doubt);
}

TEST_P(Session, SubscriptionsAreMadeAnewOnlyWhenTheSessionWasLost) {
  begin(lasting(GetParam()));
  int done = 0;
  client->subscribe({{"a/#", {1}}}, [&](const SubscribeOutcome& o) { done += o.status.ok(); });
  const auto first = broker.next_as<Subscribe>();
  SubAck ack;
  ack.packet_id = first.packet_id;
  ack.reasons.push_back(Reason::granted_qos1);
  broker.send(ack);
  broker.lone.run_for(20ms);
  EXPECT_EQ(done, 1);
  again(true);
  EXPECT_TRUE(broker.quiet());
  again(false);
  const auto second = broker.next_as<Subscribe>();
  ASSERT_EQ(second.entries.size(), 1u);
  EXPECT_EQ(second.entries[0].filter, "a/#");
  EXPECT_EQ(second.entries[0].options.qos, 1);
}

TEST_P(Session, ManualAcknowledgementComesAfterTheHandler) {
  ClientOptions options = lasting(GetParam());
  options.manual_ack = true;
  begin(options);
  broker.publish(1, 3, "one");
  EXPECT_TRUE(broker.quiet());
  ASSERT_NE(token, 0u);
  EXPECT_TRUE(client->acknowledge(token));
  EXPECT_EQ(broker.next_as<Ack>().type, Type::puback);
  broker.publish(2, 4, "two");
  EXPECT_TRUE(broker.quiet());
  const uint64_t kept = token;
  again(true);
  broker.publish(2, 4, "two", true);
  EXPECT_TRUE(broker.quiet()) << "still with the application";
  EXPECT_EQ(heard.size(), 2u);
  EXPECT_TRUE(client->acknowledge(kept));
  EXPECT_EQ(broker.next_as<Ack>().type, Type::pubrec);
  EXPECT_FALSE(client->acknowledge(kept));
}

TEST_P(Session, OfflineTheQueueIsBoundedAndQos0IsNotKept) {
  ClientOptions options = lasting(GetParam());
  options.queued_messages = 3;
  begin(options);
  broker.refuse = true;
  broker.cut();
  broker.lone.run_for(1s);
  for (int i = 0; i < 5; ++i) publish(std::to_string(i), 1);
  publish("zero", 0);
  broker.lone.run_for(20ms);
  ASSERT_EQ(outcomes.size(), 3u);
  EXPECT_EQ(outcomes[0].status.error, net::Error::exhausted);
  EXPECT_EQ(outcomes[2].status.error, net::Error::closed);
  broker.refuse = false;
  broker.welcome(true);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(net::as_text(broker.next_as<Publish>().payload), std::to_string(i));
  EXPECT_TRUE(broker.quiet());
}

TEST_P(Session, APeerThatDoesNotReadMakesNothingGrow) {
  broker.capacity = 4096;
  ClientOptions options = lasting(GetParam());
  options.queued_messages = 100;
  begin(options);
  broker.deaf = true;
  int full = 0;
  const std::string large(1000, 'x');
  for (int i = 0; i < 1000; ++i) {
    client->publish(message("t", large, 0), [&](const PublishOutcome& o) {
      full += o.status.error == net::Error::exhausted;
    });
    broker.lone.run_for(1ms);
  }
  EXPECT_GT(full, 700);
  EXPECT_LE(client->unacknowledged(), 100u);
}

TEST_P(Session, AnsweringABrokerThatDoesNotReadPausesReading) {
  broker.capacity = 4096;
  begin(lasting(GetParam()));
  broker.deaf = true;
  broker.capacity = 65536;
  // 4-byte PUBACKs: beyond the pipe's 4 KB and our buffer no more messages are taken.
  for (int i = 0; i < 60'000; ++i) {
    broker.publish(1, static_cast<uint16_t>(i % 60'000 + 1), "");
    if (i % 500 == 0) broker.lone.run_for(10ms);
  }
  broker.lone.run_for(2s);
  EXPECT_LT(heard.size(), 30'000u);
  EXPECT_TRUE(client->connected());
  broker.deaf = false;
  broker.read();
  ASSERT_TRUE(broker.lone.run_until([&] { return heard.size() == 60'000; }, 60s));
}

TEST_P(Session, OneWriteCarriesAWholeTurn) {
  begin(quick(GetParam()));
  const uint64_t before = broker.got.size();
  for (int i = 0; i < 10; ++i) publish("x", 1);
  broker.lone.run_for(5ms + 1us);
  EXPECT_EQ(broker.got.size(), before + 10);
}

TEST_P(Session, ADestroyedClientIsGoneAlsoFromInsideItsCallbacks) {
  begin(lasting(GetParam()));
  std::string seen;
  client->on_message([this, &seen, kept = std::string("captured")](const IncomingMessage& m) {
    client.reset();
    seen = kept + std::string(net::as_text(m.publish.payload));
  });
  broker.publish(2, 1, "bye");
  broker.publish(2, 2, "never");
  broker.lone.run_for(1s);
  EXPECT_EQ(seen, "capturedbye");

  begin(lasting(GetParam()));
  client->publish(message("t", "x", 1), [this](const PublishOutcome&) { client.reset(); });
  broker.ack(Type::puback, broker.next_as<Publish>().packet_id);
  broker.lone.run_for(1s);
  EXPECT_EQ(client, nullptr);

  begin(lasting(GetParam()));
  client->on_lost([this](const Client::Lost&) { client.reset(); });
  broker.cut();
  broker.lone.run_for(1s);
  EXPECT_EQ(client, nullptr);

  begin(lasting(GetParam()));
  client->stop(Reason::success, [this] { client.reset(); });
  EXPECT_TRUE(broker.next().is<Disconnect>());
  broker.stream.reset();
  broker.lone.run_for(3s);
  EXPECT_EQ(client, nullptr);
}

TEST_P(Session, StoppingSaysGoodbyeAfterWhatWasPublished) {
  begin(lasting(GetParam()));
  publish("zero", 0);
  publish("one", 1);
  bool stopped = false;
  client->stop(Reason::disconnect_with_will, [&] { stopped = true; });
  EXPECT_EQ(net::as_text(broker.next_as<Publish>().payload), "zero");
  EXPECT_EQ(net::as_text(broker.next_as<Publish>().payload), "one");
  const auto bye = broker.next_as<Disconnect>();
  EXPECT_EQ(bye.reason, GetParam() == Version::v5 ? Reason::disconnect_with_will : Reason::success);
  EXPECT_FALSE(stopped);
  broker.lone.run_for(100ms);
  EXPECT_TRUE(broker.ended) << "FIN";
  EXPECT_TRUE(stopped);
  ASSERT_EQ(outcomes.size(), 2u);
  EXPECT_TRUE(outcomes[0].status.ok());
  EXPECT_EQ(outcomes[1].status.error, net::Error::closed);
  publish("after", 1);
  broker.lone.run_for(100ms);
  EXPECT_EQ(outcomes.back().status.error, net::Error::closed);
}

TEST_P(Session, NonsenseIsRefusedAtOnce) {
  begin(quick(GetParam()));
  EXPECT_EQ(client->publish(message("a/+", "x", 0)).error, net::Error::invalid);
  EXPECT_EQ(client->publish(message("", "x", 0)).error, net::Error::invalid);
  EXPECT_EQ(client->publish(message("t", "x", 3)).error, net::Error::invalid);
  for (const char* no_text : {"\xff", "\xc3", "a\xed\xa0\x80"}) {
    OutgoingMessage typed = message("t", "x", 1), named = typed, valued = typed;
    typed.properties.content_type = no_text;
    named.properties.user.emplace_back(no_text, "v");
    valued.properties.user.emplace_back("n", no_text);
    for (OutgoingMessage* each : {&typed, &named, &valued})
      EXPECT_EQ(client->publish(*each).error, net::Error::invalid);
  }
  EXPECT_EQ(client->subscribe({{"a/#/b", {}}}).error, net::Error::invalid);
  EXPECT_EQ(client->subscribe({}).error, net::Error::invalid);
  SubscriptionOptions no_local;
  no_local.no_local = true;
  EXPECT_EQ(client->subscribe({{"$share/g/a", no_local}}).error, net::Error::invalid);
  EXPECT_TRUE(broker.quiet());
}

TEST_P(Session, PacketsComeByteByByteAndAMegabyteAtOnce) {
  begin(quick(GetParam()));
  net::Buffer bytes;
  Publish packet;
  packet.topic = "t";
  packet.payload = net::as_bytes("slow");
  ASSERT_TRUE(encode(packet, GetParam(), bytes).ok());
  for (const uint8_t byte : bytes) {
    broker.send_bytes({&byte, 1});
    broker.lone.run_for(10ms);
  }
  EXPECT_EQ(heard, std::vector<std::string>{"slow"});
  const std::string large(1 << 20, 'L');
  broker.publish(1, 1, large);
  broker.next_as<Ack>();
  EXPECT_EQ(heard.back(), large);
}

}  // namespace
}  // namespace culvert::mqtt
