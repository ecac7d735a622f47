// Who is online, told rightly through deaths of devices, of the broker, and of connections.
#include <gmock/gmock.h>

#include "model/mqtt/broker/broker.h"
#include "model/mqtt/presence/device.h"
#include "model/mqtt/presence/watcher.h"
#include "model/net/pipe.h"
#include "tests/support/fake_net.h"

namespace culvert::mqtt {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Presences : public ::testing::Test {
 protected:
  Presences() : access_(allow_all()) { start_broker(); }

  void start_broker() {
    store_ = std::move(*host_.open_store("broker"));
    broker_ = std::make_unique<Broker>(host_, BrokerOptions{}, *access_, store_.get());
    ASSERT_TRUE(broker_->start());
  }
  void kill_broker() {
    broker_.reset();
    store_.reset();
  }
  std::unique_ptr<net::Connector> way() {
    return pipe_connector(host_, [this]() -> std::unique_ptr<net::Stream> {
      return broker_ ? broker_->attach_local("user") : nullptr;
    });
  }

  struct Device {
    std::unique_ptr<Client> client;
    std::unique_ptr<DevicePresence> presence;
  };
  Device device(const std::string& name, uint64_t epoch, net::Duration lease = 60s) {
    PresenceOptions options;
    options.device = name;
    options.epoch = epoch;
    options.lease = lease;
    ClientOptions client;
    client.client_id = name;
    client.will = presence_will(options);
    client.backoff_least = 100ms;
    client.backoff_most = 1s;
    Device d;
    d.client = std::make_unique<Client>(host_, client, way());
    d.presence = std::make_unique<DevicePresence>(host_, *d.client, options);
    d.client->on_connected([p = d.presence.get()](const ConnectedInfo&) { p->connected(); });
    d.client->on_lost([p = d.presence.get()](const Client::Lost&) { p->lost(); });
    d.client->start();
    world_.run_for(100ms);
    return d;
  }
  void watch() {
    watcher_.reset();
    ClientOptions options;
    options.client_id = "watcher";
    options.backoff_least = 100ms;
    options.backoff_most = 1s;
    client_ = std::make_unique<Client>(host_, options, way());
    watcher_ = std::make_unique<PresenceWatcher>(host_, *client_, "presence");
    watcher_->on_change([this](const PresenceWatcher::Change& change) {
      changes_.push_back(std::string(change.device) + " " +
                         std::string(to_string(change.presence)) + " " +
                         std::to_string(change.epoch) + " " + std::string(change.why));
    });
    client_->on_connected([this](const ConnectedInfo&) { watcher_->connected(); });
    client_->on_lost([this](const Client::Lost&) { watcher_->lost(); });
    client_->on_message([this](const IncomingMessage& m) { watcher_->message(m.publish); });
    client_->start();
    world_.run_for(100ms);
  }
  void say(const PresenceRecord& record, bool retain = false) {
    const std::string json = to_json(record);
    Publish publish;
    publish.topic = "presence/a";
    publish.payload = net::as_bytes(json);
    publish.retain = retain;
    watcher_->message(publish);
  }
  std::vector<std::string> take() { return std::exchange(changes_, {}); }

