// Executing runs: repeatable, on time, with everything that a plan may ask for.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "model/ns3/host.h"
#include "scenarios/ns3_runner/pool.h"
#include "tests/ns3/runner_lab.h"

namespace culvert::test {
namespace {

using runner::Why;
using testing::HasSubstr;
using testing::StartsWith;

std::string steps(const std::string& list) { return "[" + list + "]"; }

TEST(RunnerRun, BeginsAndEndsItsLogAndOrdersItByTime) {
  const auto result = execute(two_hosts());
  ASSERT_EQ(result.why, Why::budget) << result.detail;
  const auto lines = lines_with(result.log, {"{"});
  ASSERT_GT(lines.size(), 40u);
  EXPECT_THAT(lines.front(), HasSubstr("\"node\":\"-\",\"service\":\"run\",\"event\":\"start\","
                                       "\"id\":\"ns3.test.1\",\"scenario\":\"test\",\"seed\":1,"
                                       "\"world\":\"ns3\"}"));
  EXPECT_THAT(lines.back(),
              StartsWith("{\"time_ms\":1000.000000,\"node\":\"-\",\"service\":\"run\","
                         "\"event\":\"end\",\"why\":\"budget\""));
  for (size_t i = 1; i < lines.size(); ++i) EXPECT_LE(time_of(lines[i - 1]), time_of(lines[i]));
}

TEST(RunnerRun, DeliversAfterExactlyTheDelay) {
  const auto result = execute(two_hosts());
  const auto heard = lines_with(result.log, {"\"node\":\"b\"", "\"event\":\"got\""});
  ASSERT_EQ(heard.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_DOUBLE_EQ(time_of(heard[i]), 10 + 10 * i);
  EXPECT_EQ(lines_with(result.log, {"\"node\":\"a\"", "\"event\":\"got\"", "re: number"}).size(),
            20u);
}

TEST(RunnerRun, TakesTheRateIntoAccount) {
  RunText run = two_hosts();
  run.links = replaced(run.links, "\"rate_mbps\": 0", "\"rate_mbps\": 1");
  const auto result = execute(run);
  const auto heard = lines_with(result.log, {"\"node\":\"b\"", "\"event\":\"got\""});
  // 14 Ethernet + 20 IP + 8 UDP + 8 text = 50 bytes at 1 Mbit/s: 0.4 ms.
  EXPECT_DOUBLE_EQ(time_of(heard.at(0)), 10.4);
}

TEST(RunnerRun, IsRepeatableToTheByteAndDependsOnItsSeed) {
  RunText run = behind_nat();
  run.links = replaced(run.links, "\"delay_ms\": 5",
                       "\"delay_ms\": 5, \"jitter_ms\": 4, "
                       "\"loss\": 0.2");
  const std::string first = execute(run).log;
  EXPECT_EQ(first, execute(run).log);
  EXPECT_FALSE(lines_with(first, {"\"event\":\"lost\""}).empty());
  run.rng_seed = "12345";
  EXPECT_NE(first, execute(run).log);
}

TEST(RunnerRun, LosesWhatItShouldAndSaysSo) {
  RunText run = two_hosts();
  run.links = replaced(run.links, "\"loss\": 0", "\"loss\": 0.1");
  run.services = replaced(run.services, "\"10\", \"20\"", "\"1\", \"5000\"");
  run.budget_ms = 6000;
  const auto result = execute(run);
  const size_t there =
      lines_with(result.log,
                 {"\"event\":\"lost\"", "\"destination\":\"10.0.0.2:700\"", "\"why\":\"loss\""})
          .size();
  const size_t arrived = lines_with(result.log, {"\"node\":\"b\"", "\"event\":\"got\""}).size();
  const size_t back =
      lines_with(result.log, {"\"event\":\"lost\"", "\"source\":\"10.0.0.2:700\""}).size();
  EXPECT_EQ(there + arrived, 5000u);
  EXPECT_NEAR(static_cast<double>(there), 500, 4 * 21.2);  // four standard deviations
  EXPECT_NEAR(static_cast<double>(back), 450, 4 * 20.1);
}

TEST(RunnerRun, JittersWithoutReordering) {
  RunText run = two_hosts();
  run.links = replaced(run.links, "\"jitter_ms\": 0", "\"jitter_ms\": 8");
  run.services = replaced(run.services, "\"10\", \"20\"", "\"1\", \"500\"");
  const auto heard = lines_with(execute(run).log, {"\"node\":\"b\"", "\"event\":\"got\""});
  ASSERT_EQ(heard.size(), 500u);
  double least = 1e9, most = 0;
  for (int i = 0; i < 500; ++i) {
    EXPECT_THAT(heard[i], HasSubstr("\"text\":\"number " + std::to_string(i) + "\""));
    least = std::min(least, time_of(heard[i]) - i);
    most = std::max(most, time_of(heard[i]) - i);
  }
  EXPECT_GE(least, 10);
  EXPECT_LE(most, 18);
  EXPECT_GT(most - least, 6);
}

TEST(RunnerRun, FollowsItsTimeline) {
  RunText run = two_hosts();
  run.timeline = steps(
      R"({"at_ms": 55, "link": "cable", "do": "cut"}, {"at_ms": 95, "link": "cable", "do": "mend"},
         {"at_ms": 125, "link": "cable", "do": "set delay_ms=30 loss=0"},
         {"when": {"event": "hear.got", "nodes": ["b"]}, "after_ms": 7, "node": "b",
          "service": "hear", "do": "say hello"},
         {"when": {"event": "hear.said", "nodes": ["b"]}, "node": "a", "service": "talk",
          "do": "kill"},
         {"at_ms": 150, "node": "a", "service": "talk", "do": "start"})");
  run.services = replaced(run.services, "\"10\", \"20\"", "\"10\", \"4\"");
  const auto result = execute(run);
  ASSERT_EQ(result.why, Why::budget) << result.detail;
  // The first arrives at 10 ms, so b speaks at 17 and a, which sent at 0 and 10, is killed then.
  EXPECT_DOUBLE_EQ(time_of(lines_with(result.log, {"\"said\"", "hello"}).at(0)), 17);
  EXPECT_EQ(lines_with(result.log, {"\"event\":\"step\""}).size(), 6u);
  EXPECT_EQ(
      lines_with(result.log, {"\"event\":\"step\"", "\"to\":\"a/talk\",\"do\":\"kill\""}).size(),
      1u);
  const auto sent = lines_with(result.log, {"\"event\":\"sent\""});
  ASSERT_EQ(sent.size(), 2u + 4u);
  EXPECT_DOUBLE_EQ(time_of(sent[1]), 10);
  EXPECT_DOUBLE_EQ(time_of(sent[2]), 150);
  const auto heard = lines_with(result.log, {"\"node\":\"b\"", "\"event\":\"got\""});
  EXPECT_DOUBLE_EQ(time_of(heard.at(2)), 180);  // the new delay
}

TEST(RunnerRun, CountsWhatCrossedALinkSinceTheLastCount) {
  RunText run = two_hosts();  // a question every 10 ms and its answer, 10 ms each way
  run.timeline = steps(R"({"at_ms": 45, "link": "cable", "do": "count"},
                          {"at_ms": 500, "link": "cable", "do": "count"},
                          {"at_ms": 501, "link": "cable", "do": "count"})");
  const auto result = execute(run);
  const auto counts = lines_with(result.log, {"\"counted\"", "\"end\":\"a\""});
  ASSERT_EQ(counts.size(), 3u);
  EXPECT_THAT(counts[0], HasSubstr("\"sent_packets\":5"));
  EXPECT_THAT(counts[0], HasSubstr("\"received_packets\":3"));
  EXPECT_THAT(counts[2], HasSubstr("\"packets\":0,\"bytes\":0"));
}

TEST(RunnerRun, TellsOfEveryPacketOfAWatchedLink) {
  RunText run = two_hosts();
  run.timeline = steps(R"({"at_ms": 45, "link": "cable", "do": "watch"},
                          {"at_ms": 45, "link": "cable", "do": "count"},
                          {"at_ms": 205, "link": "cable", "do": "count"})");
  const auto result = execute(run);
  const auto sent = lines_with(result.log, {"\"passed\"", "\"end\":\"a\"", "\"way\":\"sent\""});
  const auto received =
      lines_with(result.log, {"\"passed\"", "\"end\":\"a\"", "\"way\":\"received\""});
  ASSERT_GE(sent.size(), 10u);
  EXPECT_GE(time_of(sent[0]), 45);
  EXPECT_THAT(sent[0], HasSubstr("\"bytes\":"));
  ASSERT_GE(received.size(), 10u);
}

TEST(RunnerRun, LosesWhatIsSentOverACutLink) {
  RunText run = two_hosts();
  run.timeline = steps(R"({"at_ms": 55, "link": "cable", "do": "cut"},
                          {"at_ms": 95, "link": "cable", "do": "mend"})");
  const auto result = execute(run);
  // a sends at 60, 70, 80, 90; b's answers to what came at 60 (sent at 50) too.
  EXPECT_EQ(lines_with(result.log, {"\"event\":\"lost\"", "\"destination\":\"10.0.0.2:700\"",
                                    "\"why\":\"cut\""})
                .size(),
            4u);
}

TEST(RunnerRun, EndsWhenItsConditionIsMet) {
  RunText run = two_hosts();
  run.until = R"({"event": "hear.got", "nodes": ["b"]})";
  run.linger_ms = 25;
  const auto result = execute(run);
  EXPECT_EQ(result.why, Why::until);
  const auto lines = lines_with(result.log, {"{"});
  EXPECT_DOUBLE_EQ(time_of(lines.back()), 35);
  EXPECT_THAT(lines.back(), HasSubstr("\"why\":\"until\""));
}

TEST(RunnerRun, PutsNatsToWorkAndRebootsThem) {
  RunText run = behind_nat();
  run.timeline = steps(R"({"at_ms": 95, "node": "nat", "do": "reboot"},
                          {"at_ms": 145, "node": "nat", "do": "address 198.51.100.77"})");
  run.budget_ms = 40000;
  const auto result = execute(run);
  ASSERT_EQ(result.why, Why::budget) << result.detail;
  EXPECT_EQ(lines_with(result.log, {"\"node\":\"nat\"", "\"config\"", "\"kind\":\"full-cone\"",
                                    "\"udp_new\":\"30s\""})
                .size(),
            1u);
  EXPECT_EQ(lines_with(result.log, {"mapping_created"}).size(), 3u);
  EXPECT_EQ(lines_with(result.log, {"mapping_expired", "\"why\":\"reboot\""}).size(), 1u);
  EXPECT_EQ(lines_with(result.log, {"mapping_expired", "\"why\":\"address_change\""}).size(), 1u);
  EXPECT_EQ(
      lines_with(result.log, {"\"node\":\"b\"", "\"got\"", "\"from\":\"198.51.100.77:"}).size(),
      5u);
  EXPECT_THAT(lines_with(result.log, {"{"}).back(), HasSubstr("\"event\":\"end\""));
  // Answers that were under way when the NAT forgot: dropped, and said so.
  EXPECT_FALSE(lines_with(result.log, {"\"dropped\"", "\"why\":\"no_mapping\""}).empty());
  EXPECT_EQ(lines_with(result.log, {"\"counters\"", "\"created\":3"}).size(), 1u);
}

TEST(RunnerRun, ConnectsManyByOneLan) {
  RunText run = two_hosts();
  run.nodes.pop_back();
  run.nodes += R"(, {"name": "c", "kind": "host", "interfaces": [{"name": "c-eth0", "link": "cable",
                 "addresses": ["10.0.0.3/24", "fd00::3/64"]}]}])";
  run.links = replaced(run.links, "\"ends\": [\"a\", \"b\"]", "\"ends\": [\"a\", \"b\", \"c\"]");
  run.services.pop_back();
  run.services +=
      R"(, {"node": "c", "name": "talk", "argv": ["talk", "10.0.0.2:700", "10", "3"]}])";
  const auto result = execute(run);
  ASSERT_EQ(result.why, Why::budget) << result.detail;
  const auto heard = lines_with(result.log, {"\"node\":\"b\"", "\"got\"", "\"from\":\"10.0.0.3:"});
  ASSERT_EQ(heard.size(), 3u);
  EXPECT_DOUBLE_EQ(time_of(heard[0]), 10);  // no ARP in front of it
}

