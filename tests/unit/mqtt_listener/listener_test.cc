// The broker's doors: who comes in through which, and what is known of them then.
#include "model/mqtt/broker/listener.h"

#include <gmock/gmock.h>

#include "tests/support/fake_net.h"
#include "tests/support/test_pki.h"

namespace culvert::mqtt {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

const testing::TestPki& pki() {
  static const testing::TestPki all = testing::make_test_pki();
  return all;
}

struct Guest {
  std::unique_ptr<net::Stream> stream;
  Peer peer;
};

class Doors : public ::testing::Test {
 protected:
  Doors() {
    const auto router = net_.router("core");
    net_.uplink(server_, "203.0.113.2", router, "203.0.113.1", 5ms);
    link_ = net_.uplink(client_, "198.51.100.2", router, "198.51.100.1", 5ms);
    net_.secret("server.pem", pki().server.certificate);
    net_.secret("server.key", pki().server.key);
    net_.secret("client.pem", pki().client.certificate);
    net_.secret("client.key", pki().client.key);
    net_.secret("stranger.pem", pki().stranger.certificate);
    net_.secret("stranger.key", pki().stranger.key);
    net_.secret("ca.pem", pki().ca);
  }

  void open(Transport transport, std::function<void(ListenerOptions&)> change = {}) {
    ListenerOptions options;
    options.transport = transport;
    options.local = *net::Endpoint::parse("203.0.113.2:1883");
    if (transport == Transport::tls || transport == Transport::wss) {
      options.tls.certificate = "server.pem";
      options.tls.key = "server.key";
    }
    if (change) change(options);
    door_ = std::make_unique<Listener>(net_.at(server_), options,
                                       [this](std::unique_ptr<net::Stream> stream, Peer peer) {
                                         guests_.push_back({std::move(stream), std::move(peer)});
                                       });
    const net::Status status = door_->start();
    ASSERT_TRUE(status) << status.to_string();
  }

  std::unique_ptr<net::Connector> tcp() {
    return net::tcp_connector(net_.at(client_), {"203.0.113.2", 1883});
  }
  std::unique_ptr<net::Connector> tls(std::unique_ptr<net::Connector> under,
                                      const std::string& identity = {}) {
    net::TlsOptions options;
    options.trust = "ca.pem";
    if (!identity.empty()) {
      options.certificate = identity + ".pem";
      options.key = identity + ".key";
    }
    auto context = net::tls_client_context(net_.at(client_), options);
    EXPECT_TRUE(context) << context.status().to_string();
    return net::tls_connector(net_.at(client_), std::move(under), *context, "server.test");
  }
  std::unique_ptr<net::Connector> websocket(std::unique_ptr<net::Connector> under) {
    return http::websocket_connector(net_.at(client_), std::move(under), {}, "server.test");
  }
  // The stream, or null and the failure in failure_.
  std::unique_ptr<net::Stream> connect(net::Connector& connector) {
    std::unique_ptr<net::Stream> stream;
    failure_.reset();
    const auto attempt =
        connector.connect([&](net::Connected done) { stream = std::move(done.stream); },
                          [&](net::ConnectFailure failure) { failure_ = failure; });
    EXPECT_TRUE(net_.run_until([&] { return stream || failure_; }, 60s));
    return stream;
  }
  // What the guest reads of what `stream` writes.
  std::string say(net::Stream& stream, Guest& guest, const std::string& text) {
    EXPECT_EQ(stream.write(net::as_bytes(text)).count, text.size());
    std::string got;
    net_.run_until(
        [&] {
          uint8_t piece[100];
          got.append(reinterpret_cast<char*>(piece), guest.stream->read(piece).count);
          return got.size() >= text.size();
        },
        5s);
    return got;
  }

