#include "model/request/sequence.h"

#include <gtest/gtest.h>

#include <vector>

namespace culvert::request {
namespace {

using What = SequenceTracker::What;

struct Case {
  const char* name;
  std::vector<Sequence> numbers;
  std::vector<What> told;
  uint64_t gaps, duplicates, reordered, too_old, restarts;
};

TEST(Sequence, EachNumberIsToldForWhatItIs) {
  const What f = What::fresh, g = What::gap, d = What::duplicate, r = What::reordered,
             o = What::too_old, s = What::restart;
  const Case cases[] = {
      {"in order", {{1, 1}, {1, 2}, {1, 3}}, {f, f, f}, 0, 0, 0, 0, 0},
      {"a gap", {{1, 1}, {1, 4}}, {f, g}, 2, 0, 0, 0, 0},
      {"a gap that fills", {{1, 1}, {1, 3}, {1, 2}}, {f, g, r}, 0, 0, 1, 0, 0},
      {"a duplicate", {{1, 1}, {1, 2}, {1, 2}, {1, 1}}, {f, f, d, d}, 0, 2, 0, 0, 0},
      {"a restart does not alias", {{1, 7}, {2, 7}, {2, 8}}, {f, s, f}, 0, 0, 0, 0, 1},
      {"beyond the window", {{1, 1}, {1, 65}, {1, 1}}, {f, g, o}, 63, 0, 0, 1, 0},
      {"at its edge", {{1, 1}, {1, 64}, {1, 1}}, {f, g, d}, 62, 1, 0, 0, 0},
      {"up to the last number", {{1, 0xFFFFFFFE}, {1, 0xFFFFFFFF}}, {f, f}, 0, 0, 0, 0, 0},
  };
  for (const Case& c : cases) {
    SequenceTracker tracker;
    for (size_t i = 0; i < c.numbers.size(); ++i)
      EXPECT_EQ(tracker.note(c.numbers[i]), c.told[i]) << c.name << ", number " << i;
    const SequenceCounters& n = tracker.counters();
    EXPECT_EQ(n.gaps, c.gaps) << c.name;
    EXPECT_EQ(n.duplicates, c.duplicates) << c.name;
    EXPECT_EQ(n.reordered, c.reordered) << c.name;
    EXPECT_EQ(n.too_old, c.too_old) << c.name;
    EXPECT_EQ(n.restarts, c.restarts) << c.name;
  }
}

}  // namespace
}  // namespace culvert::request
