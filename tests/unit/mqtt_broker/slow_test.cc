// Those who do not read: what they cost, what they lose, and that nobody else notices.
#include <gmock/gmock.h>

#include "tests/unit/mqtt_broker/world.h"

namespace culvert::mqtt::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

BrokerOptions small() {
  BrokerOptions options;
  options.write_buffer_bytes = 1000;
  options.queued_messages = 20;
  return options;
}

struct Slow : ::testing::Test {
  explicit Slow(BrokerOptions options = small()) : world(std::move(options)) {
    world.pipe.capacity = 500;
  }
  World world;
};

std::string hundred(char c) { return std::string(100, c); }

TEST_F(Slow, Qos0IsDroppedAndCountedWhenTheQueueIsFull) {
  TestClient slow(world), fast(world), a(world);
  slow.connect("slow");
  fast.connect("fast");
  a.connect("a");
  slow.subscribe("t");
  fast.subscribe("t");
  slow.stop_reading();
  size_t arrived = 0;
  for (int i = 0; i < 200; ++i) {
    a.publish("t", hundred('x'));
    arrived += fast.got().size();
  }
  EXPECT_EQ(arrived, 200u);
  EXPECT_GT(world.counters().dropped_qos0, 100u);
  EXPECT_EQ(world.counters().queued, 20u);
  slow.read_again();
  world.pass(100ms);
  const size_t late = slow.got().size();
  EXPECT_EQ(late, 200 - world.counters().dropped_qos0);
  EXPECT_EQ(world.counters().queued, 0u);
  EXPECT_EQ(world.counters().queued_bytes, 0u);
  EXPECT_TRUE(slow.open());
}

TEST_F(Slow, OverflowEndsTheConnectionWithItsReason) {
  TestClient slow(world), fast(world), a(world);
  slow.connect("slow");
  fast.connect("fast");
  a.connect("a");
  slow.subscribe("t", 1);
  fast.subscribe("t", 1);
  slow.stop_reading();
  size_t arrived = 0;
  for (uint16_t i = 1; i <= 60; ++i) {
    a.publish("t", hundred('x'), 1);
    arrived += fast.got().size();
    fast.ack(Type::puback, i);
  }
  EXPECT_EQ(arrived, 60u);
  EXPECT_EQ(world.events("queue_overflow"), 1u);
  EXPECT_THAT(world.last_event("queue_overflow"), HasSubstr("\"client\":\"slow\""));
  EXPECT_GT(world.counters().dropped_queue_full, 0u);
  slow.read_again();
  world.pass(100ms);
  const auto got = slow.got();
  ASSERT_GE(got.size(), 2u);
  EXPECT_EQ(got[got.size() - 2], "DISCONNECT quota_exceeded");
  EXPECT_EQ(got.back(), "closed");
  EXPECT_EQ(world.counters().sessions, 2u);
}

TEST_F(Slow, WhoNeverReadsIsGoneAfterAWhile) {
  TestClient slow(world), a(world);
  slow.connect("slow");
  a.connect("a");
  slow.subscribe("t", 1);
  slow.stop_reading();
  for (int i = 0; i < 60; ++i) a.publish("t", hundred('x'), 1);
  world.pass(10s);
  EXPECT_EQ(world.counters().connections, 1u);
  EXPECT_EQ(world.counters().queued_bytes, 0u);
}

TEST_F(Slow, AnAbsentSessionHasAQuotaAndIsToldItsLossInTheLog) {
  TestClient b(world), a(world);
  b.connect("b", [](Connect& p) { p.session_expiry_s = 100; });
  b.subscribe("t", 1);
  b.cut();
  a.connect("a");
  for (int i = 0; i < 50; ++i) a.publish("t", std::to_string(i), 1);
  world.settle();
  EXPECT_EQ(world.counters().queued, 20u);
  EXPECT_EQ(world.counters().dropped_queue_full, 30u);
  TestClient c(world);
  EXPECT_EQ(c.connect("b", [](Connect& p) { p.clean_start = false; }).size(), 21u);
  EXPECT_THAT(world.last_event("messages_lost"), HasSubstr("\"count\":30"));
}

TEST_F(Slow, ExpiredMessagesMakeRoom) {
  TestClient b(world), a(world);
  b.connect("b", [](Connect& p) { p.session_expiry_s = 100; });
  b.subscribe("t", 1);
  b.cut();
  a.connect("a");
  for (int i = 0; i < 20; ++i) {
    a.publish("t", "old", 1, [](Publish& p) { p.properties.expiry_s = 5; });
  }
  world.pass(6s);
  a.publish("t", "new", 1);
  world.settle();
  EXPECT_EQ(world.counters().dropped_queue_full, 0u);
  EXPECT_EQ(world.counters().queued, 1u);
}

