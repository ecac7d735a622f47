// Reading plans: what is wrong with one is said in a sentence, with its place.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenarios/ns3_runner/plan.h"
#include "tests/ns3/runner_lab.h"

namespace culvert::test {
namespace {

using runner::parse_plan;
using testing::HasSubstr;

TEST(RunnerPlan, ReadsWhatTheContractSays) {
  const auto plan = parse_plan("plan.json", plan_text(two_hosts()), "ns3");
  ASSERT_TRUE(plan.ok()) << plan.status().detail;
  ASSERT_EQ(plan->runs.size(), 1u);
  const runner::RunPlan& run = plan->runs[0];
  EXPECT_EQ(run.id, "ns3.test.1");
  EXPECT_EQ(run.rng_seed, 18446744073709551615u);  // all 64 bits
  EXPECT_EQ(run.nodes[0].interfaces[0].addresses[0].to_string(), "10.0.0.1/24");
  EXPECT_EQ(run.links[0].delay, net::from_ms(10));
  EXPECT_EQ(run.services[0].argv[1], "10.0.0.2:700");
  EXPECT_EQ(run.budget, net::from_ms(1000));
}

TEST(RunnerPlan, LeavesTheOtherWorldsRunsAlone) {
  const std::string text =
      replaced(plan_text(two_hosts()), "\"world\": \"ns3\"", "\"world\": \"linux\"");
  const auto plan = parse_plan("plan.json", text, "ns3");
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan->runs.empty());
}

TEST(RunnerPlan, SaysWhatIsWrongAndWhere) {
  struct Row {
    const char *from, *to, *says;
  };
  const Row kRows[] = {
      {"\"format\": 1", "\"format\": 2", "plan.json: format: only format 1 can be executed"},
      {"\"format\": 1", "\"format\": 1,,", "plan.json:1: not JSON"},
      {"\"delay_ms\": 10", "\"delay_ms\": -10", "runs[0].links[0].delay_ms: must be a number"},
      {"\"loss\": 0", "\"loss\": 2", "runs[0].links[0].loss: is a probability, 0 to 1"},
      {"10.0.0.1/24", "10.0.0.1.5/24", "runs[0].nodes[0].interfaces[0].addresses[0]: '10.0.0.1.5"},
      {"\"kind\": \"host\"", "\"kind\": \"hostess\"", "'hostess' is not a kind of node"},
      {"\"ends\": [\"a\", \"b\"]", "\"ends\": [\"a\", \"z\"]", "has no node 'z'"},
      {"\"link\": \"cable\"", "\"link\": \"wire\"", "has no interface on link 'cable'"},
      {"\"node\": \"a\", \"name\": \"talk\"", "\"node\": \"q\", \"name\": \"talk\"",
       "runs[0].services[0]: there is no node 'q'"},
      {"\"budget_ms\": 1000", "\"budget_ms\": \"long\"", "runs[0].budget_ms: must be a number"},
      {"\"id\": \"ns3.test.1\"", "\"id\": \"../../etc/x\"", "cannot be a file's name"},
      {"\"timeline\": []", "\"timeline\": [{\"at_ms\": 1, \"link\": \"nope\", \"do\": \"cut\"}]",
       "runs[0].timeline[0].link: there is no link 'nope'"},
      {"\"timeline\": []", "\"timeline\": [{\"at_ms\": 1, \"do\": \"cut\"}]",
       "runs[0].timeline[0]: needs either 'node' or 'link'"},
      {"\"timeline\": []",
       "\"timeline\": [{\"when\": {\"event\": \"talk\", \"nodes\": [\"a\"]}, \"link\": \"cable\","
       " \"do\": \"cut\"}]",
       "runs[0].timeline[0].when.event: 'talk' must be service.event"},
      {"\"secrets\": {}", "\"secrets\": {\"k\": \"0g\"}", "secrets.k: must be hexadecimal bytes"},
  };
  for (const Row& row : kRows) {
    const std::string text = plan_text(two_hosts());
    ASSERT_NE(text.find(row.from), std::string::npos) << row.from;
    const auto plan = parse_plan("plan.json", replaced(text, row.from, row.to), "ns3");
    ASSERT_FALSE(plan.ok()) << row.to;
    EXPECT_THAT(plan.status().detail, HasSubstr(row.says));
  }
  EXPECT_FALSE(parse_plan("plan.json", "", "ns3").ok());
  EXPECT_FALSE(runner::read_plan("/nonexistent/plan.json", "ns3").ok());
}

}  // namespace
}  // namespace culvert::test
