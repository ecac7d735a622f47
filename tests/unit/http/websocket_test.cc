// The WebSocket opening at both ends, the stream it gives, and the way through a proxy.
#include "model/http/websocket.h"

#include "model/http/websocket_frames.h"
#include "model/http/websocket_stream.h"
#include "tests/unit/http/lab.h"
#include "tests/unit/http/pipe_connector.h"

namespace culvert::http {
namespace {

struct WebSocketLab : ServerLab {
  explicit WebSocketLab(WebSocketOptions o = {})
      : ServerLab({},
                  [this](Request request, std::shared_ptr<Responder> responder) {
                    accept_websocket(host(), options, request, responder,
                                     [this](std::unique_ptr<net::Stream> stream) {
                                       accepted.emplace_back(std::move(stream));
                                     });
                  }),
        options(std::move(o)) {}
  WebSocketOptions options;
  std::deque<Peer> accepted;
};

// The example of RFC 6455 section 1.3, with MQTT's subprotocol.
std::string opening(std::string_view more = {}, std::string_view path = "/mqtt") {
  return "GET " + std::string(path) +
         " HTTP/1.1\r\nHost: server.example\r\nUpgrade: websocket\r\nConnection: keep-alive, "
         "Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Protocol: mqtt\r\n" +
         std::string(more) + "\r\n";
}
std::string replaced(std::string text, std::string_view what, std::string_view by) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

TEST(WebSocket, TheOpeningOfTheRfc) {
  WebSocketLab lab;
  const std::string said = lab.ask(opening());
  EXPECT_EQ(said,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            "Sec-WebSocket-Protocol: mqtt\r\n\r\n");
  EXPECT_EQ(lab.accepted.size(), 1u);
}

TEST(WebSocket, OpeningsThatMayNotBe) {
  const struct {
    std::string bytes, status;
  } kCases[] = {
      {opening("", "/elsewhere"), "404"},
      {replaced(opening(), "GET", "POST"), "405"},
      {replaced(opening(), "Upgrade: websocket", "Upgrade: h2c"), "426"},
      {"GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n", "426"},
      {replaced(opening(), "Version: 13", "Version: 8"), "426"},
      {replaced(opening(), "dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "400"},
      {replaced(opening(), "dGhlIHNhbXBsZSBub25jZQ==", "!!!!"), "400"},
      {replaced(opening(), "Protocol: mqtt", "Protocol: chat"), "400"},
      {opening("Origin: http://evil.example\r\n"), "403"},
      {opening("Origin: null\r\n"), "403"},
  };
  for (const auto& c : kCases) {
    WebSocketLab lab;
    const std::string said = lab.ask(c.bytes);
    EXPECT_EQ(said.substr(9, 3), c.status) << c.bytes;
    EXPECT_TRUE(lab.accepted.empty());
    if (c.status == "426") {
      EXPECT_NE(said.find("Sec-WebSocket-Version: 13\r\n"), std::string::npos);
    }
  }
}

TEST(WebSocket, OriginsAreLetInByTheList) {
  const struct {
    std::vector<std::string> origins;
    std::string origin;
    bool in;
  } kCases[] = {
      {{}, "http://server.example", true},
      {{}, "https://SERVER.example", true},
      {{}, "http://server.example:8080", false},
      {{"https://app.example"}, "https://app.example", true},
      {{"https://app.example"}, "http://app.example", false},
      {{"https://app.example"}, "http://server.example", false},
      {{"https://app.example"}, "https://app.example.evil", false},
      {{"*"}, "http://evil.example", true},
  };
  for (const auto& c : kCases) {
    WebSocketOptions options;
    options.origins = c.origins;
    WebSocketLab lab(options);
    EXPECT_EQ(lab.ask(opening("Origin: " + c.origin + "\r\n")).substr(9, 3), c.in ? "101" : "403")
        << c.origin;
  }
}

// Both of our ends, joined.
struct Joined : WebSocketLab {
  explicit Joined(net::PipeOptions pipe = {}, WebSocketOptions o = {}) : WebSocketLab(o) {
    auto under = std::make_unique<TestConnector>(
        host(), [this](auto stream) { server->attach(std::move(stream)); });
    under->options = pipe;
    connector = websocket_connector(host(), std::move(under), options, "server.example");
    connecting = connector->connect(
        [this](net::Connected c) {
          times = c.times;
          client = std::make_unique<Peer>(std::move(c.stream));
        },
        [this](net::ConnectFailure f) { failure = f; });
    run(1s);
  }
  std::unique_ptr<net::Connector> connector;
  std::unique_ptr<net::Connecting> connecting;
  std::unique_ptr<Peer> client;
  net::ConnectTimes times;
  net::ConnectFailure failure;
};

TEST(WebSocket, OurTwoEndsUnderstandEachOther) {
  net::PipeOptions pipe;
  pipe.delay = 10ms;
  Joined lab(pipe);
  ASSERT_TRUE(lab.client) << lab.failure.status.to_string();
  EXPECT_EQ(*lab.times.websocket, 20ms);
  lab.client->say("question");
  lab.run(20ms);
  EXPECT_EQ(lab.accepted[0].got, "question");
  lab.accepted[0].say("answer");
  lab.run(20ms);
  EXPECT_EQ(lab.client->got, "answer");
  lab.client->stream->shutdown_write();
  lab.run(50ms);
  EXPECT_EQ(lab.accepted[0].end, net::Error::closed);
  EXPECT_EQ(lab.client->end, net::Error::closed);
}

TEST(WebSocket, BackPressureAndLargeTransfersLoseNothing) {
  net::PipeOptions pipe;
  pipe.capacity = 3000;
  pipe.delay = 1ms;
  Joined lab(pipe);
  ASSERT_TRUE(lab.client);
  std::string data(500000, ' ');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * i >> 7);
  for (const bool to_server : {true, false}) {
    net::Stream& from = to_server ? *lab.client->stream : *lab.accepted[0].stream;
    Peer& to = to_server ? lab.accepted[0] : *lab.client;
    to.paused = true;
    size_t at = 0;
    std::function<void()> write = [&] {
      while (at < data.size()) {
        const auto io = from.write(net::as_bytes(std::string_view(data).substr(at)));
        at += io.count;
        if (io.error == net::Error::would_block) return from.on_writable(write);
        ASSERT_TRUE(io.ok());
      }
    };
    write();
    lab.run(1s);
    EXPECT_LT(at, 150000u);  // the reader pauses, so does the writer
    to.paused = false;
    to.read();
    lab.run(5s);
    EXPECT_EQ(at, data.size());
    EXPECT_TRUE(to.got == data);
  }
}

TEST(WebSocket, PingsAreAnsweredAndAFloodOfThemIsBounded) {
  WebSocketLab lab;
  Peer& peer = lab.connect();
  peer.say(opening());
  lab.run();
  peer.got.clear();
  const Mask mask{1, 2, 3, 4};
  net::Buffer ping, data;
  append_frame(ping, Opcode::ping, net::as_bytes("are you there"), &mask);
  append_frame(data, Opcode::binary, net::as_bytes("data"), &mask);
  peer.say(net::as_text(ping));
  peer.say(net::as_text(data));
  lab.run();
  EXPECT_EQ(peer.got,
            "\x8a\x0d"
            "are you there");
  EXPECT_EQ(lab.accepted[0].got, "data");
  peer.paused = true;
  for (int i = 0; i < 20000; ++i) {
    peer.stream->write(ping);
    if (i % 1000 == 0) lab.run(1ms);
  }
  lab.run();
  peer.got.clear();
  peer.paused = false;
  peer.read();
  lab.run();
  EXPECT_LT(peer.got.size(), 65536u + 2 * 4096u);  // what the pipe holds, and little more
  peer.got.clear();
  lab.accepted[0].say("still alive");
  lab.run();
  EXPECT_EQ(peer.got.substr(peer.got.size() - 11), "still alive");
}

// Always has something to read, none of which is data.
class Barren final : public net::Stream {
 public:
  explicit Barren(int& reads) : reads_(reads) {}
  net::Endpoint local() const override { return {}; }
  net::Endpoint remote() const override { return {}; }
  net::IoResult read(net::MutableBytes buffer) override {
    if (++reads_ > 1000) return {0, net::Error::closed};
    constexpr uint8_t kEmptyFrame[] = {0x82, 0x00};
    std::copy(std::begin(kEmptyFrame), std::end(kEmptyFrame), buffer.begin());
    return {sizeof kEmptyFrame, net::Error::none};
  }
  net::IoResult write(net::Bytes data) override { return {data.size(), net::Error::none}; }
  void shutdown_write() override {}
  void reset() override {}
  void on_readable(std::function<void()>) override {}
  void on_writable(std::function<void()>) override {}
  net::Status set_no_delay(bool) override { return {}; }
  net::PathStats stats() const override { return {}; }

 private:
  int& reads_;
};

TEST(WebSocket, AFloodOfEmptyFramesLeavesTheOthersTheirTurn) {
  Machine lab;
  int reads = 0, turns = 0;
  const auto stream =
      make_websocket_stream(lab.host(), std::make_unique<Barren>(reads), {}, {false, 65536});
  uint8_t piece[100];
  stream->on_readable([&] {
    ++turns;
    while (stream->read(piece).count > 0) {
    }
  });
  EXPECT_EQ(stream->read(piece).error, net::Error::would_block);
  EXPECT_LT(reads, 100);
  lab.run();
  EXPECT_GT(reads, 1000) << "nobody came back to it";
  EXPECT_GT(turns, 10);
}

TEST(WebSocket, WhatWasWrittenArrivesThoughTheStreamIsDestroyed) {
  for (const bool reads_at_last : {true, false}) {
    Machine lab;
    net::PipeOptions options;
    options.capacity = 1000;
    auto [mine, its] = net::make_pipe(lab.host(), options);
    auto stream = make_websocket_stream(lab.host(), std::move(mine), {}, {true, 65536});
    const net::Buffer data(50000, 'd');
    ASSERT_EQ(stream->write(data).count, data.size());
    stream.reset();
    Peer peer(std::move(its));
    peer.paused = !reads_at_last;
    lab.run(1s);
    if (reads_at_last) {
      EXPECT_EQ(peer.got.size(), 4 + data.size() + 4);  // and the close frame
      EXPECT_EQ(peer.end, net::Error::closed);
    } else {
      lab.run(60s);
      peer.paused = false;
      peer.read();
      EXPECT_LT(peer.got.size(), 2000u) << "it waited for ever";
      EXPECT_NE(peer.end, net::Error::none);
    }
  }
}

TEST(WebSocket, ViolationsCloseWithTheirCode) {
  WebSocketLab lab;
  Peer& peer = lab.connect();
  peer.say(opening());
  lab.run();
  peer.got.clear();
  peer.say(std::string_view("\x82\x01x", 3));  // not masked
  lab.run();
  ASSERT_GE(peer.got.size(), 4u);
  EXPECT_EQ(peer.got.substr(0, 1), "\x88");
  EXPECT_EQ(peer.got.substr(2, 2), "\x03\xea");
  EXPECT_EQ(peer.end, net::Error::closed);
  EXPECT_EQ(lab.accepted[0].end, net::Error::reset);
}

TEST(WebSocket, BytesBehindTheOpeningAreNotLost) {
  WebSocketLab lab;
  Peer& peer = lab.connect();
  net::Buffer frame;
  const Mask mask{1, 2, 3, 4};
  append_frame(frame, Opcode::binary, net::as_bytes("eager"), &mask);
  peer.say(opening() + std::string(net::as_text(frame)));
  lab.run();
  EXPECT_EQ(lab.accepted.at(0).got, "eager");
}

TEST(WebSocket, TheClientChecksWhatTheServerAnswers) {
  const std::string good =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  for (const std::string& answer :
       {good + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        std::string("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), std::string("nonsense\r\n")}) {
    Machine machine;
    std::deque<Peer> peers;
    const auto connector =
        websocket_connector(machine.host(),
                            std::make_unique<TestConnector>(
                                machine.host(), [&](auto s) { peers.emplace_back(std::move(s)); }),
                            {}, "server.example");
    net::ConnectFailure failure;
    const auto connecting = connector->connect([](net::Connected) { FAIL(); },
                                               [&](net::ConnectFailure f) { failure = f; });
    machine.run();
    peers.at(0).say(answer);
    machine.run();
    EXPECT_EQ(failure.phase, "websocket") << answer;
    EXPECT_FALSE(failure.status.ok());
  }
}

struct ProxyLab : Machine {
  explicit ProxyLab(std::string authorization = {}) {
    connector =
        http_proxy_connector(host(),
                             std::make_unique<TestConnector>(
                                 host(), [this](auto s) { peers.emplace_back(std::move(s)); }),
                             "broker.example:8883", std::move(authorization));
    connecting = connector->connect(
        [this](net::Connected c) {
          times = c.times;
          client = std::make_unique<Peer>(std::move(c.stream));
        },
        [this](net::ConnectFailure f) { failure = f; });
    run();
  }
  std::deque<Peer> peers;
  std::unique_ptr<net::Connector> connector;
  std::unique_ptr<net::Connecting> connecting;
  std::unique_ptr<Peer> client;
  net::ConnectTimes times;
  net::ConnectFailure failure;
};

TEST(Proxy, AsksWithConnectAndGivesTheTunnel) {
  ProxyLab lab("Basic eDp5");
  EXPECT_EQ(lab.peers.at(0).got,
            "CONNECT broker.example:8883 HTTP/1.1\r\nHost: broker.example:8883\r\n"
            "Proxy-Authorization: Basic eDp5\r\n\r\n");
  lab.peers[0].say("HTTP/1.1 200 Connection established\r\nX: y\r\n\r\nserver speaks first");
  lab.run();
  ASSERT_TRUE(lab.client);
  EXPECT_TRUE(lab.times.proxy);
  EXPECT_EQ(lab.client->got, "server speaks first");
  lab.client->say("hello");
  lab.peers[0].say(", and again");
  lab.run();
  EXPECT_EQ(lab.client->got, "server speaks first, and again");
  EXPECT_EQ(lab.peers[0].got.substr(lab.peers[0].got.size() - 5), "hello");
}

TEST(Proxy, RefusalsSayWhy) {
  const struct {
    const char* answer;
    net::Error error;
    const char* says;
  } kCases[] = {
      {"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
       net::Error::not_permitted, "407"},
      {"HTTP/1.1 502 Bad Gateway\r\n\r\n", net::Error::unreachable, "502"},
      {"HTTP/1.1 504 x\r\n\r\n", net::Error::timed_out, "504"},
      {"SSH-2.0-OpenSSH\r\n", net::Error::failed, "cannot be read"},
  };
  for (const auto& c : kCases) {
    ProxyLab lab;
    lab.peers.at(0).say(c.answer);
    lab.run();
    EXPECT_EQ(lab.failure.phase, "proxy");
    EXPECT_EQ(lab.failure.status.error, c.error) << c.answer;
    EXPECT_NE(lab.failure.status.detail.find(c.says), std::string::npos)
        << lab.failure.status.detail;
  }
  ProxyLab silent;
  silent.run(31s);
  EXPECT_EQ(silent.failure.status.error, net::Error::timed_out);
  ProxyLab gone;
  gone.peers.at(0).stream.reset();
  gone.run();
  EXPECT_EQ(gone.failure.status.error, net::Error::closed);
}

}  // namespace
}  // namespace culvert::http
