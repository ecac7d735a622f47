// Connections: greeting, limits, keep-alive, what goes wrong, coming back. MQTT 5.0.
#include "tests/unit/mqtt_client/script.h"

namespace culvert::mqtt {
namespace {

class Connection : public ::testing::Test {
 protected:
  void begin(ClientOptions options) {
    client = std::make_unique<Client>(broker.lone.host, options, broker.connector());
    client->on_message([this](const IncomingMessage& m) {
      heard.emplace_back(std::string(m.publish.topic) + "=" +
                         std::string(net::as_text(m.publish.payload)));
    });
    client->on_lost([this](const Client::Lost& l) {
      lost.push_back(l);
      server_references.emplace_back(l.server_reference);
    });
    client->start();
  }
  // Sends what breaks the protocol; the client's parting word.
  template <class Send>
  Reason parting(Send&& send) {
    ClientOptions options = quick();
    options.reconnect = false;
    options.receive_maximum = 2;
    options.maximum_packet_size = 1000;
    options.topic_alias_maximum = 2;
    begin(options);
    broker.welcome();
    broker.lone.run_for(20ms);
    send();
    const Got got = broker.next();
    EXPECT_TRUE(got.is<Disconnect>());
    broker.lone.run_for(20ms);
    EXPECT_FALSE(client->connected());
    EXPECT_EQ(lost.size(), 1u);
    return got.is<Disconnect>() ? got.as<Disconnect>().reason : Reason::success;
  }

