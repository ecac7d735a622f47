// QoS 0 to 2 between connected clients (MQTT 5.0 section 4.3).
#include <gmock/gmock.h>

#include "tests/unit/mqtt_broker/world.h"

namespace culvert::mqtt::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Publish, Qos0GoesToWhoeverSubscribed) {
  World world;
  TestClient a(world), b(world), c(world, Version::v311);
  EXPECT_THAT(a.connect("a"), ElementsAre("CONNACK"));
  b.connect("b");
  EXPECT_THAT(c.connect("c"), ElementsAre("CONNACK"));
  EXPECT_THAT(b.subscribe("house/+/light", 2), ElementsAre("SUBACK #1 2"));
  EXPECT_THAT(c.subscribe("house/#", 1), ElementsAre("SUBACK #1 1"));
  a.publish("house/attic/light", "on");
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH house/attic/light on"));
  EXPECT_THAT(c.got(), ElementsAre("PUBLISH house/attic/light on"));
  EXPECT_THAT(a.got(), IsEmpty());
  a.publish("garden", "dry");
  EXPECT_THAT(b.got(), IsEmpty());
}

TEST(Publish, Qos1IsAcknowledgedAndDeliveredAtTheLowerQos) {
  World world;
  TestClient a(world), b(world), c(world);
  a.connect("a");
  b.connect("b");
  c.connect("c");
  b.subscribe("t", 1);
  c.subscribe("t", 0);
  a.publish("t", "x", 1);
  EXPECT_THAT(a.got(), ElementsAre("PUBACK #1"));
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t x q1 #1"));
  EXPECT_THAT(c.got(), ElementsAre("PUBLISH t x"));
  b.ack(Type::puback, 1);
  a.publish("t", "y", 2);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t y q1 #2"));
  a.publish("nobody", "z", 1);
  EXPECT_THAT(a.got(), ElementsAre("PUBREC #2", "PUBACK #3 no_matching_subscribers"));
}

TEST(Publish, Qos2GoesOnwardAtPublish) {
  World world;
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b");
  b.subscribe("t", 2);
  a.publish("t", "x", 2);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t x q2 #1"));
  EXPECT_THAT(a.got(), ElementsAre("PUBREC #1"));
  // Until PUBREL the identifier stands for this message, whatever DUP says.
  a.next_id = 1;
  a.publish("t", "x", 2);
  a.next_id = 1;
  a.publish("t", "x", 2, [](Publish& p) { p.dup = true; });
  EXPECT_THAT(a.got(), ElementsAre("PUBREC #1", "PUBREC #1"));
  EXPECT_THAT(b.got(), IsEmpty());
  EXPECT_EQ(world.counters().duplicates, 2u);
  a.ack(Type::pubrel, 1);
  EXPECT_THAT(a.got(), ElementsAre("PUBCOMP #1"));
  // And from then on for another.
  a.next_id = 1;
  a.publish("t", "y", 2);
  b.ack(Type::pubrec, 1);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t y q2 #2", "PUBREL #1"));
  b.ack(Type::pubcomp, 1);
  EXPECT_THAT(b.got(), IsEmpty());
  EXPECT_EQ(world.counters().queued, 1u);
}

TEST(Publish, PubrecPrecedesTheOnwardPublishOnOneConnection) {
  World world;
  TestClient a(world);
  a.connect("a");
  a.subscribe("t", 2);
  a.publish("t", "x", 2);
  EXPECT_THAT(a.got(), ElementsAre("PUBREC #2", "PUBLISH t x q2 #1"));
}

TEST(Publish, Qos2CanGoOnwardAtPubrel) {
  BrokerOptions options;
  options.qos2 = OnwardQos2::at_pubrel;
  World world(options);
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b");
  b.subscribe("t", 2);
  a.publish("t", "x", 2);
  EXPECT_THAT(a.got(), ElementsAre("PUBREC #1"));
  EXPECT_THAT(b.got(), IsEmpty());
  a.ack(Type::pubrel, 1);
  EXPECT_THAT(a.got(), ElementsAre("PUBCOMP #1"));
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t x q2 #1"));
  a.ack(Type::pubrel, 1);
  EXPECT_THAT(a.got(), ElementsAre("PUBCOMP #1 packet_identifier_not_found"));
  EXPECT_THAT(b.got(), IsEmpty());
}

