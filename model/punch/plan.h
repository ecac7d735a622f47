// The punch planner: a pure function from what was measured of both sides to what this side does.
// Both sides call it with the same two measurements, swapped, and so agree without another word.
// docs/punching.md derives the rules. Stands on model/stun/behaviour.h and rendezvous/frames.h.
#pragma once

#include <cstdint>
#include <vector>

#include "model/net/time.h"
#include "model/rendezvous/frames.h"
#include "model/stun/behaviour.h"

namespace culvert::punch {

using rendezvous::Role;

struct Plan {
  bool lead = false;    // the peer stays silent until it has heard us
  bool silent = false;  // we send nothing, opener neither, until we have heard the peer
  net::Duration silence_limit = net::Duration::max();  // then we speak anyway
  uint8_t opener_ttl = 0;  // 0: no opener; else it crosses all of our own NATs and dies behind them
  net::Duration delay{0};  // of the first probe that is to arrive, from our start
  // When to probe the address that the server told, from our start; ascending. Afterwards every
  // `slow_gap`, until the budget is spent.
  std::vector<net::Duration> offsets;
  // The same for addresses learned on the way, from the moment they are learned.
  std::vector<net::Duration> learned_offsets;
  net::Duration slow_gap{0};
};

constexpr size_t kFastProbes = 10;  // per pair of addresses (field note on punching)
// Besides, where a NAT is far, so many at most are aimed at distances that are not known. Ours: one
// a millisecond covers 36 ms, more than LTE and a carrier's NAT; each is about 160 bytes.
constexpr size_t kMaxStaggered = 40;

// `me.rtt`, `peer.rtt`: to the server; `far`: to the own outermost NAT. Unknown delays count as 0.
Plan plan(const stun::NatBehaviour& me, const stun::NatBehaviour& peer, Role role,
          bool same_public);

// Simultaneous start without any measurement but the two round trips to the server: whoever hears
// of the peer first waits until the other has heard too.
Plan plan_plain(const stun::NatBehaviour& me, const stun::NatBehaviour& peer);

// Whether the two can become direct at all by the oracle of the field note on NATs; unknown kinds
// might.
bool could_be_direct(const stun::NatBehaviour& me, const stun::NatBehaviour& peer);

// Whether the side `own` has to wait for `peer` (field note on NATs: the four pairs in which order
// decides). Unknown kinds count as what makes waiting harmless.
bool must_stay_silent(const stun::NatBehaviour& own, const stun::NatBehaviour& peer, Role own_role);

}  // namespace culvert::punch
