// The device's side of the long-poll relay: keeps polls outstanding, gives what comes to a handler
// and brings its answers back; comes back with back-off. Stands on client.h; poll_wire.h has the
// format.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/http/client.h"

namespace culvert::http {

struct PollAgentOptions {
  std::string device, token;
  std::string relay_host;  // the Host field
  size_t polls = 1;        // outstanding at a time
  bool combined = true;    // an answer is the next poll as well: one exchange less
  // Of a poll; longer than the relay's own, or every quiet poll counts as a failure.
  net::Duration patience = net::Duration(90'000'000'000);
  net::Duration backoff_least = net::Duration(1'000'000'000);  // then doubled, with full jitter
  net::Duration backoff_most = net::Duration(60'000'000'000);
  uint32_t answer_tries = 3;  // an answer whose fate is not known is sent again; the relay knows it
};

struct PollAgentEvent {
  std::string_view what;  // "polling", "request", "answered", "late", "duplicate", "unknown",
                          // "failed", "given_up"
  std::string_view id;
  net::Status status;  // failed
  net::Duration again_in{0};
};

class PollAgent {
 public:
  // The handler answers once, now or later; dropping `answer` gives 500 at the relay.
  using Answer = std::function<void(Response)>;
  using Handle = std::function<void(Request, Answer answer)>;
  PollAgent(net::Host& host, PollAgentOptions options, std::unique_ptr<net::Connector> connector,
            Handle handle);
  ~PollAgent();
  void start();
  void on_event(std::function<void(const PollAgentEvent&)> callback);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::http
