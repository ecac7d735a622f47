// The answering side over MQTT: subscribes, keeps duplicates and late requests away from the
// router, answers into the requester's own namespace, drains on shutdown. Several of one group
// share the work (5.0 shared subscriptions). Stands on inbox.h and router.h.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/net/host.h"
#include "model/request/answer_cache.h"
#include "model/request/inbox.h"
#include "model/request/router.h"
#include "model/request/sequence.h"

namespace culvert::request {

struct ServerOptions {
  std::string prefix;  // topic levels before the router's: "home/7"; empty: none
  std::string group;   // not empty: workers that share the requests. The answer cache is each
                       // worker's own, so a retry may run again at another one.
  uint8_t qos = 1;     // of the subscription
  std::string
      reply_prefix;      // answers go only to topics below it; empty: to any (the broker confines)
  size_t running = 256;  // at the same time; beyond it 503
  net::Duration deadline = net::Duration(30'000'000'000);  // of requests that name none
  size_t cached_answers = 4096, cached_bytes = 8 * 1024 * 1024;
  net::Duration cached_for = net::Duration(120'000'000'000);
  size_t requesters = 4096;  // whose sequence numbers are followed
};

struct ServerCounters {
  uint64_t requests = 0;      // that the router got
  uint64_t answered = 0;      // answers published
  uint64_t malformed = 0;     // no request at all, or a response topic that may not be
  uint64_t repeated = 0;      // duplicates, answered from the cache or running still
  uint64_t busy = 0;          // 503
  uint64_t late = 0;          // past the deadline on arrival or when the answer was ready
  SequenceCounters sequence;  // of all requesters together
};

class Server {
 public:
  Server(net::Host& host, Inbox& inbox, Router router, ServerOptions options);
  ~Server();  // answers that handlers still owe are dropped

  // `ready` runs once the subscription stands, or was refused.
  void start(std::function<void(net::Status)> ready);
  // Takes nothing new; `done` when every request under way is answered and every answer is
  // acknowledged. Those that never come end with their deadline, or the options' if that is sooner.
  void drain(std::function<void()> done);

  const ServerCounters& counters() const { return counters_; }
  size_t running() const { return running_; }

 private:
  struct Task;
  void receive(const mqtt::IncomingMessage& message);
  void answer(const std::shared_ptr<Task>& task, Response response);
  void send(const Task& task, const Response& response);
  void follow(std::string_view reply_to, const Sequence& sequence);
  void end_of(uint64_t token);
  void check_drained();

  net::Host& host_;
  Inbox& inbox_;
  Router router_;
  ServerOptions options_;
  AnswerCache cache_;
  ServerCounters counters_;
  struct Requester {
    std::string reply_to;
    SequenceTracker tracker;
  };
  std::list<Requester> requesters_;  // last heard of last
  std::unordered_map<std::string_view, std::list<Requester>::iterator> requester_index_;
  std::unique_ptr<Inbox::User> user_;
  net::Timer patience_;  // of draining: the last deadline
  std::function<void()> drained_;
  size_t running_ = 0, sending_ = 0;
  net::Time last_deadline_{0};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// GET-like handlers for a router: what the server has counted, as JSON, and as Prometheus text
// (metrics culvert_requests_total and so on). The server must outlive the router's use.
Handler health(const Server& server);
Handler metrics(const Server& server);

}  // namespace culvert::request
