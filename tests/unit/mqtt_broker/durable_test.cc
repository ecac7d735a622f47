// What a crash cannot undo: sessions, queues, QoS 2 on both sides, retained messages, wills
// (docs/decisions/0008). And what a full disk does.
#include <gmock/gmock.h>

#include "tests/unit/mqtt_broker/world.h"

namespace culvert::mqtt::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Fate = net::MemoryDisk::Fate;

const auto kHour = [](Connect& p) {
  p.clean_start = false;
  p.session_expiry_s = 3600;
};

class Durable : public ::testing::Test {
 protected:
  explicit Durable(BrokerOptions options = {}) : world(std::move(options), true) {}
  net::MemoryDisk& disk() { return world.lone.disk(world.lone.node); }
  size_t keys() { return disk().contents("broker").size(); }
  World world;
};

TEST_F(Durable, NothingIsForwardedOrAcknowledgedBeforeItIsOnDisk) {
  disk().set_commit_delay(50ms);
  TestClient a(world), b(world), clean(world);
  a.connect("a", kHour);
  b.connect("b", kHour);
  clean.connect("clean");
  world.pass(200ms);
  b.subscribe("t", 2);
  clean.subscribe("t", 2);
  world.pass(200ms);
  EXPECT_THAT(a.got(), ElementsAre("CONNACK"));
  EXPECT_THAT(b.got(), ElementsAre("SUBACK #1 2"));
  clean.got();
  a.publish("t", "1", 1);
  a.publish("t", "2", 2);
  a.send(Ping{});
  EXPECT_THAT(a.got(), ElementsAre("PINGRESP"));
  EXPECT_THAT(b.got(), IsEmpty());
  EXPECT_THAT(clean.got(), IsEmpty());
  world.pass(100ms);
  EXPECT_THAT(a.got(), ElementsAre("PUBACK #1", "PUBREC #2"));
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t 1 q1 #1", "PUBLISH t 2 q2 #2"));
  EXPECT_THAT(clean.got(), ElementsAre("PUBLISH t 1 q1 #1", "PUBLISH t 2 q2 #2"));
}

TEST_F(Durable, ACrashKeepsWhatWasAcknowledged) {
  {
    TestClient a(world), b(world);
    a.connect("a", kHour);
    EXPECT_THAT(b.connect("b", kHour), ElementsAre("CONNACK"));
    b.subscribe("t/#", 2, [](Subscribe& p) { p.subscription_id = 9; });
    b.cut();
    a.publish("t/1", "1", 1);
    a.publish("t/2", "2", 2, [](Publish& p) {
      p.properties.user.push_back({"k", "v"});
      p.properties.expiry_s = 100;
    });
    EXPECT_THAT(a.got(), ElementsAre("PUBACK #1", "PUBREC #2"));
    world.crash();
  }
  TestClient b(world), a(world);
  EXPECT_THAT(b.connect("b", kHour), ElementsAre("CONNACK present", "PUBLISH t/1 1 q1 #1 id=9",
                                                 "PUBLISH t/2 2 q2 #2 id=9 expiry=100 k:v"));
  // The publisher did not hear PUBREC: it sends again, and the identifier is known.
  EXPECT_THAT(a.connect("a", kHour), ElementsAre("CONNACK present"));
  a.next_id = 2;
  a.publish("t/2", "2", 2, [](Publish& p) { p.dup = true; });
  EXPECT_THAT(a.got(), ElementsAre("PUBREC #2"));
  a.ack(Type::pubrel, 2);
  EXPECT_THAT(a.got(), ElementsAre("PUBCOMP #2"));
  EXPECT_THAT(b.got(), IsEmpty());
  b.ack(Type::puback, 1);
  b.ack(Type::pubrec, 2);
  EXPECT_THAT(b.got(), ElementsAre("PUBREL #2"));
  world.crash();
  TestClient again(world), publisher(world);
  EXPECT_THAT(again.connect("b", kHour), ElementsAre("CONNACK present", "PUBREL #2"));
  again.ack(Type::pubcomp, 2);
  // The identifier was released: it stands for a new message.
  publisher.connect("a", kHour);
  publisher.next_id = 2;
  publisher.publish("t/3", "3", 2);
  EXPECT_THAT(publisher.got(), ElementsAre("PUBREC #2"));
  EXPECT_THAT(again.got(), ElementsAre("PUBLISH t/3 3 q2 #3 id=9"));
}

