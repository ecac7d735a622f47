// The long-poll relay, with the device played by hand and with our own agent.
#include "model/http/poll_agent.h"
#include "model/http/poll_relay.h"
#include "tests/unit/http/lab.h"
#include "tests/unit/http/pipe_connector.h"

namespace culvert::http {
namespace {

PollRelayOptions two_devices() {
  PollRelayOptions options;
  options.devices = {{"a", "sesame"}, {"b", "mustard"}};
  options.deadline = 5s;
  options.poll_patience = 20s;
  return options;
}

struct RelayLab : ServerLab {
  explicit RelayLab(PollRelayOptions options = two_devices())
      : ServerLab({},
                  [this](Request request, std::shared_ptr<Responder> responder) {
                    relay->handle(std::move(request), std::move(responder));
                  }),
        relay(std::make_unique<PollRelay>(host(), std::move(options))) {}

  Peer& ask(std::string_view path, std::string_view more = {}) {
    Peer& peer = connect();
    peer.say("GET " + std::string(path) + " HTTP/1.1\r\nHost: r\r\n" + std::string(more) + "\r\n");
    run(1ms);
    return peer;
  }
  Peer& poll(std::string_view device = "a", std::string_view token = "sesame") {
    return ask("/poll/" + std::string(device),
               "Authorization: Bearer " + std::string(token) + "\r\n");
  }
  void answer(Peer& device, std::string_view id, std::string_view body, std::string_view more = {},
              std::string_view token = "sesame") {
    device.got.clear();
    device.say("POST /answer/" + std::string(id) +
               " HTTP/1.1\r\nHost: r\r\nAuthorization: Bearer " + std::string(token) + "\r\n" +
               std::string(more) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
               std::string(body));
    run(1ms);
  }
  static std::string id_in(const Peer& poll) {
    const size_t at = poll.got.find("Request: ");
    if (at == std::string::npos) return "none";
    return poll.got.substr(at + 9, poll.got.find(' ', at + 9) - at - 9);
  }
  static std::string status(const Peer& peer) { return peer.got.substr(0, 12).substr(9); }