  testing::LoneHost world_;
  net::Host& host_ = world_.host;
  std::unique_ptr<Access> access_;
  std::unique_ptr<net::Store> store_;
  std::unique_ptr<Broker> broker_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<PresenceWatcher> watcher_;
  std::vector<std::string> changes_;
};

TEST_F(Presences, ADeviceComesStaysAndLeaves) {
  watch();
  Device a = device("a", 1);
  EXPECT_THAT(take(), ElementsAre("a online 1 birth"));
  world_.run_for(10min);
  EXPECT_THAT(take(), IsEmpty()) << "refreshes keep it so";
  bool left = false;
  a.presence->leave([&] { left = true; });
  EXPECT_TRUE(world_.run_until([&] { return left; }, 5s));
  world_.run_for(100ms);
  EXPECT_THAT(take(), ElementsAre("a offline 1 said"));
}

TEST_F(Presences, TheWillTellsThatADeviceHasDied) {
  watch();
  Device a = device("a", 1);
  take();
  a.presence.reset();
  a.client.reset();  // without DISCONNECT
  world_.run_for(1s);
  EXPECT_THAT(take(), ElementsAre("a offline 1 said"));
}

TEST_F(Presences, WhoeverLooksLaterIsToldWhatIsLikelyThenWhatIsSo) {
  Device a = device("a", 1);
  world_.run_for(30s);
  watch();
  EXPECT_THAT(take(), ElementsAre("a likely 1 retained"));
  world_.run_for(20s);
  EXPECT_THAT(take(), ElementsAre("a online 1 refresh"));
}

// The broker is killed, and the device dies while it is down: nobody sends the will, and the
// retained "online" comes back with the broker.
TEST_F(Presences, ARetainedOnlineThatOutlivesItsDeviceIsSeenThrough) {
  watch();
  Device a = device("a", 1);
  take();
  world_.run_for(5s);
  kill_broker();
  world_.run_for(1s);
  EXPECT_THAT(take(), ElementsAre("a unknown 1 connection"));
  a.presence.reset();
  a.client.reset();
  world_.run_for(5s);
  start_broker();
  world_.run_for(3s);
  EXPECT_THAT(take(), ElementsAre("a likely 1 retained")) << "not online: it has not said so";
  world_.run_for(61s);
  EXPECT_THAT(take(), ElementsAre("a offline 1 lease"));
  EXPECT_EQ(watcher_->of("a"), Presence::offline);
}

TEST_F(Presences, ADeviceThatLivesThroughTheBrokersDeathIsOnlineAgain) {
  watch();
  Device a = device("a", 1);
  kill_broker();
  world_.run_for(1s);
  take();
  start_broker();
  world_.run_for(10s);
  ASSERT_FALSE(changes_.empty());
  EXPECT_EQ(watcher_->of("a"), Presence::online);
}

TEST_F(Presences, AForgottenDeviceIsAbsentAfterTheBrokersMemoryHasCome) {
  watch();
  Device a = device("a", 1, 10s);
  kill_broker();
  a.presence.reset();
  a.client.reset();
  world_.run_for(20s);
  take();
  store_ = std::move(*host_.open_store("another"));  // a broker that knows nothing
  broker_ = std::make_unique<Broker>(host_, BrokerOptions{}, *access_, store_.get());
  ASSERT_TRUE(broker_->start());
  world_.run_for(20s);
  EXPECT_THAT(take(), ElementsAre("a offline 1 absent"));
}

TEST_F(Presences, ALateWillEndsNoNewerLife) {
  watch();
  Device a = device("a", 8);
  take();
  PresenceRecord late;
  late.epoch = 7;
  say(late);
  say(late, true);
  EXPECT_THAT(take(), IsEmpty());
  EXPECT_EQ(watcher_->of("a"), Presence::online);
  late.epoch = 7;
  late.online = true;
  late.lease = 60s;
  say(late);
  EXPECT_THAT(take(), IsEmpty());
  late.epoch = 8;
  late.online = false;
  say(late);
  EXPECT_THAT(take(), ElementsAre("a offline 8 said"));
}

TEST_F(Presences, ANewLifeIsABirthEvenWithoutADeathBetween) {
  watch();
  Device a = device("a", 1);
  take();
  PresenceRecord record;
  record.epoch = 2;
  record.online = true;
  record.lease = 60s;
  say(record);
  EXPECT_THAT(take(), ElementsAre("a online 2 birth"));
}

TEST_F(Presences, NoRefreshNoPresence) {
  watch();
  PresenceRecord record;
  record.epoch = 1;
  record.online = true;
  record.lease = 30s;
  say(record);
  world_.run_for(29s);
  EXPECT_EQ(watcher_->of("a"), Presence::online);
  world_.run_for(2s);
  EXPECT_THAT(take(), ElementsAre("a online 1 birth", "a offline 1 lease"));
}

TEST_F(Presences, EpochsGrowWithEachLifeInTheStore) {
  auto store = std::move(*host_.open_store("device"));
  std::vector<uint64_t> epochs;
  for (int i = 0; i < 3; ++i) {
    next_epoch(*store, [&](net::Result<uint64_t> epoch) {
      ASSERT_TRUE(epoch);
      epochs.push_back(*epoch);
    });
    world_.run_for(1s);
  }
  EXPECT_THAT(epochs, ElementsAre(1, 2, 3));
}

TEST(PresenceRecords, AreReadAndWhatIsNoneIsNot) {
  PresenceRecord record;
  record.epoch = 7;
  record.online = true;
  record.lease = 1500ms;
  record.refresh = 3;
  const auto again = parse_presence(net::as_bytes(to_json(record)));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->epoch, 7u);
  EXPECT_EQ(again->lease, 1500ms);
  EXPECT_EQ(again->refresh, 3u);
  EXPECT_TRUE(again->online);
  for (const std::string& bad :
       {std::string(), std::string("x"), std::string("[]"), std::string("{}"),
        std::string(R"({"epoch":-1,"state":"offline"})"),
        std::string(R"({"epoch":1,"state":"maybe"})"),
        std::string(R"({"epoch":1,"state":"online"})"),
        std::string(R"({"epoch":1,"state":"online","lease_ms":0})"),
        std::string(R"({"epoch":1,"state":"online","lease_ms":1e300})"),
        R"({"epoch":1,"state":"offline","x":")" + std::string(600, 'x') + "\"}"})
    EXPECT_FALSE(parse_presence(net::as_bytes(bad))) << bad;
}

}  // namespace
}  // namespace culvert::mqtt
