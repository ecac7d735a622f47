// TLS around a Host's own streams: it lives on nothing but the contract of Stream.
#include "model/net/tls/tls.h"

#include "tests/contract/pair.h"
#include "tests/support/host_with_secrets.h"
#include "tests/support/test_pki.h"

namespace culvert::contract {
namespace {

const testing::TestPki& pki() {
  static const testing::TestPki all = testing::make_test_pki();
  return all;
}

class TlsCase : public StreamFixture {
 protected:
  void make_contexts(net::TlsVersions versions) {
    ours = std::make_unique<testing::HostWithSecrets>(world->a());
    theirs = std::make_unique<testing::HostWithSecrets>(world->b());
    ours->put("ca", pki().ca);
    theirs->put("certificate", pki().server.certificate);
    theirs->put("key", pki().server.key);
    net::TlsOptions server;
    server.certificate = "certificate";
    server.key = "key";
    server.versions = versions;
    auto made = net::tls_server_context(*theirs, server);
    ASSERT_TRUE(made) << made.status().to_string();
    server_context = *made;
    net::TlsOptions client;
    client.trust = "ca";
    made = net::tls_client_context(*ours, client);
    ASSERT_TRUE(made) << made.status().to_string();
    client_context = *made;
  }
  // A TLS session over a new connection; `resumed`: whether the handshake was abbreviated.
  void talk_tls() {
    connect();
    if (HasFatalFailure()) return;
    here.reset(), there.reset();
    net::Status failure;
    auto accepting = net::tls_accept(*theirs, server_context, std::move(far), 10s, [&](auto made) {
      if (!made) return void(failure = made.status());
      there = std::make_unique<Talk>(std::move(*made));
    });
    auto connecting = net::tls_connect(*ours, client_context, std::move(near), "server.test", 10s,
                                       [&](auto made) {
                                         if (!made) return void(failure = made.status());
                                         info = (*made)->info();
                                         here = std::make_unique<Talk>(std::move(*made));
                                       });
    ASSERT_TRUE(until([&] { return (here && there) || !failure.ok(); }));
    ASSERT_TRUE(failure.ok()) << failure.to_string();
  }
  void TearDown() override {
    StreamFixture::TearDown();
    server_context.reset(), client_context.reset();
    ours.reset(), theirs.reset();
  }
  std::unique_ptr<testing::HostWithSecrets> ours, theirs;
  std::shared_ptr<net::TlsContext> server_context, client_context;
  net::TlsInfo info;
};
CONTRACT_BOTH_FAMILIES(TlsCase);

TEST_P(TlsCase, secures_carries_megabytes_both_ways_half_closes_and_resumes) {
  for (const auto versions : {net::TlsVersions::v13, net::TlsVersions::v12}) {
    make_contexts(versions);
    if (HasFatalFailure()) return;
    const std::string up = noise(2 << 20, 1), down = noise(2 << 20, 2);
    for (const bool resumed : {false, true}) {
      talk_tls();
      if (HasFatalFailure()) return;
      EXPECT_EQ(info.version, versions == net::TlsVersions::v13 ? "TLS1.3" : "TLS1.2");
      EXPECT_EQ(info.resumed, resumed);
      here->say(up);
      here->finish();
      ASSERT_TRUE(until([&] { return there->end != Error::none; }, 60s));
      EXPECT_EQ(there->end, Error::closed);
      there->say(down);
      there->finish();
      ASSERT_TRUE(until([&] { return here->end != Error::none; }, 60s));
      EXPECT_EQ(here->end, Error::closed);
      EXPECT_TRUE(there->heard == up);
      EXPECT_TRUE(here->heard == down);
    }
  }
}

TEST_P(TlsCase, a_reset_below_is_a_reset_above_and_unread_data_reset_the_peer) {
  make_contexts(net::TlsVersions::v13);
  talk_tls();
  if (HasFatalFailure()) return;
  here->say("x");
  ASSERT_TRUE(until([&] { return there->heard == "x"; }));
  here->stream().reset();
  ASSERT_TRUE(until([&] { return there->end != Error::none; }));
  EXPECT_EQ(there->end, Error::reset);

  talk_tls();
  if (HasFatalFailure()) return;
  there->stream().on_readable({});
  here->say("never read");
  world->settle();
  there->close();
  ASSERT_TRUE(until([&] { return here->end != Error::none; }));
  EXPECT_EQ(here->end, Error::reset);
}

}  // namespace
}  // namespace culvert::contract