TEST(RunnerRun, CarriesIpv6) {
  RunText run = two_hosts();
  run.nodes =
      replaced(replaced(run.nodes, "10.0.0.1/24", "fd00::1/64"), "10.0.0.2/24", "fd00::2/64");
  run.services =
      replaced(replaced(run.services, "10.0.0.2:700", "[fd00::2]:700"), "0.0.0.0:700", "[::]:700");
  const auto result = execute(run);
  ASSERT_EQ(result.why, Why::budget) << result.detail;
  EXPECT_EQ(lines_with(result.log, {"\"node\":\"b\"", "\"got\"", "\"from\":\"[fd00::1]:"}).size(),
            20u);
}

// The firewall that a NAT is for IPv6: answers come in, whoever was not asked does not.
TEST(RunnerRun, FiltersIpv6BehindANat) {
  for (const char* const ipv6 : {"firewall", "drop", "open"}) {
    RunText run = behind_nat();
    run.nodes = replaced(run.nodes, "10.0.0.2/24\"", "10.0.0.2/24\", \"fd00:a::2/64\"");
    run.nodes = replaced(run.nodes, "10.0.0.1/24\"", "10.0.0.1/24\", \"fd00:a::1/64\"");
    run.nodes = replaced(run.nodes, "198.51.100.1/24\"", "198.51.100.1/24\", \"fd00:b::1/64\"");
    run.nodes = replaced(run.nodes, "198.51.100.2/24\"", "198.51.100.2/24\", \"fd00:b::2/64\"");
    run.nodes = replaced(run.nodes, "[{\"to\": \"0.0.0.0/0\"",
                         "[{\"to\": \"::/0\", \"via\": \"fd00:a::1\", \"interface\": "
                         "\"a-eth0\"}, {\"to\": \"0.0.0.0/0\"");
    run.nodes = replaced(run.nodes, "\"routes\": []}, {\"name\": \"nat\"",
                         "\"routes\": [{\"to\": \"fd00:a::/64\", \"via\": \"fd00:b::2\", "
                         "\"interface\": \"b-eth0\"}]}, {\"name\": \"nat\"");
    run.nodes = replaced(run.nodes, "\"udp_new\": \"30s\"",
                         std::string("\"udp_new\": \"30s\", \"ipv6\": \"") + ipv6 + "\"");
    run.services =
        R"([{"node": "a", "name": "talk", "argv": ["talk", "[fd00:b::1]:700", "10", "3"]},
                       {"node": "b", "name": "hear", "argv": ["hear", "[::]:700"]},
                       {"node": "b", "name": "knock", "argv": ["talk", "[fd00:a::2]:9", "10", "2"]}])";
    const auto result = execute(run);
    ASSERT_EQ(result.why, Why::budget) << result.detail;
    const bool through = ipv6 != std::string("drop");
    EXPECT_EQ(lines_with(result.log, {"\"node\":\"b\"", "\"got\"", "number"}).size(),
              through ? 3u : 0u)
        << ipv6;
    EXPECT_EQ(lines_with(result.log, {"\"node\":\"a\"", "\"got\"", "re: number"}).size(),
              through ? 3u : 0u)
        << ipv6;
    const auto refused =
        lines_with(result.log, {"\"dropped\"", "\"destination\":\"[fd00:a::2]:9\""});
    EXPECT_EQ(refused.size(), ipv6 == std::string("open") ? 0u : 2u) << ipv6;
  }
}

