// An HTTP/1.1 server on given streams: keep-alive, pipelining in order, chunked bodies,
// 100-continue, and the upgrade to whatever the handler makes of the stream. Stands on Beast's
// parser, model/net.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/http/message.h"
#include "model/net/host.h"

namespace culvert::http {

struct ServerOptions {
  size_t connections = 4096;
  size_t header_bytes = 16 * 1024;                                // beyond it 431
  size_t body_bytes = 4 * 1024 * 1024;                            // beyond it 413
  net::Duration header_patience = net::Duration(10'000'000'000);  // beyond it 408
  net::Duration idle_patience = net::Duration(75'000'000'000);    // between two requests
  bool keep_alive = true;
};

// Answers one request, now or later, once; dropping it unanswered gives 500. Calls after the client
// has gone do nothing.
class Responder {
 public:
  virtual ~Responder() = default;
  virtual void respond(Response response) = 0;
  // The client went away before the answer (a long poll that nobody waits for).
  virtual void on_gone(std::function<void()> callback) = 0;
  // Writes `response` (101 or a 2xx to CONNECT) and hands the stream over with what was read beyond
  // the request; the server forgets it.
  virtual void upgrade(Response response,
                       std::function<void(std::unique_ptr<net::Stream>, net::Buffer)> take) = 0;
  virtual net::Endpoint remote() const = 0;
};
using Handler = std::function<void(Request, std::shared_ptr<Responder>)>;

class Server {
 public:
  Server(net::Host& host, ServerOptions options, Handler handler);
  ~Server();
  void attach(std::unique_ptr<net::Stream> stream);  // TCP or TLS, of which nothing was read
  // No new requests on kept-alive connections, those under way are answered; then `done`.
  void drain(std::function<void()> done);
  size_t connections() const;

  struct Impl;  // session.h's

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::http
