// Punch probes: STUN Binding requests, responses and indications (RFC 8489) between two peers,
// under MESSAGE-INTEGRITY-SHA256 with a key of the session that is bound to both names and to the
// sender's role. Packet tools read them as STUN. Stands on stun/message.h, rendezvous/frames.h.
//
//   0xC0C0 session  8 bytes: which introduction this belongs to
//   0xC0C1 kind     4 bytes: kind, sender's role, flags (heard 1, confirmed 2), reserved
//   0xC0C2 number   8 bytes: counts up from 1 per sender and session (replay window)
//   0xC0C3 echo     8 bytes: how many of the peer's packets this side has received
//   0xC0C4 sealed  24 bytes of nonce and text under the session's AEAD: data over the path
#pragma once

#include <optional>
#include <string>

#include "model/net/address.h"
#include "model/net/bytes.h"
#include "model/net/crypto.h"
#include "model/rendezvous/frames.h"
#include "model/stun/message.h"

namespace culvert::punch {

using rendezvous::Role;

// The numbers are on the wire.
enum class ProbeKind : uint8_t {
  hello = 1,      // seed002's
  opener = 2,     // not meant to arrive: its TTL ends behind the own NATs
  probe = 3,      // a connectivity check
  answer = 4,     // to a probe or keepalive
  keepalive = 5,  // a check of a path in use
  data = 6,       // text over the path
  bye = 7,        // the path is no longer wanted
};
std::string_view to_string(ProbeKind kind);

struct Probe {
  stun::Class cls = stun::Class::request;
  stun::TransactionId id{};
  uint64_t session = 0;
  ProbeKind kind = ProbeKind::probe;
  Role sender = Role::initiator;
  bool heard = false;      // the sender has received an authentic packet of this session
  bool confirmed = false;  // the sender has a path that is confirmed both ways
  uint64_t number = 0;
  uint64_t echo = 0;
  std::optional<net::Endpoint> mapped;  // of an answer: where the request was seen from
  net::Buffer sealed;                   // of data
};

// Keys of one session, one for each direction.
struct ProbeKeys {
  net::Key initiator{}, responder{};  // what that side signs with
  net::Key data{};
  const net::Key& of(Role role) const { return role == Role::initiator ? initiator : responder; }
};
ProbeKeys probe_keys(const net::Key& session_key, uint64_t session, std::string_view initiator,
                     std::string_view responder);

net::Buffer encode(const Probe& probe, const ProbeKeys& keys);

// The session that a message says it is of, not yet proven; nothing if it is no probe of ours.
std::optional<uint64_t> session_of(const stun::Message& message);
// Nothing unless it is well-formed and signed by the peer of `self`.
std::optional<Probe> open_probe(const stun::Message& message, const ProbeKeys& keys, Role self);

}  // namespace culvert::punch