TEST(RunnerRun, FailsWithASentence) {
  struct Row {
    const char *from, *to, *says;
  };
  for (const Row& row : {Row{"[\"hear\", \"0.0.0.0:700\"]", "[\"hair\"]",
                             "service 'hear' on 'b': no service is called"},
                         Row{"\"0.0.0.0:700\"", "\"10.9.9.9:700\"", "service 'hear' on 'b': "}}) {
    RunText run = two_hosts();
    run.services = replaced(run.services, row.from, row.to);
    const auto result = execute(run);
    EXPECT_EQ(result.why, Why::failed);
    EXPECT_THAT(result.detail, HasSubstr(row.says));
    EXPECT_EQ(lines_with(result.log, {"\"event\":\"end\",\"why\":\"failed\"", row.says}).size(),
              1u);
  }
  RunText run = two_hosts();
  run.timeline = steps(R"({"at_ms": 5, "node": "b", "service": "hear", "do": "dance"})");
  EXPECT_THAT(execute(run).detail, HasSubstr("step 'dance' of b/hear: only 'say WORD' is known"));
  run = behind_nat();
  run.nodes = replaced(run.nodes, "full-cone", "empty-cone");
  EXPECT_THAT(execute(run).detail, HasSubstr("NAT 'nat': "));
}