  Script broker;
  std::unique_ptr<Client> client;
  std::vector<std::string> heard, server_references;
  std::vector<Client::Lost> lost;
};

TEST_F(Connection, ConnectSaysAllThatItWasTold) {
  ClientOptions options = lasting();
  options.keep_alive_s = 77;
  options.user_name = "u";
  options.password = net::Buffer{'p'};
  options.will.emplace();
  options.will->topic = "gone";
  options.will->qos = 1;
  options.will->delay_s = 5;
  options.user_properties = {{"a", "b"}};
  begin(options);
  const Connect hello = broker.next_as<Connect>();
  EXPECT_EQ(hello.client_id, "c");
  EXPECT_EQ(hello.keep_alive_s, 77);
  EXPECT_EQ(hello.user_name, std::string_view("u"));
  ASSERT_TRUE(hello.will);
  EXPECT_EQ(hello.will->topic, "gone");
  EXPECT_EQ(hello.will->delay_s, 5u);
  EXPECT_EQ(hello.session_expiry_s, 3600u);
  EXPECT_EQ(hello.receive_maximum, 1024);
  EXPECT_EQ(hello.user.size(), 1u);
  EXPECT_FALSE(hello.clean_start);
}

TEST_F(Connection, AnAssignedIdentifierIsKeptAndCleanStartIsForTheFirstTime) {
  ClientOptions options = lasting();
  options.clean_start = true;
  options.client_id.clear();
  begin(options);
  ConnAck ack;
  ack.assigned_client_id = "given";
  EXPECT_TRUE(broker.welcome(false, ack).clean_start);
  broker.lone.run_for(20ms);
  EXPECT_EQ(client->client_id(), "given");
  broker.cut();
  const Connect again = broker.next_as<Connect>();
  EXPECT_EQ(again.client_id, "given");
  EXPECT_FALSE(again.clean_start);
}

TEST_F(Connection, HonoursTheBrokersReceiveMaximum) {
  begin(quick());
  ConnAck ack;
  ack.receive_maximum = 2;
  broker.welcome(false, ack);
  for (int i = 0; i < 5; ++i) client->publish(message("t", std::to_string(i), 1));
  const auto first = broker.next_as<Publish>();
  broker.next_as<Publish>();
  EXPECT_TRUE(broker.quiet());
  broker.ack(Type::puback, first.packet_id);
  EXPECT_EQ(net::as_text(broker.next_as<Publish>().payload), "2");
  EXPECT_TRUE(broker.quiet());
}

TEST_F(Connection, HonoursPacketSizeQosRetainAndSubscriptionLimits) {
  begin(quick());
  std::vector<PublishOutcome> outcomes;
  const auto note = [&](const PublishOutcome& o) { outcomes.push_back(o); };
  // Before the limits are known, and after.
  for (int round = 0; round < 2; ++round) {
    client->publish(message("t", std::string(200, 'x'), 1), note);
    client->publish(message("t", "x", 2), note);
    auto retained = message("t", "x", 1);
    retained.retain = true;
    client->publish(retained, note);
    if (round > 0) break;
    ConnAck ack;
    ack.maximum_packet_size = 100;
    ack.maximum_qos = 1;
    ack.retain_available = false;
    ack.wildcards_available = ack.shared_available = ack.subscription_ids_available = false;
    broker.welcome(false, ack);
    broker.lone.run_for(20ms);
  }
  broker.lone.run_for(20ms);
  ASSERT_EQ(outcomes.size(), 6u);
  for (int i = 0; i < 6; i += 3) {
    EXPECT_EQ(outcomes[i].reason, Reason::packet_too_large);
    EXPECT_EQ(outcomes[i + 1].reason, Reason::qos_not_supported);
    EXPECT_EQ(outcomes[i + 2].reason, Reason::retain_not_supported);
  }
  int refused = 0;
  const auto no = [&](const SubscribeOutcome& o) {
    refused += o.status.error == net::Error::unsupported;
  };
  client->subscribe({{"a/+", {}}}, no);
  client->subscribe({{"$share/g/a", {}}}, no);
  client->subscribe({{"a", {}}}, no, 5);
  EXPECT_TRUE(broker.quiet());
  EXPECT_EQ(refused, 3);
  EXPECT_EQ(client->unacknowledged(), 0u);
}

TEST_F(Connection, TopicAliasesBothWays) {
  begin(quick());
  ConnAck ack;
  ack.topic_alias_maximum = 5;
  broker.welcome(false, ack);
  for (int i = 0; i < 3; ++i) client->publish(message("a/long/topic", std::to_string(i), 1));
  EXPECT_EQ(broker.next_as<Publish>().topic_alias, 0);
  const auto second = broker.next_as<Publish>();
  EXPECT_EQ(second.topic, "a/long/topic");
  EXPECT_EQ(second.topic_alias, 1);
  const auto third = broker.next_as<Publish>();
  EXPECT_EQ(third.topic, "");
  EXPECT_EQ(third.topic_alias, 1);
  broker.publish(0, 0, "x", false, "theirs", 3);
  broker.publish(0, 0, "y", false, "", 3);
  broker.lone.run_for(20ms);
  EXPECT_EQ(heard, (std::vector<std::string>{"theirs=x", "theirs=y"}));
}

TEST_F(Connection, AliasesDoNotOutliveTheirConnection) {
  begin(lasting());
  ConnAck ack;
  ack.topic_alias_maximum = 5;
  broker.welcome(false, ack);
  for (int i = 0; i < 3; ++i) client->publish(message("a/long/topic", std::to_string(i), 1));
  for (int i = 0; i < 3; ++i) broker.next_as<Publish>();
  broker.cut();
  broker.welcome(true);  // this time without aliases
  for (int i = 0; i < 3; ++i) {
    const auto p = broker.next_as<Publish>();
    EXPECT_EQ(p.topic, "a/long/topic");
    EXPECT_EQ(p.topic_alias, 0);
    EXPECT_TRUE(p.dup);
  }
}

TEST_F(Connection, PingsWhenItHasBeenSilentAndGivesUpOnADeafBroker) {
  ClientOptions options = quick();
  options.keep_alive_s = 30;
  options.ping_patience = 4s;
  begin(options);
  broker.welcome();
  broker.lone.run_for(20ms);
  const net::Time began = broker.lone.now();
  ASSERT_TRUE(broker.next().is<Ping>());
  EXPECT_NEAR(net::to_ms(broker.lone.now() - began), 30'000, 50);
  Ping pong;
  pong.type = Type::pingresp;
  broker.send(pong);
  ASSERT_TRUE(broker.next().is<Ping>());
  EXPECT_NEAR(net::to_ms(broker.lone.now() - began), 60'000, 100);
  // No answer, but data: it lives.
  for (int i = 0; i < 5; ++i) {
    broker.lone.run_for(3s);
    broker.publish(0, 0, "x");
  }
  EXPECT_TRUE(client->connected());
  broker.lone.run_for(5s);
  EXPECT_FALSE(client->connected());
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost[0].status.error, net::Error::timed_out);
}

TEST_F(Connection, TheServersKeepAliveCounts) {
  ClientOptions options = quick();
  options.keep_alive_s = 600;
  begin(options);
  ConnAck ack;
  ack.server_keep_alive_s = 5;
  broker.welcome(false, ack);
  const net::Time began = broker.lone.now();
  ASSERT_TRUE(broker.next().is<Ping>());
  EXPECT_NEAR(net::to_ms(broker.lone.now() - began), 5'000, 50);
}

TEST_F(Connection, BacksOffWithJitterAndForgetsAfterAGoodConnection) {
  ClientOptions options = quick();
  options.backoff_least = 1s;
  options.backoff_most = 16s;
  broker.refuse = true;
  begin(options);
  broker.lone.run_for(200s);
  ASSERT_GT(lost.size(), 8u);
  net::Duration limit = 1s;
  for (const auto& one : lost) {
    ASSERT_TRUE(one.again_in);
    EXPECT_LT(*one.again_in, limit);
    limit = std::min<net::Duration>(limit * 2, 16s);
    EXPECT_EQ(one.phase, "tcp");
    EXPECT_EQ(one.status.error, net::Error::refused);
  }
  broker.refuse = false;
  broker.welcome();
  broker.lone.run_for(5s);
  lost.clear();
  broker.cut();
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_LT(*lost[0].again_in, 1s);
  EXPECT_EQ(lost[0].phase, "session");
}

TEST_F(Connection, GivesUpOnWhatTryingAgainCannotMend) {
  begin(quick());
  broker.next_as<Connect>();
  ConnAck no;
  no.reason = Reason::use_another_server;
  no.server_reference = "other.example";
  broker.send(no);
  broker.lone.run_for(5s);
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost[0].phase, "connack");
  EXPECT_EQ(lost[0].reason, Reason::use_another_server);
  EXPECT_EQ(server_references[0], "other.example");
  EXPECT_FALSE(lost[0].again_in);
  EXPECT_EQ(broker.attempts, 1);
}

TEST_F(Connection, ComesBackAfterARefusalThatMayPass) {
  begin(quick());
  broker.next_as<Connect>();
  ConnAck no;
  no.reason = Reason::server_busy;
  broker.send(no);
  broker.next_as<Connect>();
  EXPECT_TRUE(lost[0].again_in);
}

TEST_F(Connection, ABrokerOfTheOldVersionSaysSoInItsOwnFormat) {
  begin(quick());
  broker.next_as<Connect>();
  broker.send_bytes(net::Buffer{0x20, 2, 0, 1});
  broker.lone.run_for(60s);
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost[0].reason, Reason::unsupported_protocol_version);
  EXPECT_FALSE(lost[0].again_in);
  EXPECT_EQ(broker.attempts, 1);
}

TEST_F(Connection, AnUnansweredConnectEndsInTime) {
  ClientOptions options = quick();
  options.connect_patience = 3s;
  begin(options);
  broker.next_as<Connect>();
  broker.lone.run_for(3500ms);
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost[0].status.error, net::Error::timed_out);
  EXPECT_EQ(lost[0].phase, "connack");
}

TEST_F(Connection, PipelinedItTakesOneRoundTripLess) {
  ClientOptions options = quick();
  options.pipeline = true;
  begin(options);
  client->subscribe({{"a", {}}});
  for (int i = 0; i < 12; ++i) client->publish(message("t", "x", 1));
  broker.next_as<Connect>();
  broker.next_as<Subscribe>();
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(broker.next_as<Publish>().dup);
  EXPECT_TRUE(broker.quiet()) << "not more before CONNACK says how many";
  ConnAck ack;
  broker.send(ack);
  broker.next_as<Publish>();
  broker.next_as<Publish>();
  EXPECT_TRUE(broker.quiet()) << "nothing twice";
}

TEST_F(Connection, PipelinedMessagesBehindARefusedConnectAreNotInDoubt) {
  ClientOptions options = quick();
  options.pipeline = true;
  begin(options);
  int in_doubt = 0;
  client->publish(message("t", "x", 2), [&](const PublishOutcome& o) { in_doubt += o.in_doubt; });
  broker.next_as<Connect>();
  broker.next_as<Publish>();
  ConnAck no;
  no.reason = Reason::server_busy;
  broker.send(no);
  broker.next_as<Connect>();
  EXPECT_FALSE(broker.next_as<Publish>().dup);
  EXPECT_EQ(in_doubt, 0);
}

TEST_F(Connection, AuthenticatesInSteps) {
  std::vector<std::string> challenges;
  client = std::make_unique<Client>(broker.lone.host, quick(), broker.connector());
  client->on_auth(
      [&](const Auth& auth) {
        challenges.emplace_back(net::as_text(auth.authentication_data.value_or(Bytes{})));
        return net::Buffer{'r', static_cast<uint8_t>('0' + challenges.size())};
      },
      "METHOD", {'f'});
  client->start();
  const Connect hello = broker.next_as<Connect>();
  EXPECT_EQ(hello.authentication_method, std::string_view("METHOD"));
  EXPECT_EQ(net::as_text(*hello.authentication_data), "f");
  Auth challenge;
  challenge.reason = Reason::continue_authentication;
  challenge.authentication_method = "METHOD";
  challenge.authentication_data = net::as_bytes("c1");
  broker.send(challenge);
  EXPECT_EQ(net::as_text(*broker.next_as<Auth>().authentication_data), "r1");
  ConnAck ack;
  ack.authentication_method = "METHOD";
  ack.authentication_data = net::as_bytes("last");
  broker.send(ack);
  broker.lone.run_for(20ms);
  EXPECT_TRUE(client->connected());
  EXPECT_TRUE(client->reauthenticate({'a'}).ok());
  EXPECT_FALSE(client->reauthenticate({'a'}).ok());
  EXPECT_EQ(broker.next_as<Auth>().reason, Reason::reauthenticate);
  challenge.reason = Reason::success;
  broker.send(challenge);
  broker.lone.run_for(20ms);
  EXPECT_EQ(challenges, (std::vector<std::string>{"c1", "last", "c1"}));
}

TEST_F(Connection, ADisconnectOfTheBrokersIsTold) {
  begin(quick());
  broker.welcome();
  Disconnect bye;
  bye.reason = Reason::session_taken_over;
  broker.send(bye);
  broker.lone.run_for(1s);
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost[0].reason, Reason::session_taken_over);
  EXPECT_FALSE(lost[0].again_in) << "else two clients would take it from each other for ever";
}

