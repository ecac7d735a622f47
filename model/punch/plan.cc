#include "model/punch/plan.h"

#include <algorithm>

namespace culvert::punch {
namespace {

using namespace std::chrono_literals;
using net::Duration;
using stun::Filtering;
using stun::Mapping;
using stun::NatBehaviour;

// Field note on punching: probes at 0/20/40/80/160 ms, gaps capped at RTT/2.
constexpr Duration kGaps[] = {20ms, 20ms, 40ms, 80ms, 80ms, 80ms, 80ms, 80ms, 80ms};
static_assert(sizeof kGaps / sizeof kGaps[0] + 1 == kFastProbes);
constexpr Duration kMinGap = 5ms;         // ICE's Ta (RFC 8445 section 14.2)
constexpr Duration kSlowGap = 250ms;      // ours: some 40 probes in a budget of 10 s
constexpr Duration kStep = 900us;         // ours: between staggered probes, within 1 ms of the best
constexpr Duration kWorthAnOpener = 1ms;  // ours: the precision that is asked of the bound
// How much later than just in time a staggered probe leaves: measured delays are a little wrong,
// and two packets due at one instant arrive in the order of their sizes. Ours.
constexpr Duration kGuard = 150us;

bool endpoint_dependent(Mapping mapping) {
  return mapping == Mapping::adm || mapping == Mapping::apdm;
}

bool wants_silence(const NatBehaviour& own, const NatBehaviour& peer) {
  return endpoint_dependent(own.mapping) && own.filtering == Filtering::eif &&
         (peer.mapping == Mapping::eim || peer.mapping == Mapping::unknown) &&
         (peer.filtering == Filtering::apdf || peer.filtering == Filtering::unknown);
}

std::vector<Duration> ordinary(Duration from, size_t count, Duration cap) {
  std::vector<Duration> offsets;
  Duration at = from;
  for (size_t i = 0; i < count; ++i) {
    offsets.push_back(at);
    at += std::min(kGaps[std::min(i, kFastProbes - 2)], cap);
  }
  return offsets;
}

struct Staggered {
  std::vector<Duration> offsets;  // from our start; empty: the first probe cannot be early
  bool surely = false;            // it is early unless the way to the peer is a detour
};

// The times at which a probe reaches the peer's NAT just after that has opened, for NAT–NAT
// distances from the farthest that matters down to none (docs/punching.md, "When a NAT is far").
Staggered staggered(const NatBehaviour& me, const NatBehaviour& peer) {
  // Nothing is lost at a NAT that admits everybody; nothing arrives at the told address of one
  // whose mapping is endpoint-dependent; nothing helps a pair that cannot become direct.
  if (peer.filtering == Filtering::eif || endpoint_dependent(peer.mapping)) return {};
  if (!could_be_direct(me, peer)) return {};
  const Duration x = me.far.value_or(0ns), y = peer.far.value_or(0ns);
  const Duration mine = me.rtt / 2, theirs = peer.rtt / 2;  // starts, from the server's dispatch
  const Duration at_once = theirs + y - mine - x;           // beyond this distance nothing is early
  if (at_once <= 0ns) return {};
  const Duration p = mine - x, q = theirs - y;  // server–NAT
  Staggered found;
  found.surely = at_once > (p > q ? p - q : q - p);  // the triangle inequality's shortest way
  Duration farthest = at_once;
  if (me.mapping == Mapping::eim && peer.mapping == Mapping::eim) {
    // From this distance on, being late by the difference costs nothing: the bound is set
    // elsewhere.
    const Duration free = y - x - (std::max(mine, theirs) - theirs);
    farthest = std::clamp<Duration>(free, 0ns, farthest);
  }
  const auto steps =
      std::min<int64_t>((farthest + kStep - 1ns) / kStep, static_cast<int64_t>(kMaxStaggered) - 1);
  for (int64_t i = 0; i <= steps; ++i) {
    const Duration aimed = steps == 0 ? 0ns : farthest - farthest * i / steps;
    found.offsets.push_back(at_once > aimed ? at_once - aimed + kGuard : 0ns);
  }
  return found;
}

}  // namespace

bool could_be_direct(const NatBehaviour& me, const NatBehaviour& peer) {
  for (const NatBehaviour* side : {&me, &peer}) {
    if (side->mapping == Mapping::unknown || side->filtering == Filtering::unknown) return true;
    if (side->filtering == Filtering::eif) return true;
    if (side->mapping == Mapping::eim && side->filtering == Filtering::adf) return true;
  }
  return me.mapping == Mapping::eim && peer.mapping == Mapping::eim;
}

bool must_stay_silent(const NatBehaviour& own, const NatBehaviour& peer, Role own_role) {
  if (!wants_silence(own, peer)) return false;
  // Two that would both wait would wait for ever.
  return !(wants_silence(peer, own) && own_role == Role::initiator);
}

Plan plan(const NatBehaviour& me, const NatBehaviour& peer, Role role, bool same_public) {
  Plan plan;
  const Role other = role == Role::initiator ? Role::responder : Role::initiator;
  plan.silent = must_stay_silent(me, peer, role);
  plan.lead = must_stay_silent(peer, me, other);
  // Twice the way to the peer is not known; by way of the server it is at most this.
  const Duration cap = std::max<Duration>((me.rtt + peer.rtt) / 2, kMinGap);
  plan.slow_gap = kSlowGap;
  plan.learned_offsets = ordinary(0ns, kFastProbes, cap);
  // Behind one public address nothing is known of the way between the two.
  const Staggered aimed = same_public || plan.silent ? Staggered{} : staggered(me, peer);
  if (aimed.offsets.empty()) {
    plan.offsets = plan.learned_offsets;
    return plan;
  }
  // A probe that is early could poison the peer's NAT: open our own with one that dies on the way,
  // if we know how many routers are ours. Waiting for the first aimed one costs nothing.
  if (aimed.surely && aimed.offsets.front() > kWorthAnOpener && me.hops && *me.hops > 0) {
    plan.delay = aimed.offsets.front();
    plan.opener_ttl = static_cast<uint8_t>(*me.hops + 1);
  } else if (aimed.offsets.front() > 0ns) {
    plan.offsets.push_back(0ns);
  }
  plan.offsets.insert(plan.offsets.end(), aimed.offsets.begin(), aimed.offsets.end());
  const size_t left = kFastProbes - std::min(kFastProbes - 1, plan.offsets.size());
  const Duration last = plan.offsets.back() + std::min(kGaps[0], cap);
  for (const Duration offset : ordinary(last, left, cap)) plan.offsets.push_back(offset);
  return plan;
}

Plan plan_plain(const NatBehaviour& me, const NatBehaviour& peer) {
  Plan plan;
  const Duration cap = std::max<Duration>((me.rtt + peer.rtt) / 2, kMinGap);
  plan.slow_gap = kSlowGap;
  plan.delay = (std::max(me.rtt, peer.rtt) - me.rtt) / 2;
  plan.offsets = ordinary(plan.delay, kFastProbes, cap);
  plan.learned_offsets = ordinary(0ns, kFastProbes, cap);
  return plan;
}

}  // namespace culvert::punch
