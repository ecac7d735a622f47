// Two brokers in virtual time and a bridge between them:
//   here --[local client]-- bridge --[remote client]-- there
#include "model/mqtt/broker/bridge.h"

#include <gmock/gmock.h>

#include "model/mqtt/broker/broker.h"
#include "model/mqtt/broker/echo_guard.h"
#include "tests/support/fake_net.h"

namespace culvert::mqtt {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// An application: what it got is told as "topic payload qN", with "retained".
struct App {
  App(net::Host& host, Broker& broker, const std::string& id, const std::string& filter) {
    ClientOptions options;
    options.client_id = id;
    client = std::make_unique<Client>(
        host, options, pipe_connector(host, [&broker] { return broker.attach_local("app"); }));
    client->on_message([this](const IncomingMessage& m) {
      got.push_back(std::string(m.publish.topic) + " " +
                    std::string(net::as_text(m.publish.payload)) + " q" +
                    std::to_string(m.publish.qos) + (m.publish.retain ? " retained" : ""));
    });
    SubscribeRequest request;
    request.filter = filter;
    request.options.qos = 2;
    if (!filter.empty()) client->subscribe({request});
    client->start();
  }
  void publish(const std::string& topic, const std::string& payload, uint8_t qos,
               bool retain = false) {
    OutgoingMessage message;
    message.topic = topic;
    message.payload.assign(payload.begin(), payload.end());
    message.qos = qos;
    message.retain = retain;
    EXPECT_TRUE(client->publish(std::move(message)));
  }
  std::vector<std::string> take() { return std::exchange(got, {}); }
  std::unique_ptr<Client> client;
  std::vector<std::string> got;
};

class Bridges : public ::testing::Test {
 protected:
  Bridges() : access_(allow_all()) {
    here_ = std::make_unique<Broker>(host_, BrokerOptions{}, *access_, nullptr);
    there_ = std::make_unique<Broker>(host_, BrokerOptions{}, *access_, nullptr);
    EXPECT_TRUE(here_->start());
    EXPECT_TRUE(there_->start());
  }
  void bridge(std::vector<std::string> topics, Version version = Version::v5) {
    BridgeOptions options;
    options.name = "cloud";
    options.remote.version = version;
    options.remote.backoff_least = 100ms;
    options.remote.backoff_most = 1s;
    for (const std::string& text : topics) {
      auto topic = parse_bridge_topic(text);
      ASSERT_TRUE(topic) << topic.status().to_string();
      options.topics.push_back(*topic);
    }
    Bridge::Local local;
    local.attach = [this] { return here_->attach_local("bridge"); };
    local.publish = [this](const Publish& message) { here_->publish(message); };
    bridge_ = std::make_unique<Bridge>(host_, options,
                                       pipe_connector(host_,
                                                      [this]() -> std::unique_ptr<net::Stream> {
                                                        if (away_) return nullptr;
                                                        return there_->attach_local("bridge");
                                                      }),
                                       std::move(local));
    bridge_->start();
    world_.run_for(100ms);
    EXPECT_TRUE(bridge_->connected());
  }
  App& app(Broker& broker, const std::string& id, const std::string& filter) {
    apps_.push_back(std::make_unique<App>(host_, broker, id, filter));
    world_.run_for(50ms);
    return *apps_.back();
  }
  void settle() { world_.run_for(100ms); }

