// Mapping lifetime against NATs that were told theirs.
#include "model/stun/lifetime.h"

#include <gtest/gtest.h>

#include "tests/unit/stun/stun_lab.h"

namespace culvert::stun {
namespace {

using testing::StunLab;

struct Found {
  Lifetime lifetime;
  int probes = 0;
};

Found measure(StunLab& lab, LifetimeOptions options) {
  Found found;
  bool over = false;
  options.server = lab.primary;
  LifetimeProbe probe(
      lab.net.at(lab.a), options, [&](net::Duration, bool) { ++found.probes; },
      [&](const Lifetime& lifetime) {
        found.lifetime = lifetime;
        over = true;
      });
  EXPECT_TRUE(probe.start().ok());
  lab.net.run_until([&] { return over; }, std::chrono::hours(10));
  EXPECT_TRUE(over);
  return found;
}

TEST(Lifetime, IsFoundToTheResolutionOneAtATimeAndManyAtOnce) {
  for (const int parallel : {1, 8}) {
    StunLab lab("eim-apdf,udp_stream=47s,udp_new=47s");
    LifetimeOptions options;
    options.parallel = parallel;
    const Found found = measure(lab, options);
    ASSERT_TRUE(found.lifetime.status.ok()) << found.lifetime.status.to_string();
    const net::Duration real = 47s;
    EXPECT_LE(found.lifetime.alive, real + 100ms) << parallel;
    EXPECT_GE(found.lifetime.dead, real - 100ms) << parallel;
    EXPECT_LE(found.lifetime.dead - found.lifetime.alive, 1s);
    EXPECT_LE(found.probes, parallel == 1 ? 14 : 40);
  }
}

TEST(Lifetime, NoNatOutlivesTheSearch) {
  StunLab lab("");
  LifetimeOptions options;
  options.high = 60s;
  const Found found = measure(lab, options);
  EXPECT_TRUE(found.lifetime.status.ok());
  EXPECT_EQ(found.lifetime.alive, 60s);
  EXPECT_EQ(found.lifetime.dead, 0s);
}

TEST(Lifetime, AServerThatDoesNotAnswerIsAnError) {
  StunLab lab("eim-apdf", true, 1, 1.0);
  const Found found = measure(lab, {});
  EXPECT_EQ(found.lifetime.status.error, net::Error::timed_out);
}

}  // namespace
}  // namespace culvert::stun
