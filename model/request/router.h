// Which handler answers a request: typed routes, routers inside routers, middleware around them. It
// knows nothing of MQTT: the server (server.h), the gateway and tests all call handle().
//
//   Router valves;
//   valves.on("{n:int}/open", [](const Request& r, Reply reply) { … reply(Response::text("open"));
//   }); Router root; root.use(logging(host));                     // around everything below
//   root.mount("devices/{id}/valves", std::move(valves));
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/net/time.h"
#include "model/request/route.h"
#include "model/request/wire.h"

namespace culvert::request {

// Views live until the reply was given or the handler's call is over, whichever is first; a handler
// that answers later copies what it needs.
struct Request {
  std::string_view path;  // the topic without the server's prefix
  std::string_view method, content_type;
  Bytes body;
  Parameters parameters;
  Sequence sequence;
  uint8_t attempt = 1;
  net::Time deadline = net::Time::max();  // of the Host's now(); the answer is worthless after it
  std::string_view reply_to;              // whose it is, as far as the wire says
};

struct Response {
  uint16_t status = status::ok;
  net::Buffer body;
  std::string content_type;

  static Response text(std::string_view text, uint16_t status = status::ok);
  static Response json(std::string_view text, uint16_t status = status::ok);
  // {"error": SENTENCE}; status 400 and above.
  static Response problem(uint16_t status, std::string_view sentence);
};

// Gives the answer, once, now or later; further calls do nothing. When its last copy goes without
// an answer, the requester gets 500.
class Reply {
 public:
  explicit Reply(std::function<void(Response)> send);
  void operator()(Response response) const;
  bool given() const;

 private:
  struct Once;
  std::shared_ptr<Once> once_;
};

using Handler = std::function<void(const Request&, Reply)>;
// What stands around a handler: may answer itself, change the request, or look at the response by
// giving `next` a Reply of its own.
using Middleware = std::function<void(const Request&, Reply, const Handler& next)>;

class Router {
 public:
  // A pattern is relative to where the router is mounted. `method` empty: any. Throws nothing: a
  // bad pattern is `invalid`, as is a route that stands there already.
  net::Status on(std::string_view pattern, Handler handler, std::string_view method = {});
  net::Status mount(std::string_view pattern, Router inner);
  // Around all routes of this router, whenever they were added; the first used is the outermost.
  void use(Middleware middleware);

  // 404 if no route fits, 405 if one fits with another method. Fixed levels win over holes.
  void handle(const Request& request, Reply reply) const;
  // Every route's full pattern, with its method in front if it has one; for `GET _routes` and docs.
  std::vector<std::string> routes() const;

 private:
  struct Entry {
    Route route;
    std::string method;
    Handler handler;  // or
    std::shared_ptr<Router> inner;
  };
  struct Found {
    const Entry* entry = nullptr;
    bool other_method = false;
  };
  void dispatch(const Request& request, Reply reply) const;
  void around(size_t index, const Request& request, Reply reply) const;

  std::vector<Entry> entries_;  // nearer routes first
  std::vector<Middleware> middleware_;
};

}  // namespace culvert::request
