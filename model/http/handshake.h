// What CONNECT and the WebSocket opening share: one request written on a fresh stream, its answer's
// header read, and the stream given back. Private to model/http.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/http/message.h"
#include "model/net/connector.h"
#include "model/net/host.h"

namespace culvert::http {

struct Greeted {
  std::unique_ptr<net::Stream> stream;
  Response response;  // without its body
  net::Buffer rest;   // read behind the header
};

class Handshake {
 public:
  virtual ~Handshake() = default;  // gives up
};
// `done` runs once, later.
std::unique_ptr<Handshake> shake_hands(net::Host& host, std::unique_ptr<net::Stream> stream,
                                       const Request& request, const std::string& authority,
                                       net::Duration timeout,
                                       std::function<void(net::Result<Greeted>)> done);

// A Connector that does something on the stream that `under` connects. `after` gets what is
// connected and calls one of the two, once; the handle it returns cancels it.
using After = std::function<std::unique_ptr<Handshake>(net::Connected, net::Connector::Done,
                                                       net::Connector::Failed)>;
std::unique_ptr<net::Connecting> connect_then(net::Connector& under, After after,
                                              net::Connector::Done done,
                                              net::Connector::Failed failed);

// `rest` is read before what the stream brings.
std::unique_ptr<net::Stream> with_rest(net::Host& host, std::unique_ptr<net::Stream> stream,
                                       net::Buffer rest);

// Ours: for the answer of a proxy or a WebSocket server.
constexpr net::Duration kHandshakePatience = net::Duration(30'000'000'000);

}  // namespace culvert::http
