// Subscriptions, retained messages, shared subscriptions, access (MQTT 5.0 sections 3.3.1.3, 3.8,
// 4.8).
#include <gmock/gmock.h>

#include "tests/unit/mqtt_broker/world.h"

namespace culvert::mqtt::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

void retain(TestClient& client, std::string_view topic, std::string_view payload, uint8_t qos = 0) {
  client.publish(topic, payload, qos, [](Publish& p) { p.retain = true; });
  client.got();
}

TEST(Subscribe, OverlapsBecomeOneMessageWithAllIdentifiers) {
  World world;
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b");
  b.subscribe("a/#", 1, [](Subscribe& p) { p.subscription_id = 7; });
  b.subscribe("a/+", 2, [](Subscribe& p) { p.subscription_id = 3; });
  b.subscribe("+/b", 0);
  a.publish("a/b", "x", 2);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH a/b x q2 #1 id=3 id=7"));
  a.publish("a/b/c", "y", 2);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH a/b/c y q1 #2 id=7"));
}

TEST(Subscribe, NoLocalAndRetainAsPublished) {
  World world;
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b");
  a.subscribe("t", 0, [](Subscribe& p) { p.entries[0].options.no_local = true; });
  b.subscribe("t", 0, [](Subscribe& p) { p.entries[0].options.retain_as_published = true; });
  a.publish("t", "x", 0, [](Publish& p) { p.retain = true; });
  EXPECT_THAT(a.got(), IsEmpty());
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t x retain"));
  b.publish("t", "y");
  EXPECT_THAT(a.got(), ElementsAre("PUBLISH t y"));
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t y"));
}

TEST(Subscribe, UnsubscribeSaysWhatWasThere) {
  World world;
  TestClient a(world);
  a.connect("a");
  a.subscribe("t");
  Unsubscribe p;
  p.packet_id = 9;
  p.filters.push_back("t");
  p.filters.push_back("u");
  a.send(p);
  EXPECT_THAT(a.got(), ElementsAre("UNSUBACK #9 0 17"));
  a.publish("t", "x");
  EXPECT_THAT(a.got(), IsEmpty());
}

TEST(Subscribe, LimitsAreKept) {
  BrokerOptions options;
  options.subscriptions_per_session = 1;
  options.topic_levels = 3;
  World world(options);
  TestClient a(world), old(world, Version::v311);
  a.connect("a");
  EXPECT_THAT(a.subscribe("a/b/c/d"), ElementsAre("SUBACK #1 topic_filter_invalid"));
  EXPECT_THAT(a.subscribe("a/b/c"), ElementsAre("SUBACK #2 0"));
  EXPECT_THAT(a.subscribe("b"), ElementsAre("SUBACK #3 quota_exceeded"));
  EXPECT_THAT(a.subscribe("a/b/c", 1), ElementsAre("SUBACK #4 1"));
  a.publish("a/b/c/d", "x", 1);
  EXPECT_THAT(a.got(), ElementsAre("PUBACK #5 topic_name_invalid"));
  old.connect("old");
  old.subscribe("a");
  EXPECT_THAT(old.subscribe("b"), ElementsAre("SUBACK #2 unspecified_error"));
}

TEST(Retained, ComesWithASubscriptionAndIsDeletedByAnEmptyOne) {
  World world;
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b");
  retain(a, "t/1", "one", 1);
  retain(a, "t/2", "two");
  retain(a, "t/1", "uno", 2);
  EXPECT_EQ(world.counters().retained, 2u);
  EXPECT_THAT(b.subscribe("t/#", 1),
              ElementsAre("SUBACK #1 1", "PUBLISH t/1 uno q1 #1 retain", "PUBLISH t/2 two retain"));
  retain(a, "t/1", "");
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t/1 "));
  EXPECT_THAT(b.subscribe("t/#"), ElementsAre("SUBACK #2 0", "PUBLISH t/2 two retain"));
}

TEST(Retained, HandlingSaysWhen) {
  World world;
  TestClient a(world);
  a.connect("a");
  retain(a, "t", "x");
  const auto handling = [](uint8_t h) {
    return [h](Subscribe& p) { p.entries[0].options.retain_handling = h; };
  };
  EXPECT_THAT(a.subscribe("t", 0, handling(2)), ElementsAre("SUBACK #1 0"));
  EXPECT_THAT(a.subscribe("t", 0, handling(1)), ElementsAre("SUBACK #2 0"));
  EXPECT_THAT(a.subscribe("+", 0, handling(1)), ElementsAre("SUBACK #3 0", "PUBLISH t x retain"));
  EXPECT_THAT(a.subscribe("t", 0, handling(0)), ElementsAre("SUBACK #4 0", "PUBLISH t x retain"));
  EXPECT_THAT(a.subscribe("$share/g/t"), ElementsAre("SUBACK #5 0"));
}

