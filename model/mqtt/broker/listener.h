// A door of the broker: TCP, TLS, WebSocket or WebSocket over TLS on one local endpoint. What comes
// in is handed on once it can speak MQTT, with what is known of the peer. MQTT 5.0 sections 4.2 and
// 6, RFC 6455. Stands on net/tls, http.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "model/http/websocket.h"
#include "model/mqtt/broker/access.h"
#include "model/net/host.h"
#include "model/net/tls/tls.h"

namespace culvert::mqtt {

enum class Transport : uint8_t { tcp, tls, websocket, wss };
std::string_view to_string(Transport transport);  // as Peer::transport has it

struct ListenerOptions {
  Transport transport = Transport::tcp;
  net::Endpoint local;
  net::TlsOptions tls;               // for tls and wss; `alpn` is filled in if empty
  http::WebSocketOptions websocket;  // for websocket and wss
  size_t backlog = 1024;             // connections that the host may hold before they are accepted
  // Connections whose TLS handshake or HTTP upgrade is not done; beyond it new ones are closed.
  size_t handshakes = 2048;  // ours: some 50 MB of GnuTLS sessions
  net::Duration handshake_patience = net::Duration(10'000'000'000);  // each of the two
};

class Listener {
 public:
  using Attach = std::function<void(std::unique_ptr<net::Stream>, Peer)>;
  Listener(net::Host& host, ListenerOptions options, Attach attach);
  ~Listener();  // handshakes under way end; what was handed on lives

  net::Status start();
  // Certificates and keys are read anew; an error leaves everything as it was. Nothing to do: ok.
  net::Status reload();

  net::Endpoint local() const;  // once it is started
  Transport transport() const;
  struct Counters {
    uint64_t accepted = 0, refused = 0, failed = 0;  // failed: handshakes
    size_t half_done = 0;
  };
  Counters counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::mqtt