TEST_F(Connection, SaysWhatTheBrokerDidWrong) {
  EXPECT_EQ(parting([&] { broker.publish(1, 1, "x", false, "t", 3); }),
            Reason::topic_alias_invalid);
}
TEST_F(Connection, AliasOfNothing) {
  EXPECT_EQ(parting([&] { broker.publish(0, 0, "x", false, "", 1); }), Reason::protocol_error);
}
TEST_F(Connection, PacketTooLarge) {
  EXPECT_EQ(parting([&] { broker.publish(0, 0, std::string(2000, 'x')); }),
            Reason::packet_too_large);
}
TEST_F(Connection, MoreThanTheReceiveMaximum) {
  EXPECT_EQ(parting([&] {
              for (uint16_t id = 1; id < 4; ++id) broker.publish(2, id, "x");
              for (int i = 0; i < 2; ++i) EXPECT_EQ(broker.next_as<Ack>().type, Type::pubrec);
            }),
            Reason::receive_maximum_exceeded);
}
TEST_F(Connection, SecondConnack) {
  EXPECT_EQ(parting([&] { broker.send(ConnAck{}); }), Reason::protocol_error);
}
TEST_F(Connection, Malformed) {
  const uint8_t bad[] = {0x36, 0x05, 0, 1, 't', 0, 1};  // QoS 3
  EXPECT_EQ(parting([&] { broker.send_bytes(bad); }), Reason::malformed_packet);
}
TEST_F(Connection, PubrecOfNothingGetsItsReason) {
  begin(quick());
  broker.welcome();
  broker.ack(Type::pubrec, 77);
  const auto release = broker.next_as<Ack>();
  EXPECT_EQ(release.type, Type::pubrel);
  EXPECT_EQ(release.reason, Reason::packet_identifier_not_found);
  broker.ack(Type::pubrel, 78);
  EXPECT_EQ(broker.next_as<Ack>().reason, Reason::packet_identifier_not_found);
}