TEST(Retained, Expires) {
  World world;
  TestClient a(world);
  a.connect("a");
  a.publish("t", "x", 0, [](Publish& p) {
    p.retain = true;
    p.properties.expiry_s = 30;
  });
  world.pass(10s);
  EXPECT_THAT(a.subscribe("t"), ElementsAre("SUBACK #1 0", "PUBLISH t x retain expiry=20"));
  world.pass(21s);
  EXPECT_THAT(a.subscribe("t"), ElementsAre("SUBACK #2 0"));
  world.pass(10s);
  EXPECT_EQ(world.counters().retained, 0u);
}

TEST(Retained, HasAQuota) {
  BrokerOptions options;
  options.retained_messages = 1;
  World world(options);
  TestClient a(world);
  a.connect("a");
  const auto retained = [](Publish& p) { p.retain = true; };
  a.publish("t", "x", 1, retained);
  a.publish("u", "y", 2, retained);
  EXPECT_THAT(a.got(),
              ElementsAre("PUBACK #1 no_matching_subscribers", "PUBREC #2 quota_exceeded"));
}

TEST(Retained, ManyAreNoReasonToBeCalledSlow) {
  BrokerOptions options;
  options.queued_messages = 10;
  options.inflight_to_client = 4;
  World world(options);
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b");
  for (int i = 0; i < 50; ++i) retain(a, "t/" + std::to_string(100 + i), "x", 1);
  EXPECT_EQ(b.subscribe("t/#", 1).size(), 5u);
  a.publish("t/1", "live", 1);
  for (uint16_t id = 1; id <= 51; ++id) b.ack(Type::puback, id);
  EXPECT_EQ(b.got().back(), "PUBLISH t/1 live q1 #51");
  EXPECT_EQ(world.counters().queued, 0u);
}

// -- shared subscriptions -------------------------------------------------------------------------

TEST(Shared, OneMemberAfterTheOtherGetsTheMessage) {
  World world;
  TestClient a(world), b(world), c(world), d(world);
  a.connect("a");
  b.connect("b");
  c.connect("c");
  d.connect("d");
  b.subscribe("$share/g/t", 1);
  c.subscribe("$share/g/t", 1);
  d.subscribe("t", 1);
  for (int i = 0; i < 4; ++i) a.publish("t", std::to_string(i), 1);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t 0 q1 #1", "PUBLISH t 2 q1 #2"));
  EXPECT_THAT(c.got(), ElementsAre("PUBLISH t 1 q1 #1", "PUBLISH t 3 q1 #2"));
  EXPECT_EQ(d.got().size(), 4u);
}

TEST(Shared, ConnectedMembersComeFirst) {
  World world;
  TestClient a(world), b(world), c(world);
  a.connect("a");
  b.connect("b", [](Connect& p) { p.session_expiry_s = 100; });
  c.connect("c");
  b.subscribe("$share/g/t", 1);
  c.subscribe("$share/g/t", 1);
  b.cut();
  a.publish("t", "0", 1);
  a.publish("t", "1", 1);
  EXPECT_THAT(c.got(), ElementsAre("PUBLISH t 0 q1 #1", "PUBLISH t 1 q1 #2"));
  c.ack(Type::puback, 1);
  c.ack(Type::puback, 2);
  c.send(Disconnect{});
  c.got();
  a.publish("t", "2", 1);
  TestClient again(world);
  EXPECT_THAT(again.connect("b", [](Connect& p) { p.clean_start = false; }),
              ElementsAre("CONNACK present", "PUBLISH t 2 q1 #1"));
}

TEST(Shared, WhatAnEndedMemberDidNotAcknowledgeGoesToAnother) {
  World world;
  TestClient a(world), b(world), c(world);
  a.connect("a");
  b.connect("b", [](Connect& p) { p.receive_maximum = 2; });
  b.subscribe("$share/g/t", 2);
  a.publish("t", "q1", 1);
  a.publish("t", "q2 sent", 2);
  a.publish("t", "q2 waiting", 2);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t q1 q1 #1", "PUBLISH t q2 sent q2 #2"));
  c.connect("c");
  c.subscribe("$share/g/t", 2);
  b.cut();  // and with it its session
  // The QoS 2 message that was sent may have arrived (4.8.2-5).
  EXPECT_THAT(c.got(), ElementsAre("PUBLISH t q1 q1 #1", "PUBLISH t q2 waiting q2 #2"));
}

