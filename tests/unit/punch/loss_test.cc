// Punching over lossy links: everything may be lost, the measurement of the NATs too.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/unit/punch/lab.h"

namespace culvert::testing {
namespace {

struct Statistics {
  int runs = 0, direct = 0, one_sided = 0, kinds_wrong = 0;
  std::vector<double> times;
  double median() {
    std::sort(times.begin(), times.end());
    return times.empty() ? 0 : times[times.size() / 2];
  }
};

Statistics repeat(const char* a, const char* b, double loss, int runs) {
  Statistics statistics;
  for (int i = 0; i < runs; ++i) {
    LabOptions o;
    o.seed = 1000 + static_cast<uint64_t>(i);
    o.nat_a = a;
    o.nat_b = b;
    o.loss = loss;
    Lab lab(o);
    EXPECT_TRUE(lab.get_ready()) << "seed " << o.seed;
    lab.net.run_for(100ms);
    statistics.kinds_wrong +=
        lab.device_a->behaviour().kind() != a || lab.device_b->behaviour().kind() != b;
    const Outcome outcome = lab.punch();
    ++statistics.runs;
    statistics.direct += outcome.direct();
    statistics.one_sided += outcome.finished && outcome.direct_a != outcome.direct_b;
    if (outcome.direct()) statistics.times.push_back(net::to_ms(outcome.took));
  }
  return statistics;
}

struct Pair {
  const char *a, *b;
};
constexpr Pair kPairs[] = {{"eim-apdf", "eim-apdf"},
                           {"apdm-apdf", "eim-adf"},
                           {"apdm-eif", "eim-apdf"},
                           {"apdm-eif", "apdm-adf"}};

TEST(Loss, OnePercentLeavesTheMedianAloneAndFailsNoPair) {
  for (const Pair& pair : kPairs) {
    Statistics none = repeat(pair.a, pair.b, 0, 1);
    Statistics one = repeat(pair.a, pair.b, 0.01, 200);
    EXPECT_EQ(one.direct, one.runs) << pair.a << " x " << pair.b;
    EXPECT_NEAR(one.median(), none.median(), 1.0) << pair.a << " x " << pair.b;
    std::printf("1 %%: %s x %s direct %d of %d, median %.2f ms, kinds wrong %d\n", pair.a, pair.b,
                one.direct, one.runs, one.median(), one.kinds_wrong);
  }
}

TEST(Loss, FivePercentFailsHardlyAny) {
  for (const Pair& pair : kPairs) {
    Statistics five = repeat(pair.a, pair.b, 0.05, 200);
    EXPECT_GE(five.direct, five.runs - 1) << pair.a << " x " << pair.b;
    EXPECT_EQ(five.one_sided, 0) << pair.a << " x " << pair.b;
    std::printf("5 %%: %s x %s direct %d of %d, median %.2f ms, kinds wrong %d\n", pair.a, pair.b,
                five.direct, five.runs, five.median(), five.kinds_wrong);
  }
}

TEST(Loss, WhatCannotBeReachedIsNotReachedByLuckEither) {
  const Statistics five = repeat("apdm-apdf", "eim-apdf", 0.05, 50);
  EXPECT_EQ(five.direct, 0);
}

}  // namespace
}  // namespace culvert::testing
