#include "model/net/random.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace culvert::net {
namespace {

TEST(Random, draws_are_the_same_everywhere) {
  // The 10,000th draw of mt19937_64 with its default seed is in the standard ([rand.predef]).
  Random random(5489);
  for (int i = 0; i < 9999; ++i) random.next();
  EXPECT_EQ(random.next(), 9981545732273789042ull);
}

TEST(Random, below_stays_below_and_reaches_everything) {
  Random random(1);
  EXPECT_EQ(random.below(0), 0u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random.below(1), 0u);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts[random.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);  // five standard deviations
  const uint64_t huge = (uint64_t{3} << 62);  // a quarter of all draws would be biased
  int upper = 0;
  for (int i = 0; i < 30000; ++i) {
    const uint64_t draw = random.below(huge);
    ASSERT_LT(draw, huge);
    upper += draw >= huge / 3 * 2;
  }
  EXPECT_NEAR(upper, 10000, 420);
}

TEST(Random, between_includes_both_ends) {
  Random random(2);
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random.between(5, 8));
  EXPECT_EQ(seen, (std::set<uint64_t>{5, 6, 7, 8}));
  EXPECT_EQ(random.between(9, 9), 9u);
  random.between(0, ~uint64_t{0});  // the whole range is a range, too
  std::set<uint64_t> whole;
  for (int i = 0; i < 100; ++i) whole.insert(random.between(0, ~uint64_t{0}));
  EXPECT_EQ(whole.size(), 100u) << "all of 64 bits must not shrink to one value";
}

TEST(Random, unit_is_in_its_interval) {
  Random random(3);
  double sum = 0;
  for (int i = 0; i < 10000; ++i) {
    const double draw = random.unit();
    ASSERT_GE(draw, 0.0);
    ASSERT_LT(draw, 1.0);
    sum += draw;
  }
  EXPECT_NEAR(sum / 10000, 0.5, 0.02);
}

TEST(DeriveSeed, depends_on_seed_and_purpose) {
  std::set<uint64_t> seeds;
  for (uint64_t seed = 0; seed < 100; ++seed)
    for (const char* purpose : {"", "a", "b", "ab", "ba", "node-1", "node-2"})
      seeds.insert(derive_seed(seed, purpose));
  EXPECT_EQ(seeds.size(), 700u);
  EXPECT_EQ(derive_seed(7, "x"), derive_seed(7, "x"));
}

}  // namespace
}  // namespace culvert::net
