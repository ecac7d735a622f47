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
constexpr Duration kGuard = 200us;

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

// The times, from our start, at which a probe reaches the peer's NAT just after that has opened,
// for NAT–NAT distances from `far_end` down to the smallest possible (docs/punching.md, section
// "When a NAT is far"). Empty: the first probe cannot be early.
std::vector<Duration> staggered(const NatBehaviour& me, const NatBehaviour& peer) {
  if (peer.filtering == Filtering::eif || endpoint_dependent(peer.mapping)) return {};
  const Duration x = me.far.value_or(0ns), y = peer.far.value_or(0ns);
  const Duration mine = me.rtt / 2, theirs = peer.rtt / 2;  // starts, from the server's dispatch
  const Duration p = std::max(mine - x, 0ns), q = std::max(theirs - y, 0ns);  // server–NAT
  const Duration nearest = p > q ? p - q : q - p;  // NAT–NAT, by the triangle inequality
  const Duration at_once = theirs + y - mine - x;  // beyond this distance no probe is early
  // Equality counts: then sizes and queues decide. Below the guard nothing is worth a packet when
  // no NAT is far.
  if (at_once <= nearest && !(x != y && at_once + kGuard > nearest)) return {};
  Duration farthest = std::max(at_once, nearest);
  if (me.mapping == Mapping::eim && peer.mapping == Mapping::eim) {
    // From this distance on, being late by the difference costs nothing: the bound is set
    // elsewhere.
    const Duration free = y - x - (std::max(mine, theirs) - theirs);
    farthest = std::clamp(free, nearest, farthest);
  }
  const auto steps = std::min<int64_t>((farthest - nearest + kStep - 1ns) / kStep,
                                       static_cast<int64_t>(kMaxStaggered) - 1);
  std::vector<Duration> offsets;
  for (int64_t i = 0; i <= steps; ++i) {
    const Duration aimed = steps == 0 ? nearest : farthest - (farthest - nearest) * i / steps;
    offsets.push_back(at_once > aimed ? at_once - aimed + kGuard : 0ns);
  }
  return offsets;
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
  const std::vector<Duration> aimed =
      same_public || plan.silent ? std::vector<Duration>{} : staggered(me, peer);
  if (aimed.empty()) {
    plan.offsets = plan.learned_offsets;
    return plan;
  }
  // A probe that may be early could poison the peer's NAT: open our own with one that dies
  // on the way, if we know how many routers are ours.
  plan.delay = aimed.front();
  if (plan.delay > kWorthAnOpener && me.hops && *me.hops > 0) {
    plan.opener_ttl = static_cast<uint8_t>(*me.hops + 1);
  } else if (plan.delay > 0ns) {
    plan.delay = 0ns;
    plan.offsets.push_back(0ns);
  }
  plan.offsets.insert(plan.offsets.end(), aimed.begin(), aimed.end());
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
