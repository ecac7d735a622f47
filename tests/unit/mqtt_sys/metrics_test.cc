#include "model/mqtt/broker/metrics.h"

#include <gmock/gmock.h>

#include <regex>
#include <set>
#include <sstream>

#include "model/http/client.h"
#include "tests/support/fake_net.h"

namespace culvert::mqtt {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

std::string example() {
  BrokerCounters counters;
  counters.connections = 3;
  counters.published_in[2] = 7;
  counters.dropped_expired = 5;
  return metrics_text(counters,
                      {{"tcp", *net::Endpoint::parse("0.0.0.0:1883"), 9},
                       {"tls", *net::Endpoint::parse("[::]:8883"), 1, 2, 3, 4}},
                      1500ms);
}

TEST(Metrics, SayWhatWasCounted) {
  const std::string text = example();
  EXPECT_THAT(text, HasSubstr("\nmqtt_broker_connections 3\n"));
  EXPECT_THAT(text, HasSubstr("\nmqtt_broker_published_total{qos=\"2\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("\nmqtt_broker_dropped_total{why=\"expired\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("mqtt_broker_uptime_seconds 1.500\n"));
  EXPECT_THAT(text, HasSubstr("mqtt_broker_listener_handshakes{transport=\"tls\","
                              "local=\"[::]:8883\"} 4\n"));
}

// The rules of the text exposition format: HELP and TYPE once, before the samples of their name,
// which stand together; counters end with _total.
TEST(Metrics, AreInTheFormatOfPrometheus) {
  const std::regex sample(R"re(([a-z_]+)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.]+)re");
  std::set<std::string> finished;
  std::string current, type, line;
  std::istringstream lines(example());
  size_t samples = 0;
  while (std::getline(lines, line)) {
    std::smatch match;
    if (std::regex_match(line, match, std::regex("# HELP ([a-z_]+) .+"))) {
      finished.insert(current);
      current = match[1];
      EXPECT_EQ(finished.count(current), 0u) << line;
    } else if (std::regex_match(line, match, std::regex("# TYPE ([a-z_]+) (counter|gauge)"))) {
      EXPECT_EQ(match[1], current);
      EXPECT_EQ(match[2] == "counter", current.find("_total") != std::string::npos) << line;
    } else {
      ASSERT_TRUE(std::regex_match(line, match, sample)) << line;
      EXPECT_EQ(match[1], current) << line;
      ++samples;
    }
  }
  EXPECT_GT(samples, 25u);
  EXPECT_EQ(example().back(), '\n');
}

TEST(Metrics, AreServedOverHttp) {
  testing::FakeNet net(1);
  const auto server = net.host("server"), client = net.host("client"), router = net.router("r");
  net.uplink(server, "203.0.113.2", router, "203.0.113.1", 1ms);
  net.uplink(client, "198.51.100.2", router, "198.51.100.1", 1ms);
  bool well = true;
  int asked = 0;
  MetricsServer metrics(
      net.at(server), *net::Endpoint::parse("203.0.113.2:9100"),
      [&] { return "asked " + std::to_string(++asked) + "\n"; },
      [&] {
        return MetricsServer::Health{well, well ? "well" : "the store has failed"};
      });
  ASSERT_TRUE(metrics.start());
  http::Client http(net.at(client), {}, net::tcp_connector(net.at(client), {"203.0.113.2", 9100}));
  const auto get = [&](const std::string& target, const std::string& method = "GET") {
    std::string answer;
    http::Request request;
    request.method = method;
    request.target = target;
    http.request(request, [&](net::Result<http::Response> response, const http::Timing&) {
      ASSERT_TRUE(response) << response.status().to_string();
      answer = std::to_string(response->status) + " " + std::string(net::as_text(response->body));
    });
    EXPECT_TRUE(net.run_until([&] { return !answer.empty(); }, 10s));
    return answer;
  };
  EXPECT_EQ(get("/metrics"), "200 asked 1\n");
  EXPECT_EQ(get("/metrics?x=1"), "200 asked 2\n");
  EXPECT_EQ(get("/healthz"), "200 well\n");
  well = false;
  EXPECT_EQ(get("/healthz"), "503 the store has failed\n");
  EXPECT_EQ(get("/").substr(0, 3), "404");
  EXPECT_EQ(get("/metrics", "POST").substr(0, 3), "405");
  EXPECT_EQ(get("/healthz", "HEAD"), "503 ");
}

}  // namespace
}  // namespace culvert::mqtt
