// The server, spoken to by hand over pipes: what it answers, and when it has enough of a client.
#include <algorithm>

#include "tests/unit/http/lab.h"

namespace culvert::http {
namespace {

using ::testing::Test;

TEST(HttpServer, AnswersWithTheLeastHeaderThereIs) {
  ServerLab lab;
  EXPECT_EQ(lab.ask("GET /x HTTP/1.1\r\nHost: a\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/x");
  EXPECT_EQ(lab.requests[0].method, "GET");
  EXPECT_EQ(lab.requests[0].headers.get("hOsT"), "a");
}

TEST(HttpServer, KeepsTheConnectionAndTheOrderOfPipelinedRequests) {
  ServerLab lab;
  Peer& peer = lab.connect();
  peer.say("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  lab.run();
  peer.say("POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
  lab.run();
  EXPECT_EQ(peer.got,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/1"
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/2"
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(peer.end, net::Error::none);
}

TEST(HttpServer, LateAnswersStillGoOutInOrder) {
  std::vector<std::shared_ptr<Responder>> responders;
  ServerLab lab({}, [&](Request, std::shared_ptr<Responder> r) { responders.push_back(r); });
  Peer& peer = lab.connect();
  for (int i = 0; i < 3; ++i) peer.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  lab.run();
  ASSERT_EQ(responders.size(), 3u);
  for (const int i : {2, 1}) {
    Response response;
    response.body = ServerLab::text(std::to_string(i));
    responders[i]->respond(std::move(response));
  }
  lab.run();
  EXPECT_EQ(peer.got, "");
  responders.front().reset();
  responders.erase(responders.begin());  // unanswered: 500
  lab.run();
  EXPECT_EQ(peer.got,
            "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
}

TEST(HttpServer, AnyCutOfTheBytesGivesTheSame) {
  const std::string bytes =
      "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "4;x=y\r\nwiki\r\n5\r\npedia\r\n0\r\nTrailer: t\r\n\r\n"
      "PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
      "HEAD /b HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nwikipedia"
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/c"
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
  for (size_t cut = 1; cut < bytes.size(); ++cut) {
    ServerLab lab;
    Peer& peer = lab.connect();
    peer.say(bytes.substr(0, cut));
    lab.run();
    peer.say(bytes.substr(cut));
    lab.run();
    ASSERT_EQ(peer.got, answer) << cut;
    EXPECT_FALSE(lab.requests[0].headers.has("Trailer"));
  }
  ServerLab lab;
  Peer& peer = lab.connect();
  for (const char c : bytes) {
    peer.say({&c, 1});
    lab.run(1ms);
  }
  EXPECT_EQ(peer.got, answer);
}

TEST(HttpServer, HundredContinueComesBeforeTheBody) {
  ServerLab lab;
  Peer& peer = lab.connect();
  peer.say("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  lab.run();
  EXPECT_EQ(peer.got, "HTTP/1.1 100 Continue\r\n\r\n");
  peer.got.clear();
  peer.say("ok");
  lab.run();
  EXPECT_EQ(peer.got, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

TEST(HttpServer, ClosesWhenAskedToAndSaysSo) {
  ServerLab lab;
  Peer& closes = lab.connect();
  closes.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  Peer& ten = lab.connect();
  ten.say("GET / HTTP/1.0\r\n\r\n");
  Peer& kept = lab.connect();
  kept.say("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  lab.run();
  EXPECT_EQ(closes.got, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n/");
  EXPECT_EQ(closes.end, net::Error::closed);
  EXPECT_EQ(ten.end, net::Error::closed);
  EXPECT_EQ(kept.end, net::Error::none);
  EXPECT_NE(kept.got.find("Connection: keep-alive\r\n"), std::string::npos);
}

TEST(HttpServer, BadInputGetsItsStatusAndTheEndOfTheConnection) {
  const std::string long_field(20000, 'x');
  std::string many;
  for (int i = 0; i < 120; ++i) many += "F" + std::to_string(i) + ": x\r\n";
  const struct {
    std::string bytes;
    int status;
  } kCases[] = {
      // Request smuggling (RFC 9112 section 11.2).
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
       400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 5\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
       "Transfer-Encoding: chunked\r\n\r\n",
       400},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n 5\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
       "10000000000000003\r\nabc\r\n",
       400},
      // The rest of the header.
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: a\n\n", 505},
      {"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400},
      {std::string("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 28), 400},
      {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"GET / HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: " + long_field + "\r\n\r\n", 431},
      {"GET / HTTP/1.1\r\nHost: a\r\n" + many + "\r\n", 431},
      {"GET /" + long_field + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
      {"PUT / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\nContent-Length: 1\r\n\r\n", 417},
      {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n", 413},
      {"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4c4b40\r\n", 413},
      {"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + long_field + "\r\n",
       400},
      {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x0d\x0a\x0d\x0a", 15), 400},
  };
  for (const auto& c : kCases) {
    ServerLab lab;
    Peer& peer = lab.connect();
    peer.say(c.bytes);
    lab.run(1s);
    EXPECT_EQ(peer.got.substr(0, 13), "HTTP/1.1 " + std::to_string(c.status) + " ")
        << c.bytes.substr(0, 120) << "\n"
        << peer.got;
    EXPECT_NE(peer.got.find("Connection: close\r\n"), std::string::npos);
    EXPECT_EQ(peer.end, net::Error::closed) << c.bytes.substr(0, 80);
    EXPECT_TRUE(lab.requests.empty());
    lab.run(3s);  // it lingers for a peer that does not close
    EXPECT_EQ(lab.server->connections(), 0u);
  }
}

TEST(HttpServer, ARefusalWaitsForTheAnswersBeforeIt) {
  ServerLab lab;
  const std::string said = lab.ask("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n");
  EXPECT_EQ(said.find("HTTP/1.1 200"), 0u);
  EXPECT_NE(said.find("HTTP/1.1 400"), std::string::npos);
}

TEST(HttpServer, SlowSendersAreTold408AndSilentOnesNothing) {
  ServerOptions options;
  options.header_patience = 2s;
  options.idle_patience = 5s;
  ServerLab lab(options);
  Peer& silent = lab.connect();
  Peer& slow = lab.connect();
  Peer& body = lab.connect();
  Peer& idle = lab.connect();
  Peer& steady = lab.connect();
  body.say("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
  steady.say("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 27000\r\n\r\n");
  idle.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  for (int i = 0; i < 9; ++i) {
    if (slow.end == net::Error::none) slow.say("G");
    if (body.end == net::Error::none) body.say("b");  // two bytes a second: too slow
    steady.say(std::string(3000, 's'));
    lab.run(500ms);
  }
  EXPECT_EQ(silent.got, "");
  EXPECT_EQ(silent.end, net::Error::closed);
  EXPECT_EQ(slow.got.substr(0, 12), "HTTP/1.1 408");
  EXPECT_EQ(body.got.substr(0, 12), "HTTP/1.1 408");
  EXPECT_EQ(idle.end, net::Error::none);
  EXPECT_EQ(steady.got.substr(0, 12), "HTTP/1.1 200");
  lab.run(1s);
  EXPECT_EQ(idle.end, net::Error::closed);
}

TEST(HttpServer, AClientThatDoesNotReadIsCutOffAndHoldsNothingUp) {
  ServerOptions options;
  options.idle_patience = 3s;
  ServerLab lab(options, [](Request, std::shared_ptr<Responder> r) {
    Response response;
    response.body.assign(100000, 'x');
    r->respond(std::move(response));
  });
  net::PipeOptions narrow;
  narrow.capacity = 1000;
  Peer& deaf = lab.connect(narrow);
  deaf.paused = true;
  deaf.say("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  Peer& reader = lab.connect();
  reader.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  lab.run(1s);
  EXPECT_EQ(reader.got.size(),
            100000 + std::string("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").size());
  EXPECT_EQ(lab.server->connections(), 2u);
  lab.run(4s);
  EXPECT_EQ(lab.server->connections(), 0u);  // the reader was idle as long
}

TEST(HttpServer, PipeliningIsBounded) {
  std::vector<std::shared_ptr<Responder>> responders;
  ServerLab lab({}, [&](Request, std::shared_ptr<Responder> r) { responders.push_back(r); });
  Peer& peer = lab.connect();
  for (int i = 0; i < 40; ++i) peer.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  lab.run();
  EXPECT_EQ(responders.size(), 16u);
  for (size_t i = 0; i < 40; ++i) {
    ASSERT_LT(i, responders.size());
    responders[i]->respond({});
    lab.run(1ms);
  }
  EXPECT_EQ(responders.size(), 40u);
  EXPECT_EQ(peer.got.size(),
            40 * std::string("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").size());
}

TEST(HttpServer, TellsWhenTheClientIsGoneBeforeTheAnswer) {
  std::shared_ptr<Responder> kept;
  int gone = 0;
  const auto handler = [&](Request, std::shared_ptr<Responder> r) {
    kept = r;
    r->on_gone([&] { ++gone; });
  };
  for (const bool close_header : {false, true}) {
    gone = 0;
    ServerLab lab({}, handler);
    Peer& peer = lab.connect();
    peer.say(close_header ? "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                          : "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    lab.run();
    EXPECT_EQ(gone, 0);
    peer.stream.reset();
    lab.run();
    EXPECT_EQ(gone, 1);
    kept->respond({});  // nobody hears it
    lab.run();
    EXPECT_EQ(lab.server->connections(), 0u);
  }
}

TEST(HttpServer, AHalfClosedClientStillGetsItsAnswer) {
  std::shared_ptr<Responder> kept;
  ServerLab lab({}, [&](Request, std::shared_ptr<Responder> r) { kept = r; });
  Peer& peer = lab.connect();
  peer.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  peer.stream->shutdown_write();
  lab.run();
  kept->respond({});
  lab.run();
  EXPECT_EQ(peer.got, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(peer.end, net::Error::closed);
  EXPECT_EQ(lab.server->connections(), 0u);
}

TEST(HttpServer, AnUpgradeHandsOverTheStreamWithWhatCameBehindTheRequest) {
  std::unique_ptr<net::Stream> taken;
  std::string behind;
  ServerLab lab({}, [&](Request, std::shared_ptr<Responder> r) {
    Response response;
    response.status = 101;
    response.headers.add("Connection", "Upgrade");
    response.headers.add("Upgrade", "thing");
    r->upgrade(std::move(response), [&](std::unique_ptr<net::Stream> s, net::Buffer rest) {
      taken = std::move(s);
      behind = net::as_text(rest);
    });
  });
  Peer& peer = lab.connect();
  peer.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: thing\r\n\r\nfirst");
  lab.run();
  EXPECT_EQ(peer.got,
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: thing\r\n\r\n");
  ASSERT_TRUE(taken);
  EXPECT_EQ(behind, "first");
  EXPECT_EQ(lab.server->connections(), 0u);
  peer.say("more");
  lab.run();
  uint8_t piece[10];
  EXPECT_EQ(taken->read(piece).count, 4u);
}

TEST(HttpServer, DrainAnswersWhatIsUnderWayAndThenEnds) {
  std::shared_ptr<Responder> kept;
  bool done = false;
  ServerLab lab({}, [&](Request, std::shared_ptr<Responder> r) { kept = r; });
  Peer& idle = lab.connect();
  Peer& waiting = lab.connect();
  waiting.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  lab.run();
  lab.server->drain([&] { done = true; });
  lab.run();
  EXPECT_EQ(idle.end, net::Error::closed);
  EXPECT_FALSE(done);
  kept->respond({});
  lab.run();
  EXPECT_EQ(waiting.got, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  idle.stream.reset();
  waiting.stream.reset();
  lab.run();
  EXPECT_TRUE(done);
}

TEST(HttpServer, TooManyConnectionsGet503) {
  ServerOptions options;
  options.connections = 2;
  ServerLab lab(options);
  lab.connect();
  lab.connect();
  Peer& third = lab.connect();
  lab.run();
  EXPECT_EQ(third.got.substr(0, 12), "HTTP/1.1 503");
  EXPECT_EQ(third.end, net::Error::closed);
  EXPECT_EQ(lab.server->connections(), 2u);
}

TEST(HttpServer, AHandlerMayDestroyTheServer) {
  ServerLab lab({}, [&](Request, std::shared_ptr<Responder> r) {
    lab.server.reset();
    r->respond({});
  });
  Peer& peer = lab.connect();
  peer.say("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  lab.run();
  EXPECT_NE(peer.end, net::Error::none);
}

TEST(HttpServer, TheAbsoluteFormNamesItsHost) {
  ServerLab lab;
  lab.ask("GET http://b.example:81/p?q HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(lab.requests.size(), 1u);
  EXPECT_EQ(lab.requests[0].target, "/p?q");
  EXPECT_EQ(lab.requests[0].headers.get("Host"), "b.example:81");
}

TEST(HttpServer, AnswersCannotBeSplitByTheirFields) {
  ServerLab lab({}, [](Request, std::shared_ptr<Responder> r) {
    Response response;
    response.headers.add("X", "a\r\nSet-Cookie: b");
    response.headers.add("Y\r\nZ", "b");
    response.headers.add("Content-Length", "77");
    response.headers.add("Good", "one");
    r->respond(std::move(response));
  });
  EXPECT_EQ(lab.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nGood: one\r\nContent-Length: 0\r\n\r\n");
}

}  // namespace
}  // namespace culvert::http
