#include "model/net/timer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "model/net/random.h"

namespace culvert::net {
namespace {

// A queue whose clock the test turns.
class TimerQueueTest : public ::testing::Test {
 protected:
  // Moves to each wake that was asked for, until `end`.
  void run_to(Time end) {
    while (asked <= end) {
      now = std::max(now, asked);
      asked = Time::max();
      queue.run_due();
    }
    now = end;
  }
  Time now{0}, asked = Time::max();
  int asks = 0;
  TimerQueue queue{[this] { return now; },
                   [this](Time when) {
                     asked = when;
                     ++asks;
                   }};
};

TEST_F(TimerQueueTest, fires_at_its_time_and_not_before) {
  Time fired{-1};
  Timer timer(queue, [&] { fired = now; });
  timer.arm_after(10ms);
  EXPECT_EQ(asked, Time(10ms));
  now = 9999999ns;
  queue.run_due();
  EXPECT_EQ(fired, Time(-1));
  EXPECT_TRUE(timer.armed());
  run_to(10ms);
  EXPECT_EQ(fired, Time(10ms));
  EXPECT_FALSE(timer.armed());
}

TEST_F(TimerQueueTest, asks_only_when_the_next_becomes_earlier) {
  Timer late(queue, [] {}), early(queue, [] {}), later(queue, [] {});
  late.arm_at(20ms);
  later.arm_at(30ms);
  EXPECT_EQ(asks, 1);
  early.arm_at(5ms);
  EXPECT_EQ(asks, 2);
  EXPECT_EQ(asked, Time(5ms));
}

TEST_F(TimerQueueTest, after_a_late_or_spurious_call_it_asks_again) {
  int fired = 0;
  Timer timer(queue, [&] { ++fired; });
  timer.arm_at(10ms);
  asked = Time::max();
  queue.run_due();  // spurious
  EXPECT_EQ(asked, Time(10ms));
  now = 50ms;
  queue.run_due();
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(asked, Time::max());
}

TEST_F(TimerQueueTest, equal_times_fire_in_the_order_of_arming) {
  std::string order;
  Timer a(queue, [&] { order += 'a'; }), b(queue, [&] { order += 'b'; }),
      c(queue, [&] { order += 'c'; });
  c.arm_at(1ms);
  a.arm_at(1ms);
  b.arm_at(1ms);
  c.arm_at(1ms);  // armed anew: last
  run_to(1ms);
  EXPECT_EQ(order, "abc");
}

TEST_F(TimerQueueTest, zero_and_negative_delays_wait_for_the_next_turn) {
  int fired = 0;
  Timer timer(queue, [&] {
    if (++fired < 5) timer.arm_after(-1s);
  });
  timer.arm_after(0ms);
  EXPECT_EQ(fired, 0);
  queue.run_due();
  EXPECT_EQ(fired, 1) << "armed by its own callback, it must not fire in the same turn";
  EXPECT_EQ(asked, now);
  queue.run_due();
  EXPECT_EQ(fired, 2);
}

TEST_F(TimerQueueTest, a_limit_leaves_the_rest_for_the_next_turn) {
  int fired = 0;
  std::vector<std::unique_ptr<Timer>> timers;
  for (int i = 0; i < 10; ++i) {
    timers.push_back(std::make_unique<Timer>(queue, [&] { ++fired; }));
    timers.back()->arm_at(0ms);
  }
  queue.run_due(4);
  EXPECT_EQ(fired, 4);
  EXPECT_EQ(asked, Time(0)) << "what is left is due now";
  queue.run_due();
  EXPECT_EQ(fired, 10);
}

TEST_F(TimerQueueTest, callbacks_may_cancel_and_destroy_others_and_themselves) {
  std::string order;
  auto victim = std::make_unique<Timer>(queue, [&] { order += 'v'; });
  Timer cancelled(queue, [&] { order += 'c'; });
  std::unique_ptr<Timer> suicide;
  suicide = std::make_unique<Timer>(queue, [&] {
    order += 's';
    victim.reset();
    cancelled.cancel();
    suicide.reset();
  });
  suicide->arm_at(1ms);
  victim->arm_at(1ms);
  cancelled.arm_at(1ms);
  run_to(2ms);
  EXPECT_EQ(order, "s");
  EXPECT_EQ(queue.size(), 0u);
}

TEST_F(TimerQueueTest, a_callback_that_arms_an_earlier_timer_is_heard) {
  Time fired{-1};
  Timer inner(queue, [&] { fired = now; });
  Timer outer(queue, [&] { inner.arm_after(1ms); });
  Timer far(queue, [] {});
  far.arm_at(1h);
  outer.arm_at(10ms);
  run_to(20ms);
  EXPECT_EQ(fired, Time(11ms));
}

// Against the simplest model: a list searched for its smallest.
TEST_F(TimerQueueTest, ten_thousand_random_steps_agree_with_a_sorted_list) {
  Random random(11);
  constexpr int kTimers = 50;
  std::vector<std::pair<Time, uint64_t>> model(kTimers, {Time::max(), 0});
  std::vector<int> fired, expected;
  std::vector<std::unique_ptr<Timer>> timers;
  for (int i = 0; i < kTimers; ++i)
    timers.push_back(std::make_unique<Timer>(queue, [&fired, i] { fired.push_back(i); }));
  uint64_t order = 0;
  for (int step = 0; step < 10000; ++step) {
    const size_t i = random.below(kTimers);
    switch (random.below(4)) {
      case 0:
      case 1: {
        const Time when = now + Duration(random.below(50));
        timers[i]->arm_at(when);
        model[i] = {when, order++};
        break;
      }
      case 2:
        timers[i]->cancel();
        model[i].first = Time::max();
        break;
      default:
        now += Duration(random.below(20));
        for (;;) {
          const auto next = std::min_element(model.begin(), model.end());
          if (next->first > now) break;
          expected.push_back(static_cast<int>(next - model.begin()));
          next->first = Time::max();
        }
        queue.run_due();
        ASSERT_EQ(fired, expected);
    }
    const auto next = std::min_element(model.begin(), model.end());
    ASSERT_EQ(queue.next(), next->first);
  }
  EXPECT_GT(fired.size(), 1000u);
}

}  // namespace
}  // namespace culvert::net
