// A client with a store that is killed at every commit, and cut at every packet, against a model
// of a broker that forgets nothing. Every QoS 2 message arrives once, both ways; every QoS 1
// message that was acknowledged at least once.
#include <map>
#include <set>

#include "tests/unit/mqtt_client/script.h"

namespace culvert::mqtt {
namespace {

constexpr int kMessages = 4;  // each way and QoS

// Keeps its session whatever happens; takes QoS 2 over at PUBLISH and sends as 4.3 says.
class Model {
 public:
  explicit Model(Script& script) : script_(script) {
    script.on_packet = [this](const Got& got) { take(got); };
    for (int i = 0; i < kMessages; ++i) {
      to_send_.push_back({static_cast<uint16_t>(2 * i + 1), 1, "down1-" + std::to_string(i)});
      to_send_.push_back({static_cast<uint16_t>(2 * i + 2), 2, "down2-" + std::to_string(i)});
    }
  }
  std::map<std::string, int> taken;  // by payload
  int packets = 0;                   // both ways
  int cut_at = -1;                   // the connection ends before that packet is taken or sent
  bool has_session = false;

 private:
  struct Down {
    uint16_t id;
    uint8_t qos;
    std::string payload;
    bool sent = false, released = false, done = false;
  };
  bool alive() {
    if (packets++ != cut_at) return script_.stream != nullptr;
    script_.line->cut(net::Error::reset);
    script_.stream.reset();
    return false;
  }
  template <class P>
  void send(const P& packet) {
    if (script_.stream && alive()) script_.send(packet);
  }
  void ack(Type type, uint16_t id) {
    Ack packet;
    packet.type = type;
    packet.packet_id = id;
    send(packet);
  }
  void send_down(Down& down) {
    Publish p;
    p.topic = "t";
    p.payload = net::as_bytes(down.payload);
    p.qos = down.qos;
    p.packet_id = down.id;
    p.dup = down.sent;
    down.sent = true;
    send(p);
  }
  void take(const Got& got) {
    if (!alive()) return;
    if (got.is<Connect>()) {
      ConnAck ack;
      ack.session_present = has_session;
      has_session = true;
      send(ack);
      for (Down& down : to_send_) {
        if (down.done || !script_.stream) continue;
        if (down.released)
          this->ack(Type::pubrel, down.id);
        else
          send_down(down);
      }
    } else if (got.is<Publish>()) {
      const auto& p = got.as<Publish>();
      if (p.qos == 1) {
        ++taken[std::string(net::as_text(p.payload))];
        ack(Type::puback, p.packet_id);
      } else {
        if (ids_.insert(p.packet_id).second) ++taken[std::string(net::as_text(p.payload))];
        ack(Type::pubrec, p.packet_id);
      }
    } else if (got.is<Ack>()) {
      const auto& a = got.as<Ack>();
      if (a.type == Type::pubrel) {
        ids_.erase(a.packet_id);
        return ack(Type::pubcomp, a.packet_id);
      }
      for (Down& down : to_send_) {
        if (down.id != a.packet_id || down.done) continue;
        if (a.type == Type::pubrec) {
          down.released = true;
          ack(Type::pubrel, a.packet_id);
        } else {
          down.done = true;
        }
      }
    }
  }

