// Requester and responder through a real broker, all in one host's virtual time.
#include <gtest/gtest.h>

#include "model/http/client.h"
#include "model/http/server.h"
#include "model/mqtt/broker/broker.h"
#include "model/request/gateway.h"
#include "model/request/requester.h"
#include "model/request/server.h"
#include "tests/support/fake_net.h"

namespace culvert::request {
namespace {

using namespace std::chrono_literals;
using mqtt::Version;

std::string text(const Response& response) { return std::string(net::as_text(response.body)); }

// A client in the broker's process, with its inbox.
struct Party {
  Party(net::Host& host, mqtt::Broker& broker, const std::string& id, Version version,
        bool manual_ack = false) {
    mqtt::ClientOptions options;
    options.version = version;
    options.client_id = id;
    options.manual_ack = manual_ack;
    client = std::make_unique<mqtt::Client>(
        host, options,
        mqtt::pipe_connector(host, [&broker, id] { return broker.attach_local(id); }));
    inbox = std::make_unique<Inbox>(*client);
    client->start();
  }
  std::unique_ptr<mqtt::Client> client;
  std::unique_ptr<Inbox> inbox;
};

struct EndToEnd : ::testing::Test {
  EndToEnd() { EXPECT_TRUE(broker.start()); }

  std::unique_ptr<Server> serve(Party& party, Router router, ServerOptions options = {}) {
    if (options.prefix.empty()) options.prefix = "home/7";
    auto server = std::make_unique<Server>(lone.host, *party.inbox, std::move(router), options);
    bool ready = false;
    server->start([&](net::Status status) {
      EXPECT_TRUE(status) << status.to_string();
      ready = true;
    });
    EXPECT_TRUE(lone.run_until([&] { return ready; }, 5s));
    return server;
  }

  // Asks and waits for the end of it.
  Outcome ask(Requester& requester, const std::string& topic, const std::string& body = "",
              net::Duration deadline = 0s) {
    Ask question;
    question.topic = topic;
    question.body.assign(body.begin(), body.end());
    question.deadline = deadline;
    std::optional<Outcome> outcome;
    const auto sequence =
        requester.ask(std::move(question), [&](const Outcome& got) { outcome = got; });
    EXPECT_TRUE(sequence) << sequence.status().to_string();
    EXPECT_TRUE(lone.run_until([&] { return outcome.has_value(); }, 120s));
    return outcome.value_or(Outcome{});
  }