TEST_F(Durable, WhatWasSentBeforeTheCrashComesWithDup) {
  {
    TestClient a(world), b(world);
    a.connect("a");
    b.connect("b", [](Connect& p) {
      p.session_expiry_s = 100;
      p.receive_maximum = 1;
    });
    b.subscribe("t", 1);
    a.publish("t", "1", 1);
    a.publish("t", "2", 1);
    EXPECT_THAT(b.got(), ElementsAre("PUBLISH t 1 q1 #1"));
    world.crash();
  }
  TestClient b(world);
  EXPECT_THAT(b.connect("b", kHour),
              ElementsAre("CONNACK present", "PUBLISH t 1 q1 #1 dup", "PUBLISH t 2 q1 #2"));
}

TEST_F(Durable, AMessageForManyIsStoredOnceAndGoesWithTheLast) {
  TestClient a(world), b(world), c(world);
  a.connect("a");
  b.connect("b", kHour);
  c.connect("c", kHour);
  b.subscribe("t", 1);
  c.subscribe("t", 1);
  const size_t before = keys();
  a.publish("t", "x", 1);
  b.got();
  c.got();
  EXPECT_EQ(keys(), before + 3);
  b.ack(Type::puback, 1);
  world.pass(20ms);
  EXPECT_EQ(keys(), before + 2);
  world.crash();
  TestClient d(world);
  EXPECT_THAT(d.connect("c", kHour), ElementsAre("CONNACK present", "PUBLISH t x q1 #1 dup"));
  d.ack(Type::puback, 1);
  world.pass(20ms);
  EXPECT_EQ(keys(), before);
}

// A commit each would keep the next message waiting.
TEST_F(Durable, WhatIsOnlyToBeForgottenGoesWithTheNextCommitOrSoonByItself) {
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b", kHour);
  b.subscribe("t", 1);
  world.pass(20ms);
  const uint64_t commits = disk().commits();
  const size_t before = keys();
  for (uint16_t i = 1; i <= 10; ++i) {
    a.publish("t", "x", 1);
    EXPECT_THAT(a.got(), ElementsAre("PUBACK #" + std::to_string(i)));
    EXPECT_EQ(keys(), before + 1) << "the one before has gone";
    EXPECT_THAT(b.got(), ElementsAre("PUBLISH t x q1 #" + std::to_string(i)));
    b.ack(Type::puback, i);
    world.pass(1ms);
  }
  EXPECT_EQ(disk().commits(), commits + 10);
  world.pass(20ms);
  EXPECT_EQ(disk().commits(), commits + 11);
  EXPECT_EQ(keys(), before);
}

TEST_F(Durable, ABrokerThatIsStoppedForgetsWhatItHasToFirst) {
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b", kHour);
  b.subscribe("t", 1);
  const size_t before = keys();
  a.publish("t", "x", 1);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH t x q1 #1"));
  b.ack(Type::puback, 1);
  world.pass(1ms);
  EXPECT_EQ(keys(), before + 1);
  size_t left = keys();
  world.broker->stop(10s, [&] { left = keys(); });
  a.cut();
  b.cut();
  world.pass(5s);
  EXPECT_EQ(left, before);
}

TEST_F(Durable, SessionsThatEndLeaveNothingBehind) {
  const size_t before = keys();
  TestClient a(world), b(world);
  a.connect("a", kHour);
  b.connect("b");
  a.subscribe("t", 2);
  a.subscribe("u/#", 1);
  b.publish("t", "x", 2);
  a.publish("v", "y", 2);
  a.cut();
  b.publish("u/1", "x", 1);
  b.got();
  EXPECT_GT(keys(), before + 3);
  TestClient again(world);
  again.connect("a");
  again.send(Disconnect{});
  b.send(Disconnect{});
  world.settle();
  EXPECT_EQ(keys(), before + 1);  // and the schema's
}

