// Sessions: what outlives a connection, take-over, expiry, wills, keep alive (MQTT 5.0 sections
// 3.1, 4.1, 4.4).
#include <gmock/gmock.h>

#include <list>

#include "tests/unit/mqtt_broker/world.h"

namespace culvert::mqtt::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const auto kHour = [](Connect& p) {
  p.clean_start = false;
  p.session_expiry_s = 3600;
};
const auto kPersistent = [](Connect& p) { p.clean_start = false; };

TEST(Session, WhatIsNotAcknowledgedComesAgainInOrder) {
  World world;
  TestClient a(world);
  a.connect("a");
  {
    TestClient b(world);
    EXPECT_THAT(b.connect("b", kHour), ElementsAre("CONNACK"));
    b.subscribe("t", 2);
    a.publish("t", "1", 1);
    a.publish("t", "2", 2);
    a.publish("t", "3", 2);
    EXPECT_THAT(b.got(),
                ElementsAre("PUBLISH t 1 q1 #1", "PUBLISH t 2 q2 #2", "PUBLISH t 3 q2 #3"));
    b.ack(Type::pubrec, 2);
    EXPECT_THAT(b.got(), ElementsAre("PUBREL #2"));
    b.cut();
  }
  a.publish("t", "4", 1);
  a.publish("t", "gone", 0);
  TestClient b(world);
  b.connect("", [](Connect&) {});
  TestClient again(world);
  EXPECT_THAT(again.connect("b", kHour),
              ElementsAre("CONNACK present", "PUBLISH t 1 q1 #1 dup", "PUBREL #2",
                          "PUBLISH t 3 q2 #3 dup", "PUBLISH t 4 q1 #4"));
}

TEST(Session, CleanStartForgetsWhatWasThere) {
  World world;
  TestClient a(world), b(world), c(world);
  a.connect("a");
  b.connect("b", kHour);
  b.subscribe("t", 1);
  b.cut();
  a.publish("t", "x", 1);
  EXPECT_THAT(c.connect("b"), ElementsAre("CONNACK"));
  a.publish("t", "y", 1);
  EXPECT_THAT(c.got(), IsEmpty());
  EXPECT_EQ(world.counters().sessions, 2u);
}

TEST(Session, EndsWithItsConnectionUnlessItShallNot) {
  World world;
  TestClient a(world), b(world);
  a.connect("a");
  a.subscribe("t", 1);
  EXPECT_EQ(world.counters().subscriptions, 1u);
  a.cut();
  EXPECT_EQ(world.counters().sessions, 0u);
  EXPECT_EQ(world.counters().subscriptions, 0u);
  EXPECT_THAT(b.connect("a", kPersistent), ElementsAre("CONNACK"));
}

TEST(Session, ExpiresWhenItsTimeIsOver) {
  World world;
  TestClient a(world);
  a.connect("a", kHour);
  a.cut();
  world.pass(3599s);
  TestClient b(world);
  EXPECT_EQ(world.counters().sessions, 1u);
  EXPECT_THAT(b.connect("a", kHour), ElementsAre("CONNACK present"));
  b.cut();
  world.pass(3601s);
  EXPECT_EQ(world.counters().sessions, 0u);
  TestClient c(world);
  EXPECT_THAT(c.connect("a", kHour), ElementsAre("CONNACK"));
}

TEST(Session, DisconnectMayChangeTheExpiry) {
  World world;
  TestClient a(world), b(world);
  a.connect("a", kHour);
  Disconnect bye;
  bye.session_expiry_s = 0;
  a.send(bye);
  EXPECT_THAT(a.got(), ElementsAre("closed"));
  EXPECT_EQ(world.counters().sessions, 0u);
  b.connect("b");
  bye.session_expiry_s = 10;
  b.send(bye);
  EXPECT_THAT(b.got(), ElementsAre("DISCONNECT protocol_error", "closed"));
}

TEST(Session, TheBrokerMayCutTheExpiry) {
  BrokerOptions options;
  options.session_expiry_most_s = 60;
  World world(options);
  TestClient a(world);
  EXPECT_THAT(a.connect("a", kHour), ElementsAre("CONNACK expiry=60"));
  a.cut();
  world.pass(61s);
  EXPECT_EQ(world.counters().sessions, 0u);
}

