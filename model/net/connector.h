// How a client reaches its server: by name over TCP, then TLS, a proxy or WebSocket around it, one
// connector inside the other. Each notes what its phase took. Stands on host.h.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "model/net/host.h"

namespace culvert::net {

// What each phase of connecting took; none: there was no such phase.
struct ConnectTimes {
  std::optional<Duration> name, tcp, proxy, tls, websocket;
};

struct Connected {
  std::unique_ptr<Stream> stream;
  ConnectTimes times;
  std::string alpn;          // what TLS settled on, if anything
  bool tls_resumed = false;  // an abbreviated handshake
};

// Where connecting failed, and why: status.detail says "tcp: …", "tls: …".
struct ConnectFailure {
  Status status;
  std::string_view phase;  // "name", "tcp", "proxy", "tls", "websocket"
};

// A connection attempt. Destroying it cancels it.
class Connecting {
 public:
  virtual ~Connecting() = default;
};

class Connector {
 public:
  virtual ~Connector() = default;
  // `done` runs once, later, unless the handle is destroyed first. May be called again and again.
  using Done = std::function<void(Connected)>;
  using Failed = std::function<void(ConnectFailure)>;
  virtual std::unique_ptr<Connecting> connect(Done done, Failed failed) = 0;
  // For logs: "tcp://broker.example:1883", "wss://…".
  virtual std::string describe() const = 0;
};

struct TcpTarget {
  std::string host;  // a name or an address
  uint16_t port = 0;
  Endpoint local;          // none: the Host chooses
  Duration timeout = 30s;  // for name and TCP together
};
// Looks the name up each time and tries its addresses in order, IPv4 first.
std::unique_ptr<Connector> tcp_connector(Host& host, TcpTarget target);

}  // namespace culvert::net
