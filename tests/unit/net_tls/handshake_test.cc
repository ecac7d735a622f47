// Handshakes: who is let in, how many round trips it takes, what is resumed.
#include "tests/unit/net_tls/tls_pair.h"

namespace culvert::net {
namespace {

class TlsHandshakeTest : public TlsPair {};

TEST_F(TlsHandshakeTest, version_13_takes_one_round_trip_and_two_writes_of_the_client) {
  shake();
  EXPECT_EQ(near->info().version, "TLS1.3");
  EXPECT_EQ(near->info().cipher, "AES-128-GCM");
  EXPECT_FALSE(near->info().resumed);
  EXPECT_EQ(near->info().handshake, 20ms);
  EXPECT_EQ(near->info().peer_common_name, "server.test");
  EXPECT_EQ(near->info().peer_names, (std::vector<std::string>{"server.test", "*.wild.test"}));
  EXPECT_EQ(near->info().peer_fingerprint.size(), 64u);
  EXPECT_EQ(far->info().version, "TLS1.3");
  EXPECT_EQ(sent->writes, 2u);
  settle();
  EXPECT_EQ(answered->writes, 1u);  // GnuTLS puts the ticket behind its own Finished
}

TEST_F(TlsHandshakeTest,
       the_first_words_go_with_the_finished_and_the_first_answer_with_the_ticket) {
  on_near = [this] { near->write(as_bytes("hello")); };
  on_far = [this] {
    far->on_readable([this] {
      uint8_t buffer[16];
      if (far->read(buffer).count) far->write(as_bytes("welcome"));
    });
  };
  make_contexts();
  begin();
  std::string heard;
  ASSERT_TRUE(until([&] {
    uint8_t buffer[16];
    if (near) heard.append(reinterpret_cast<const char*>(buffer), near->read(buffer).count);
    return heard == "welcome";
  }));
  EXPECT_EQ(lone.now() - began, 40ms);  // two round trips after TCP's
  EXPECT_EQ(sent->writes, 2u);
  EXPECT_EQ(answered->writes, 2u);
}

TEST_F(TlsHandshakeTest, version_12_takes_two_round_trips) {
  server_options.versions = TlsVersions::v12;
  shake();
  EXPECT_EQ(near->info().version, "TLS1.2");
  EXPECT_EQ(near->info().handshake, 40ms);
  EXPECT_EQ(sent->writes, 2u);
  EXPECT_EQ(answered->writes, 2u);
}

TEST_F(TlsHandshakeTest, no_common_version_is_refused_on_both_sides_with_a_sentence) {
  server_options.versions = TlsVersions::v12;
  client_options.versions = TlsVersions::v13;
  make_contexts();
  begin();
  ASSERT_TRUE(over());
  EXPECT_FALSE(near || far);
  EXPECT_EQ(client_status.error, Error::failed);
  EXPECT_NE(client_status.detail.find("alert"), std::string::npos) << client_status.detail;
  EXPECT_FALSE(server_status.detail.empty());
}

TEST_F(TlsHandshakeTest, resumed_in_13_no_certificate_is_sent_and_the_next_one_resumes_again) {
  shake();
  settle();
  uint8_t buffer[16];
  EXPECT_EQ(near->read(buffer).error, Error::would_block);  // takes the ticket
  const size_t full = answered->bytes;
  for (int i = 0; i < 3; ++i) {
    shake();
    EXPECT_TRUE(near->info().resumed);
    EXPECT_TRUE(far->info().resumed);
    EXPECT_EQ(near->info().handshake, 20ms);
    settle();
    EXPECT_LT(answered->bytes, full - 300);
    near->read(buffer);
  }
}

TEST_F(TlsHandshakeTest, resumed_in_12_takes_one_round_trip) {
  server_options.versions = TlsVersions::v12;
  shake();
  shake();
  EXPECT_TRUE(near->info().resumed);
  EXPECT_EQ(near->info().handshake, 20ms);
  shake();
  EXPECT_TRUE(near->info().resumed);
}

TEST_F(TlsHandshakeTest, without_resumption_every_handshake_is_full) {
  for (const bool at_server : {true, false}) {
    server_options.resumption = !at_server;
    client_options.resumption = at_server;
    server_context.reset(), client_context.reset();
    for (int i = 0; i < 2; ++i) {
      shake();
      settle();
      uint8_t buffer[16];
      near->read(buffer);
      EXPECT_FALSE(near->info().resumed);
    }
  }
}

TEST_F(TlsHandshakeTest, tickets_survive_a_restart_if_their_key_is_a_secret) {
  for (const bool kept : {true, false}) {
    server_options.ticket_key = kept ? "tickets" : "";
    client_context.reset();
    shake();
    settle();
    uint8_t buffer[16];
    near->read(buffer);
    server_context = *tls_server_context(lone.host, server_options);  // a restart
    shake();
    EXPECT_EQ(near->info().resumed, kept);
  }
}

TEST_F(TlsHandshakeTest, a_certificate_for_another_name_is_refused) {
  make_contexts();
  begin("elsewhere.test");
  ASSERT_TRUE(over());
  EXPECT_FALSE(near);
  EXPECT_EQ(client_status.error, Error::failed);
  EXPECT_NE(client_status.detail.find("'elsewhere.test'"), std::string::npos);
  EXPECT_NE(client_status.detail.find("name"), std::string::npos) << client_status.detail;
  EXPECT_NE(server_status.detail.find("alert"), std::string::npos) << server_status.detail;
}

TEST_F(TlsHandshakeTest, wildcards_and_addresses_in_the_certificate_count) {
  make_contexts();
  for (const char* name : {"a.wild.test", "203.0.113.2"}) {
    begin(name);
    ASSERT_TRUE(over());
    EXPECT_TRUE(near) << name << ": " << client_status.to_string();
  }
  for (const char* name : {"a.b.wild.test", "203.0.113.3"}) {
    begin(name);
    ASSERT_TRUE(over());
    EXPECT_FALSE(near) << name;
  }
}

TEST_F(TlsHandshakeTest, unknown_issuers_and_expired_certificates_are_refused_unless_insecure) {
  for (const char* who : {"stranger", "expired"}) {
    server_options.certificate = std::string(who) + ".pem";
    server_options.key = std::string(who) + ".key";
    for (const bool insecure : {false, true}) {
      client_options.insecure = insecure;
      make_contexts();
      begin();
      ASSERT_TRUE(over());
      EXPECT_EQ(static_cast<bool>(near), insecure) << who;
      if (!insecure) {
        EXPECT_NE(client_status.detail.find("not good: "), std::string::npos);
      }
    }
  }
}

TEST_F(TlsHandshakeTest, mutual_tls_tells_who_the_client_is_full_and_resumed) {
  server_options.peer = TlsPeer::required;
  server_options.trust = "ca.pem";
  client_options.certificate = "client.pem";
  client_options.key = "client.key";
  for (const TlsVersions versions : {TlsVersions::v13, TlsVersions::v12}) {
    server_options.versions = versions;
    server_context.reset(), client_context.reset();
    for (const bool resumed : {false, true}) {
      shake();
      EXPECT_EQ(near->info().resumed, resumed);
      EXPECT_EQ(far->info().peer_common_name, "device-7");
      EXPECT_EQ(far->info().peer_names, std::vector<std::string>{"device-7.test"});
      settle();
      uint8_t buffer[16];
      near->read(buffer);
    }
  }
}

TEST_F(TlsHandshakeTest, a_client_without_a_good_certificate_gets_in_only_where_it_is_optional) {
  server_options.trust = "ca.pem";
  struct Row {
    TlsPeer peer;
    const char* certificate;
    bool enters;
  };
  for (const Row& row :
       {Row{TlsPeer::required, "", false}, Row{TlsPeer::optional, "", true},
        Row{TlsPeer::required, "stranger", false}, Row{TlsPeer::optional, "stranger", false},
        Row{TlsPeer::required, "server", false},  // not for clients
        Row{TlsPeer::optional, "client", true}}) {
    server_options.peer = row.peer;
    const std::string who = row.certificate;
    client_options.certificate = who.empty() ? "" : who + ".pem";
    client_options.key = who.empty() ? "" : who + ".key";
    make_contexts();
    begin();
    ASSERT_TRUE(over());
    EXPECT_EQ(static_cast<bool>(far), row.enters) << who << server_status.to_string();
    if (far) {
      EXPECT_EQ(far->info().peer_common_name, who.empty() ? "" : "device-7");
    }
  }
}

TEST_F(TlsHandshakeTest, alpn_settles_on_a_common_name_or_fails) {
  server_options.alpn = {"mqtt", "http/1.1"};
  client_options.alpn = {"http/1.1", "mqtt"};
  shake();
  EXPECT_FALSE(near->info().alpn.empty());
  EXPECT_EQ(near->info().alpn, far->info().alpn);
  client_options.alpn = {};
  make_contexts();
  shake();
  EXPECT_EQ(near->info().alpn, "");
  client_options.alpn = {"smtp"};
  make_contexts();
  begin();
  ASSERT_TRUE(over());
  EXPECT_FALSE(near || far);
}

TEST_F(TlsHandshakeTest, silence_times_out) {
  make_contexts();
  begin("server.test", 3s);
  line->hold(true);
  ASSERT_TRUE(over());
  EXPECT_EQ(client_status.error, Error::timed_out);
  EXPECT_EQ(server_status.error, Error::timed_out);
  EXPECT_EQ(lone.now() - began, 3s);
}

TEST_F(TlsHandshakeTest, destroying_the_handshake_gives_up_and_closes) {
  make_contexts();
  begin();
  lone.run_for(15ms);
  connecting.reset();
  ASSERT_TRUE(until([&] { return server_done; }));
  EXPECT_FALSE(client_done);
  EXPECT_EQ(server_status.error, Error::reset);
}

TEST_F(TlsHandshakeTest, a_stream_destroyed_in_done_is_closed) {
  on_near = [this] { near.reset(); };
  make_contexts();
  begin();
  ASSERT_TRUE(over());
  Talk there(std::move(far));
  ASSERT_TRUE(until([&] { return there.end != Error::none; }));
  EXPECT_EQ(there.end, Error::closed);
}

TEST_F(TlsHandshakeTest, noise_in_place_of_a_handshake_is_refused) {
  make_contexts();
  for (const std::string& first :
       {noise(300), std::string("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), std::string(1000, '\0')}) {
    Status status;
    auto [a, b] = make_pipe(lone.host, pipe_options);
    auto handshake = tls_accept(lone.host, server_context, std::move(b), 2s,
                                [&](auto stream) { status = stream.status(); });
    a->write(as_bytes(first));
    ASSERT_TRUE(until([&] { return !status.ok(); }));
    EXPECT_FALSE(status.detail.empty());
  }
}

TEST_F(TlsHandshakeTest, reload_serves_the_new_certificate_and_keeps_the_old_one_when_it_is_wrong) {
  shake();
  auto old_near = std::move(near), old_far = std::move(far);
  lone.secret("server.pem", pki().stranger.certificate);
  const Status mismatch = server_context->reload();
  EXPECT_EQ(mismatch.error, Error::invalid);
  EXPECT_NE(mismatch.detail.find("do not belong together"), std::string::npos) << mismatch.detail;
  lone.secret("server.pem", "no certificate at all");
  EXPECT_NE(server_context->reload().detail.find("'server.pem'"), std::string::npos);
  client_context = *tls_client_context(lone.host, client_options);
  shake();  // as before

  lone.secret("server.pem", pki().stranger.certificate);
  lone.secret("server.key", pki().stranger.key);
  EXPECT_TRUE(server_context->reload());
  client_options.trust = "other-ca.pem";
  client_context = *tls_client_context(lone.host, client_options);
  shake();
  Talk here(std::move(old_near)), there(std::move(old_far));  // under way: untouched
  here.say("still here");
  ASSERT_TRUE(until([&] { return there.heard == "still here"; }));
}

TEST_F(TlsHandshakeTest, tickets_end_with_the_trust_that_their_client_was_let_in_by) {
  server_options.peer = TlsPeer::required;
  server_options.trust = "clients.pem";
  server_options.ticket_key = "tickets";
  client_options.certificate = "client.pem";
  client_options.key = "client.key";
  for (const TlsVersions versions : {TlsVersions::v13, TlsVersions::v12}) {
    server_options.versions = versions;
    lone.secret("clients.pem", pki().ca);
    server_context.reset(), client_context.reset();
    const auto visit = [&](bool resumed) {
      shake();
      EXPECT_EQ(near->info().resumed, resumed);
      settle();
      uint8_t buffer[16];
      near->read(buffer);  // the ticket
    };
    visit(false);
    visit(true);
    EXPECT_TRUE(server_context->reload());
    visit(true);  // nothing has changed
    lone.secret("clients.pem", pki().ca + pki().other_ca);
    EXPECT_TRUE(server_context->reload());
    visit(false);
    lone.secret("clients.pem", pki().other_ca);
    EXPECT_TRUE(server_context->reload());
    begin();
    ASSERT_TRUE(over());
    EXPECT_FALSE(far) << "let in by a ticket, though its CA is trusted no more";
    EXPECT_NE(server_status.detail.find("certificate"), std::string::npos) << server_status.detail;
  }
}

TEST_F(TlsHandshakeTest, a_client_that_becomes_another_resumes_nothing) {
  shake();
  settle();
  uint8_t buffer[16];
  near->read(buffer);
  ASSERT_TRUE(client_context->reload());
  shake();
  EXPECT_FALSE(near->info().resumed);
}

TEST_F(TlsHandshakeTest, wrong_options_are_refused_with_a_sentence) {
  struct Row {
    std::function<void(TlsOptions&)> spoil;
    const char* word;
  };
  const Row rows[] = {
      {[](TlsOptions& o) { o.certificate = ""; }, "needs a certificate"},
      {[](TlsOptions& o) { o.key = "nowhere.key"; }, "nowhere.key"},
      {[](TlsOptions& o) { o.key = "server.pem"; }, "key in secret 'server.pem'"},
      {[](TlsOptions& o) { o.trust = "server.key"; }, "'server.key'"},
      {[](TlsOptions& o) { o.peer = TlsPeer::required; }, "trust"},
      {[](TlsOptions& o) { o.priority = "NORMAL:+NONSENSE"; }, "NONSENSE"},
      {[](TlsOptions& o) { o.alpn = {""}; }, "ALPN"},
      {[](TlsOptions& o) { o.ticket_key = "nowhere"; }, "ticket key"},
  };
  for (const Row& row : rows) {
    TlsOptions options = server_options;
    row.spoil(options);
    const auto context = tls_server_context(lone.host, options);
    ASSERT_FALSE(context) << row.word;
    EXPECT_NE(context.status().detail.find(row.word), std::string::npos) << context.status().detail;
  }
}

TEST_F(TlsHandshakeTest, keys_are_logged_as_nss_writes_them) {
  shake();
  size_t traffic = 0;
  for (const std::string& text : key_lines) {
    if (text.find("_TRAFFIC_SECRET_0 ") != std::string::npos) ++traffic;
    const size_t first = text.find(' '), second = text.find(' ', first + 1);
    EXPECT_EQ(second - first - 1, 64u) << text;  // the client's random
    EXPECT_EQ(text.find_first_not_of("0123456789abcdef", second + 1), std::string::npos);
  }
  EXPECT_EQ(traffic, 2u);
  key_lines.clear();
  server_options.versions = TlsVersions::v12;
  make_contexts();
  shake();
  ASSERT_EQ(key_lines.size(), 1u);
  shake();
  EXPECT_TRUE(near->info().resumed);
  ASSERT_EQ(key_lines.size(), 2u);
  for (const std::string& text : key_lines) {
    EXPECT_EQ(text.find("CLIENT_RANDOM "), 0u);
    EXPECT_EQ(text.size(), 14 + 64 + 1 + 96u);
  }
}

TEST_F(TlsHandshakeTest, sizes_and_times_repeat_with_every_run) {
  std::vector<size_t> sizes;
  for (int i = 0; i < 4; ++i) {
    make_contexts();
    shake();
    settle();
    EXPECT_EQ(near->info().handshake, 20ms);
    sizes.push_back(sent->bytes);
    sizes.push_back(answered->bytes);
  }
  for (size_t i = 2; i < sizes.size(); ++i) EXPECT_EQ(sizes[i], sizes[i - 2]);
}

// docs/fidelity.md F-31: on Linux a ticket lives for a day of the wall's clock.
TEST_F(TlsHandshakeTest, resumption_does_not_expire_in_virtual_time) {
  shake();
  settle();
  uint8_t buffer[16];
  near->read(buffer);
  lone.run_for(std::chrono::hours(24 * 30));
  shake();
  EXPECT_TRUE(near->info().resumed);
}

}  // namespace
}  // namespace culvert::net
