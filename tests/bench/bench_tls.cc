// What TLS costs, without a network: handshakes a second, bytes a second, memory of an idle
// session, bytes and writes of each kind of handshake. Both ends run here, on one core.
#include <malloc.h>

#include <cstdio>
#include <ctime>
#include <vector>

#include "model/net/pipe.h"
#include "model/net/tls/tls.h"
#include "tests/support/fake_net.h"
#include "tests/support/test_pki.h"

namespace culvert {
namespace {

using namespace std::chrono_literals;
double now() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

struct Counted : net::Stream {
  Counted(std::unique_ptr<net::Stream> s, size_t& b, size_t& w)
      : under(std::move(s)), bytes(b), writes(w) {}
  net::Endpoint local() const override { return under->local(); }
  net::Endpoint remote() const override { return under->remote(); }
  net::IoResult read(net::MutableBytes buffer) override { return under->read(buffer); }
  net::IoResult write(net::Bytes data) override {
    const auto result = under->write(data);
    bytes += result.count;
    ++writes;
    return result;
  }
  void shutdown_write() override { under->shutdown_write(); }
  void reset() override { under->reset(); }
  void on_readable(std::function<void()> c) override { under->on_readable(std::move(c)); }
  void on_writable(std::function<void()> c) override { under->on_writable(std::move(c)); }
  net::Status set_no_delay(bool on) override { return under->set_no_delay(on); }
  net::PathStats stats() const override { return under->stats(); }
  std::unique_ptr<net::Stream> under;
  size_t &bytes, &writes;
};

struct Bench {
  explicit Bench(testing::KeyKind kind, net::TlsVersions versions, net::Duration delay = 0ms) {
    const auto pki = testing::make_test_pki(kind);
    lone.secret("c", pki.server.certificate);
    lone.secret("k", pki.server.key);
    lone.secret("ca", pki.ca);
    net::TlsOptions server, client;
    server.certificate = "c";
    server.key = "k";
    server.versions = versions;
    client.trust = "ca";
    server_context = *net::tls_server_context(lone.host, server);
    client.resumption = false;
    fresh_client = *net::tls_client_context(lone.host, client);
    client.resumption = true;
    client_context = *net::tls_client_context(lone.host, client);
    options.delay = delay;
  }
  // A handshake on a new pipe; the ends are left in near and far.
  void shake(const std::shared_ptr<net::TlsContext>& client) {
    sent = sent_writes = got = got_writes = 0;
    auto [a, b] = net::make_pipe(lone.host, options);
    auto accepting = net::tls_accept(lone.host, server_context,
                                     std::make_unique<Counted>(std::move(b), got, got_writes), 10s,
                                     [&](auto stream) { far = std::move(*stream); });
    auto connecting = net::tls_connect(
        lone.host, client, std::make_unique<Counted>(std::move(a), sent, sent_writes),
        "server.test", 10s, [&](auto stream) { near = std::move(*stream); });
    lone.run_until([&] { return near && far; }, 10s);
    lone.run_for(1s);
    uint8_t buffer[16];
    near->read(buffer);  // the ticket
  }
  void drop() { near.reset(), far.reset(), lone.run_for(1s); }

