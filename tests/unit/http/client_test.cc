// The client, against our server and against servers that misbehave by script.
#include "model/http/client.h"

#include "tests/unit/http/lab.h"
#include "tests/unit/http/pipe_connector.h"

namespace culvert::http {
namespace {

struct Got {
  net::Status status;
  Response response;
  Timing timing;
};

// A client whose connections end at `peers`, played by the test.
struct ClientLab : Machine {
  explicit ClientLab(ClientOptions options = {}, net::Duration delay = {}) {
    options.host = "server.example";
    auto c = std::make_unique<TestConnector>(
        host(), [this](auto stream) { peers.emplace_back(std::move(stream)); }, 2 * delay);
    connector = c.get();
    connector->options.delay = delay;
    client = std::make_unique<Client>(host(), options, std::move(c));
  }
  void ask(std::string method = "GET", std::string target = "/", std::string_view body = {}) {
    Request request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body.assign(body.begin(), body.end());
    client->request(std::move(request), [this](net::Result<Response> r, const Timing& t) {
      got.push_back({r.status(), r ? std::move(*r) : Response{}, t});
    });
  }
  std::deque<Peer> peers;
  std::vector<Got> got;
  TestConnector* connector = nullptr;
  std::unique_ptr<Client> client;
};

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST(HttpClient, SendsTheLeastAndKeepsTheConnection) {
  ClientLab lab;
  lab.ask();
  lab.run();
  EXPECT_EQ(lab.peers[0].got, "GET / HTTP/1.1\r\nHost: server.example\r\n\r\n");
  lab.peers[0].got.clear();
  lab.peers[0].say(kOk);
  lab.run();
  ASSERT_EQ(lab.got.size(), 1u);
  EXPECT_EQ(net::as_text(lab.got[0].response.body), "ok");
  EXPECT_FALSE(lab.got[0].timing.reused);
  lab.ask("POST", "/p", "body");
  lab.run();
  EXPECT_EQ(lab.peers[0].got,
            "POST /p HTTP/1.1\r\nHost: server.example\r\nContent-Length: 4\r\n\r\nbody");
  lab.peers[0].say(kOk);
  lab.run();
  EXPECT_TRUE(lab.got[1].timing.reused);
  EXPECT_EQ(lab.connector->connections, 1);
}

TEST(HttpClient, TimesEachPhaseInRoundTrips) {
  ClientLab lab({}, 50ms);
  lab.ask();
  lab.run(150ms);
  lab.peers.at(0).say(kOk);
  lab.run(100ms);
  ASSERT_EQ(lab.got.size(), 1u);
  EXPECT_EQ(*lab.got[0].timing.connect.tcp, 100ms);
  EXPECT_EQ(lab.got[0].timing.whole, 200ms);
  EXPECT_EQ(lab.got[0].timing.first_byte, 200ms);
}

TEST(HttpClient, ReadsEveryKindOfBodyHoweverItIsCut) {
  const struct {
    std::string bytes, body;
    bool kept;
  } kCases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
       "hello", true},
      {"HTTP/1.1 204 No Content\r\n\r\n", "", true},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", "", true},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
       "hello", true},
      {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "hello", false},
      {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", false},
  };
  for (const auto& c : kCases) {
    for (size_t cut = 0; cut < c.bytes.size(); ++cut) {
      ClientLab lab;
      lab.ask();
      lab.run(1ms);
      if (cut > 0) lab.peers[0].say(c.bytes.substr(0, cut));
      lab.run(1ms);
      lab.peers[0].say(c.bytes.substr(cut));
      lab.run(1ms);
      ASSERT_EQ(lab.got.size(), 1u) << c.bytes << cut;
      ASSERT_TRUE(lab.got[0].status.ok()) << lab.got[0].status.to_string();
      EXPECT_EQ(net::as_text(lab.got[0].response.body), c.body);
      EXPECT_EQ(lab.peers[0].end == net::Error::none, c.kept) << c.bytes;
    }
  }
}

TEST(HttpClient, ABodyMayEndWithTheConnection) {
  ClientLab lab;
  lab.ask();
  lab.run();
  lab.peers[0].say("HTTP/1.1 200 OK\r\n\r\nhel");
  lab.run();
  lab.peers[0].say("lo");
  lab.run();
  EXPECT_TRUE(lab.got.empty());
  lab.peers[0].stream.reset();
  lab.run();
  ASSERT_EQ(lab.got.size(), 1u);
  EXPECT_EQ(net::as_text(lab.got[0].response.body), "hello");
}