  testing::FakeNet net_{1};
  const testing::FakeNet::Node server_ = net_.host("server"), client_ = net_.host("client");
  testing::FakeNet::Link link_ = 0;
  std::vector<Guest> guests_;
  std::optional<net::ConnectFailure> failure_;
  std::unique_ptr<Listener> door_;
};

TEST_F(Doors, Tcp) {
  open(Transport::tcp);
  const auto stream = connect(*tcp());
  ASSERT_TRUE(stream);
  ASSERT_TRUE(net_.run_until([&] { return guests_.size() == 1; }, 1s));
  EXPECT_EQ(guests_[0].peer.transport, "tcp");
  EXPECT_EQ(guests_[0].peer.remote, stream->local());
  EXPECT_EQ(guests_[0].peer.tls_common_name, "");
  EXPECT_EQ(say(*stream, guests_[0], "hello"), "hello");
}

TEST_F(Doors, TlsWithAClientCertificate) {
  open(Transport::tls, [](ListenerOptions& options) {
    options.tls.trust = "ca.pem";
    options.tls.peer = net::TlsPeer::required;
  });
  const auto stream = connect(*tls(tcp(), "client"));
  ASSERT_TRUE(stream) << failure_->status.to_string();
  ASSERT_TRUE(net_.run_until([&] { return guests_.size() == 1; }, 1s));
  EXPECT_EQ(guests_[0].peer.transport, "tls");
  EXPECT_EQ(guests_[0].peer.tls_common_name, "device-7");
  EXPECT_EQ(guests_[0].peer.tls_fingerprint.size(), 64u);
  EXPECT_EQ(say(*stream, guests_[0], "hello"), "hello");
  EXPECT_EQ(door_->counters().half_done, 0u);
}

TEST_F(Doors, TlsKeepsStrangersOut) {
  open(Transport::tls, [](ListenerOptions& options) {
    options.tls.trust = "ca.pem";
    options.tls.peer = net::TlsPeer::required;
  });
  for (const char* identity : {"", "stranger"}) {
    const auto connector = tls(tcp(), identity);
    const auto stream = connect(*connector);  // TLS 1.3: the client believes it is in
    net_.run_for(1s);
    EXPECT_TRUE(guests_.empty()) << identity;
  }
  EXPECT_EQ(door_->counters().failed, 2u);
  EXPECT_EQ(net_.lines("server", "handshake_failed").size(), 2u);
}

TEST_F(Doors, WebSocketAndWss) {
  open(Transport::websocket);
  const auto plain = connect(*websocket(tcp()));
  ASSERT_TRUE(plain) << failure_->status.to_string();
  ASSERT_TRUE(net_.run_until([&] { return guests_.size() == 1; }, 1s));
  EXPECT_EQ(guests_[0].peer.transport, "websocket");
  EXPECT_EQ(say(*plain, guests_[0], "hello"), "hello");
  door_.reset();  // those who are in stay
  EXPECT_EQ(say(*plain, guests_[0], "again"), "again");

  guests_.clear();
  open(Transport::wss, [](ListenerOptions& options) {
    options.tls.trust = "ca.pem";
    options.tls.peer = net::TlsPeer::optional;
  });
  const auto secure = connect(*websocket(tls(tcp(), "client")));
  ASSERT_TRUE(secure) << failure_->status.to_string();
  ASSERT_TRUE(net_.run_until([&] { return guests_.size() == 1; }, 1s));
  EXPECT_EQ(guests_[0].peer.transport, "wss");
  EXPECT_EQ(guests_[0].peer.tls_common_name, "device-7");
  EXPECT_EQ(guests_[0].peer.remote, secure->local());
  EXPECT_EQ(say(*secure, guests_[0], "hello"), "hello");
  EXPECT_EQ(door_->counters().half_done, 0u);
}

TEST_F(Doors, APageOfAnotherOriginStaysOutside) {
  open(Transport::websocket);
  const auto ask = [&](const std::string& origin) {
    const auto stream = connect(*tcp());
    EXPECT_TRUE(stream);
    std::string got;
    stream->write(
        net::as_bytes("GET /mqtt HTTP/1.1\r\nHost: server.test\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                      "Sec-WebSocket-Protocol: mqtt\r\nOrigin: " +
                      origin + "\r\n\r\n"));
    net_.run_until(
        [&] {
          uint8_t piece[1000];
          got.append(reinterpret_cast<char*>(piece), stream->read(piece).count);
          return got.find("\r\n\r\n") != std::string::npos;
        },
        5s);
    return got.substr(9, 3);
  };
  EXPECT_EQ(ask("http://evil.test"), "403");
  EXPECT_TRUE(guests_.empty());
  EXPECT_EQ(ask("http://server.test"), "101");
  EXPECT_EQ(guests_.size(), 1u);
}

TEST_F(Doors, HalfDoneHandshakesAreBoundedAndEnd) {
  open(Transport::tls, [](ListenerOptions& options) {
    options.handshakes = 3;
    options.handshake_patience = 2s;
  });
  std::vector<std::unique_ptr<net::Stream>> silent;
  for (int i = 0; i < 5; ++i) silent.push_back(connect(*tcp()));
  net_.run_for(100ms);
  EXPECT_EQ(door_->counters().half_done, 3u);
  EXPECT_EQ(door_->counters().refused, 2u);
  EXPECT_EQ(net_.lines("server", "handshake_refused").size(), 2u);
  EXPECT_FALSE(connect(*tls(tcp())));
  net_.run_for(3s);
  EXPECT_EQ(door_->counters().half_done, 0u);
  EXPECT_EQ(door_->counters().failed, 3u);
  EXPECT_TRUE(connect(*tls(tcp())));
}

TEST_F(Doors, HalfDoneUpgradesAreBoundedAndEnd) {
  open(Transport::websocket, [](ListenerOptions& options) {
    options.handshakes = 2;
    options.handshake_patience = 2s;
  });
  std::vector<std::unique_ptr<net::Stream>> silent;
  for (int i = 0; i < 3; ++i) silent.push_back(connect(*tcp()));
  net_.run_for(100ms);
  EXPECT_EQ(door_->counters().half_done, 2u);
  EXPECT_EQ(door_->counters().refused, 1u);
  net_.run_for(5s);
  EXPECT_EQ(door_->counters().half_done, 0u);
  EXPECT_TRUE(connect(*websocket(tcp())));
}

TEST_F(Doors, ANewCertificateServesThoseWhoComeAfterwards) {
  open(Transport::tls);
  const auto before = connect(*tls(tcp()));
  ASSERT_TRUE(before);
  // Signed by somebody whom the client does not trust: it notices.
  net_.secret("server.pem", pki().stranger.certificate);
  net_.secret("server.key", pki().stranger.key);
  ASSERT_TRUE(door_->reload());
  EXPECT_FALSE(connect(*tls(tcp())));
  net_.secret("server.pem", "nonsense");
  EXPECT_FALSE(door_->reload());
  EXPECT_FALSE(connect(*tls(tcp()))) << "still the last good one";
  net_.secret("server.pem", pki().server.certificate);
  net_.secret("server.key", pki().server.key);
  ASSERT_TRUE(door_->reload());
  EXPECT_TRUE(connect(*tls(tcp())));
  ASSERT_FALSE(guests_.empty());
  EXPECT_EQ(say(*before, guests_[0], "hello"), "hello");
}

TEST_F(Doors, WhatCannotOpenSaysWhy) {
  ListenerOptions options;
  options.transport = Transport::tls;
  options.local = *net::Endpoint::parse("203.0.113.2:1883");
  options.tls.certificate = "missing.pem";
  options.tls.key = "server.key";
  Listener door(net_.at(server_), options, [](std::unique_ptr<net::Stream>, Peer) {});
  const net::Status status = door.start();
  EXPECT_FALSE(status);
  EXPECT_THAT(status.detail, HasSubstr("missing.pem"));
  EXPECT_TRUE(door.reload());
}

}  // namespace
}  // namespace culvert::mqtt