TEST_F(Durable, RetainedMessagesSurvive) {
  {
    TestClient a(world);
    a.connect("a");
    for (const char* topic : {"r/1", "r/2", "r/3"}) {
      a.publish(topic, topic, 1, [](Publish& p) { p.retain = true; });
    }
    a.publish("r/2", "", 0, [](Publish& p) { p.retain = true; });
    const std::string deep(5000, 'x');
    a.publish(deep, "long topic", 1, [](Publish& p) { p.retain = true; });
    a.got();
    world.crash();
  }
  EXPECT_EQ(world.counters().retained, 3u);
  TestClient b(world);
  b.connect("b");
  EXPECT_THAT(b.subscribe("r/#"),
              ElementsAre("SUBACK #1 0", "PUBLISH r/1 r/1 retain", "PUBLISH r/3 r/3 retain"));
}

TEST_F(Durable, TimesGoOnFromWhereTheyWere) {
  {
    TestClient a(world), b(world);
    a.connect("a");
    b.connect("b", kHour);
    b.subscribe("t", 1);
    b.cut();
    a.publish("r", "x", 1, [](Publish& p) {
      p.retain = true;
      p.properties.expiry_s = 100;
    });
    a.got();
    world.crash();
  }
  world.pass(99s);
  TestClient c(world);
  c.connect("c");
  EXPECT_THAT(c.subscribe("r"), ElementsAre("SUBACK #1 0", "PUBLISH r x retain expiry=1"));
  world.pass(2s);
  EXPECT_THAT(c.subscribe("r"), ElementsAre("SUBACK #2 0"));
  world.pass(3600s);
  EXPECT_EQ(world.counters().sessions, 1u);
}

TEST_F(Durable, ACrashIsTheEndOfItsConnections) {
  const auto will = [](uint32_t delay) {
    return [delay](Connect& p) {
      p.session_expiry_s = 3600;
      p.will = Will{};
      p.will->topic = "will";
      p.will->payload = net::as_bytes("dead");
      p.will->qos = 1;
      p.will->delay_s = delay;
    };
  };
  {
    TestClient a(world), b(world), c(world);
    b.connect("b", kHour);
    b.subscribe("will", 1);
    a.connect("a", will(0));
    c.connect("c", will(10));
    world.settle();
    world.crash();
  }
  TestClient b(world);
  EXPECT_THAT(b.connect("b", kHour), ElementsAre("CONNACK present", "PUBLISH will dead q1 #1"));
  world.pass(11s);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH will dead q1 #2"));
}

TEST_F(Durable, CleanSessionsAreNotStored) {
  const size_t before = keys();
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b");
  b.subscribe("t", 2);
  a.publish("t", "x", 2);
  EXPECT_THAT(a.got(), ElementsAre("PUBREC #1"));
  EXPECT_LE(keys(), before + 1);
}

TEST_F(Durable, OldClientsHaveDurableSessionsToo) {
  const auto keep = [](Connect& p) { p.clean_start = false; };
  {
    TestClient a(world, Version::v311), b(world, Version::v311);
    a.connect("a");
    b.connect("b", keep);
    b.subscribe("t", 2);
    b.cut();
    a.publish("t", "x", 2);
    EXPECT_THAT(a.got(), ElementsAre("PUBREC #1"));
    world.crash();
  }
  TestClient b(world, Version::v311);
  EXPECT_THAT(b.connect("b", keep), ElementsAre("CONNACK present", "PUBLISH t x q2 #1"));
}

// -- a full disk ----------------------------------------------------------------------------------

TEST_F(Durable, OnAFullDiskNothingIsAcknowledgedAndNobodyGetsIt) {
  TestClient a(world), b(world), old(world, Version::v311);
  a.connect("a", kHour);
  b.connect("b", kHour);
  old.connect("old");
  b.subscribe("t", 2);
  bool full = true;
  disk().judge(
      [&](uint64_t, const net::StoreBatch&) { return full ? Fate::no_room : Fate::written; });
  a.publish("t", "1", 1);
  a.publish("t", "2", 2, [](Publish& p) { p.retain = true; });
  old.publish("t", "3", 1);
  world.pass(2s);
  EXPECT_THAT(a.got(), ElementsAre("PUBACK #1 quota_exceeded", "PUBREC #2 quota_exceeded"));
  EXPECT_THAT(old.got(), ElementsAre("closed"));
  EXPECT_THAT(b.got(), IsEmpty());
  EXPECT_EQ(world.counters().retained, 0u);
  EXPECT_EQ(world.counters().queued, 0u);
  EXPECT_GE(world.counters().commit_failures, 1u);
  EXPECT_EQ(world.events("store_failed"), 1u);
  full = false;
  world.pass(3s);
  a.next_id = 2;
  a.publish("t", "2", 2);  // the identifier is new again
  EXPECT_THAT(a.got(), ElementsAre("PUBREC #2"));
  EXPECT_EQ(b.got().size(), 1u);
  EXPECT_EQ(world.events("store_recovered"), 1u);
}

