// Why a punch failed, concluded from packets by the puncher: what both sides measured of their
// NATs, what this side saw arrive, and what the peer says that it saw. A pure function.
// Stands on rendezvous/frames.h.
#pragma once

#include <optional>
#include <string>

#include "model/rendezvous/frames.h"

namespace culvert::punch {

// docs/reference/events.md has the words; the first three are the seed's 3a, 3b, 3c.
enum class Reason : uint8_t {
  none,
  port_changed,         // 3a: our own NAT uses another port towards the peer than the server saw
  same_nat_no_hairpin,  // 3b
  one_address_trusted,  // 3c: our NAT's port admits only addresses that we have sent to
  udp_blocked,
  peer_silent,
  peer_unknown,
  no_server,
  one_way,
};
std::string_view to_string(Reason reason);

struct Conclusion {
  Reason reason = Reason::none;
  std::string detail;  // one sentence: whose NAT, and how it showed
};

struct Evidence {
  std::string self, peer;                      // names
  stun::NatBehaviour me, them;                 // as measured
  bool same_public = false;                    // the server saw both behind one public address
  bool answers_seen_address = true;            // the technique follows addresses seen (not seed002)
  net::Endpoint told;                          // the peer's address as the server told it
  net::Endpoint my_told;                       // ours, as the server told the peer
  rendezvous::Sighting mine;                   // what we saw
  std::optional<rendezvous::Sighting> theirs;  // what the peer says that it saw
  bool peer_acknowledged = true;               // its introduction, as far as the server knows
  bool server_answered = true;                 // since the punch began
  bool moved_ourselves = false;  // we changed sockets, so the peer may have seen several
  uint32_t prohibited = 0;       // ICMP "administratively prohibited" on probes
};

Conclusion conclude(const Evidence& evidence);

}  // namespace culvert::punch
