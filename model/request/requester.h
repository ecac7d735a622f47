// The asking side over MQTT: numbers its requests, registers who waits before it publishes, asks
// again with the same number, and drops answers that nobody waits for. Stands on inbox.h, wire.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/net/host.h"
#include "model/request/inbox.h"
#include "model/request/router.h"
#include "model/request/sequence.h"

namespace culvert::request {

struct RequesterOptions {
  mqtt::Version version = mqtt::Version::v5;  // of the client under it
  // Where answers come: "%c" is the client identifier, "%r" the broker's response information.
  std::string reply_topic = "replies/%c";
  uint8_t qos = 1;        // of requests and of the subscription for answers
  uint32_t attempts = 3;  // the first one included
  net::Duration patience =
      net::Duration(2'000'000'000);  // for the first attempt, doubled each time
  net::Duration deadline = net::Duration(10'000'000'000);  // in all; goes along on the wire
  size_t waiting = 10'000;  // requests without an answer; beyond it exhausted
  // false: whatever comes next answers the oldest request, as without sequence numbers (the fault
  // that seed 000 cures; for scenario mqtt_ordering).
  bool match_sequence = true;
};

struct RequesterCounters {
  uint64_t asked = 0, answered = 0, retried = 0;
  uint64_t timed_out = 0, refused = 0;
  uint64_t late = 0;   // answers to requests that had ended, dropped
  uint64_t stale = 0;  // answers to an earlier life of ours, dropped
  uint64_t malformed = 0;
};

struct Outcome {
  net::Status status;  // timed_out; refused: the broker would not have it; not_found: nobody is
                       // subscribed there (5.0 reason 0x10); closed: the requester was destroyed
  Response response;   // when status is ok
  net::Duration took{0};
  uint32_t attempts = 0;
  Sequence sequence;         // of the request
  Sequence answer_sequence;  // of what was taken for its answer (differs only without matching)
};
using OutcomeDone = std::function<void(const Outcome&)>;

struct Ask {
  std::string topic, method, content_type;
  net::Buffer body;
  net::Duration deadline{0};  // 0: as the options say
};

class Requester {
 public:
  Requester(net::Host& host, Inbox& inbox, RequesterOptions options);
  ~Requester();  // nobody is told

  // `done` runs once, later, unless cancelled. invalid or exhausted come at once, as a status.
  net::Result<Sequence> ask(Ask ask, OutcomeDone done);
  // `done` will not run; an answer that comes still is late.
  void cancel(const Sequence& sequence);
  const RequesterCounters& counters() const { return counters_; }
  size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiter;
  void listen();
  void granted(const mqtt::SubscribeOutcome& outcome);
  void publish(Waiter& waiter);
  void published(uint32_t number, const mqtt::PublishOutcome& outcome);
  void receive(const mqtt::IncomingMessage& message);
  void due(uint32_t number);
  void end(uint32_t number, Outcome outcome);
  std::string expand(std::string_view pattern) const;

  net::Host& host_;
  Inbox& inbox_;
  RequesterOptions options_;
  RequesterCounters counters_;
  uint32_t epoch_ = 0, last_number_ = 0;
  std::map<uint32_t, std::unique_ptr<Waiter>> waiting_;  // by number: oldest first
  std::string reply_topic_;
  std::unique_ptr<Inbox::User> user_;
  enum class State : uint8_t { idle, asking, ready } state_ = State::idle;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace culvert::request
