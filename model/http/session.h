// One connection of the server: reads requests, keeps the order of answers, watches its patience.
// Private to model/http; server.h is the interface.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "model/http/parser.h"
#include "model/http/server.h"
#include "model/http/writer.h"

namespace culvert::http {

class Session;

struct Server::Impl {
  Impl(net::Host& h, ServerOptions o, Handler f)
      : host(h), options(std::move(o)), handler(std::make_shared<const Handler>(std::move(f))) {}
  void end(Session& session);  // destroys it
  void check_drained();

  net::Host& host;
  const ServerOptions options;
  std::shared_ptr<const Handler> handler;
  std::list<std::unique_ptr<Session>> sessions;
  net::Buffer scratch;  // what is read goes here first, for all sessions
  bool draining = false;
  std::function<void()> drained;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

class Session {
 public:
  Session(Server::Impl& server, std::unique_ptr<net::Stream> stream);
  ~Session();
  void drain();

  // From the Responder of request `number`.
  using Take = std::function<void(std::unique_ptr<net::Stream>, net::Buffer)>;
  void respond(uint64_t number, Response response, Take take);
  void on_gone(uint64_t number, std::function<void()> callback);

  struct Link {  // how Responders find a session that may have gone
    Session* session;
  };
  std::list<std::unique_ptr<Session>>::iterator at;  // the server's

 private:
  enum class Phase : uint8_t { fresh, idle, header, body, answering, writing, linger };
  struct Slot {  // a request that is not answered yet, or an interim response
    uint64_t number = 0;
    ResponseForm form;
    size_t held = 0;  // bytes of its body
    std::optional<Response> response;
    Take take;
    std::function<void()> gone;
  };

  void pump();
  // False: the session is gone.
  bool consume(net::Bytes data);
  bool parse(net::Bytes& rest);
  bool may_parse() const;
  void header_whole();
  bool request_whole();
  void refuse(const Fault& fault);
  void advance();
  void flush();
  void written();
  void hand_over();
  void peer_finished();
  void resume_later();
  void settle();  // the phase that the state asks for
  void enter(Phase phase);
  net::Duration patience(Phase phase) const;
  void fire();
  void tell_gone();
  void end();

  Server::Impl& server_;
  std::unique_ptr<net::Stream> stream_;
  std::shared_ptr<Link> link_;
  net::Timer timer_;
  net::Time since_{0};
  Phase phase_ = Phase::fresh;
  bool parsing_ = false;   // inside consume(): what is ready is written at its end
  bool closing_ = false;   // no more requests; the last answer says so
  bool finished_ = false;  // the peer sent its FIN
  bool hold_ = false;      // an upgrade or CONNECT is being answered
  bool paused_ = false;    // not reading
  bool resuming_ = false;  // a posted pump() is on its way
  bool shut_ = false;      // our FIN is out
  bool writing_ = false;   // on_writable will come
  std::optional<Parser> parser_;
  net::Buffer in_;   // read, not parsed
  net::Buffer out_;  // to be written from out_at_
  size_t out_at_ = 0, held_ = 0, body_seen_ = 0, body_now_ = 0;
  std::vector<Slot> slots_;  // in the order of their requests
  uint64_t numbers_ = 0;
  Take take_;  // once out_ is written
};

}  // namespace culvert::http