  std::unique_ptr<PollRelay> relay;
};

TEST(PollRelay, HandsARequestToAWaitingPollAndTheAnswerBack) {
  RelayLab lab;
  Peer& device = lab.poll();
  EXPECT_EQ(device.got, "");
  Peer& asker = lab.ask("/to/a/state/1?x=y", "Accept: text/plain\r\nConnection: X\r\nX: own\r\n");
  EXPECT_NE(device.got.find(" GET /state/1?x=y\r\nAccept: text/plain\r\nContent-Length: 0\r\n\r\n"),
            std::string::npos)
      << device.got;
  lab.answer(device, RelayLab::id_in(device), "21.5",
             "Status: 203\r\nContent-Type: text/plain\r\n");
  EXPECT_EQ(RelayLab::status(device), "204");
  EXPECT_EQ(asker.got,
            "HTTP/1.1 203 Unknown\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n21.5");
}

TEST(PollRelay, AnAnswerMayBeTheNextPoll) {
  RelayLab lab;
  Peer& device = lab.poll();
  for (int i = 0; i < 3; ++i) {
    Peer& asker = lab.ask("/to/a");
    const std::string id = RelayLab::id_in(device);
    EXPECT_NE(device.got.find(" GET /\r\n"), std::string::npos);
    lab.answer(device, id, "yes", "Poll: a\r\n");
    EXPECT_EQ(device.got, "");  // it waits
    EXPECT_EQ(RelayLab::status(asker), "200");
  }
  EXPECT_EQ(lab.relay->counters().answered, 3u);
}

TEST(PollRelay, RequestsWaitForAPollInOrderButNotForEver) {
  RelayLab lab;
  Peer& first = lab.ask("/to/a/1");
  Peer& second = lab.ask("/to/a/2");
  Peer& impatient = lab.ask("/to/a/3", "Deadline-Ms: 50\r\n");
  lab.run(100ms);
  EXPECT_EQ(RelayLab::status(impatient), "504");
  Peer& one = lab.poll();
  Peer& two = lab.poll();
  EXPECT_NE(one.got.find("GET /1"), std::string::npos);
  EXPECT_NE(two.got.find("GET /2"), std::string::npos);
  lab.answer(two, RelayLab::id_in(two), "2");
  EXPECT_EQ(RelayLab::status(second), "200");
  lab.run(5s);
  EXPECT_EQ(RelayLab::status(first), "504");
  lab.answer(one, RelayLab::id_in(one), "1");
  EXPECT_EQ(RelayLab::status(one), "410");
  EXPECT_EQ(lab.relay->counters().timed_out, 2u);
}

TEST(PollRelay, LateDuplicateAndUnknownAnswersAreTold) {
  RelayLab lab;
  Peer& device = lab.poll();
  lab.ask("/to/a");
  const std::string done = RelayLab::id_in(device);
  lab.answer(device, done, "x");
  EXPECT_EQ(RelayLab::status(device), "204");
  lab.answer(device, done, "x");
  EXPECT_EQ(RelayLab::status(device), "409");
  Peer& again = lab.poll();
  Peer& leaves = lab.ask("/to/a");
  leaves.stream.reset();
  lab.run();
  const std::string late = RelayLab::id_in(again);
  lab.answer(device, late, "x");
  EXPECT_EQ(RelayLab::status(device), "410");
  lab.answer(device, "00000000-1", "x", "Poll: a\r\n");  // of an earlier life of the relay
  EXPECT_EQ(device.got, "");
  lab.ask("/to/a");
  EXPECT_NE(device.got.find("Answer-Result: unknown\r\n"), std::string::npos) << device.got;
  const auto& counters = lab.relay->counters();
  EXPECT_EQ(counters.duplicates, 1u);
  EXPECT_EQ(counters.late, 1u);
  EXPECT_EQ(counters.unknown, 1u);
}

TEST(PollRelay, OnlyTheDeviceItselfPollsAndAnswers) {
  RelayLab lab;
  EXPECT_EQ(RelayLab::status(lab.poll("a", "mustard")), "401");
  EXPECT_EQ(RelayLab::status(lab.poll("stranger", "sesame")), "401");
  EXPECT_EQ(RelayLab::status(lab.ask("/poll/a")), "401");
  Peer& device = lab.poll();
  Peer& asker = lab.ask("/to/a");
  Peer& other = lab.connect();
  lab.answer(other, RelayLab::id_in(device), "forged", "", "mustard");
  EXPECT_EQ(RelayLab::status(other), "401");
  lab.answer(other, RelayLab::id_in(device), "forged", "Poll: b\r\n", "mustard");
  EXPECT_EQ(RelayLab::status(other), "401");
  EXPECT_EQ(asker.got, "");
  lab.answer(device, RelayLab::id_in(device), "true");
  EXPECT_EQ(RelayLab::status(asker), "200");
}

TEST(PollRelay, WhatCannotBeGetsItsStatus) {
  PollRelayOptions options = two_devices();
  options.queue = 2;
  options.requester_token = "key";
  RelayLab lab(options);
  const char* key = "Authorization: Bearer key\r\n";
  EXPECT_EQ(RelayLab::status(lab.ask("/to/a")), "401");
  EXPECT_EQ(RelayLab::status(lab.ask("/to/nobody", key)), "404");
  EXPECT_EQ(RelayLab::status(lab.ask("/elsewhere")), "404");
  EXPECT_EQ(RelayLab::status(lab.ask("/answer/1")), "405");
  lab.ask("/to/a", key);
  lab.ask("/to/a", key);
  Peer& third = lab.ask("/to/a", key);
  EXPECT_EQ(RelayLab::status(third), "503");
  EXPECT_NE(third.got.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_EQ(lab.ask("/to/b", key).got, "");  // the other device's queue is its own
}

TEST(PollRelay, PollsAreSentHomeInTimeAndWhenThereAreTooMany) {
  PollRelayOptions options = two_devices();
  options.polls = 2;
  RelayLab lab(options);
  Peer& one = lab.poll();
  Peer& two = lab.poll();
  Peer& three = lab.poll();
  EXPECT_EQ(RelayLab::status(one), "204");
  lab.run(21s);
  EXPECT_EQ(RelayLab::status(two), "204");
  EXPECT_EQ(RelayLab::status(three), "204");
}

TEST(PollRelay, APollThatHasGoneGetsNoRequest) {
  RelayLab lab;
  Peer& gone = lab.poll();
  gone.stream.reset();
  lab.run();
  Peer& asker = lab.ask("/to/a");
  Peer& device = lab.poll();
  lab.answer(device, RelayLab::id_in(device), "here");
  EXPECT_EQ(RelayLab::status(asker), "200");
}

TEST(PollRelay, ItsEndTellsEverybody) {
  RelayLab lab;
  Peer& device = lab.poll("b", "mustard");
  Peer& asker = lab.ask("/to/a");
  lab.relay.reset();
  lab.run();
  EXPECT_EQ(RelayLab::status(device), "503");
  EXPECT_EQ(RelayLab::status(asker), "503");
}

// --- our agent -----------------------------------------------------------------------------------

struct AgentLab : RelayLab {
  explicit AgentLab(PollAgentOptions options, net::Duration delay = 20ms) : RelayLab() {
    options.device = "a";
    options.token = "sesame";
    options.relay_host = "relay.example";
    auto c = std::make_unique<TestConnector>(
        host(), [this](auto stream) { server->attach(std::move(stream)); }, 2 * delay);
    connector = c.get();
    connector->options.delay = delay;
    agent = std::make_unique<PollAgent>(host(), options, std::move(c),
                                        [this](Request request, PollAgent::Answer answer) {
                                          Response response;
                                          response.body = text("got " + request.target);
                                          if (hold)
                                            held.push_back(answer);
                                          else
                                            answer(std::move(response));
                                        });
    agent->on_event([this](const PollAgentEvent& e) { events.emplace_back(e.what); });
    agent->start();
    run(1s);
  }
  size_t count(std::string_view what) const {
    return static_cast<size_t>(std::count(events.begin(), events.end(), what));
  }
  TestConnector* connector = nullptr;
  std::unique_ptr<PollAgent> agent;
  std::vector<std::string> events;
  std::vector<PollAgent::Answer> held;
  bool hold = false;
};

TEST(PollAgent, ARequestCostsTheDevicesRoundTripAndAnAnswerIsTheNextPoll) {
  for (const bool combined : {true, false}) {
    PollAgentOptions options;
    options.combined = combined;
    AgentLab lab(options, 20ms);
    for (int i = 0; i < 5; ++i) {
      Peer& asker = lab.connect();
      asker.say("GET /to/a/x HTTP/1.1\r\nHost: r\r\n\r\n");
      lab.run(39ms);
      EXPECT_EQ(asker.got, "");
      lab.run(2ms);
      // Without a kept connection for answers the first of them needs one: two delays more.
      if (!combined && i == 0) lab.run(40ms);
      EXPECT_EQ(asker.got, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ngot /x");
      lab.run(100ms);
    }
    EXPECT_EQ(lab.connector->connections, combined ? 1 : 2);
    EXPECT_EQ(lab.relay->counters().polls, 6u);
    EXPECT_EQ(lab.relay->counters().answered, 5u);
  }
}

TEST(PollAgent, SeveralPollsLetRequestsOverlap) {
  PollAgentOptions options;
  options.polls = 3;
  AgentLab lab(options);
  lab.hold = true;
  std::vector<Peer*> askers;
  for (int i = 0; i < 3; ++i) askers.push_back(&lab.ask("/to/a"));
  lab.run(50ms);
  ASSERT_EQ(lab.held.size(), 3u);
  for (auto& answer : lab.held) answer({});
  lab.run(50ms);
  for (const Peer* asker : askers) EXPECT_EQ(RelayLab::status(*asker), "200");
}

TEST(PollAgent, ADroppedAnswerIs500) {
  AgentLab lab({});
  lab.hold = true;
  Peer& asker = lab.ask("/to/a");
  lab.run(100ms);
  lab.held.clear();
  lab.run(100ms);
  EXPECT_EQ(RelayLab::status(asker), "500");
}

TEST(PollAgent, ComesBackAfterTheRelayWasAwayAndDoesNotHammerIt) {
  AgentLab lab({});
  lab.connector->refuse = true;
  lab.server = std::make_unique<Server>(
      lab.host(), ServerOptions{}, [&](Request request, std::shared_ptr<Responder> responder) {
        lab.relay->handle(std::move(request), std::move(responder));
      });
  lab.run(120s);
  const size_t failures = lab.count("failed");
  EXPECT_GE(failures, 4u);
  EXPECT_LE(failures, 20u);
  lab.connector->refuse = false;
  lab.run(60s);
  Peer& asker = lab.ask("/to/a/back");
  lab.run(100ms);
  EXPECT_EQ(RelayLab::status(asker), "200");
}

TEST(PollAgent, AnAnswerWhoseConnectionDiedIsBroughtAgainAndCountsOnce) {
  // The answer reaches the relay, what the relay says to it is lost.
  AgentLab lab({});
  lab.hold = true;
  Peer& asker = lab.ask("/to/a");
  lab.run(50ms);
  ASSERT_EQ(lab.held.size(), 1u);
  lab.held[0]({});
  lab.run(25ms);  // it has arrived there
  EXPECT_EQ(RelayLab::status(asker), "200");
  auto relay = std::move(lab.relay);
  lab.server = std::make_unique<Server>(lab.host(), ServerOptions{},
                                        [&](Request request, std::shared_ptr<Responder> responder) {
                                          relay->handle(std::move(request), std::move(responder));
                                        });
  lab.run(25s);  // the relay tells with what it says to the next poll
  EXPECT_EQ(lab.count("duplicate"), 1u);
  EXPECT_EQ(relay->counters().answered, 1u);
  EXPECT_EQ(relay->counters().duplicates, 1u);
  lab.agent.reset();
  lab.server.reset();
}

}  // namespace
}  // namespace culvert::http
