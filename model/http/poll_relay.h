// The long-poll relay: whoever is behind NAT keeps polls outstanding here, and what others ask of
// it is handed to one of them (RFC 6202 on long polling). The honest competitor of request/response
// over MQTT: R1 + R2 when a poll is outstanding. Stands on server.h; poll_wire.h has the format.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/http/server.h"

namespace culvert::http {

struct PollRelayOptions {
  std::vector<std::pair<std::string, std::string>> devices;  // name, token; nobody else exists
  std::string requester_token;  // what requesters show behind Bearer; empty: anybody may ask
  size_t polls = 8;             // outstanding per device; beyond it the oldest is sent home
  size_t queue = 64;            // requests per device that wait for a poll; beyond it 503
  size_t in_flight = 256;       // requests per device handed over, not answered; beyond it 503
  size_t queued_bytes = 16 * 1024 * 1024;  // bodies that wait, per device; beyond it 503
  net::Duration deadline = net::Duration(30'000'000'000);  // of a request; then 504
  // A poll is sent home with 204 after that long: RFC 6202 section 5.5 recommends 30 s.
  net::Duration poll_patience = net::Duration(30'000'000'000);
};

struct PollRelayCounters {
  uint64_t polls = 0, requests = 0, handed = 0, answered = 0;
  uint64_t timed_out = 0, refused = 0, gone = 0;   // requests
  uint64_t late = 0, duplicates = 0, unknown = 0;  // answers
};

struct PollRelayEvent {
  std::string_view what;  // "requested", "handed", "answered", "timed_out", "refused", "gone",
                          // "late", "duplicate", "unknown", "poll", "denied"
  std::string_view device, id;
  int status = 0;         // answered, refused: what the requester or device was told
  net::Duration took{0};  // handed: since it came; answered: since it came
};

class PollRelay {
 public:
  PollRelay(net::Host& host, PollRelayOptions options);
  ~PollRelay();  // everybody waiting gets 503
  // A request is handed over at most once: what a device did with one that it never answered,
  // nobody knows. ANY /to/DEVICE/path, GET /poll/DEVICE, POST /answer/ID; else 404.
  void handle(Request request, std::shared_ptr<Responder> responder);
  void on_event(std::function<void(const PollRelayEvent&)> callback);
  const PollRelayCounters& counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::http