TEST_F(Connection, AnExpiredMessageIsNotSentAndOthersSayWhatIsLeft) {
  begin(lasting());
  broker.welcome();
  broker.refuse = true;
  broker.lone.run_for(20ms);
  broker.cut();
  net::Error error = net::Error::none;
  auto brief = message("t", "brief", 1), long_one = message("t", "long", 1);
  brief.properties.expiry_s = 2;
  long_one.properties.expiry_s = 100;
  client->publish(brief, [&](const PublishOutcome& o) { error = o.status.error; });
  client->publish(long_one);
  broker.lone.run_for(10s);
  broker.refuse = false;
  broker.welcome(true);
  const auto p = broker.next_as<Publish>();
  EXPECT_EQ(net::as_text(p.payload), "long");
  ASSERT_TRUE(p.properties.expiry_s);
  EXPECT_NEAR(double(*p.properties.expiry_s), 89, 1.5);
  EXPECT_EQ(error, net::Error::timed_out);
}

TEST_F(Connection, TheLastSecondOfAMessageIsNotCutOff) {
  begin(lasting());
  auto brief = message("t", "brief", 1);
  brief.properties.expiry_s = 1;
  client->publish(brief);  // before the connection is there
  broker.welcome();
  EXPECT_EQ(broker.next_as<Publish>().properties.expiry_s, 1u);
}

}  // namespace
}  // namespace culvert::mqtt