  Script& script_;
  std::vector<Down> to_send_;
  std::set<uint16_t> ids_;
};

struct Result {
  std::map<std::string, int> up, down;
  std::set<std::string> acknowledged, in_doubt;
  bool finished = false;
  int packets = 0;
  uint64_t commits = 0;
  // Each violation as a sentence.
  std::string wrong() const {
    std::string out;
    for (int i = 0; i < kMessages; ++i) {
      for (const auto& [name, all] : {std::pair("up", &up), std::pair("down", &down)}) {
        const std::string two = std::string(name) + "2-" + std::to_string(i);
        const std::string one = std::string(name) + "1-" + std::to_string(i);
        const int count = all->count(two) ? all->at(two) : 0;
        if (count != 1) out += two + " came " + std::to_string(count) + " times; ";
        if (!all->count(one)) out += one + " never came; ";
      }
    }
    if (!finished) out += "it never ended; ";
    if (!in_doubt.empty()) out += "something is in doubt; ";
    return out;
  }
};

struct Case {
  int cut_at = -1;       // packet
  uint64_t kill_at = 0;  // commit of the client's store; 0: none
  bool after = false;    // the killing commit is durable
  bool deduplicate = true, early = true;
  Version version = Version::v5;
};

Result run(const Case& c) {
  Script script(c.version);
  Model model(script);
  model.cut_at = c.cut_at;
  Result result;
  std::unique_ptr<net::Store> store;
  std::unique_ptr<Client> client;
  std::map<std::string, uint8_t> counts;  // how often each came, as the application knows

  std::map<std::string, int> repeated;
  bool restart = true;
  script.disk.judge([&](uint64_t n, const net::StoreBatch&) {
    if (n != c.kill_at) return net::MemoryDisk::Fate::written;
    return c.after ? net::MemoryDisk::Fate::lose_power_after
                   : net::MemoryDisk::Fate::lose_power_before;
  });
  script.disk.on_power_lost([&] {
    client.reset();
    store.reset();
    restart = true;
  });
  const auto start = [&] {
    restart = false;
    counts.clear();
    auto opened = script.disk.open(script.lone.host, "client");
    ASSERT_TRUE(opened.ok()) << opened.status().detail;
    store = std::move(*opened);
    ClientOptions options = lasting(c.version);
    options.store = store.get();
    options.manual_ack = true;
    options.deduplicate = c.deduplicate;
    options.qos2_early = c.early;
    client = std::make_unique<Client>(script.lone.host, options, script.connector());
    client->on_message([&](const IncomingMessage& m) {
      // What the application does is a record in the same commit as the acknowledgement.
      const std::string payload(net::as_text(m.publish.payload));
      net::StoreBatch batch;
      batch.changes.push_back({"app/" + payload, false, {++counts[payload]}});
      if (m.token != 0)
        client->acknowledge(m.token, Reason::success, std::move(batch));
      else
        ++repeated[payload];  // only a client that does not deduplicate hands on without one
    });
    // An application that was killed before its publish() was durable publishes again: it knows
    // what is in the store by its own record, which here is the store of the client itself.
    store->scan("app/", [&](const std::string& key, net::Bytes value) {
      counts[key.substr(4)] = value[0];
    });
    std::set<std::string> there;
    store->scan("", [&](const std::string&, net::Bytes value) {
      const std::string text(net::as_text(value));
      for (int qos : {1, 2})
        for (int i = 0; i < kMessages; ++i) {
          const std::string payload = "up" + std::to_string(qos) + "-" + std::to_string(i);
          if (text.find(payload) != std::string::npos) there.insert(payload);
        }
    });
    for (int i = 0; i < kMessages; ++i)
      for (uint8_t qos : {uint8_t(1), uint8_t(2)}) {
        const std::string payload = "up" + std::to_string(qos) + "-" + std::to_string(i);
        // Durable and left the store again means that the broker has it.
        if (there.count(payload) || model.taken.count(payload)) continue;
        client->publish(message("t", payload, qos), [&result, payload](const PublishOutcome& o) {
          if (o.in_doubt) result.in_doubt.insert(payload);
          if (o.status.ok()) result.acknowledged.insert(payload);
        });
      }
    client->start();
  };
  result.finished = script.lone.run_until(
      [&] {
        if (restart) start();
        if (!client || client->unacknowledged() > 0) return false;
        if (model.taken.size() < 2 * kMessages) return false;
        size_t records = 0;
        store->scan("app/", [&](const std::string&, net::Bytes) { ++records; });
        return records == 2 * kMessages;
      },
      120s);
  script.lone.run_for(2s);
  for (const auto& [key, value] : script.disk.contents("client"))
    if (key.rfind("app/", 0) == 0) result.down[key.substr(4)] = value[0];
  for (const auto& [payload, times] : repeated) result.down[payload] += times;
  result.up = model.taken;
  result.packets = model.packets;
  result.commits = script.disk.commits();
  return result;
}

class Crash : public ::testing::TestWithParam<std::pair<Version, bool>> {};
INSTANTIATE_TEST_SUITE_P(All, Crash,
                         ::testing::Values(std::pair(Version::v5, true),
                                           std::pair(Version::v5, false),
                                           std::pair(Version::v311, true),
                                           std::pair(Version::v311, false)),
                         [](const auto& info) {
                           return std::string(info.param.first == Version::v5 ? "v5" : "v311") +
                                  (info.param.second ? "_early" : "_late");
                         });

TEST_P(Crash, NothingIsLostOrRepeatedWhereverTheConnectionIsCut) {
  Case c;
  c.version = GetParam().first;
  c.early = GetParam().second;
  const Result whole = run(c);
  ASSERT_EQ(whole.wrong(), "");
  ASSERT_GT(whole.packets, 12 * kMessages);
  for (c.cut_at = 0; c.cut_at < whole.packets; ++c.cut_at)
    ASSERT_EQ(run(c).wrong(), "") << "cut at packet " << c.cut_at;
}

TEST_P(Crash, NothingIsLostOrRepeatedWhicheverCommitItDiesAt) {
  Case c;
  c.version = GetParam().first;
  c.early = GetParam().second;
  const Result whole = run(c);
  ASSERT_GT(whole.commits, 4u);
  for (c.kill_at = 1; c.kill_at <= whole.commits; ++c.kill_at)
    for (const bool after : {false, true}) {
      c.after = after;
      ASSERT_EQ(run(c).wrong(), "")
          << "killed " << (after ? "after" : "before") << " commit " << c.kill_at;
    }
}

TEST_P(Crash, AllCutsCrossedWithAllKills) {
  Case c;
  c.version = GetParam().first;
  c.early = GetParam().second;
  const Result whole = run(c);
  for (c.cut_at = 0; c.cut_at < whole.packets; c.cut_at += 3)
    for (c.kill_at = 1; c.kill_at <= whole.commits + 2; ++c.kill_at) {
      c.after = (c.cut_at + c.kill_at) % 2 == 0;
      ASSERT_EQ(run(c).wrong(), "") << "cut at " << c.cut_at << ", killed at " << c.kill_at;
    }
}

TEST_P(Crash, WithoutDeduplicationTheSameCutsFindRepetitions) {
  Case c;
  c.version = GetParam().first;
  c.early = GetParam().second;
  c.deduplicate = false;
  const int packets = run(c).packets;
  int violations = 0;
  for (c.cut_at = 0; c.cut_at < packets; ++c.cut_at) violations += !run(c).wrong().empty();
  EXPECT_GT(violations, 0);
}

TEST(CrashOf, AStoreThatFailsStopsNothingThatIsNotDurableAndHealsLater) {
  Script script;
  auto store = std::move(*script.disk.open(script.lone.host, "client"));
  bool full = false;
  script.disk.judge([&](uint64_t, const net::StoreBatch&) {
    return full ? net::MemoryDisk::Fate::no_room : net::MemoryDisk::Fate::written;
  });
  ClientOptions options = lasting();
  options.store = store.get();
  Client client(script.lone.host, options, script.connector());
  std::string why;
  client.on_lost([&](const Client::Lost& lost) { why = lost.status.detail; });
  bool done = false;
  client.start();
  script.welcome();
  script.lone.run_for(20ms);
  full = true;
  client.publish(message("t", "x", 1), [&](const PublishOutcome& o) { done = o.status.ok(); });
  script.lone.run_for(5s);
  EXPECT_NE(why.find("the store"), std::string::npos) << why;
  for (const Got& got : script.got) EXPECT_FALSE(got.is<Publish>()) << "sent before it was durable";
  full = false;
  script.got.clear();
  script.line->cut(net::Error::reset);
  script.lone.run_for(1ms);
  // Whichever attempt is under way: the next one is let in.
  for (int i = 0; i < 50 && !done; ++i) {
    script.lone.run_for(100ms);
    while (!script.got.empty()) {
      const Got got = script.next();
      if (got.is<Connect>() && script.stream) {
        ConnAck ack;
        ack.session_present = true;
        script.send(ack);
      } else if (got.is<Publish>() && script.stream) {
        script.ack(Type::puback, got.as<Publish>().packet_id);
      }
    }
  }
  EXPECT_TRUE(done);
}

// A store of which nothing can be listed.
class Unreadable : public net::Store {
 public:
  net::Result<net::Buffer> get(const std::string&) const override {
    return {net::Error::not_found, "the store has no such key"};
  }
  net::Status scan(const std::string&,
                   const std::function<void(const std::string&, net::Bytes)>&) const override {
    return {net::Error::failed, "the disk cannot be read"};
  }
  void commit(net::StoreBatch, std::function<void(net::Status)>) override { ++commits; }
  int commits = 0;
};

TEST(CrashOf, AStoreThatCannotBeReadIsToldAndNotWrittenOver) {
  Script script;
  Unreadable store;
  ClientOptions options = lasting();
  options.store = &store;
  Client client(script.lone.host, options, script.connector());
  std::vector<std::string> lost;
  client.on_lost([&](const Client::Lost& l) {
    lost.push_back(std::string(l.phase) + ": " + l.status.detail);
    EXPECT_FALSE(l.again_in);
  });
  EXPECT_EQ(client.publish(message("t", "x", 1)).error, net::Error::failed);
  client.start();
  script.lone.run_for(60s);
  EXPECT_EQ(lost, std::vector<std::string>{"store: the disk cannot be read"});
  EXPECT_EQ(script.attempts, 0);
  EXPECT_EQ(store.commits, 0);
}

TEST(CrashOf, WhatAnEarlierLifePublishedIsToldWhenItEnds) {
  Script script;
  {
    auto store = std::move(*script.disk.open(script.lone.host, "client"));
    ClientOptions options = lasting();
    options.store = store.get();
    Client client(script.lone.host, options, script.connector());
    client.start();
    script.welcome();
    client.publish(message("t", "doubtful", 2));
    client.publish(message("t", "fine", 1));
    script.next_as<Publish>();
    script.next_as<Publish>();
  }
  auto store = std::move(*script.disk.open(script.lone.host, "client"));
  ClientOptions options = lasting();
  options.store = store.get();
  Client client(script.lone.host, options, script.connector());
  std::map<std::string, bool> told;
  client.on_recovered([&](const Publish& p, const PublishOutcome& o) {
    told[std::string(net::as_text(p.payload))] = o.in_doubt;
  });
  EXPECT_EQ(client.unacknowledged(), 2u);
  client.start();
  script.welcome(false);
  const auto fine = script.next_as<Publish>();
  EXPECT_EQ(net::as_text(fine.payload), "fine");
  script.ack(Type::puback, fine.packet_id);
  script.lone.run_for(50ms);
  EXPECT_EQ(told, (std::map<std::string, bool>{{"doubtful", true}, {"fine", false}}));
}

TEST(CrashOf, WhatWasNeverSentIsNotInDoubtEvenIfTheSessionIsNew) {
  Script script;
  script.refuse = true;
  {
    auto store = std::move(*script.disk.open(script.lone.host, "client"));
    ClientOptions options = lasting();
    options.store = store.get();
    Client client(script.lone.host, options, script.connector());
    client.start();
    client.publish(message("t", "kept", 2));
    script.lone.run_for(1s);
  }
  script.refuse = false;
  auto store = std::move(*script.disk.open(script.lone.host, "client"));
  ClientOptions options = lasting();
  options.store = store.get();
  Client client(script.lone.host, options, script.connector());
  client.start();
  script.welcome(false);
  const auto p = script.next_as<Publish>();
  EXPECT_EQ(net::as_text(p.payload), "kept");
  EXPECT_FALSE(p.dup);
}

}  // namespace
}  // namespace culvert::mqtt
