// Any bytes into the HTTP server, cut anywhere, with handlers that answer at once, later, never or
// with an upgrade: whatever is said back is well-formed HTTP, and no session outlives its peer.
#include <cstdio>
#include <cstdlib>

#include "model/http/parser.h"
#include "model/http/server.h"
#include "model/http/websocket.h"
#include "model/net/pipe.h"
#include "tests/support/fake_net.h"

using namespace culvert;
using namespace std::chrono_literals;

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

struct World {
  World() : net(1), node(net.host("a")) {
    http::ServerOptions options;
    options.body_bytes = 100'000;
    server = std::make_unique<http::Server>(
        net.at(node), options, [this](http::Request request, std::shared_ptr<http::Responder> r) {
          handle(std::move(request), std::move(r));
        });
  }

  void handle(http::Request request, std::shared_ptr<http::Responder> responder) {
    require(!request.method.empty() && !request.target.empty(), "a request without its line");
    require(request.body.size() <= 100'000, "the limit of bodies does not hold");
    heads = heads || request.method == "HEAD" || request.method == "CONNECT";
    switch (request.target.size() % 5) {
      case 0:
        kept.push_back(responder);
        responder->on_gone([] {});
        return;
      case 1:
        return;  // dropped: 500
      case 2:
        upgrades = true;
        http::accept_websocket(net.at(node), websocket, request, responder,
                               [this](std::unique_ptr<net::Stream> s) {
                                 taken = std::move(s);
                                 uint8_t piece[512];
                                 while (taken->read(piece).count > 0) {
                                 }
                               });
        return;
      default:
        http::Response response;
        response.body = std::move(request.body);
        for (const auto& [name, value] : request.headers.all()) response.headers.add(name, value);
        responder->respond(std::move(response));
    }
  }

  testing::FakeNet net;
  testing::FakeNet::Node node;
  http::WebSocketOptions websocket{"", "", {"*"}, 1 << 16};
  std::unique_ptr<http::Server> server;
  std::vector<std::shared_ptr<http::Responder>> kept;
  std::unique_ptr<net::Stream> taken;
  bool heads = false, upgrades = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  World world;
  const size_t cut = size_t{data[0]} * 4 + 1;
  const bool half_close = data[1] & 1;
  net::Bytes rest(data + 2, size - 2);
  auto pipe = net::make_pipe(world.net.at(world.node), {});
  const auto mine = std::move(pipe.first);
  world.server->attach(std::move(pipe.second));
  net::Buffer said;
  const auto listen = [&] {
    uint8_t piece[4096];
    for (;;) {
      const auto io = mine->read(piece);
      if (io.count == 0) return;
      said.insert(said.end(), piece, piece + io.count);
    }
  };
  while (!rest.empty()) {
    const auto io = mine->write(rest.first(std::min(cut, rest.size())));
    if (io.count == 0) break;
    rest = rest.subspan(io.count);
    world.net.run_for(1ms);
    listen();
  }
  for (auto& responder : world.kept) responder->respond({});
  world.net.run_for(1ms);
  if (half_close) mine->shutdown_write();
  world.net.run_for(200s);
  listen();
  world.kept.clear();
  mine->reset();
  // A session that does not read, because too many of its requests wait, sees its peer's end when
  // they are answered.
  for (int i = 0; i < 1000 && (i == 0 || !world.kept.empty()); ++i) {
    world.kept.clear();
    world.net.run_for(1ms);
  }
  world.net.run_for(100s);
  require(world.server->connections() == 0, "a session outlived its peer");

  // What a HEAD or a CONNECT was answered cannot be read without knowing that.
  if (world.heads || world.upgrades) return 0;
  net::Bytes answers(said);
  while (!answers.empty()) {
    http::Parser parser(http::Parser::Kind::response, {1 << 20, 1 << 20, 1000, 1 << 16});
    http::Parser::Step step = http::Parser::Step::need_more;
    while (!answers.empty()) {
      answers = answers.subspan(parser.put(answers, step));
      require(step != http::Parser::Step::fault, "an answer is malformed");
      require(step != http::Parser::Step::need_more, "an answer is not whole");
      if (step == http::Parser::Step::done) break;
    }
  }
  return 0;
}