TEST(Publish, WithoutDeduplicationExactlyOnceIsBroken) {
  BrokerOptions options;
  options.deduplicate = false;
  World world(options);
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b");
  b.subscribe("t", 2);
  for (int i = 0; i < 2; ++i) {
    a.next_id = 1;
    a.publish("t", "x", 2, [i](Publish& p) { p.dup = i > 0; });
  }
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t x q2 #1", "PUBLISH t x q2 #2"));
}

TEST(Publish, UnknownIdentifiersAreNamed) {
  World world;
  TestClient a(world);
  a.connect("a");
  a.ack(Type::pubrel, 7);
  a.ack(Type::pubrec, 8);
  a.ack(Type::puback, 9);
  a.ack(Type::pubcomp, 10);
  EXPECT_THAT(a.got(), ElementsAre("PUBCOMP #7 packet_identifier_not_found",
                                   "PUBREL #8 packet_identifier_not_found"));
}

TEST(Publish, AnAcknowledgementOfTheWrongKindIsAProtocolError) {
  World world;
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b");
  b.subscribe("t", 2);
  a.publish("t", "x", 2);
  b.got();
  b.ack(Type::puback, 1);
  EXPECT_THAT(b.got(), ElementsAre("DISCONNECT protocol_error", "closed"));
}

TEST(Publish, ARefusingPubrecEndsTheMessage) {
  World world;
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b");
  b.subscribe("t", 2);
  a.publish("t", "x", 2);
  b.got();
  b.ack(Type::pubrec, 1, Reason::quota_exceeded);
  EXPECT_THAT(b.got(), IsEmpty());
  EXPECT_EQ(world.counters().queued, 0u);
}

TEST(Publish, TheClientsReceiveMaximumIsKept) {
  World world;
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b", [](Connect& p) { p.receive_maximum = 2; });
  b.subscribe("t", 2);
  for (int i = 0; i < 5; ++i) a.publish("t", std::to_string(i), i % 2 == 0 ? 1 : 2);
  a.publish("t", "now", 0);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t 0 q1 #1", "PUBLISH t 1 q2 #2", "PUBLISH t now"));
  b.ack(Type::pubrec, 2);
  EXPECT_THAT(b.got(), ElementsAre("PUBREL #2"));  // counts until PUBCOMP
  b.ack(Type::pubcomp, 2);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t 2 q1 #3"));
  b.ack(Type::puback, 1);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t 3 q2 #4"));
}

TEST(Publish, OurReceiveMaximumIsKept) {
  BrokerOptions options;
  options.receive_maximum = 2;
  World world(options);
  TestClient a(world);
  a.connect("a");
  a.publish("t", "1", 2);
  a.publish("t", "2", 2);
  a.publish("t", "3", 1);
  EXPECT_THAT(a.got(),
              ElementsAre("PUBREC #1 no_matching_subscribers", "PUBREC #2 no_matching_subscribers",
                          "DISCONNECT receive_maximum_exceeded", "closed"));
}

TEST(Publish, PropertiesTravelAsTheyAre) {
  World world;
  TestClient a(world), b(world), old(world, Version::v311);
  a.connect("a");
  b.connect("b");
  old.connect("old");
  b.subscribe("t", 1);
  old.subscribe("t", 1);
  a.publish("t", "x", 1, [](Publish& p) {
    p.properties.utf8_payload = true;
    p.properties.content_type = "text/plain";
    p.properties.response_topic = "back";
    p.properties.correlation_data = net::as_bytes("42");
    p.properties.user.push_back({"k", "v"});
    p.properties.user.push_back({"k", "w"});
    p.properties.expiry_s = 60;
  });
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t x q1 #1 utf8 expiry=60 type=text/plain "
                                   "response=back correlation=42 k:v k:w"));
  EXPECT_THAT(old.got(), ElementsAre("PUBLISH t x q1 #1"));
}

TEST(Publish, TopicAliasesBothWays) {
  World world;
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b", [](Connect& p) { p.topic_alias_maximum = 1; });
  b.subscribe("#");
  a.publish("long/topic", "1", 0, [](Publish& p) { p.topic_alias = 3; });
  a.publish("", "2", 0, [](Publish& p) { p.topic_alias = 3; });
  a.publish("other", "3");
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH long/topic 1 alias=1", "PUBLISH - 2 alias=1",
                                   "PUBLISH other 3"));
  a.publish("", "4", 0, [](Publish& p) { p.topic_alias = 4; });
  EXPECT_THAT(a.got(), ElementsAre("DISCONNECT protocol_error", "closed"));
  TestClient c(world);
  c.connect("c");
  c.publish("t", "5", 0, [](Publish& p) { p.topic_alias = 65; });
  EXPECT_THAT(c.got(), ElementsAre("DISCONNECT topic_alias_invalid", "closed"));
}

