// An HTTP/1.1 client over a Connector: a pool of kept-alive connections, or a new one each time.
#pragma once

#include <functional>
#include <memory>

#include "model/http/message.h"
#include "model/net/connector.h"

namespace culvert::http {

struct ClientOptions {
  bool keep_alive = true;
  size_t connections = 4;  // at a time; more requests wait
  size_t waiting = 1024;   // requests; beyond it exhausted
  size_t body_bytes = 16 * 1024 * 1024;
  net::Duration patience = net::Duration(30'000'000'000);  // for the whole response
  // A kept connection is closed when unused that long: sooner than servers do (75 s at nginx and at
  // ours), so that a request seldom meets a connection that is just being closed.
  net::Duration idle_patience = net::Duration(60'000'000'000);
  std::string host;  // the Host header
};

struct Timing {
  net::ConnectTimes connect;              // none if the connection was kept
  net::Duration first_byte{0}, whole{0};  // since request()
  bool reused = false;
  // Where it failed: "name", "tcp", "proxy", "tls", "websocket", "waiting" (for a connection),
  // "response"; empty: it did not.
  std::string_view failed_phase;
};
using ResponseDone = std::function<void(net::Result<Response>, const Timing&)>;

class Client {
 public:
  Client(net::Host& host, ClientOptions options, std::unique_ptr<net::Connector> connector);
  ~Client();  // requests under way are forgotten
  // A kept connection that the server closed meanwhile is replaced once by itself, for methods that
  // may be repeated (RFC 9110 section 9.2.2). `done` runs once, later. invalid: no such method,
  // target or field can be sent; exhausted: too many wait; timed_out; else as the Connector or the
  // Stream failed. With "Expect: 100-continue" the body waits for the server's word, for a second
  // at most; an answer that comes instead leaves it unsent.
  void request(Request request, ResponseDone done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::http