  culvert::testing::LoneHost lone;
  std::unique_ptr<mqtt::Access> access = mqtt::allow_all();
  mqtt::Broker broker{lone.host, {}, *access, nullptr};
};

Router echo_router() {
  Router router;
  EXPECT_TRUE(router.on("echo", [](const Request& request, Reply reply) {
    reply(Response::text(net::as_text(request.body)));
  }));
  return router;
}

struct Way {
  Version asks, answers;
  uint8_t qos;
};
struct EveryWay : EndToEnd, ::testing::WithParamInterface<Way> {};
INSTANTIATE_TEST_SUITE_P(
    Request, EveryWay,
    ::testing::Values(Way{Version::v5, Version::v5, 0}, Way{Version::v5, Version::v5, 1},
                      Way{Version::v5, Version::v5, 2}, Way{Version::v311, Version::v311, 0},
                      Way{Version::v311, Version::v311, 1}, Way{Version::v311, Version::v311, 2},
                      Way{Version::v311, Version::v5, 1}));

TEST_P(EveryWay, ARequestIsAnswered) {
  Party device(lone.host, broker, "device", GetParam().answers);
  Party asker(lone.host, broker, "asker", GetParam().asks);
  ServerOptions server_options;
  server_options.qos = GetParam().qos;
  const auto server = serve(device, echo_router(), server_options);
  RequesterOptions options;
  options.version = GetParam().asks;
  options.qos = GetParam().qos;
  Requester requester(lone.host, *asker.inbox, options);
  const Outcome outcome = ask(requester, "home/7/echo", "hello");
  ASSERT_TRUE(outcome.status) << outcome.status.to_string();
  EXPECT_EQ(text(outcome.response), "hello");
  EXPECT_EQ(outcome.attempts, 1u);
  EXPECT_EQ(ask(requester, "home/7/nothing").response.status, status::not_found);
  EXPECT_EQ(server->counters().sequence.gaps, 0u);
}

// As mosquitto_rr asks: nothing tells two questions apart, so both run.
TEST_F(EndToEnd, AProgramWithoutNumbersIsAnsweredEveryTime) {
  Party device(lone.host, broker, "device", Version::v5);
  Party asker(lone.host, broker, "asker", Version::v5);
  const auto server = serve(device, echo_router());
  std::vector<std::string> answers;
  const auto user = asker.inbox->attach("replies/me", {}, [&](const mqtt::IncomingMessage& m) {
    EXPECT_FALSE(m.publish.properties.correlation_data);
    answers.emplace_back(net::as_text(m.publish.payload));
  });
  for (int i = 0; i < 2; ++i) {
    mqtt::OutgoingMessage question;
    question.topic = "home/7/echo";
    question.payload = {'h', 'i'};
    question.properties.response_topic = "replies/me";
    ASSERT_TRUE(asker.client->publish(std::move(question)));
  }
  EXPECT_TRUE(lone.run_until([&] { return answers.size() == 2; }, 5s));
  EXPECT_EQ(answers, (std::vector<std::string>{"hi", "hi"}));
  EXPECT_EQ(server->counters().requests, 2u);
  EXPECT_EQ(server->counters().sequence.fresh, 0u);
}

TEST_F(EndToEnd, ARetriedRequestRunsOnceAndIsAnsweredOnce) {
  Party device(lone.host, broker, "device", Version::v5);
  Party asker(lone.host, broker, "asker", Version::v5);
  int ran = 0;
  std::optional<Reply> kept;
  Router router;
  ASSERT_TRUE(router.on("slow", [&](const Request&, Reply reply) {
    ++ran;
    kept = reply;
  }));
  const auto server = serve(device, std::move(router));
  RequesterOptions options;
  options.patience = 1s;
  Requester requester(lone.host, *asker.inbox, options);
  std::vector<Outcome> outcomes;
  Ask question;
  question.topic = "home/7/slow";
  ASSERT_TRUE(requester.ask(std::move(question), [&](const Outcome& o) { outcomes.push_back(o); }));
  lone.run_for(4s);  // attempts at 0, 1 and 3 s
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(server->counters().repeated, 2u);
  (*kept)(Response::text("done"));
  lone.run_for(1s);
  ASSERT_EQ(outcomes.size(), 1u);
  EXPECT_EQ(outcomes[0].attempts, 3u);
  EXPECT_EQ(text(outcomes[0].response), "done");
}

TEST_F(EndToEnd, ADeadlineHoldsAtBothEnds) {
  Party device(lone.host, broker, "device", Version::v5);
  Party asker(lone.host, broker, "asker", Version::v5);
  std::optional<Reply> kept;
  net::Time deadline{0};
  Router router;
  ASSERT_TRUE(router.on("slow", [&](const Request& request, Reply reply) {
    deadline = request.deadline;
    kept = reply;
  }));
  const auto server = serve(device, std::move(router));
  Requester requester(lone.host, *asker.inbox, {});
  const net::Time asked = lone.now();
  const Outcome outcome = ask(requester, "home/7/slow", "", 1500ms);
  EXPECT_EQ(outcome.status.error, net::Error::timed_out);
  EXPECT_EQ(outcome.took, 1500ms);
  EXPECT_NEAR(net::to_ms(deadline - asked), 1500, 5);
  (*kept)(Response::text("too late"));
  lone.run_for(1s);
  EXPECT_EQ(server->counters().late, 1u);
  EXPECT_EQ(server->counters().answered, 0u) << "nobody waits for it: it is not sent";
}

TEST_F(EndToEnd, ALateAnswerIsNotTakenForTheNextRequests) {
  // Without matching it is: that is the fault that seed 000's sequence number cures.
  for (const bool matching : {true, false}) {
    Party device(lone.host, broker, "device", Version::v311);
    Party asker(lone.host, broker, "asker", Version::v311);
    std::vector<std::pair<std::string, Reply>> kept;
    Router router;
    ASSERT_TRUE(router.on("q", [&](const Request& request, Reply reply) {
      kept.emplace_back(std::string(net::as_text(request.body)), reply);
    }));
    const auto server = serve(device, std::move(router));
    RequesterOptions options;
    options.version = Version::v311;
    options.attempts = 1;
    options.match_sequence = matching;
    Requester requester(lone.host, *asker.inbox, options);
    Ask first;
    first.topic = "home/7/q";
    first.body = {'1'};
    bool first_ended = false;
    const auto sequence =
        requester.ask(std::move(first), [&](const Outcome&) { first_ended = true; });
    ASSERT_TRUE(lone.run_until([&] { return kept.size() == 1; }, 5s));
    requester.cancel(*sequence);  // whoever asked does not wait any longer
    std::optional<Outcome> second;
    Ask next;
    next.topic = "home/7/q";
    next.body = {'2'};
    ASSERT_TRUE(requester.ask(std::move(next), [&](const Outcome& o) { second = o; }));
    ASSERT_TRUE(lone.run_until([&] { return kept.size() == 2; }, 5s));
    for (auto& [body, reply] : kept) reply(Response::text("answer to " + body));
    ASSERT_TRUE(lone.run_until([&] { return second.has_value(); }, 5s));
    EXPECT_EQ(text(second->response), matching ? "answer to 2" : "answer to 1");
    EXPECT_EQ(requester.counters().late, 1u) << "the other answer has nobody who waits";
    EXPECT_FALSE(first_ended);
  }
}

TEST_F(EndToEnd, AnAnswerToAnEarlierLifeIsDropped) {
  Party device(lone.host, broker, "device", Version::v5);
  Party asker(lone.host, broker, "asker", Version::v5);
  std::vector<Reply> kept;
  Router router;
  ASSERT_TRUE(router.on("q", [&](const Request&, Reply reply) { kept.push_back(reply); }));
  const auto server = serve(device, std::move(router));
  auto first = std::make_unique<Requester>(lone.host, *asker.inbox, RequesterOptions{});
  Ask question;
  question.topic = "home/7/q";
  ASSERT_TRUE(first->ask(question, [](const Outcome&) { ADD_FAILURE(); }));
  ASSERT_TRUE(lone.run_until([&] { return kept.size() == 1; }, 5s));
  Requester second(lone.host, *asker.inbox, {});  // the same response topic, number 1 again
  std::optional<Outcome> outcome;
  ASSERT_TRUE(second.ask(question, [&](const Outcome& o) { outcome = o; }));
  ASSERT_TRUE(lone.run_until([&] { return kept.size() == 2; }, 5s));
  first.reset();
  kept[0](Response::text("old"));
  kept[1](Response::text("new"));
  ASSERT_TRUE(lone.run_until([&] { return outcome.has_value(); }, 5s));
  EXPECT_EQ(text(outcome->response), "new");
  EXPECT_EQ(second.counters().stale, 1u);
}

TEST_F(EndToEnd, NobodySubscribedIsToldAtOnce) {
  Party asker(lone.host, broker, "asker", Version::v5);
  Requester requester(lone.host, *asker.inbox, {});
  const Outcome outcome = ask(requester, "home/8/echo");
  EXPECT_EQ(outcome.status.error, net::Error::not_found);
  EXPECT_LT(outcome.took, 1s);
}

TEST_F(EndToEnd, WorkersOfAGroupShareTheRequests) {
  Party one(lone.host, broker, "one", Version::v5), two(lone.host, broker, "two", Version::v5);
  Party asker(lone.host, broker, "asker", Version::v5);
  ServerOptions options;
  options.group = "workers";
  const auto first = serve(one, echo_router(), options),
             second = serve(two, echo_router(), options);
  Requester requester(lone.host, *asker.inbox, {});
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(ask(requester, "home/7/echo", "x").status);
  EXPECT_EQ(first->counters().requests + second->counters().requests, 10u);
  EXPECT_EQ(first->counters().requests, 5u);
}

TEST_F(EndToEnd, DrainingAnswersWhatRunsAndTakesNothingNew) {
  Party device(lone.host, broker, "device", Version::v5);
  Party asker(lone.host, broker, "asker", Version::v5);
  std::optional<Reply> kept;
  Router router;
  ASSERT_TRUE(router.on("slow", [&](const Request&, Reply reply) { kept = reply; }));
  const auto server = serve(device, std::move(router));
  Requester requester(lone.host, *asker.inbox, {});
  Ask question;
  question.topic = "home/7/slow";
  std::optional<Outcome> outcome;
  ASSERT_TRUE(requester.ask(question, [&](const Outcome& o) { outcome = o; }));
  ASSERT_TRUE(lone.run_until([&] { return kept.has_value(); }, 5s));
  bool drained = false;
  server->drain([&] { drained = true; });
  lone.run_for(500ms);
  EXPECT_FALSE(drained);
  EXPECT_EQ(ask(requester, "home/7/slow").status.error, net::Error::not_found);
  (*kept)(Response::text("last"));
  EXPECT_TRUE(lone.run_until([&] { return drained && outcome; }, 5s));
  EXPECT_EQ(text(outcome->response), "last");
}

TEST_F(EndToEnd, DrainingDoesNotWaitForADeadlineThatIsWeeksAway) {
  Party device(lone.host, broker, "device", Version::v5);
  Party asker(lone.host, broker, "asker", Version::v5);
  std::optional<Reply> kept;
  Router router;
  ASSERT_TRUE(router.on("slow", [&](const Request&, Reply reply) { kept = reply; }));
  ServerOptions options;
  options.deadline = 20s;
  const auto server = serve(device, std::move(router), options);
  Requester requester(lone.host, *asker.inbox, {});
  Ask question;
  question.topic = "home/7/slow";
  question.deadline = std::chrono::hours(500);
  ASSERT_TRUE(requester.ask(question, [](const Outcome&) {}));
  ASSERT_TRUE(lone.run_until([&] { return kept.has_value(); }, 5s));
  bool drained = false;
  server->drain([&] { drained = true; });
  lone.run_for(19s);
  EXPECT_FALSE(drained);
  lone.run_for(2s);
  EXPECT_TRUE(drained);
}

TEST_F(EndToEnd, TooManyAtOnceIsBusy) {
  Party device(lone.host, broker, "device", Version::v5);
  Party asker(lone.host, broker, "asker", Version::v5);
  std::vector<Reply> kept;
  Router router;
  ASSERT_TRUE(router.on("slow", [&](const Request&, Reply reply) { kept.push_back(reply); }));
  ServerOptions options;
  options.running = 1;
  const auto server = serve(device, std::move(router), options);
  Requester requester(lone.host, *asker.inbox, {});
  Ask question;
  question.topic = "home/7/slow";
  ASSERT_TRUE(requester.ask(question, {}));
  ASSERT_TRUE(lone.run_until([&] { return kept.size() == 1; }, 5s));
  EXPECT_EQ(ask(requester, "home/7/slow").response.status, status::unavailable);
}

TEST_F(EndToEnd, ForeignResponseTopicsAreRefused) {
  Party device(lone.host, broker, "device", Version::v5);
  Party asker(lone.host, broker, "asker", Version::v5);
  ServerOptions options;
  options.reply_prefix = "replies/";
  const auto server = serve(device, echo_router(), options);
  RequesterOptions elsewhere;
  elsewhere.reply_topic = "other/%c";
  elsewhere.attempts = 1;
  Requester requester(lone.host, *asker.inbox, elsewhere);
  EXPECT_EQ(ask(requester, "home/7/echo", "", 1s).status.error, net::Error::timed_out);
  EXPECT_EQ(server->counters().malformed, 1u);
}

TEST_F(EndToEnd, AnHttpClientReachesTheDevice) {
  Party device(lone.host, broker, "device", Version::v5);
  Party asker(lone.host, broker, "gateway", Version::v5);
  Router router;
  ASSERT_TRUE(router.on(
      "valve",
      [](const Request& request, Reply reply) {
        reply(Response::json("{\"set\":" + std::string(net::as_text(request.body)) + "}", 201));
      },
      "POST"));
  const auto server = serve(device, std::move(router));
  Requester requester(lone.host, *asker.inbox, {});
  http::Server web(lone.host, {}, gateway(requester, {}));
  http::ClientOptions options;
  options.host = "gateway.example";
  http::Client browser(lone.host, options, mqtt::pipe_connector(lone.host, [&] {
                         auto [ours, theirs] = net::make_pipe(lone.host);
                         web.attach(std::move(theirs));
                         return std::move(ours);
                       }));
  const auto fetch = [&](const std::string& method, const std::string& target) {
    http::Request request;
    request.method = method;
    request.target = target;
    request.body = {'4', '2'};
    std::optional<http::Response> response;
    browser.request(request, [&](net::Result<http::Response> got, const http::Timing&) {
      ASSERT_TRUE(got) << got.status().to_string();
      response = *got;
    });
    EXPECT_TRUE(lone.run_until([&] { return response.has_value(); }, 30s));
    return response.value_or(http::Response{});
  };
  const http::Response set = fetch("POST", "/home/7/valve");
  EXPECT_EQ(set.status, 201);
  EXPECT_EQ(net::as_text(set.body), "{\"set\":42}");
  EXPECT_EQ(set.headers.get("content-type"), "application/json");
  EXPECT_EQ(fetch("PUT", "/home/7/valve").status, 405);
  EXPECT_EQ(fetch("GET", "/home/9/valve").status, 503) << "nobody is subscribed there";
  EXPECT_EQ(fetch("GET", "/home/+/valve").status, 400);
}

}  // namespace
}  // namespace culvert::request
