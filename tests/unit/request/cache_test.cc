#include <gtest/gtest.h>

#include "model/request/answer_cache.h"

namespace culvert::request {
namespace {

using namespace std::chrono_literals;
using What = AnswerCache::What;

TEST(AnswerCache, ARepeatedRequestGetsTheFirstAnswer) {
  AnswerCache cache(10, 100'000, 60s);
  EXPECT_EQ(cache.begin("r/a", {1, 1}, 0s).what, What::fresh);
  EXPECT_EQ(cache.begin("r/a", {1, 1}, 0s).what, What::running);
  cache.answered("r/a", {1, 1}, Response::text("42"), 0s);
  const auto found = cache.begin("r/a", {1, 1}, 1s);
  ASSERT_EQ(found.what, What::answered);
  EXPECT_EQ(net::as_text(found.response->body), "42");
}

TEST(AnswerCache, OthersNumbersAndOtherLivesAreTheirOwn) {
  AnswerCache cache(10, 100'000, 60s);
  cache.begin("r/a", {1, 1}, 0s);
  EXPECT_EQ(cache.begin("r/b", {1, 1}, 0s).what, What::fresh);
  EXPECT_EQ(cache.begin("r/a", {2, 1}, 0s).what, What::fresh);
}

TEST(AnswerCache, AgeNumberAndBytesBoundIt) {
  AnswerCache cache(3, 100'000, 60s);
  for (uint32_t n = 1; n <= 5; ++n) {
    cache.begin("r", {1, n}, 0s);
    cache.answered("r", {1, n}, Response::text("42"), 0s);
  }
  EXPECT_LE(cache.size(), 4u) << "the newest may stand beside the limit until the next call";
  EXPECT_EQ(cache.begin("r", {1, 1}, 0s).what, What::fresh) << "the oldest made room";

  AnswerCache aged(10, 100'000, 60s);
  aged.begin("r", {1, 1}, 0s);
  aged.answered("r", {1, 1}, Response::text("42"), 0s);
  EXPECT_EQ(aged.begin("r", {1, 1}, 59s).what, What::answered);
  EXPECT_EQ(aged.begin("r", {1, 1}, 60s).what, What::fresh);

  AnswerCache small(100, 4000, 60s);
  small.begin("r", {1, 1}, 0s);
  small.answered("r", {1, 1}, Response::text(std::string(10'000, 'x')), 0s);
  EXPECT_LE(small.bytes(), 4000u);
}

TEST(AnswerCache, WhatStillRunsNeverRunsTwice) {
  AnswerCache cache(2, 100'000, 60s);
  cache.begin("r", {1, 1}, 0s);
  for (uint32_t n = 2; n <= 9; ++n) {
    cache.begin("r", {1, n}, 0s);
    cache.answered("r", {1, n}, Response::text("42"), 0s);
  }
  EXPECT_EQ(cache.begin("r", {1, 1}, 300s).what, What::running) << "neither age nor number end it";
  cache.answered("r", {1, 1}, Response::text("late"), 301s);
  EXPECT_EQ(cache.begin("r", {1, 1}, 302s).what, What::answered);
}

TEST(AnswerCache, WhatWasNotRunMayComeAgain) {
  AnswerCache cache(10, 100'000, 60s);
  cache.begin("r", {1, 1}, 0s);
  cache.forget("r", {1, 1});
  EXPECT_EQ(cache.begin("r", {1, 1}, 0s).what, What::fresh);
}

}  // namespace
}  // namespace culvert::request