TEST(Session, IsTakenOver) {
  World world;
  TestClient a(world), b(world), old(world, Version::v311), other(world, Version::v311);
  a.connect("a", kHour);
  a.subscribe("t", 1);
  EXPECT_THAT(b.connect("a", kHour), ElementsAre("CONNACK present"));
  EXPECT_THAT(a.got(), ElementsAre("DISCONNECT session_taken_over", "closed"));
  old.connect("old");
  EXPECT_THAT(other.connect("old"), ElementsAre("CONNACK"));
  EXPECT_THAT(old.got(), ElementsAre("closed"));
  EXPECT_EQ(world.counters().sessions, 2u);
}

TEST(Session, IsTakenOverByItsOwnUserOnly) {
  World world;
  TestClient a(world), b(world), c(world);
  const auto user = [](std::string_view name) {
    return [name](Connect& p) { p.user_name = name; };
  };
  a.connect("a", user("anna"));
  EXPECT_THAT(b.connect("a", user("bert")),
              ElementsAre("CONNACK client_identifier_not_valid", "closed"));
  EXPECT_THAT(a.got(), IsEmpty());
  EXPECT_THAT(c.connect("a", user("anna")), ElementsAre("CONNACK"));
}

TEST(Session, AnIdentifierIsAssigned) {
  World world;
  TestClient a(world), old(world, Version::v311), strict(world, Version::v311);
  EXPECT_THAT(a.connect(""), ElementsAre("CONNACK assigned"));
  EXPECT_THAT(old.connect(""), ElementsAre("CONNACK"));
  EXPECT_EQ(world.counters().sessions, 2u);
}

TEST(Session, Qos2IdentifiersOutliveTheConnection) {
  World world;
  TestClient a(world), b(world), c(world);
  b.connect("b");
  b.subscribe("t", 2);
  a.connect("a", kHour);
  a.publish("t", "x", 2);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t x q2 #1"));
  a.cut();
  c.connect("a", kHour);
  c.publish("t", "x", 2, [](Publish& p) { p.dup = true; });
  EXPECT_THAT(c.got(), ElementsAre("PUBREC #1"));
  c.ack(Type::pubrel, 1);
  EXPECT_THAT(c.got(), ElementsAre("PUBCOMP #1"));
  EXPECT_THAT(b.got(), IsEmpty());
}

TEST(Session, MessagesExpireWhileTheyWait) {
  World world;
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b", kHour);
  b.subscribe("t", 1);
  b.cut();
  const auto expiry = [](uint32_t s) { return [s](Publish& p) { p.properties.expiry_s = s; }; };
  a.publish("t", "short", 1, expiry(5));
  a.publish("t", "long", 1, expiry(60));
  world.pass(10s);
  TestClient c(world);
  EXPECT_THAT(c.connect("b", kHour),
              ElementsAre("CONNACK present", "PUBLISH t long q1 #2 expiry=50"));
  EXPECT_EQ(world.counters().dropped_expired, 1u);
}

// -- wills ----------------------------------------------------------------------------------------

std::function<void(Connect&)> will(std::string_view payload, uint32_t delay_s = 0,
                                   uint32_t expiry_s = 0) {
  return [=](Connect& p) {
    p.will = Will{};
    p.will->topic = "will";
    p.will->payload = net::as_bytes(payload);
    p.will->qos = 1;
    p.will->delay_s = delay_s;
    p.session_expiry_s = expiry_s;
    p.clean_start = false;
  };
}

TEST(Will, GoesOutWhenTheConnectionBreaks) {
  World world;
  TestClient a(world), b(world);
  b.connect("b");
  b.subscribe("will", 1);
  a.connect("a", will("dead"));
  a.cut();
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH will dead q1 #1"));
}

TEST(Will, DoesNotGoOutAfterDisconnect) {
  World world;
  TestClient a(world), b(world), c(world);
  b.connect("b");
  b.subscribe("will", 1);
  a.connect("a", will("dead"));
  a.send(Disconnect{});
  EXPECT_THAT(b.got(), IsEmpty());
  c.connect("c", will("wanted"));
  Disconnect p;
  p.reason = Reason::disconnect_with_will;
  c.send(p);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH will wanted q1 #1"));
}