TEST_F(Slow, BytesHaveAQuotaToo) {
  world.options.queued_bytes = 1000;
  world.crash();
  TestClient b(world), a(world);
  b.connect("b", [](Connect& p) { p.session_expiry_s = 100; });
  b.subscribe("t", 1);
  b.cut();
  a.connect("a");
  for (int i = 0; i < 10; ++i) a.publish("t", hundred('x'), 1);
  world.settle();
  EXPECT_LT(world.counters().queued_bytes, 1001u);
  EXPECT_GT(world.counters().dropped_queue_full, 3u);
}

TEST_F(Slow, OrderIsKeptWhileTheQueueDrains) {
  TestClient slow(world), a(world);
  slow.connect("slow", [](Connect& p) { p.receive_maximum = 3; });
  a.connect("a");
  slow.subscribe("t", 2);
  slow.stop_reading();
  for (int i = 0; i < 15; ++i) a.publish("t", std::to_string(i) + hundred('x'), i % 2 ? 2 : 1);
  world.settle();
  slow.read_again();
  std::vector<std::string> order;
  for (int round = 0; round < 30; ++round) {
    for (const std::string& packet : slow.got()) {
      const auto id = static_cast<uint16_t>(std::stoi(packet.substr(packet.find('#') + 1)));
      if (packet.rfind("PUBREL", 0) == 0) {
        slow.ack(Type::pubcomp, id);
      } else {
        order.push_back(std::to_string(id));
        slow.ack(packet.find(" q1 ") != std::string::npos ? Type::puback : Type::pubrec, id);
      }
    }
  }
  ASSERT_EQ(order.size(), 15u);
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], std::to_string(i + 1));
  world.settle();
  EXPECT_EQ(world.counters().queued, 0u);
}

TEST_F(Slow, AcknowledgementsOutOfOrderDoNotConfuse) {
  TestClient b(world), a(world);
  world.pipe.capacity = 65536;
  TestClient c(world);
  c.connect("c");
  a.connect("a");
  c.subscribe("t", 1);
  for (int i = 0; i < 6; ++i) a.publish("t", std::to_string(i), 1);
  EXPECT_EQ(c.got().size(), 6u);
  for (const uint16_t id : {4, 2, 6, 1, 1, 5, 3, 3}) c.ack(Type::puback, id);
  c.got();
  EXPECT_EQ(world.counters().queued, 0u);
  a.publish("t", "next", 1);
  EXPECT_THAT(c.got(), ElementsAre("PUBLISH t next q1 #7"));
}

TEST(Identifiers, WrapAround) {
  World world;
  TestClient a(world), b(world);
  a.connect("a");
  b.connect("b");
  b.subscribe("t", 1);
  for (uint32_t i = 0; i < 66000; i += 1000) {
    for (uint16_t k = 1; k <= 1000; ++k) {
      a.next_id = k;
      a.publish("t", "x", 1);
    }
    const auto got = b.got();
    ASSERT_EQ(got.size(), 1000u);
    for (uint32_t k = 0; k < 1000; ++k) {
      const uint32_t id = (i + k) % 65535 + 1;
      ASSERT_EQ(got[k], "PUBLISH t x q1 #" + std::to_string(id));
      b.ack(Type::puback, static_cast<uint16_t>(id));
    }
    a.got();
  }
  a.got();
  b.got();
  EXPECT_EQ(world.counters().queued, 0u);
}

TEST(Flood, PacketsCutAnywhereAreTheSame) {
  World world;
  TestClient whole(world), a(world);
  whole.connect("whole");
  whole.subscribe("t", 2);
  net::Buffer bytes;
  Connect connect;
  connect.client_id = "a";
  ASSERT_TRUE(encode(connect, Version::v5, bytes));
  for (uint16_t id = 1; id <= 3; ++id) {
    Publish p;
    p.topic = "t";
    p.payload = net::as_bytes("payload");
    p.qos = 2;
    p.packet_id = id;
    ASSERT_TRUE(encode(p, Version::v5, bytes));
  }
  for (const uint8_t byte : bytes) {
    a.send_bytes({byte});
    world.settle();
  }
  EXPECT_THAT(a.got(), ElementsAre("CONNACK", "PUBREC #1", "PUBREC #2", "PUBREC #3"));
  EXPECT_EQ(whole.got().size(), 3u);
}

}  // namespace
}  // namespace culvert::mqtt::testing