TEST(Shared, WhatAMemberRefusesGoesToNobodyElse) {
  World world;
  TestClient a(world), b(world), c(world);
  a.connect("a");
  b.connect("b");
  c.connect("c");
  b.subscribe("$share/g/t", 1);
  c.subscribe("$share/g/t", 1);
  a.publish("t", "x", 1);
  b.got();
  b.ack(Type::puback, 1, Reason::implementation_specific);
  EXPECT_THAT(c.got(), IsEmpty());
}

// -- access ---------------------------------------------------------------------------------------

// Says no to what begins with "no", and answers later if told to.
class Moody : public Access {
 public:
  explicit Moody(net::Host& host) : host_(host) {}
  bool later = false;

  std::optional<LoginAnswer> login(const LoginRequest& request,
                                   std::function<void(LoginAnswer)> then) override {
    LoginAnswer answer;
    answer.user = std::string(request.user_name.value_or(""));
    if (answer.user == "nobody") answer.reason = Reason::bad_user_name_or_password;
    if (request.method) {
      if (*request.method != "riddle") {
        answer.reason = Reason::bad_authentication_method;
      } else if (request.step < 2) {
        answer.reason = Reason::continue_authentication;
        answer.data = {'?'};
      } else {
        answer.user = "solver";
        if (!request.data || request.data->size() != 2) answer.reason = Reason::not_authorized;
      }
    }
    if (!later) return answer;
    host_.post([answer, then] { then(answer); });
    return {};
  }
  std::optional<Reason> may(const AccessRequest& request,
                            std::function<void(Reason)> then) override {
    const bool no = request.topic.substr(0, 2) == "no" || request.topic == forbidden ||
                    (request.action == Action::receive && request.topic.substr(0, 4) == "blue");
    const Reason reason = no ? Reason::not_authorized : Reason::success;
    if (!later || request.action == Action::receive) return reason;
    host_.post([reason, then] { then(reason); });
    return {};
  }
  std::string forbidden;

 private:
  net::Host& host_;
};

class AccessTest : public ::testing::TestWithParam<bool> {
 protected:
  AccessTest() {
    auto made = std::make_unique<Moody>(world.lone.host);
    moody = made.get();
    moody->later = GetParam();
    world.use(std::move(made));
  }
  World world;
  Moody* moody = nullptr;
};
INSTANTIATE_TEST_SUITE_P(AtOnceAndLater, AccessTest, ::testing::Bool());

TEST_P(AccessTest, RefusesWithItsReason) {
  TestClient a(world), b(world), c(world), old(world, Version::v311);
  EXPECT_THAT(a.connect("a", [](Connect& p) { p.user_name = "nobody"; }),
              ElementsAre("CONNACK bad_user_name_or_password", "closed"));
  EXPECT_THAT(b.connect("b"), ElementsAre("CONNACK"));
  EXPECT_THAT(b.subscribe("t", 0,
                          [](Subscribe& p) {
                            p.entries.push_back({"nothing", {}});
                            p.entries.push_back({"u", {}});
                          }),
              ElementsAre("SUBACK #1 0 not_authorized 0"));
  b.publish("no/1", "x", 1);
  b.publish("no/2", "x", 2);
  b.publish("no/3", "x", 0);
  b.publish("u", "y", 1);
  EXPECT_THAT(b.got(), ElementsAre("PUBACK #2 not_authorized", "PUBREC #3 not_authorized",
                                   "PUBACK #4", "PUBLISH u y"));
  EXPECT_EQ(world.events("publish_refused"), 1u);
  EXPECT_THAT(c.connect("c",
                        [](Connect& p) {
                          p.will = Will{};
                          p.will->topic = "no/will";
                        }),
              ElementsAre("CONNACK not_authorized", "closed"));
  old.connect("old");
  old.publish("no/1", "x", 1);
  old.publish("no/2", "x", 2);
  EXPECT_THAT(old.got(), ElementsAre("PUBACK #1", "PUBREC #2"));
  old.ack(Type::pubrel, 2);
  EXPECT_THAT(old.got(), ElementsAre("PUBCOMP #2"));
}

TEST_P(AccessTest, WhatIsPipelinedWaitsInOrder) {
  TestClient a(world);
  Connect connect;
  connect.client_id = "a";
  a.send(connect);
  Subscribe subscribe;
  subscribe.packet_id = 1;
  subscribe.entries.push_back({"t", {}});
  a.send(subscribe);
  a.publish("t", "x", 1);
  a.publish("t", "y", 0);
  EXPECT_THAT(a.got(),
              ElementsAre("CONNACK", "SUBACK #1 0", "PUBACK #1", "PUBLISH t x", "PUBLISH t y"));
}

