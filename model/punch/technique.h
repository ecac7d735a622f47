// What a technique is: when it sends what to whom, and when it is satisfied. The session gives it
// signed probes and takes its verdict. Stands on punch/probe.h and punch/plan.h.
#pragma once

#include <memory>
#include <optional>

#include "model/net/time.h"
#include "model/punch/plan.h"
#include "model/punch/probe.h"
#include "model/rendezvous/frames.h"

namespace culvert::punch {

// Where an address came from, in the words of the event `result`.
enum class Origin : uint8_t { told, seen, host, hairpin };
std::string_view to_string(Origin origin);  // server-reflexive, peer-reflexive, host, hairpin

// What a technique may do; the session implements it.
class Wire {
 public:
  virtual ~Wire() = default;
  virtual net::Time now() const = 0;
  // Signs, sends and logs. Requests are remembered, so that their answers can be matched.
  virtual void send(const net::Endpoint& to, ProbeKind kind, std::optional<uint8_t> ttl = {}) = 0;
  // This path is confirmed both ways. The first one settles the punch.
  virtual void confirmed(const net::Endpoint& remote, Origin origin) = 0;
  virtual bool is_confirmed() const = 0;
  virtual uint64_t received() const = 0;  // authenticated packets of the peer
};

class Technique {
 public:
  virtual ~Technique() = default;
  virtual void start() = 0;
  // The server told a new address of the peer's, whose NAT was rebooted meanwhile.
  virtual void told(const net::Endpoint& peer) = 0;
  // Everything once more, from a socket that no NAT has seen yet. `quiet`: the peer goes first, and
  // we only open our own NATs for it, with that TTL (0: not even that).
  virtual void start_afresh(bool quiet, uint8_t opener_ttl) { (void)quiet, (void)opener_ttl; }
  // An authenticated probe that is no answer; the session has answered it already.
  virtual void on_probe(const Probe& probe, const net::Endpoint& from) = 0;
  // The answer to a probe that was sent to `to`.
  virtual void on_answer(const Probe& answer, const net::Endpoint& to,
                         const net::Endpoint& from) = 0;
  virtual void on_time(net::Time now) = 0;
  virtual net::Time next() const = 0;  // when on_time wants to be called; Time::max(): never
};

constexpr int kHellos = 5;  // of seed002: "Send Total five times"

std::unique_ptr<Technique> make_checks(Wire& wire, const rendezvous::Introduction& introduction,
                                       const Plan& plan, bool use_hosts);
std::unique_ptr<Technique> make_seed002(Wire& wire, const rendezvous::Introduction& introduction,
                                        net::Duration interval);

}  // namespace culvert::punch
