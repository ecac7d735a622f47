// One machine in virtual time, a server on it, and pipes to speak to it by hand.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <string>

#include "model/http/server.h"
#include "model/net/pipe.h"
#include "tests/support/fake_net.h"

namespace culvert::http {

using namespace std::chrono_literals;
using testing::FakeNet;

// One end of a pipe that reads all there is.
struct Peer {
  explicit Peer(std::unique_ptr<net::Stream> s) : stream(std::move(s)) {
    stream->on_readable([this] { read(); });
  }
  void read() {
    uint8_t piece[4096];
    while (!paused) {
      const auto io = stream->read(piece);
      got.append(reinterpret_cast<const char*>(piece), io.count);
      if (io.count > 0) continue;
      if (io.error != net::Error::would_block) end = io.error;
      return;
    }
  }
  // The pipe takes it at once, or the test is wrong.
  void say(std::string_view text) {
    const auto io = stream->write(net::as_bytes(text));
    EXPECT_EQ(io.count, text.size());
  }
  std::unique_ptr<net::Stream> stream;
  std::string got;
  net::Error end = net::Error::none;
  bool paused = false;
};

struct Machine {
  Machine() : net(1), node(net.host("a")) {}
  net::Host& host() { return net.at(node); }
  void run(net::Duration length = 10ms) { net.run_for(length); }
  FakeNet net;
  FakeNet::Node node;
};

struct ServerLab : Machine {
  explicit ServerLab(ServerOptions options = {}, Handler handler = {}) {
    if (!handler)
      handler = [this](Request request, std::shared_ptr<Responder> responder) {
        requests.push_back(std::move(request));
        Response response;
        response.body = requests.back().body;
        if (response.body.empty()) response.body = text(requests.back().target);
        responder->respond(std::move(response));
      };
    server = std::make_unique<Server>(host(), options, std::move(handler));
  }
  static net::Buffer text(std::string_view t) { return {t.begin(), t.end()}; }
  Peer& connect(net::PipeOptions options = {}) {
    auto [mine, its] = net::make_pipe(host(), options);
    server->attach(std::move(its));
    return peers.emplace_back(std::move(mine));
  }
  // What the server says to these bytes on a fresh connection.
  std::string ask(std::string_view bytes, net::Duration length = 10ms) {
    Peer& peer = connect();
    peer.say(bytes);
    run(length);
    return peer.got;
  }

  std::deque<Request> requests;
  std::deque<Peer> peers;
  std::unique_ptr<Server> server;
};

}  // namespace culvert::http