TEST_F(Durable, WhatIsNoMessageIsTriedAgainUntilThereIsRoom) {
  TestClient a(world), b(world);
  a.connect("a", kHour);
  b.connect("b", kHour);
  b.subscribe("t", 2);
  a.publish("t", "x", 2);
  b.got();
  a.got();
  bool full = true;
  disk().judge(
      [&](uint64_t, const net::StoreBatch&) { return full ? Fate::no_room : Fate::written; });
  a.ack(Type::pubrel, 1);
  b.ack(Type::pubrec, 1);
  EXPECT_THAT(b.subscribe("u", 1), IsEmpty());
  world.pass(10s);
  EXPECT_THAT(a.got(), IsEmpty());
  EXPECT_THAT(b.got(), IsEmpty());
  full = false;
  world.pass(2s);
  EXPECT_THAT(a.got(), ElementsAre("PUBCOMP #1"));
  EXPECT_THAT(b.got(), ElementsAre("PUBREL #1", "SUBACK #2 1"));
}

TEST_F(Durable, AWillWaitsForTheDisk) {
  TestClient a(world), b(world);
  b.connect("b", kHour);
  b.subscribe("will", 1);
  a.connect("a", [](Connect& p) {
    p.will = Will{};
    p.will->topic = "will";
    p.will->payload = net::as_bytes("dead");
    p.will->qos = 1;
    p.will->retain = true;
  });
  bool full = true;
  disk().judge(
      [&](uint64_t, const net::StoreBatch&) { return full ? Fate::no_room : Fate::written; });
  a.cut();
  world.pass(5s);
  EXPECT_THAT(b.got(), IsEmpty());
  full = false;
  world.pass(2s);
  EXPECT_THAT(b.got(), ElementsAre("PUBLISH will dead q1 #1"));
}

// -- exactly once, whenever the power goes --------------------------------------------------------

// A publisher sends three QoS 2 messages to a subscriber, both by the book; the power of the
// broker's machine goes at the n-th commit, before or after it. Whatever n is, each arrives once.
size_t deliveries_with_a_crash_at(uint64_t n, bool after, bool deduplicate, bool& crashed) {
  BrokerOptions options;
  options.deduplicate = deduplicate;
  World world(options, true);
  net::MemoryDisk& disk = world.lone.disk(world.lone.node);
  crashed = false;
  const uint64_t from = disk.commits();
  disk.judge([&, n, after, from](uint64_t count, const net::StoreBatch&) {
    if (crashed || count != from + n) return Fate::written;
    return after ? Fate::lose_power_after : Fate::lose_power_before;
  });
  bool dark = false;
  disk.on_power_lost([&] { dark = true; });
  auto publisher = std::make_unique<TestClient>(world);
  auto subscriber = std::make_unique<TestClient>(world);
  bool subscribed = false, publisher_up = false, subscriber_up = false;
  int id = 1;                           // of the message under way
  bool recorded = false, sent = false;  // of the message under way
  std::vector<uint16_t> open;           // identifiers that the subscriber has received
  size_t delivered = 0;
  for (int turn = 0; turn < 400 && id <= 3; ++turn) {
    if (dark) {
      dark = false;
      crashed = true;
      world.crash();
      publisher = std::make_unique<TestClient>(world);
      subscriber = std::make_unique<TestClient>(world);
      publisher_up = subscriber_up = sent = false;
    }
    const auto connect = [&](TestClient& c, std::string_view name) {
      Connect p;
      p.client_id = name;
      kHour(p);
      c.send(p);
    };
    if (turn == 0 || (!subscriber_up && crashed)) connect(*subscriber, "subscriber");
    if (turn == 0 || (!publisher_up && crashed)) connect(*publisher, "publisher");
    for (const std::string& packet : subscriber->got()) {
      const auto number = [&] {
        return static_cast<uint16_t>(std::stoi(packet.substr(packet.find('#') + 1)));
      };
      if (packet.rfind("CONNACK", 0) == 0) {
        subscriber_up = true;
        if (!subscribed) {
          Subscribe p;
          p.packet_id = 100;
          SubscriptionOptions o;
          o.qos = 2;
          p.entries.push_back({"t", o});
          subscriber->send(p);
        }
      } else if (packet.rfind("SUBACK", 0) == 0) {
        subscribed = true;
      } else if (packet.rfind("PUBLISH", 0) == 0) {
        if (std::find(open.begin(), open.end(), number()) == open.end()) {
          open.push_back(number());
          ++delivered;
        }
        subscriber->ack(Type::pubrec, number());
      } else if (packet.rfind("PUBREL", 0) == 0) {
        open.erase(std::remove(open.begin(), open.end(), number()), open.end());
        subscriber->ack(Type::pubcomp, number());
      }
    }
    for (const std::string& packet : publisher->got()) {
      if (packet.rfind("CONNACK", 0) == 0) {
        publisher_up = true;
      } else if (packet.rfind("PUBREC", 0) == 0) {
        recorded = true;
        publisher->ack(Type::pubrel, 1);
      } else if (packet.rfind("PUBCOMP", 0) == 0) {
        ++id;
        recorded = sent = false;
      }
    }
    if (publisher_up && subscribed && !sent && id <= 3) {
      sent = true;
      if (recorded) {
        publisher->ack(Type::pubrel, 1);
      } else {
        publisher->next_id = 1;  // the same identifier for each message: the hardest case
        publisher->publish("t", "x", 2);
      }
    }
  }
  world.settle();
  return delivered;
}

