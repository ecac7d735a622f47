// The planner against what docs/punching.md promises of it, (5): random delays, far NATs, ways that
// break the triangle inequality. Only arithmetic: which of the planned probes gets through, and
// when its answer is there.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/net/random.h"
#include "model/punch/plan.h"

namespace culvert::testing {
namespace {

using namespace std::chrono_literals;
using net::Duration;
using punch::Plan;
using rendezvous::Role;

struct Side {
  Duration near, server;  // host to own NAT, NAT to server
  Duration start{0};
  Plan plan;

  stun::NatBehaviour behaviour() const {
    stun::NatBehaviour b;
    b.mapping = stun::Mapping::eim;
    b.filtering = stun::Filtering::apdf;
    b.far = near;
    b.hops = 1;
    b.rtt = 2 * (near + server);
    return b;
  }
  // Its NAT opens with the first thing it sends, opener or probe.
  Duration opens() const {
    return start + near + (plan.opener_ttl > 0 ? 0ns : plan.offsets.front());
  }
};

// When the first planned probe of `from` that finds `to`'s NAT open reaches `to`.
Duration arrives(const Side& from, const Side& to, Duration middle) {
  for (const Duration offset : from.plan.offsets) {
    const Duration at_nat = from.start + offset + from.near + middle;
    if (at_nat >= to.opens()) return at_nat + to.near;
  }
  return Duration::max();
}

TEST(PlanBound, FarNatsAreWithinWhatTheDocsPromise) {
  net::Random random(4);
  const auto draw = [&](int64_t most) { return Duration(random.between(0, most * 1000000)); };
  int far = 0, detours = 0;
  Duration worst{0};
  for (int i = 0; i < 50000; ++i) {
    const int64_t reach = i % 2 == 0 ? 4 : 40;  // ms
    Side a{draw(reach), draw(60)}, b{draw(reach), draw(60)};
    const Duration middle = draw(60), d = a.near + middle + b.near;
    const Duration rtt_a = 2 * (a.near + a.server), rtt_b = 2 * (b.near + b.server);
    a.start = rtt_a;
    b.start = (rtt_a + rtt_b) / 2;
    a.plan = punch::plan(a.behaviour(), b.behaviour(), Role::initiator, false);
    b.plan = punch::plan(b.behaviour(), a.behaviour(), Role::responder, false);
    ASSERT_LE(a.plan.offsets.size(), punch::kFastProbes + punch::kMaxStaggered);
    ASSERT_TRUE(std::is_sorted(a.plan.offsets.begin(), a.plan.offsets.end()));

    // A side's own probe is answered; or its check of what it heard from the peer is.
    const Duration at_b = arrives(a, b, middle), at_a = arrives(b, a, middle);
    const auto answered = [&](Duration own, Duration heard) {
      const Duration check = heard == Duration::max() ? heard : heard + 2 * d;
      return std::min(own == Duration::max() ? own : own + d, check);
    };
    const Duration took = std::max(answered(at_b, at_a), answered(at_a, at_b));
    const Duration start = std::max(a.start, b.start);
    const Duration best =
        std::max({start + 2 * d, a.start + 2 * a.near + d, b.start + 2 * b.near + d});
    // The window that is not known: of the side that waits for the other.
    const Duration window_a = b.near - a.near - (start - b.start);
    const Duration window_b = a.near - b.near - (start - a.start);
    const Duration window = std::max({window_a, window_b, Duration(0)});
    const Duration promised = best + std::max<Duration>(900us, window / 39) + 150us;
    ASSERT_LE(took, promised) << "near " << net::to_ms(a.near) << " " << net::to_ms(b.near)
                              << ", server " << net::to_ms(a.server) << " " << net::to_ms(b.server)
                              << ", middle " << net::to_ms(middle);
    ASSERT_GE(took, best) << "faster than the best there is";
    if (window <= 35ms) worst = std::max(worst, took - best);
    far += best > start + 2 * d;
    detours += middle < std::max(a.server, b.server) - std::min(a.server, b.server);
  }
  std::printf("%d of 50000 far, %d break the triangle inequality, worst %.3f ms\n", far, detours,
              net::to_ms(worst));
  EXPECT_GT(far, 4000);
  EXPECT_GT(detours, 5000);
}

}  // namespace
}  // namespace culvert::testing