  testing::LoneHost world_;
  net::Host& host_ = world_.host;
  std::unique_ptr<Access> access_;
  std::unique_ptr<Broker> here_, there_;
  bool away_ = false;
  std::unique_ptr<Bridge> bridge_;
  std::vector<std::unique_ptr<App>> apps_;
};

TEST_F(Bridges, CarryOutWhatIsAskedForWithItsQosAndAnotherPrefix) {
  bridge({"temp/# out 2 home/ site7/"});
  App& far = app(*there_, "far", "#");
  App& near = app(*here_, "near", "");
  near.publish("home/temp/kitchen", "20", 0);
  near.publish("home/temp/kitchen", "21", 1);
  near.publish("home/temp/kitchen", "22", 2);
  near.publish("home/door", "open", 2);
  near.publish("temp/kitchen", "x", 2);
  settle();
  EXPECT_THAT(far.take(), ElementsAre("site7/temp/kitchen 20 q0", "site7/temp/kitchen 21 q1",
                                      "site7/temp/kitchen 22 q2"));
  EXPECT_EQ(bridge_->counters().out, 3u);
  EXPECT_EQ(host_.log().enabled(), true);
}

TEST_F(Bridges, TheRuleCutsTheQos) {
  bridge({"a out 0", "b out 1"});
  App& far = app(*there_, "far", "#");
  App& near = app(*here_, "near", "");
  near.publish("a", "x", 2);
  near.publish("b", "x", 2);
  settle();
  EXPECT_THAT(far.take(), ::testing::UnorderedElementsAre("a x q0", "b x q1"));
}

TEST_F(Bridges, CarryInAndKeepRetained) {
  bridge({"command/# in 1 \"\" site7/"});
  App& far = app(*there_, "far", "");
  App& near = app(*here_, "near", "command/#");
  far.publish("site7/command/lamp", "on", 1, true);
  far.publish("site7/other", "x", 1);
  settle();
  EXPECT_THAT(near.take(), ElementsAre("command/lamp on q1"));
  App& late = app(*here_, "late", "command/#");
  settle();
  EXPECT_THAT(late.take(), ElementsAre("command/lamp on q1 retained"));
}

TEST_F(Bridges, ATopicMayBeMappedWithoutAPattern) {
  bridge({"\"\" out 1 local/state remote/state"});
  App& far = app(*there_, "far", "#");
  app(*here_, "near", "").publish("local/state", "x", 1);
  settle();
  EXPECT_THAT(far.take(), ElementsAre("remote/state x q1"));
}

class BothVersions : public Bridges, public ::testing::WithParamInterface<Version> {};

TEST_P(BothVersions, BothWaysDoesNotLoop) {
  bridge({"chat/# both 2"}, GetParam());
  App& far = app(*there_, "far", "chat/#");
  App& near = app(*here_, "near", "chat/#");
  for (uint8_t qos = 0; qos < 3; ++qos) {
    near.publish("chat/a", "from near", qos);
    settle();
    far.publish("chat/a", "from far", qos);
    settle();
    const std::string q = " q" + std::to_string(qos);
    EXPECT_THAT(near.take(), ElementsAre("chat/a from near" + q, "chat/a from far" + q));
    EXPECT_THAT(far.take(), ElementsAre("chat/a from near" + q, "chat/a from far" + q));
  }
  world_.run_for(10s);
  EXPECT_THAT(near.take(), IsEmpty());
  EXPECT_THAT(far.take(), IsEmpty());
  EXPECT_EQ(bridge_->counters().echoes, GetParam() == Version::v5 ? 0u : 3u);
}
INSTANTIATE_TEST_SUITE_P(Versions, BothVersions, ::testing::Values(Version::v5, Version::v311));

TEST_F(Bridges, WhatIsAcknowledgedHereWaitsWhileThereIsAway) {
  bridge({"# out 2"});
  App& near = app(*here_, "near", "");
  App& far = app(*there_, "far", "log/#");
  away_ = true;
  there_->disconnect(host_.name() + "-cloud", Reason::administrative_action);
  settle();
  EXPECT_FALSE(bridge_->connected());
  std::vector<std::string> expected;
  for (int i = 0; i < 1000; ++i) {  // more than the bridge has in flight
    near.publish("log/x", std::to_string(i), 1 + i % 2);
    expected.push_back("log/x " + std::to_string(i) + " q" + std::to_string(1 + i % 2));
  }
  world_.run_for(5s);
  EXPECT_THAT(far.take(), IsEmpty());
  EXPECT_EQ(near.client->unacknowledged(), 0u);
  away_ = false;
  EXPECT_TRUE(world_.run_until([&] { return far.got.size() >= 1000; }, 60s));
  settle();
  EXPECT_EQ(far.take(), expected);
}

TEST_F(Bridges, TellTheirState) {
  App& near = app(*here_, "near", "$SYS/broker/connection/#");
  bridge({"# out 0"});
  settle();
  EXPECT_THAT(near.take(), ElementsAre("$SYS/broker/connection/cloud/state 0 q0",
                                       "$SYS/broker/connection/cloud/state 1 q0"));
  away_ = true;
  there_->disconnect(host_.name() + "-cloud", Reason::administrative_action);
  settle();
  EXPECT_THAT(near.take(), ::testing::Contains("$SYS/broker/connection/cloud/state 0 q0"));
}

TEST_F(Bridges, SayGoodBye) {
  bridge({"# both 1"});
  bool done = false;
  bridge_->stop([&] { done = true; });
  EXPECT_TRUE(world_.run_until([&] { return done; }, 10s));
  EXPECT_FALSE(bridge_->connected());
}

TEST(BridgeTopics, AreReadAsInMosquittoConf) {
  const auto topic = parse_bridge_topic("sensors/+/t  both 1 home/ site/7/");
  ASSERT_TRUE(topic);
  EXPECT_EQ(topic->pattern, "sensors/+/t");
  EXPECT_EQ(topic->direction, BridgeTopic::Direction::both);
  EXPECT_EQ(topic->qos, 1);
  EXPECT_EQ(topic->local_prefix, "home/");
  EXPECT_EQ(topic->remote_prefix, "site/7/");
  EXPECT_EQ(parse_bridge_topic("#")->direction, BridgeTopic::Direction::out);
  for (const auto& [text, says] :
       std::vector<std::pair<std::string, std::string>>{{"# sideways", "is no direction"},
                                                        {"# out 3", "is no QoS"},
                                                        {"# out 1 a b c", "more than five"},
                                                        {"a/#/b", "is no topic filter"},
                                                        {"\"\" out 1 a", "is no topic filter"},
                                                        {"x out 1 a/#/ b", "is no topic filter"},
                                                        {"", "is no topic filter"}}) {
    const auto wrong = parse_bridge_topic(text);
    ASSERT_FALSE(wrong) << text;
    EXPECT_THAT(wrong.status().detail, HasSubstr(says)) << text;
  }
}

TEST(EchoGuards, HoldEachEchoOnce) {
  EchoGuard guard(1);
  const auto bytes = [](const char* text) { return net::as_bytes(text); };
  EXPECT_FALSE(guard.is_echo("a", bytes("x"), 0s));
  guard.sent("a", bytes("x"), 0s);
  guard.sent("a", bytes("x"), 0s);
  EXPECT_FALSE(guard.is_echo("b", bytes("x"), 1s));
  EXPECT_FALSE(guard.is_echo("a", bytes("y"), 1s));
  EXPECT_TRUE(guard.is_echo("a", bytes("x"), 1s));
  EXPECT_TRUE(guard.is_echo("a", bytes("x"), 1s));
  EXPECT_FALSE(guard.is_echo("a", bytes("x"), 1s)) << "this one is somebody else's";
  guard.sent("a", bytes("x"), 1s);
  EXPECT_FALSE(guard.is_echo("a", bytes("x"), 31s)) << "it was lost";
}

}  // namespace
}  // namespace culvert::mqtt