class RunnerPool : public testing::Test {
 protected:
  void SetUp() override {
    ns3_world::configure_ns3_defaults();
    folder_ = testing::TempDir() + "culvert-runner-XXXXXX";
    ASSERT_TRUE(mkdtemp(folder_.data()));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string read(const std::string& name) {
    std::ifstream in(folder_ + "/" + name, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  std::string folder_;
};

TEST_F(RunnerPool, KeepsRunsApart) {
  RunText bad = two_hosts();
  bad.services = replaced(bad.services, "[\"hear\", \"0.0.0.0:700\"]", "[\"crash\"]");
  auto plan = runner::parse_plan("plan.json", plan_text(two_hosts()), "ns3");
  auto crashing = runner::parse_plan("plan.json", plan_text(bad), "ns3");
  ASSERT_TRUE(plan.ok() && crashing.ok());
  crashing->runs[0].id = "crashing";
  runner::PoolOptions options;
  options.out = folder_;
  options.jobs = 2;
  options.capture = true;
  testing::internal::CaptureStdout();
  const auto failed =
      runner::run_all({&crashing->runs[0], &plan->runs[0]}, options, make_test_service);
  const std::string out = testing::internal::GetCapturedStdout();
  ASSERT_TRUE(failed.ok());
  EXPECT_EQ(*failed, 1u);
  EXPECT_THAT(out, HasSubstr("\"of\": 2, \"id\": \"crashing\", \"why\": \"failed\"}\n"));
  EXPECT_THAT(out, HasSubstr("\"of\": 2, \"id\": \"ns3.test.1\", \"why\": \"budget\"}\n"));
  EXPECT_THAT(read("logs/crashing.jsonl"), HasSubstr("\"why\":\"failed\",\"detail\":\"its process "
                                                     "died"));
  EXPECT_EQ(read("logs/ns3.test.1.jsonl"), execute(two_hosts()).log);
  const std::string capture = read("pcap/ns3.test.1/a-eth0.pcap");
  ASSERT_GT(capture.size(), 24u);
  EXPECT_EQ(capture.substr(0, 4), "\x4d\x3c\xb2\xa1");
  EXPECT_EQ(capture.substr(24 + 16 + 12, 2), std::string("\x08\x00", 2));  // IPv4
}

TEST_F(RunnerPool, EndsRunsThatDoNotEnd) {
  RunText endless = two_hosts();
  endless.services = replaced(endless.services, "\"10\", \"20\"", "\"0\", \"2000000000\"");
  auto plan = runner::parse_plan("plan.json", plan_text(endless), "ns3");
  ASSERT_TRUE(plan.ok());
  runner::PoolOptions options;
  options.out = folder_;
  options.limit_s = 1;
  testing::internal::CaptureStdout();
  const auto failed = runner::run_all({&plan->runs[0]}, options, make_test_service);
  testing::internal::GetCapturedStdout();
  ASSERT_TRUE(failed.ok());
  EXPECT_EQ(*failed, 1u);
  EXPECT_THAT(read("logs/ns3.test.1.jsonl"), HasSubstr("took more than 1 s of wall time"));
}

}  // namespace
}  // namespace culvert::test
