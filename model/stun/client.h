// STUN requests on a socket that others share: retransmission, matching of answers, the first
// measure of the round trip. RFC 8489 section 6. Stands on model/net and model/stun/message.h.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "model/net/datagram_mux.h"
#include "model/net/host.h"
#include "model/stun/message.h"

namespace culvert::stun {

using namespace std::chrono_literals;

// 96 random bits that nobody outside can guess (section 5): an answer that carries them was seen
// by somebody on the path.
TransactionId fresh_id(net::Host& host);

// When a request is sent and when it is given up. RFC 8489 section 6.2.1: RTO doubles, Rc requests
// in all, the last waits Rm x RTO. `growth` 1 gives evenly spaced tries, for questions whose
// answer may be silence.
struct Schedule {
  net::Duration rto = 500ms;  // before the second request
  int requests = 7;           // Rc
  double growth = 2;
  net::Duration last_wait = 8s;  // Rm = 16 times RTO

  static Schedule rfc8489(net::Duration rto);
  // `count` tries `spacing` apart; silence is concluded `wait` after the last.
  static Schedule even(int count, net::Duration spacing, net::Duration wait);
  net::Duration gap(int sent) const;  // after the sent-th request
};

struct Credential {
  std::string user, password;
  bool long_term = true;  // else short-term
};

struct Request {
  net::Endpoint to;
  Schedule schedule;
  bool change_ip = false, change_port = false;
  std::optional<uint16_t> response_port;
  std::optional<uint8_t> ttl;
  std::optional<net::Endpoint> answer_from;  // default: `to`; answers from elsewhere are ignored
  bool classic = false;                      // RFC 3489 form: no cookie, no FINGERPRINT
  std::optional<Credential> credential;
};

struct Outcome {
  // none; timed_out; refused, unreachable (ICMP, all tries); failed: the server answered an error.
  net::Status status;
  net::Endpoint mapped, other, origin;  // none if not told
  net::Endpoint from, to;               // of the answer; `to` has the local address
  net::Duration rtt{0};                 // exact: every try has an id of its own
  uint16_t code = 0;                    // of the error response
  int tries = 0;
  bool ok() const { return status.ok(); }
};

class Client {
 public:
  using Done = std::function<void(const Outcome&)>;

  // A question under way; destroying it forgets it.
  class Pending;

  Client(net::Host& host, net::DatagramMux& mux);
  ~Client();

  // Sends at once. `done` runs once, never inside this call. `mux` must outlive the handle.
  std::unique_ptr<Pending> ask(const Request& request, Done done);

 private:
  net::Host& host_;
  net::DatagramMux& mux_;
};

class Client::Pending {
 public:
  ~Pending();

 private:
  friend class Client;
  Pending(net::Host& host, net::DatagramMux& mux, const Request& request, Done done);
  void send();
  bool receive(const net::DatagramIn& in, net::Bytes data);
  void icmp(const net::IcmpEvent& event);
  bool challenged(const Message& message);
  void finish(Outcome outcome);
  net::Buffer write() const;

  net::Host& host_;
  net::DatagramMux& mux_;
  Request request_;
  Done done_;
  TransactionId id_;  // its last byte counts the tries
  uint32_t cookie_ = kMagicCookie;
  net::Time sent_at_[64] = {};
  int sent_ = 0;
  net::Status soft_;  // the last ICMP error
  std::string realm_, nonce_;
  bool answered_challenge_ = false;
  int first_login_ = 0;  // the first try that answered it
  net::Timer timer_;
  std::unique_ptr<net::DatagramMux::User> user_;
};

}  // namespace culvert::stun