TEST(Will, WaitsForItsDelayAndIsForgottenWhenTheClientIsBack) {
  World world;
  TestClient a(world), b(world), c(world), d(world);
  b.connect("b");
  b.subscribe("will", 1);
  a.connect("a", will("dead", 10, 60));
  a.cut();
  world.pass(5s);
  EXPECT_THAT(b.got(), IsEmpty());
  EXPECT_THAT(c.connect("a", will("dead", 10, 60)), ElementsAre("CONNACK present"));
  world.pass(20s);
  EXPECT_THAT(b.got(), IsEmpty());
  c.cut();
  world.pass(11s);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH will dead q1 #1"));
}

TEST(Will, GoesOutWhenTheSessionEndsBeforeItsDelay) {
  World world;
  TestClient a(world), b(world), c(world);
  b.connect("b");
  b.subscribe("will", 1);
  a.connect("a", will("dead", 1000, 20));
  a.cut();
  world.pass(21s);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH will dead q1 #1"));
  EXPECT_EQ(world.counters().sessions, 1u);
}

TEST(Will, GoesOutWhenAnotherTakesOverWithACleanStart) {
  World world;
  TestClient a(world), b(world), c(world);
  b.connect("b");
  b.subscribe("will", 1);
  a.connect("a", will("dead", 1000, 2000));
  c.connect("a");
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH will dead q1 #1"));
}

TEST(Will, IsRetainedIfItSaysSo) {
  World world;
  TestClient a(world), b(world);
  a.connect("a", [](Connect& p) {
    p.will = Will{};
    p.will->topic = "presence/a";
    p.will->payload = net::as_bytes("offline");
    p.will->retain = true;
  });
  a.cut();
  b.connect("b");
  EXPECT_THAT(b.subscribe("presence/#"),
              ElementsAre("SUBACK #1 0", "PUBLISH presence/a offline retain"));
}

// -- keep alive and bad manners -------------------------------------------------------------------

TEST(KeepAlive, OneAndAHalfTimesOfSilenceEndTheConnection) {
  World world;
  TestClient a(world), b(world);
  a.connect("a", [](Connect& p) { p.keep_alive_s = 10; });
  b.connect("b");
  world.pass(14s);
  EXPECT_THAT(a.got(), IsEmpty());
  a.send(Ping{});
  EXPECT_THAT(a.got(), ElementsAre("PINGRESP"));
  world.pass(14800ms);
  EXPECT_THAT(a.got(), IsEmpty());
  world.pass(500ms);
  EXPECT_THAT(a.got(), ElementsAre("DISCONNECT keep_alive_timeout", "closed"));
  world.pass(100000s);
  EXPECT_TRUE(b.open());
}

TEST(KeepAlive, TheServersCounts) {
  BrokerOptions options;
  options.keep_alive_most_s = 20;
  World world(options);
  TestClient a(world), b(world);
  EXPECT_THAT(a.connect("a"), ElementsAre("CONNACK keep_alive=20"));
  EXPECT_THAT(b.connect("b", [](Connect& p) { p.keep_alive_s = 15; }), ElementsAre("CONNACK"));
  world.pass(31s);
  EXPECT_THAT(a.got(), ElementsAre("DISCONNECT keep_alive_timeout", "closed"));
}

TEST(Connect, MustComeInTime) {
  World world;
  TestClient a(world), b(world);
  b.send_bytes({0x10});
  world.pass(11s);
  EXPECT_THAT(a.got(), ElementsAre("closed"));
  EXPECT_THAT(b.got(), ElementsAre("closed"));
  EXPECT_EQ(world.counters().connections, 0u);
  EXPECT_EQ(world.events("refused"), 2u);
}

TEST(Connect, OnesThatAreNotCompleteHaveABudgetInAll) {
  BrokerOptions options;
  options.greeting_bytes = 100'000;
  World world(options);
  net::Buffer part{0x10, 0x80, 0x80, 0x10};  // of 262,144 bytes
  part.resize(40'000);
  std::list<TestClient> clients;
  for (int i = 0; i < 10; ++i) {
    clients.emplace_back(world).send_bytes(part);
    world.settle();
  }
  EXPECT_EQ(world.counters().connections, 2u);
  EXPECT_THAT(world.last_event("refused"), HasSubstr("not complete"));
  TestClient small(world);
  EXPECT_THAT(small.connect("small"), ElementsAre("CONNACK"));
  clients.clear();  // and all of it is free again
  world.settle();
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back(world).send_bytes(part);
    world.settle();
  }
  EXPECT_EQ(world.counters().connections, 3u);
  world.pass(11s);
  EXPECT_EQ(world.counters().connections, 1u);
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back(world).send_bytes(part);
    world.settle();
  }
  EXPECT_EQ(world.counters().connections, 3u);
}

