// A check against a real broker, and one scripted failure for each phase.
#include "model/monitor/check.h"

#include <gtest/gtest.h>

#include "model/monitor/monitor.h"
#include "model/mqtt/broker/broker.h"
#include "tests/support/fake_net.h"
#include "tests/unit/http/pipe_connector.h"

namespace culvert::monitor {
namespace {

using namespace std::chrono_literals;

// Refuses what the test names.
struct Moody : mqtt::Access {
  std::optional<mqtt::LoginAnswer> login(const mqtt::LoginRequest&,
                                         std::function<void(mqtt::LoginAnswer)>) override {
    mqtt::LoginAnswer answer;
    answer.reason = login_reason;
    return answer;
  }
  std::optional<mqtt::Reason> may(const mqtt::AccessRequest& request,
                                  std::function<void(mqtt::Reason)>) override {
    return refused && request.action == *refused ? mqtt::Reason::not_authorized
                                                 : mqtt::Reason::success;
  }
  mqtt::Reason login_reason = mqtt::Reason::success;
  std::optional<mqtt::Action> refused;
};

struct Lab {
  Lab() : net(7), node(net.host("m")), broker(host(), {}, access, nullptr) {
    EXPECT_TRUE(broker.start().ok());
    options.patience = 5s;
  }
  net::Host& host() { return net.at(node); }

  // Connects to `accept`, 20 ms each way, as if over TCP.
  std::unique_ptr<net::Connector> connector(std::shared_ptr<Stage> stage) {
    auto tcp = std::make_unique<http::TestConnector>(
        host(), [this](auto stream) { accept(std::move(stream)); }, 40ms);
    tcp->options.delay = 20ms;
    tcp->refuse = refuse;
    return staged(std::move(tcp), std::move(stage), Phase::tcp, Phase::connack);
  }
  CheckResult check() {
    std::optional<CheckResult> result;
    auto stage = std::make_shared<Stage>();
    Check check(host(), options, connector(stage), stage,
                [&](const CheckResult& r) { result = r; });
    EXPECT_TRUE(net.run_until([&] { return result.has_value(); }, 60s));
    return *result;
  }
  static net::Duration of(const CheckResult& result, Phase phase) {
    return result.times[static_cast<size_t>(phase)].value_or(net::Duration(-1));
  }

  testing::FakeNet net;
  testing::FakeNet::Node node;
  Moody access;
  mqtt::Broker broker;
  CheckOptions options;
  bool refuse = false;
  std::vector<std::unique_ptr<net::Stream>> silent;
  std::function<void(std::unique_ptr<net::Stream>)> accept = [this](auto stream) {
    broker.attach(std::move(stream), {});
  };
};

TEST(Check, TimesEachPhaseOfAGoodBroker) {
  for (const uint8_t qos : {0, 1, 2})
    for (const auto version : {mqtt::Version::v311, mqtt::Version::v5}) {
      Lab lab;
      lab.options.qos = qos;
      lab.options.client.version = version;
      const CheckResult result = lab.check();
      ASSERT_TRUE(result.ok) << to_string(result.failed) << " " << result.status.to_string();
      for (const Phase phase : {Phase::tcp, Phase::connack, Phase::suback, Phase::loopback})
        EXPECT_EQ(Lab::of(result, phase), 40ms) << to_string(phase) << int(qos);
      if (qos > 0) {
        EXPECT_EQ(Lab::of(result, Phase::puback), qos * 40ms);
      }
      EXPECT_FALSE(result.times[static_cast<size_t>(Phase::tls)]);
      EXPECT_EQ(result.total, qos == 2 ? 200ms : 160ms);
      lab.net.run_for(1s);
      EXPECT_EQ(lab.broker.counters().connections, 0u);
      EXPECT_EQ(lab.broker.counters().sessions, 0u);  // nothing is left behind
    }
}

TEST(Check, AFailureNamesItsPhase) {
  struct Case {
    const char* what;
    std::function<void(Lab&)> spoil;
    Phase phase;
    net::Error error;
  };
  // Answers the first packet with CONNACK (3.1.1), then nothing.
  const auto only_connack = [](Lab& lab) {
    lab.options.client.version = mqtt::Version::v311;
    lab.accept = [&lab](std::unique_ptr<net::Stream> stream) {
      lab.silent.push_back(std::move(stream));
      net::Stream& s = *lab.silent.back();
      s.on_readable([&s] {
        uint8_t piece[500];
        const auto io = s.read(piece);
        const uint8_t connack[] = {0x20, 2, 0, 0};
        if (io.count > 0 && piece[0] == 0x10) s.write(connack);
      });
    };
  };
  const Case kCases[] = {
      {"refused", [](Lab& lab) { lab.refuse = true; }, Phase::tcp, net::Error::refused},
      {"silent broker",
       [](Lab& lab) {
         lab.accept = [&lab](auto stream) { lab.silent.push_back(std::move(stream)); };
       },
       Phase::connack, net::Error::timed_out},
      {"not MQTT",
       [](Lab& lab) {
         lab.accept = [&lab](auto stream) {
           stream->write(net::as_bytes("HTTP/1.1 400 Bad Request\r\n\r\n"));
           lab.silent.push_back(std::move(stream));
         };
       },
       Phase::connack, net::Error::none},
      {"closes", [](Lab& lab) { lab.accept = [](auto stream) { stream.reset(); }; }, Phase::connack,
       net::Error::none},
      {"bad password",
       [](Lab& lab) { lab.access.login_reason = mqtt::Reason::bad_user_name_or_password; },
       Phase::connack, net::Error::refused},
      {"may not subscribe", [](Lab& lab) { lab.access.refused = mqtt::Action::subscribe; },
       Phase::suback, net::Error::refused},
      {"no SUBACK", only_connack, Phase::suback, net::Error::timed_out},
      {"may not publish", [](Lab& lab) { lab.access.refused = mqtt::Action::publish; },
       Phase::puback, net::Error::refused},
      {"may not receive", [](Lab& lab) { lab.access.refused = mqtt::Action::receive; },
       Phase::loopback, net::Error::timed_out},
  };
  for (const Case& c : kCases) {
    Lab lab;
    c.spoil(lab);
    const CheckResult result = lab.check();
    EXPECT_FALSE(result.ok) << c.what;
    EXPECT_EQ(result.failed, c.phase)
        << c.what << ": " << to_string(result.failed) << " " << result.status.to_string();
    if (c.error != net::Error::none) {
      EXPECT_EQ(result.status.error, c.error) << c.what;
    }
    EXPECT_FALSE(result.status.ok()) << c.what;
    EXPECT_LE(result.total, 5s) << c.what;
  }
}

TEST(Check, LayersThatHangAreToldByTheirStage) {
  // Each layer connects what is under it and then never answers.
  struct Hangs : net::Connector {
    explicit Hangs(std::unique_ptr<net::Connector> u) : under(std::move(u)) {}
    std::unique_ptr<net::Connecting> connect(Done, Failed failed) override {
      return under->connect([this](net::Connected c) { kept.push_back(std::move(c)); }, failed);
    }
    std::string describe() const override { return "hangs"; }
    std::unique_ptr<net::Connector> under;
    std::vector<net::Connected> kept;
  };
  for (const Phase phase : {Phase::proxy, Phase::tls, Phase::websocket}) {
    Lab lab;
    auto stage = std::make_shared<Stage>();
    auto tcp = staged(std::make_unique<http::TestConnector>(lab.host(), lab.accept, 40ms), stage,
                      Phase::tcp, phase);
    std::optional<CheckResult> result;
    Check check(lab.host(), lab.options, std::make_unique<Hangs>(std::move(tcp)), stage,
                [&](const CheckResult& r) { result = r; });
    lab.net.run_until([&] { return result.has_value(); }, 60s);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->failed, phase) << to_string(result->failed);
    EXPECT_EQ(result->status.error, net::Error::timed_out);
  }
}

TEST(Check, AConnectionCutInTheMiddleFailsWhereItWas) {
  Lab lab;
  lab.accept = [&lab](std::unique_ptr<net::Stream> stream) {
    lab.broker.attach(std::move(stream), {});
  };
  std::optional<CheckResult> result;
  auto stage = std::make_shared<Stage>();
  Check check(lab.host(), lab.options, lab.connector(stage), stage,
              [&](const CheckResult& r) { result = r; });
  lab.net.run_for(100ms);  // CONNACK is in, SUBACK on its way
  lab.broker.stop(0ms, [] {});
  lab.net.run_until([&] { return result.has_value(); }, 60s);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->failed, Phase::suback) << to_string(result->failed);
}

