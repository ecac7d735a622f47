// What our Host costs inside ns-3: wall time of a bulk transfer, and of one message when many
// connections live on one node.
//   bench-ns3-host bulk MEGABYTES        bytes through left - middle - right
//   bench-ns3-host messages CONNECTIONS  45-byte messages, all sockets on two nodes
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/ns3/host_lab.h"

namespace {

using namespace culvert;
using namespace std::chrono_literals;
using ns3_world::Lab;
using ns3_world::LabOptions;

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Connection {
  std::unique_ptr<net::Dial> dial;
  std::unique_ptr<net::Stream> near, far;
  size_t heard = 0;
};

std::vector<std::unique_ptr<Connection>> connect(Lab& lab, int count) {
  net::ListenOptions listen;
  listen.local = {ns3_world::address("10.2.0.2"), 7000};
  listen.backlog = 65536;
  auto listener = std::move(*lab.right->listen(listen));
  std::vector<std::unique_ptr<Connection>> out;
  std::vector<std::unique_ptr<net::Stream>> far;
  for (int i = 0; i < count; ++i) {
    out.push_back(std::make_unique<Connection>());
    net::DialOptions dial;
    dial.remote = listen.local;
    out.back()->dial = std::move(*lab.left->dial(dial, [c = out.back().get()](auto result) {
      if (result) c->near = std::move(*result);
    }));
    if (i % 50 == 49) lab.run_for(5ms);  // no queue overflows
    while (auto stream = listener->accept()) far.push_back(std::move(stream));
  }
  lab.run_until([&] {
    while (auto stream = listener->accept()) far.push_back(std::move(stream));
    return far.size() == out.size();
  });
  for (size_t i = 0; i < far.size(); ++i) {
    Connection* c = out[i].get();
    c->far = std::move(far[i]);
    c->far->on_readable([c] {
      static uint8_t buffer[65536];
      c->heard += c->far->read(buffer).count;
    });
  }
  return out;
}

int bulk(size_t bytes) {
  LabOptions options;
  options.rate = "1Gbps";
  options.delay = 1ms;
  Lab lab(options);
  auto connections = connect(lab, 1);
  Connection& c = *connections[0];
  const net::Buffer block(65536, 0x5a);
  size_t sent = 0;
  std::function<void()> push = [&] {
    while (sent < bytes) {
      const net::IoResult r = c.near->write({block.data(), std::min(block.size(), bytes - sent)});
      sent += r.count;
      if (!r.ok()) return c.near->on_writable(push);
    }
  };
  const double start = wall_seconds();
  const net::Time begin = lab.left->now();
  push();
  const bool done = lab.run_until([&] { return c.heard == bytes; }, 600s);
  std::printf("%zu bytes, %s: %.2f s of wall time, %.2f s of virtual time\n", bytes,
              done ? "complete" : "INCOMPLETE", wall_seconds() - start,
              net::to_ms(lab.left->now() - begin) / 1000);
  return done ? 0 : 1;
}

int messages(int count) {
  LabOptions options;
  options.rate = "1Gbps";
  Lab lab(options);
  auto connections = connect(lab, count);
  const uint8_t message[45] = {};
  const double start = wall_seconds();
  size_t sent = 0;
  for (int round = 0; sent < 20000; ++round) {
    for (auto& c : connections) sent += c->near->write(message).count / 45;
    lab.run_for(20ms);
  }
  size_t heard = 0;
  lab.run_for(1s);
  for (auto& c : connections) heard += c->heard / 45;
  std::printf("%d connections, %zu of %zu messages heard: %.1f us of wall time each\n", count,
              heard, sent, (wall_seconds() - start) * 1e6 / static_cast<double>(sent));
  return heard == sent ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && !std::strcmp(argv[1], "bulk"))
    return bulk(static_cast<size_t>(std::atoi(argv[2])) << 20);
  if (argc == 3 && !std::strcmp(argv[1], "messages")) return messages(std::atoi(argv[2]));
  std::fprintf(stderr, "usage: bench-ns3-host bulk MEGABYTES | messages CONNECTIONS\n");
  return 2;
}