TEST(Publish, WhatIsTooLargeForTheClientIsDroppedAndCounted) {
  World world;
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b", [](Connect& p) { p.maximum_packet_size = 30; });
  b.subscribe("t", 1);
  a.publish("t", std::string(40, 'x'), 1);
  a.publish("t", "small", 1);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t small q1 #2"));
  EXPECT_EQ(world.counters().dropped_too_big, 1u);
  EXPECT_EQ(world.counters().queued, 1u);
}

TEST(Publish, WhatIsTooLargeForTheBrokerEndsTheConnection) {
  BrokerOptions options;
  options.packet_bytes = 100;
  World world(options);
  TestClient a(world);
  a.connect("a");
  a.publish("t", std::string(200, 'x'), 1);
  EXPECT_THAT(a.got(), ElementsAre("DISCONNECT packet_too_large", "closed"));
}

TEST(Publish, AMegabyteGoesThrough) {
  World world;
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b");
  b.subscribe("t", 2);
  a.publish("t", std::string(1 << 20, 'x'), 2);
  world.pass(100ms);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t (long) q2 #1"));
}

TEST(Publish, MaximumQosAndRetainAvailableAreKept) {
  BrokerOptions options;
  options.maximum_qos = 1;
  options.retain_available = false;
  World world(options);
  TestClient a(world), b(world), c(world);
  a.connect("a");
  EXPECT_THAT(a.subscribe("t", 2), ElementsAre("SUBACK #1 1"));
  a.publish("t", "x", 2);
  EXPECT_THAT(a.got(), ElementsAre("DISCONNECT qos_not_supported", "closed"));
  b.connect("b");
  b.publish("t", "x", 0, [](Publish& p) { p.retain = true; });
  EXPECT_THAT(b.got(), ElementsAre("DISCONNECT retain_not_supported", "closed"));
  EXPECT_THAT(c.connect("c",
                        [](Connect& p) {
                          p.will = Will{};
                          p.will->topic = "w";
                          p.will->qos = 2;
                        }),
              ElementsAre("CONNACK qos_not_supported", "closed"));
}

TEST(Publish, APayloadThatIsNotWhatItSaysIsRefused) {
  World world;
  TestClient a(world);
  a.connect("a");
  a.publish("t", "\xff", 1, [](Publish& p) { p.properties.utf8_payload = true; });
  EXPECT_THAT(a.got(), ElementsAre("PUBACK #1 payload_format_invalid"));
  a.publish("$SYS/broker/version", "mine", 1);
  EXPECT_THAT(a.got(), ElementsAre("PUBACK #2 not_authorized"));
  a.publish("$SYS/broker/version", "mine", 0);
  EXPECT_THAT(a.got(), ElementsAre());
}

TEST(Publish, ResponseTopicsStayInTheRequestersNamespace) {
  BrokerOptions options;
  options.response_prefix = "reply/%c/";
  World world(options);
  TestClient a(world), b(world);
  EXPECT_THAT(a.connect("a", [](Connect& p) { p.request_response_information = true; }),
              ElementsAre("CONNACK response=reply/a/"));
  b.connect("b");
  b.subscribe("ask", 2);
  const auto response = [](std::string_view topic) {
    return [topic](Publish& p) { p.properties.response_topic = topic; };
  };
  a.publish("ask", "1", 1, response("reply/a/7"));
  a.publish("ask", "2", 2, response("reply/b/7"));
  EXPECT_THAT(a.got(), ElementsAre("PUBACK #1", "PUBREC #2 not_authorized"));
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH ask 1 q1 #1 response=reply/a/7"));
  // After a PUBREC that refuses, the identifier is free.
  a.next_id = 2;
  a.publish("ask", "3", 2, response("reply/a/8"));
  EXPECT_THAT(a.got(), ElementsAre("PUBREC #2"));
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH ask 3 q2 #2 response=reply/a/8"));
}

}  // namespace
}  // namespace culvert::mqtt::testing
