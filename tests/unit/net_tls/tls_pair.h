// A TLS client and a TLS server joined by a pipe, in virtual time.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "model/net/pipe.h"
#include "model/net/tls/tls.h"
#include "tests/contract/collect.h"
#include "tests/support/fake_net.h"
#include "tests/support/test_pki.h"

namespace culvert::net {

using contract::noise;
using contract::Talk;

inline const testing::TestPki& pki() {
  static const testing::TestPki all = testing::make_test_pki();
  return all;
}

// Counts what crosses a stream, and how many writes it took.
class CountingStream : public Stream {
 public:
  struct Count {
    size_t bytes = 0, writes = 0;
  };
  CountingStream(std::unique_ptr<Stream> under, std::shared_ptr<Count> count)
      : under_(std::move(under)), count_(std::move(count)) {}
  Endpoint local() const override { return under_->local(); }
  Endpoint remote() const override { return under_->remote(); }
  IoResult read(MutableBytes buffer) override { return under_->read(buffer); }
  IoResult write(Bytes data) override {
    const IoResult result = under_->write(data);
    count_->bytes += result.count;
    if (result.count) ++count_->writes;
    return result;
  }
  void shutdown_write() override { under_->shutdown_write(); }
  void reset() override { under_->reset(); }
  void on_readable(std::function<void()> callback) override {
    under_->on_readable(std::move(callback));
  }
  void on_writable(std::function<void()> callback) override {
    under_->on_writable(std::move(callback));
  }
  Status set_no_delay(bool on) override { return under_->set_no_delay(on); }
  PathStats stats() const override { return under_->stats(); }

 private:
  std::unique_ptr<Stream> under_;
  std::shared_ptr<Count> count_;
};

class TlsPair : public ::testing::Test {
 protected:
  TlsPair() {
    const auto put = [this](const std::string& name, const testing::TestIdentity& identity) {
      lone.secret(name + ".pem", identity.certificate);
      lone.secret(name + ".key", identity.key);
    };
    put("server", pki().server), put("client", pki().client);
    put("expired", pki().expired), put("stranger", pki().stranger);
    lone.secret("ca.pem", pki().ca);
    lone.secret("other-ca.pem", pki().other_ca);
    lone.secret("tickets", "sixteen bytes or more of it");
    server_options.certificate = "server.pem";
    server_options.key = "server.key";
    client_options.trust = "ca.pem";
    pipe_options.delay = 10ms;
    server_options.key_log = [this](std::string_view line) { key_lines.emplace_back(line); };
  }
  void make_contexts() {
    auto server = tls_server_context(lone.host, server_options);
    ASSERT_TRUE(server) << server.status().to_string();
    server_context = *server;
    auto client = tls_client_context(lone.host, client_options);
    ASSERT_TRUE(client) << client.status().to_string();
    client_context = *client;
  }
  // Starts a handshake on a new pipe.
  void begin(const std::string& name = "server.test", Duration limit = 5s) {
    near.reset(), far.reset(), client_status = {}, server_status = {};
    client_done = server_done = false;
    sent = std::make_shared<CountingStream::Count>();
    answered = std::make_shared<CountingStream::Count>();
    began = lone.now();
    Pipe pipe = make_pipe_with_line(lone.host, pipe_options);
    line = pipe.line;
    accepting = tls_accept(lone.host, server_context,
                           std::make_unique<CountingStream>(std::move(pipe.second), answered),
                           limit, [this](Result<std::unique_ptr<TlsStream>> stream) {
                             server_done = true;
                             if (stream)
                               far = std::move(*stream);
                             else
                               server_status = stream.status();
                             if (on_far && far) on_far();
                           });
    connecting = tls_connect(lone.host, client_context,
                             std::make_unique<CountingStream>(std::move(pipe.first), sent), name,
                             limit, [this](Result<std::unique_ptr<TlsStream>> stream) {
                               client_done = true;
                               if (stream)
                                 near = std::move(*stream);
                               else
                                 client_status = stream.status();
                               if (on_near && near) on_near();
                             });
    EXPECT_FALSE(client_done || server_done) << "a callback inside the call that caused it";
  }
  bool over() {
    return lone.run_until([this] { return client_done && server_done; }, 20s);
  }
  void shake() {
    if (!client_context) make_contexts();
    begin();
    ASSERT_TRUE(over());
    ASSERT_TRUE(near) << client_status.to_string();
    ASSERT_TRUE(far) << server_status.to_string();
  }
  bool until(const std::function<bool()>& done) { return lone.run_until(done, 60s); }
  void settle() { lone.run_for(1s); }

  testing::LoneHost lone;
  TlsOptions server_options, client_options;
  PipeOptions pipe_options;
  std::shared_ptr<TlsContext> server_context, client_context;
  std::shared_ptr<CountingStream::Count> sent, answered;
  std::shared_ptr<PipeLine> line;
  std::unique_ptr<TlsHandshake> accepting, connecting;
  std::unique_ptr<TlsStream> near, far;
  std::function<void()> on_near, on_far;
  Status client_status, server_status;
  bool client_done = false, server_done = false;
  Time began{0};
  std::vector<std::string> key_lines;
};

}  // namespace culvert::net