  testing::LoneHost lone;
  std::shared_ptr<net::TlsContext> server_context, client_context, fresh_client;
  net::PipeOptions options;
  std::unique_ptr<net::TlsStream> near, far;
  size_t sent = 0, sent_writes = 0, got = 0, got_writes = 0;
};

struct Kind {
  const char* name;
  testing::KeyKind key;
  net::TlsVersions versions;
};
constexpr Kind kKinds[] = {
    {"TLS1.3 Ed25519", testing::KeyKind::ed25519, net::TlsVersions::v13},
    {"TLS1.3 RSA-2048", testing::KeyKind::rsa2048, net::TlsVersions::v13},
    {"TLS1.3 P-256", testing::KeyKind::p256, net::TlsVersions::v13},
    {"TLS1.2 Ed25519", testing::KeyKind::ed25519, net::TlsVersions::v12},
    {"TLS1.2 RSA-2048", testing::KeyKind::rsa2048, net::TlsVersions::v12},
    {"TLS1.2 P-256", testing::KeyKind::p256, net::TlsVersions::v12},
};

void handshakes() {
  std::printf("%-16s %-8s %10s %9s %9s %7s %14s\n", "handshake", "kind", "per second", "client B",
              "server B", "writes", "round trips");
  for (const Kind& kind : kKinds) {
    for (const bool resumed : {false, true}) {
      Bench bench(kind.key, kind.versions, 10ms);
      const auto& client = resumed ? bench.client_context : bench.fresh_client;
      bench.shake(client), bench.drop();
      constexpr int kTimes = 300;
      const double begin = now();
      for (int i = 0; i < kTimes; ++i) bench.shake(client), i + 1 < kTimes ? bench.drop() : void();
      std::printf("%-16s %-8s %10.0f %9zu %9zu %4zu+%zu %14.1f\n", kind.name,
                  bench.near->info().resumed ? "resumed" : "full", kTimes / (now() - begin),
                  bench.sent, bench.got, bench.sent_writes, bench.got_writes,
                  net::to_ms(bench.near->info().handshake) / 20.0);
    }
  }
}

void throughput() {
  std::printf("\n%-16s %12s\n", "write size", "MB/s");
  for (const size_t size : {size_t{100}, size_t{1024}, size_t{16384}, size_t{65536}}) {
    Bench bench(testing::KeyKind::ed25519, net::TlsVersions::v13);
    bench.shake(bench.fresh_client);
    const net::Buffer data(size, 7);
    size_t received = 0;
    net::Buffer into(65536);
    bench.far->on_readable([&] {
      for (;;) {
        const auto result = bench.far->read(into);
        received += result.count;
        if (result.count == 0) return;
      }
    });
    const size_t whole = size < 1000 ? 20 << 20 : 200 << 20;
    size_t written = 0;
    const double begin = now();
    std::function<void()> push = [&] {
      while (written < whole) {
        const auto result = bench.near->write(data);
        written += result.count;
        if (!result.ok()) return bench.near->on_writable(push);
      }
    };
    push();
    bench.lone.run_until([&] { return received >= whole; }, 3600s);
    std::printf("%-16zu %12.0f\n", size, static_cast<double>(received) / (now() - begin) / 1e6);
  }
}

void memory() {
  {
    testing::LoneHost lone;
    std::vector<std::unique_ptr<net::Stream>> ends;
    const net::Buffer flight(1200);
    net::Buffer into(2000);
    const size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 1000; ++i) {
      auto [a, b] = net::make_pipe(lone.host);
      a->write(flight), b->read(into), b->write(flight), a->read(into);
      ends.push_back(std::move(a)), ends.push_back(std::move(b));
    }
    std::printf("\n%-16s %zu bytes", "a pipe alone", (mallinfo2().uordblks - before) / 1000);
  }
  std::printf("\n%-16s %20s\n", "idle session", "bytes, one end");
  for (const auto versions : {net::TlsVersions::v13, net::TlsVersions::v12}) {
    Bench bench(testing::KeyKind::ed25519, versions);
    bench.shake(bench.fresh_client), bench.drop();
    constexpr size_t kSessions = 1000;
    std::vector<std::unique_ptr<net::TlsStream>> near, far;
    near.reserve(kSessions), far.reserve(kSessions);
    const size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < kSessions; ++i) {
      bench.shake(bench.fresh_client);
      near.push_back(std::move(bench.near));
      far.push_back(std::move(bench.far));
    }
    const size_t both = mallinfo2().uordblks - before;
    near.clear();
    const size_t servers = mallinfo2().uordblks - before;
    std::printf("%-16s client %zu, server with the pipe between them %zu\n",
                versions == net::TlsVersions::v13 ? "TLS1.3" : "TLS1.2",
                (both - servers) / kSessions, servers / kSessions);
  }
}

}  // namespace
}  // namespace culvert

int main() {
  culvert::handshakes();
  culvert::throughput();
  culvert::memory();
}