TEST(HttpClient, AHeadAnswerHasNoBody) {
  ClientLab lab;
  lab.ask("HEAD");
  lab.run();
  lab.peers[0].say("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
  lab.run();
  ASSERT_EQ(lab.got.size(), 1u);
  EXPECT_EQ(lab.got[0].response.headers.get("Content-Length"), "500");
}

TEST(HttpClient, AnswersCutShortAreNoAnswers) {
  for (const std::string_view bytes :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "HTTP/1.1 200 OK\r\nCont",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n"}) {
    ClientLab lab;
    lab.ask();
    lab.run();
    lab.peers[0].say(bytes);
    lab.run();
    lab.peers[0].stream.reset();
    lab.run();
    ASSERT_EQ(lab.got.size(), 1u);
    EXPECT_EQ(lab.got[0].status.error, net::Error::closed) << bytes;
    EXPECT_EQ(lab.got[0].timing.failed_phase, "response");
  }
}

TEST(HttpClient, NonsenseAndTooMuchAreRefused) {
  ClientOptions options;
  options.body_bytes = 1000;
  const struct {
    std::string bytes;
    net::Error error;
  } kCases[] = {
      {"220 mail.example ESMTP\r\n", net::Error::failed},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", net::Error::too_big},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", net::Error::too_big},
      {"HTTP/1.1 200 OK\r\n\r\n" + std::string(1001, 'x'), net::Error::too_big},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", net::Error::failed},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(70000, 'x'), net::Error::too_big},
  };
  for (const auto& c : kCases) {
    ClientLab lab(options);
    lab.connector->options.capacity = 200000;
    lab.ask();
    lab.run();
    lab.peers[0].say(c.bytes);
    lab.run();
    ASSERT_EQ(lab.got.size(), 1u) << c.bytes.substr(0, 80);
    EXPECT_EQ(lab.got[0].status.error, c.error) << lab.got[0].status.to_string();
  }
}

TEST(HttpClient, AKeptConnectionThatWasClosedMeanwhileIsReplacedOnceForWhatMayBeRepeated) {
  for (const bool post : {false, true}) {
    ClientLab lab({}, 5ms);
    lab.ask();
    lab.run(15ms);
    lab.peers.at(0).say(kOk);
    lab.run(10ms);
    // The server closes while the next request is on its way.
    lab.peers[0].stream.reset();
    lab.ask(post ? "POST" : "GET", "/again", post ? "x" : "");
    lab.run(30ms);
    if (post) {
      ASSERT_EQ(lab.got.size(), 2u);
      EXPECT_FALSE(lab.got[1].status.ok());
      continue;
    }
    ASSERT_EQ(lab.peers.size(), 2u);
    EXPECT_EQ(lab.peers[1].got.substr(0, 10), "GET /again");
    lab.peers[1].stream.reset();  // and again: that is enough
    lab.run(30ms);
    ASSERT_EQ(lab.got.size(), 2u);
    EXPECT_FALSE(lab.got[1].status.ok());
    EXPECT_EQ(lab.peers.size(), 2u);
  }
}

TEST(HttpClient, AnIdleConnectionIsGivenUpWhenTheServerClosesOrSpeaksUnasked) {
  for (const bool speaks : {false, true}) {
    ClientLab lab;
    lab.ask();
    lab.run();
    lab.peers[0].say(kOk);
    lab.run();
    if (speaks)
      lab.peers[0].say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    else
      lab.peers[0].stream->shutdown_write();
    lab.run();
    lab.ask("POST", "/", "x");
    lab.run();
    ASSERT_EQ(lab.peers.size(), 2u);
    lab.peers[1].say(kOk);
    lab.run();
    EXPECT_EQ(net::as_text(lab.got.at(1).response.body), "ok");
  }
}

TEST(HttpClient, RequestsWaitForAConnectionAndOnlySoMany) {
  ClientOptions options;
  options.connections = 2;
  options.waiting = 3;
  options.patience = 1s;
  ClientLab lab(options);
  for (int i = 0; i < 6; ++i) lab.ask("GET", "/" + std::to_string(i));
  EXPECT_TRUE(lab.got.empty());  // never inside the call
  lab.run();
  ASSERT_EQ(lab.peers.size(), 2u);
  ASSERT_EQ(lab.got.size(), 1u);
  EXPECT_EQ(lab.got[0].status.error, net::Error::exhausted);
  lab.peers[0].got.clear();
  lab.peers[0].say(kOk);
  lab.run();
  EXPECT_EQ(lab.peers[0].got.substr(0, 6), "GET /2");
  lab.run(2s);
  ASSERT_EQ(lab.got.size(), 6u);
  for (size_t i = 2; i < 6; ++i) EXPECT_EQ(lab.got[i].status.error, net::Error::timed_out);
}