TEST(Connect, WhatMayNotBeFirstIsNotWaitedFor) {
  World world;
  TestClient a(world);
  a.send_bytes({0x30, 0x80, 0x80, 0x10});
  EXPECT_THAT(a.got(), ElementsAre("closed"));
}

TEST(Connect, IsFirstAndOnce) {
  World world;
  TestClient a(world), b(world);
  a.send(Ping{});
  EXPECT_THAT(a.got(), ElementsAre("closed"));
  b.connect("b");
  EXPECT_THAT(b.connect("b"), ElementsAre("DISCONNECT protocol_error", "closed"));
  EXPECT_THAT(world.last_event("fault"), HasSubstr("MQTT-3.1.0-2"));
}

TEST(Connect, ASecondOneThatIsWrongIsASecondOneToo) {
  World world;
  TestClient a(world);
  a.connect("a");
  a.send_bytes({0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 6, 2, 0, 60, 0, 0, 0});
  EXPECT_THAT(a.got(), ElementsAre("DISCONNECT protocol_error", "closed"));
}

TEST(Connect, UnknownVersionsAreTold) {
  World world;
  TestClient new_one(world), old(world, Version::v311);
  new_one.send_bytes({0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 6, 2, 0, 60, 0, 0, 0});
  EXPECT_THAT(new_one.got(), ElementsAre("CONNACK unsupported_protocol_version", "closed"));
  old.send_bytes({0x10, 14, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 2, 0, 60, 0, 0});
  EXPECT_THAT(old.got(), ElementsAre("CONNACK unsupported_protocol_version", "closed"));
}

TEST(Connect, TooManyAreTurnedAwayWithTheirReason) {
  BrokerOptions options;
  options.connections = 1;
  World world(options);
  TestClient a(world), b(world);
  a.connect("a");
  EXPECT_THAT(b.connect("b"), ElementsAre("CONNACK quota_exceeded", "closed"));
  a.cut();
  TestClient c(world);
  EXPECT_THAT(c.connect("c"), ElementsAre("CONNACK"));
}

TEST(Connect, TooFastIsTurnedAwayWithItsReason) {
  BrokerOptions options;
  options.new_connections_per_s = 2;
  World world(options);  // which begins at 0, and with all of the rate unused
  TestClient a(world), b(world), c(world);
  EXPECT_THAT(a.connect("a"), ElementsAre("CONNACK"));
  EXPECT_THAT(b.connect("b"), ElementsAre("CONNACK"));
  EXPECT_THAT(c.connect("c"), ElementsAre("CONNACK connection_rate_exceeded", "closed"));
  world.pass(1s);
  TestClient d(world);
  EXPECT_THAT(d.connect("d"), ElementsAre("CONNACK"));
}

TEST(Stop, SaysGoodBye) {
  World world;
  TestClient a(world), b(world, Version::v311);
  a.connect("a");
  b.connect("b");
  bool stopped = false;
  world.broker->stop(10s, [&] { stopped = true; });
  EXPECT_THAT(a.got(), ElementsAre("DISCONNECT server_shutting_down", "closed"));
  EXPECT_THAT(b.got(), ElementsAre("closed"));
  world.settle();
  EXPECT_TRUE(stopped);
}

TEST(Operator, EndsASessionsConnection) {
  World world;
  TestClient a(world);
  a.connect("a");
  EXPECT_TRUE(world.broker->disconnect("a", Reason::administrative_action));
  EXPECT_FALSE(world.broker->disconnect("nobody", Reason::administrative_action));
  EXPECT_THAT(a.got(), ElementsAre("DISCONNECT administrative_action", "closed"));
}

}  // namespace
}  // namespace culvert::mqtt::testing