TEST(Check, MayBeDestroyedAtAnyTime) {
  for (int ms = 0; ms < 260; ms += 5) {
    Lab lab;
    auto stage = std::make_shared<Stage>();
    bool told = false;
    std::unique_ptr<Check> check;
    check = std::make_unique<Check>(lab.host(), lab.options, lab.connector(stage), stage,
                                    [&](const CheckResult&) {
                                      told = true;
                                      check.reset();
                                    });
    lab.net.run_for(std::chrono::milliseconds(ms));
    check.reset();
    const bool before = told;
    lab.net.run_for(20s);
    EXPECT_EQ(told, before);
  }
}

TEST(Monitor, ChecksOnScheduleAndTellsWhenTheStateChanges) {
  Lab lab;
  MonitorOptions options;
  options.check = lab.options;
  options.interval = 10s;
  options.history = {100, 60s};
  Monitor monitor(lab.host(), options, [&](std::shared_ptr<Stage> stage) {
    return net::Result<std::unique_ptr<net::Connector>>(lab.connector(stage));
  });
  std::vector<std::pair<State, State>> changes;
  monitor.on_result([&](const CheckResult&, State state, State before) {
    if (state != before) changes.emplace_back(before, state);
  });
  monitor.start();
  lab.net.run_for(25s);
  EXPECT_EQ(monitor.history().good(), 3u);
  lab.refuse = true;
  lab.net.run_for(20s);
  EXPECT_EQ(monitor.history().failures(Phase::tcp), 2u);
  lab.refuse = false;
  lab.net.run_for(10s);
  EXPECT_EQ(changes, (std::vector<std::pair<State, State>>{{State::unknown, State::ok},
                                                           {State::ok, State::critical},
                                                           {State::critical, State::ok}}));
  EXPECT_NEAR(monitor.history().availability(lab.net.now()), 4.0 / 6, 1e-9);
}

TEST(Monitor, EndsAfterSoManyChecksAndMakesOneByHand) {
  Lab lab;
  MonitorOptions options;
  options.check = lab.options;
  options.checks = 2;
  bool ended = false;
  Monitor monitor(lab.host(), options, [&](std::shared_ptr<Stage> stage) {
    return net::Result<std::unique_ptr<net::Connector>>(lab.connector(stage));
  });
  monitor.on_end([&] { ended = true; });
  EXPECT_TRUE(monitor.check());
  lab.net.run_for(1s);
  EXPECT_FALSE(ended);
  EXPECT_TRUE(monitor.check());
  lab.net.run_for(10ms);
  EXPECT_FALSE(monitor.check());
  lab.net.run_for(1s);
  EXPECT_TRUE(ended);
  EXPECT_EQ(monitor.history().good(), 2u);
}

}  // namespace
}  // namespace culvert::monitor