TEST_P(AccessTest, IsAskedForEachDelivery) {
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b");
  b.subscribe("#", 1);
  a.publish("blue", "x", 1);
  a.publish("red", "y", 1);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH red y q1 #2"));
}

TEST_P(AccessTest, WhatIsWithdrawnIsGone) {
  TestClient a(world);
  a.connect("a", [](Connect& p) { p.user_name = "anna"; });
  a.subscribe("t");
  moody->forbidden = "t";
  world.broker->access_changed("anna");
  a.got();
  EXPECT_EQ(world.counters().subscriptions, 0u);
}

TEST_P(AccessTest, AnAuthExchange) {
  TestClient a(world);
  const auto riddle = [](Connect& p) { p.authentication_method = "riddle"; };
  EXPECT_THAT(a.connect("a", riddle), ElementsAre("AUTH continue_authentication ?"));
  Auth answer;
  answer.reason = Reason::continue_authentication;
  answer.authentication_method = "riddle";
  answer.authentication_data = net::as_bytes("1");
  a.send(answer);
  EXPECT_THAT(a.got(), ElementsAre("AUTH continue_authentication ?"));
  answer.authentication_data = net::as_bytes("42");
  a.send(answer);
  EXPECT_THAT(a.got(), ElementsAre("CONNACK method=riddle"));
  // And again, while it is up.
  answer.reason = Reason::reauthenticate;
  a.send(answer);
  EXPECT_THAT(a.got(), ElementsAre("AUTH continue_authentication ?"));
  a.publish("t", "x", 1);
  EXPECT_THAT(a.got(), ElementsAre("PUBACK #1 no_matching_subscribers"));
  answer.reason = Reason::continue_authentication;
  answer.authentication_data = net::as_bytes("wrong");
  a.send(answer);
  EXPECT_THAT(a.got(), ElementsAre("DISCONNECT not_authorized", "closed"));
}

TEST_P(AccessTest, AnAuthExchangeThatGoesWrong) {
  const auto riddle = [](Connect& p) { p.authentication_method = "riddle"; };
  TestClient a(world), b(world), c(world), d(world);
  EXPECT_THAT(a.connect("a", [](Connect& p) { p.authentication_method = "song"; }),
              ElementsAre("CONNACK bad_authentication_method", "closed"));
  b.connect("b", riddle);
  b.send(Ping{});
  EXPECT_THAT(b.got(), ElementsAre("CONNACK protocol_error", "closed"));
  c.connect("c", riddle);
  Auth other;
  other.reason = Reason::continue_authentication;
  other.authentication_method = "song";
  c.send(other);
  EXPECT_THAT(c.got(), ElementsAre("CONNACK protocol_error", "closed"));
  d.connect("d");
  other.reason = Reason::reauthenticate;
  d.send(other);
  EXPECT_THAT(d.got(), ElementsAre("DISCONNECT protocol_error", "closed"));
}

TEST_P(AccessTest, AClientThatLeavesBeforeTheAnswerHarmsNobody) {
  TestClient a(world);
  Connect connect;
  connect.client_id = "a";
  a.send(connect);
  a.cut();
  EXPECT_EQ(world.counters().connections, 0u);
}

TEST(Local, AClientInTheProcessNeedsNoPassword) {
  World world;
  auto made = std::make_unique<Moody>(world.lone.host);
  world.use(std::move(made));
  TestClient a(world, Version::v5, [] {
    Peer peer;
    peer.transport = "local";
    peer.user = "nobody";
    return peer;
  }());
  EXPECT_THAT(a.connect("a"), ElementsAre("CONNACK"));
}

TEST(Embedder, PublishesAndIsToldOfSessions) {
  World world;
  std::vector<std::string> told;
  world.broker->on_event([&](const BrokerEvent& e) {
    told.push_back(std::to_string(static_cast<int>(e.what)) + " " + std::string(e.client_id) + " " +
                   std::string(e.filter));
  });
  TestClient a(world);
  a.connect("a");
  a.subscribe("$SYS/#");
  Publish p;
  p.topic = "$SYS/broker/version";
  p.payload = net::as_bytes("1");
  p.retain = true;
  world.broker->publish(p);
  EXPECT_THAT(a.got(), ElementsAre("PUBLISH $SYS/broker/version 1"));
  a.cut();
  EXPECT_THAT(told, ElementsAre("0 a ", "3 a $SYS/#", "1 a ", "2 a "));
}

}  // namespace
}  // namespace culvert::mqtt::testing