TEST(HttpClient, ASilentServerIsTimedOutAndARefusalNamesItsPhase) {
  ClientOptions options;
  options.patience = 3s;
  ClientLab lab(options);
  lab.ask();
  lab.run(2900ms);
  EXPECT_TRUE(lab.got.empty());
  lab.run(200ms);
  ASSERT_EQ(lab.got.size(), 1u);
  EXPECT_EQ(lab.got[0].status.error, net::Error::timed_out);
  lab.connector->refuse = true;
  lab.ask();
  lab.run();
  ASSERT_EQ(lab.got.size(), 2u);
  EXPECT_EQ(lab.got[1].status.error, net::Error::refused);
  EXPECT_EQ(lab.got[1].timing.failed_phase, "tcp");
}

TEST(HttpClient, WhatWouldBreakItsLineIsNotSent) {
  ClientLab lab;
  lab.ask("GET", "/a b");
  lab.ask("G\r\nT", "/");
  lab.ask("GET", "/\r\nHost: x");
  lab.run();
  ASSERT_EQ(lab.got.size(), 3u);
  for (const Got& got : lab.got) EXPECT_EQ(got.status.error, net::Error::invalid);
  EXPECT_TRUE(lab.peers.empty());
}

// RFC 9110 section 10.1.1.
TEST(HttpClient, ABodyThatExpectsWaitsForTheServersWordButNotForEver) {
  const auto ask = [](ClientLab& lab) {
    Request request;
    request.method = "POST";
    request.headers.add("Expect", "100-continue");
    request.body = {'b', 'o', 'd', 'y'};
    lab.client->request(std::move(request), [&lab](net::Result<Response> r, const Timing& t) {
      lab.got.push_back({r.status(), r ? std::move(*r) : Response{}, t});
    });
    lab.run(500ms);
    Peer& server = lab.peers.back();
    EXPECT_EQ(server.got.substr(server.got.size() - 4), "\r\n\r\n") << "the body did not wait";
    server.got.clear();
  };
  ClientLab lab;
  ask(lab);
  lab.peers[0].say("HTTP/1.1 100 Continue\r\n\r\n");
  lab.run();
  EXPECT_EQ(lab.peers[0].got, "body");
  lab.peers[0].say(kOk);
  lab.run(2s);
  EXPECT_EQ(lab.peers[0].got, "body") << "it was sent twice";
  lab.peers[0].got.clear();
  ask(lab);  // on the kept connection, to a server that never says 100
  lab.run(600ms);
  EXPECT_EQ(lab.peers[0].got, "body");
  lab.peers[0].say(kOk);
  lab.run();
  ask(lab);  // refused: the body is never sent, and so the connection is of no further use
  lab.peers[0].say("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
  lab.run(2s);
  EXPECT_EQ(lab.peers[0].got, "");
  EXPECT_EQ(lab.peers[0].end, net::Error::closed);
  ASSERT_EQ(lab.got.size(), 3u);
  EXPECT_EQ(lab.got[0].response.status, 200);
  EXPECT_EQ(lab.got[1].response.status, 200);
  EXPECT_EQ(lab.got[2].response.status, 417);
  EXPECT_EQ(lab.connector->connections, 1);
}

TEST(HttpClient, MayBeDestroyedFromItsCallback) {
  ClientLab lab;
  bool called = false;
  lab.client->request({}, [&](net::Result<Response>, const Timing&) {
    called = true;
    lab.client.reset();
  });
  lab.run();
  lab.peers[0].say(kOk);
  lab.run();
  EXPECT_TRUE(called);
}

TEST(HttpClient, SpeaksChunkedAndLargeBodiesWithOurServer) {
  ServerLab server;
  ClientOptions options;
  options.host = "a";
  Client client(server.host(), options,
                std::make_unique<TestConnector>(
                    server.host(), [&](auto stream) { server.server->attach(std::move(stream)); }));
  int good = 0;
  for (const bool chunked : {false, true}) {
    Request request;
    request.method = "POST";
    if (chunked) request.headers.add("Transfer-Encoding", "chunked");
    request.body.resize(1000000);
    for (size_t i = 0; i < request.body.size(); ++i) request.body[i] = uint8_t(i * 7 >> 3);
    const net::Buffer copy = request.body;
    client.request(std::move(request), [&, copy](net::Result<Response> response, const Timing&) {
      ASSERT_TRUE(response.ok()) << response.status().to_string();
      EXPECT_TRUE(response->body == copy);
      ++good;
    });
  }
  server.run(1s);
  EXPECT_EQ(good, 2);
}

}  // namespace
}  // namespace culvert::http
