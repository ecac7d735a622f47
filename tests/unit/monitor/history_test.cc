// What a monitor makes of its checks: the state, the Nagios line, Prometheus' text.
#include "model/monitor/history.h"

#include <gtest/gtest.h>

#include "model/monitor/text.h"

namespace culvert::monitor {
namespace {

using namespace std::chrono_literals;

CheckResult good(net::Time began, net::Duration total) {
  CheckResult result;
  result.began = began;
  result.ok = true;
  result.total = total;
  result.times[static_cast<size_t>(Phase::tcp)] = total / 4;
  result.times[static_cast<size_t>(Phase::loopback)] = total / 2;
  return result;
}
CheckResult bad(net::Time began, Phase phase, std::string why = "no answer") {
  CheckResult result;
  result.began = began;
  result.failed = phase;
  result.total = 10s;
  result.status = {net::Error::timed_out, std::move(why)};
  return result;
}

TEST(History, TheStateFollowsTheLastCheckAndTheAvailability) {
  History history({100, 60s});
  Thresholds thresholds{100ms, 200ms, 0.9, 0.5};
  EXPECT_EQ(judge(history, thresholds, 0s), State::unknown);
  history.add(good(1s, 50ms));
  EXPECT_EQ(judge(history, thresholds, 1s), State::ok);
  history.add(good(2s, 100ms));
  EXPECT_EQ(judge(history, thresholds, 2s), State::ok);  // the threshold itself is fine
  history.add(good(3s, 101ms));
  EXPECT_EQ(judge(history, thresholds, 3s), State::warning);
  history.add(good(4s, 201ms));
  EXPECT_EQ(judge(history, thresholds, 4s), State::critical);
  history.add(bad(5s, Phase::tls));
  EXPECT_EQ(judge(history, thresholds, 5s), State::critical);
  history.add(good(6s, 50ms));
  EXPECT_NEAR(history.availability(6s), 5.0 / 6, 1e-9);
  EXPECT_EQ(judge(history, thresholds, 6s), State::warning);  // 83 %
  EXPECT_EQ(judge(history, thresholds, 66s), State::ok);      // the failure has left the window
  EXPECT_EQ(history.failures(Phase::tls), 1u);
  EXPECT_EQ(history.failures(Phase::tcp), 0u);
}

TEST(History, IsBoundedAndItsCountersAreNot) {
  History history({10, 3600s});
  for (int i = 0; i < 1000; ++i) history.add(good(net::Time(i), i * 1ms));
  EXPECT_EQ(history.checks().size(), 10u);
  EXPECT_EQ(history.good(), 1000u);
  EXPECT_EQ(history.sum(Phase::tcp).count, 1000u);
  EXPECT_EQ(history.quantile(0), 990ms);
  EXPECT_EQ(history.quantile(1), history.checks().back().total);
}

TEST(MonitorText, TheNagiosLineHasOneBarAndItsData) {
  History history({10, 60s});
  const Thresholds thresholds{100ms, 200ms, 0, 0};
  EXPECT_EQ(nagios_line(history, thresholds, 0s), "MQTT UNKNOWN - no check was made");
  history.add(good(1s, 80ms));
  EXPECT_EQ(nagios_line(history, thresholds, 1s),
            "MQTT OK - loopback 40.000 ms, total 80.000 ms | "
            "total=80.000ms;100.000;200.000;0 tcp=20.000ms;;;0 loopback=40.000ms;;;0 "
            "availability=100.00%;;;0;100");
  history.add(bad(2s, Phase::connack, "evil | words\nand lines"));
  const std::string line = nagios_line(history, thresholds, 2s);
  EXPECT_EQ(
      line.find("MQTT CRITICAL - connack failed after 10000.000 ms: timed_out: evil / words "), 0u)
      << line;
  EXPECT_EQ(std::count(line.begin(), line.end(), '|'), 1);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_NE(line.find("availability 50.00 % of 2 checks"), std::string::npos);
}

TEST(MonitorText, PrometheusTextSaysWhatWasSeen) {
  History history({10, 60s});
  history.add(good(1s, 80ms));
  history.add(bad(2s, Phase::suback));
  history.add(good(3s, 120ms));
  const std::string text = prometheus_text(history, {}, 4s, "tcp://a\"b:1883");
  const std::string label = "target=\"tcp://a\\\"b:1883\"";
  for (const std::string& line :
       {"culvert_monitor_up{" + label + "} 1",
        "culvert_monitor_checks_total{" + label + ",result=\"ok\"} 2",
        "culvert_monitor_checks_total{" + label + ",result=\"failed\"} 1",
        "culvert_monitor_failures_total{" + label + ",phase=\"suback\"} 1",
        "culvert_monitor_failures_total{" + label + ",phase=\"tcp\"} 0",
        "culvert_monitor_last_phase_seconds{" + label + ",phase=\"loopback\"} 0.060000000",
        "culvert_monitor_phase_seconds_sum{" + label + ",phase=\"tcp\"} 0.050000000",
        "culvert_monitor_phase_seconds_count{" + label + ",phase=\"tcp\"} 2",
        "culvert_monitor_availability_ratio{" + label + ",window_seconds=\"60\"} 0.666667",
        "culvert_monitor_last_check_age_seconds{" + label + "} 1.000000000"})
    EXPECT_NE(text.find(line + "\n"), std::string::npos) << line << "\n" << text;
  // Every sample belongs to a family that was declared.
  size_t at = 0;
  while (at < text.size()) {
    const std::string line = text.substr(at, text.find('\n', at) - at);
    at += line.size() + 1;
    ASSERT_FALSE(line.empty());
    if (line[0] == '#') continue;
    std::string name = line.substr(0, line.find('{'));
    for (const std::string suffix : {"_sum", "_count"})
      if (name.size() > suffix.size() && name.substr(name.size() - suffix.size()) == suffix)
        name.resize(name.size() - suffix.size());
    EXPECT_NE(text.find("# TYPE " + name + " "), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace culvert::monitor