TEST(ExactlyOnce, WhereverThePowerGoes) {
  for (const bool after : {false, true}) {
    bool crashed = true;
    uint64_t n = 1;
    for (; crashed && n < 200; ++n) {
      EXPECT_EQ(deliveries_with_a_crash_at(n, after, true, crashed), 3u)
          << "power lost " << (after ? "after" : "before") << " commit " << n;
    }
    EXPECT_GT(n, 10u);  // there were that many places
    EXPECT_LT(n, 200u);
  }
}

TEST(ExactlyOnce, FailsWithoutDeduplication) {
  bool crashed = true, wrong = false;
  for (uint64_t n = 1; crashed && n < 200; ++n) {
    wrong |= deliveries_with_a_crash_at(n, true, false, crashed) != 3;
  }
  EXPECT_TRUE(wrong);
}

// A store whose disk fails when keys that begin so are read.
class Unreadable : public net::Store {
 public:
  Unreadable(net::Store& under, std::string prefix) : under_(under), prefix_(std::move(prefix)) {}
  net::Result<net::Buffer> get(const std::string& key) const override { return under_.get(key); }
  net::Status scan(
      const std::string& prefix,
      const std::function<void(const std::string&, net::Bytes)>& visit) const override {
    if (prefix == prefix_) return {net::Error::failed, "the disk cannot be read"};
    return under_.scan(prefix, visit);
  }
  void commit(net::StoreBatch batch, std::function<void(net::Status)> done) override {
    under_.commit(std::move(batch), std::move(done));
  }

 private:
  net::Store& under_;
  const std::string prefix_;
};

TEST_F(Durable, WhatCannotBeReadIsNotTakenForWhatIsNotThere) {
  {
    TestClient a(world), b(world);
    a.connect("a", kHour);
    b.connect("b", kHour);
    b.subscribe("t", 2);
    b.cut();
    a.publish("t", "1", 1, [](Publish& p) { p.retain = true; });
    a.publish("t", "2", 2);
    world.settle();
  }
  world.broker.reset();
  world.pass(100ms);
  const net::MemoryDisk::Contents before = disk().contents("broker");
  for (const char* kind : {"s", "u", "m", "q", "i", "n", "r"}) {
    Unreadable store(*world.store, kind);
    Broker broker(world.lone.host, world.options, *world.access, &store);
    EXPECT_EQ(broker.start().error, net::Error::failed) << kind;
  }
  world.pass(100ms);
  EXPECT_TRUE(disk().contents("broker") == before) << "something was tidied away";
  world.store.reset();
  world.start();
  TestClient b(world);
  EXPECT_THAT(b.connect("b", kHour), ::testing::SizeIs(3));
}

}  // namespace
}  // namespace culvert::mqtt::testing
