// http-server, http-client, http-relay, http-agent and mqtt-monitor as services: over a network in
// memory, with a NAT in front of the device.
#include <gtest/gtest.h>

#include "model/services/service.h"
#include "tests/support/fake_net.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;
using testing::FakeNet;

struct HttpLab {
  HttpLab() : net(3) {
    core = net.router("core");
    server = net.host("server");
    client = net.host("client");
    nat = net.nat("nat", *nat::from_preset("port-restricted-cone"), {"198.51.100.2"});
    device = net.host("device");
    net.uplink(server, "203.0.113.10", core, "203.0.113.1", 5ms);
    net.uplink(client, "192.0.2.2", core, "192.0.2.1", 10ms);
    net.uplink(nat, "198.51.100.2", core, "198.51.100.1", 10ms);
    net.uplink(device, "10.1.0.2", nat, "10.1.0.1", 0ms);
    net.secret("device-a", "sesame");
    net.secret("page", "<p>hello</p>");
  }
  Service& run(FakeNet::Node node, std::vector<std::string> argv) {
    auto made = make(net.at(node), argv);
    EXPECT_TRUE(made.ok()) << made.status().to_string();
    services.push_back(std::move(*made));
    Service& service = *services.back();
    service.on_output([this](net::Bytes text) { printed += net::as_text(text); });
    service.on_finished([this](net::Status status) {
      finished = true;
      outcome = status;
    });
    const net::Status started = service.start();
    EXPECT_TRUE(started.ok()) << started.to_string();
    return service;
  }
  void to_the_end() {
    EXPECT_TRUE(net.run_until([this] { return finished; }, 60s));
    finished = false;
  }
  // The value of a field in the last such line, as text.
  std::string field(const std::string& node, const std::string& event, const std::string& name) {
    const auto lines = net.lines(node, event);
    if (lines.empty()) return "no " + event;
    const std::string& line = lines.back();
    const size_t at = line.find("\"" + name + "\":");
    if (at == std::string::npos) return "no " + name;
    const size_t from = at + name.size() + 3;
    return line.substr(from, line.find_first_of(",}", from) - from);
  }

  FakeNet net;
  FakeNet::Node core, server, client, nat, device;
  std::vector<std::unique_ptr<Service>> services;
  std::string printed;
  bool finished = false;
  net::Status outcome;
};

TEST(HttpServices, AColdRequestIsTwoRoundTripsAWarmOneIsOne) {
  HttpLab lab;
  lab.run(lab.server, {"http-server", "--listen", "203.0.113.10:80", "--page", "/p.html=page"});
  lab.run(lab.client, {"http-client", "--url", "http://203.0.113.10/p.html", "--count", "3"});
  lab.to_the_end();
  EXPECT_TRUE(lab.outcome.ok());
  EXPECT_EQ(lab.printed, "<p>hello</p><p>hello</p><p>hello</p>");
  const auto lines = lab.net.lines("client", "response");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_NE(lines[0].find("\"reused\":false,\"tcp_ms\":30.0"), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find("\"whole_ms\":60.0"), std::string::npos) << lines[0];
  EXPECT_NE(lines[2].find("\"reused\":true"), std::string::npos) << lines[2];
  EXPECT_NE(lines[2].find("\"whole_ms\":30.0"), std::string::npos) << lines[2];
  EXPECT_EQ(lab.field("server", "served", "sent"), "12");
}

TEST(HttpServices, NewConnectionsDelaysStatusesAndCommands) {
  HttpLab lab;
  lab.run(lab.server, {"http-server", "--listen", "203.0.113.10:80", "--delay-ms", "100"});
  Service& client = lab.run(lab.client, {"http-client", "-q", "--url", "http://203.0.113.10/echo",
                                         "--data-bytes", "5000", "--new-connections", "--wait"});
  lab.net.run_for(1s);
  EXPECT_TRUE(lab.net.lines("client", "request_sent").empty());
  EXPECT_FALSE(client.command("fly").ok());
  ASSERT_TRUE(client.command("one").ok());
  lab.to_the_end();
  EXPECT_EQ(lab.field("client", "response", "bytes"), "5000");
  EXPECT_EQ(lab.field("client", "response", "whole_ms").substr(0, 5), "160.0");
  lab.run(lab.client, {"http-client", "-q", "-f", "--url", "http://203.0.113.10/status/404"});
  lab.to_the_end();
  EXPECT_FALSE(lab.outcome.ok());
  lab.run(lab.client, {"http-client", "-q", "--url", "http://203.0.113.10:81/"});
  lab.to_the_end();
  EXPECT_EQ(lab.outcome.error, net::Error::refused);
  EXPECT_EQ(lab.field("client", "failed", "phase"), "\"tcp\"");
}

TEST(HttpServices, ADeviceBehindNatIsReachedThroughTheRelayInR1PlusR2) {
  HttpLab lab;
  lab.run(lab.server, {"http-relay", "--listen", "203.0.113.10:80", "--device", "a"});
  lab.run(lab.device, {"http-agent", "--relay", "http://203.0.113.10", "--device", "a"});
  lab.net.run_for(1s);
  lab.run(lab.client, {"http-client", "--url", "http://203.0.113.10/to/a/led", "-d", "on",
                       "--count", "4", "--interval-ms", "500"});
  lab.to_the_end();
  EXPECT_TRUE(lab.outcome.ok());
  EXPECT_EQ(lab.printed, "onononon");
  // R1 = 30 ms from the client, R2 = 30 ms from the device.
  EXPECT_EQ(lab.field("client", "response", "whole_ms").substr(0, 4), "60.0");
  EXPECT_EQ(lab.net.lines("server", "answered").size(), 4u);
  lab.run(lab.client, {"http-client", "-q", "--url", "http://203.0.113.10/to/b/led"});
  lab.to_the_end();
  EXPECT_EQ(lab.field("client", "response", "status"), "404");
}

TEST(HttpServices, ARelayIsNotOpenToAllBecauseASecretIsEmpty) {
  HttpLab lab;
  lab.net.secret("nothing", "\n");
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--device", "a", "--requesters", "nothing"},
        std::vector<std::string>{"--device", "a=nothing"}}) {
    std::vector<std::string> argv{"http-relay", "--listen", "203.0.113.10:80"};
    argv.insert(argv.end(), more.begin(), more.end());
    auto relay = make(lab.net.at(lab.server), argv);
    ASSERT_TRUE(relay.ok()) << relay.status().to_string();
    EXPECT_EQ((*relay)->start().error, net::Error::invalid);
  }
}

TEST(HttpServices, TheMonitorMeasuresThePhasesOfOurBroker) {
  HttpLab lab;
  lab.run(lab.server, {"mqtt-broker", "--listen", "203.0.113.10:1883", "--anonymous"});
  lab.net.run_for(100ms);
  Service& monitor = lab.run(lab.client, {"mqtt-monitor", "--broker", "203.0.113.10:1883"});
  EXPECT_TRUE(monitor.is_tool());
  lab.to_the_end();
  EXPECT_TRUE(lab.outcome.ok()) << lab.outcome.to_string();
  EXPECT_EQ(monitor.exit_status(), 0);
  EXPECT_EQ(lab.printed.find("MQTT OK - loopback 30.0"), 0u) << lab.printed;
  for (const char* phase : {"tcp_ms", "connack_ms", "suback_ms", "puback_ms", "loopback_ms"})
    EXPECT_EQ(lab.field("client", "checked", phase).substr(0, 4), "30.0") << phase;
  lab.services.erase(lab.services.begin());
  Service& again = lab.run(lab.client, {"mqtt-monitor", "--broker", "203.0.113.10:1883"});
  lab.to_the_end();
  EXPECT_EQ(again.exit_status(), 2);
  EXPECT_EQ(lab.field("client", "checked", "phase"), "\"tcp\"");
}

TEST(HttpServices, WrongCommandLinesAreOneSentence) {
  const struct {
    std::vector<std::string> argv;
    const char* says;
  } kCases[] = {
      {{"http-server"}, "--listen"},
      {{"http-server", "--listen", "1.2.3.4:1", "--certificate", "c"}, "--key"},
      {{"http-server", "--listen", "1.2.3.4:1", "--page", "x"}, "--page"},
      {{"http-server", "--listen", "1.2.3.4:1", "--origin", "x"}, "--websocket"},
      {{"http-client", "--url", "ftp://a/"}, "ftp://a/"},
      {{"http-client", "--url", "http://a/", "-H", "no colon"}, "no colon"},
      {{"http-client", "--url", "http://a/", "-X", "G T"}, "G T"},
      {{"http-client", "--url", "https://a/", "-d", "on", "--early-data", "100"}, "early data"},
      {{"http-client", "--url", "http://a/", "--headers", "opera"}, "--headers"},
      {{"http-relay", "--listen", "1.2.3.4:1", "--device", "a/b"}, "a/b"},
      {{"http-agent", "--relay", "nowhere", "--device", "a"}, "nowhere"},
      {{"mqtt-monitor", "--broker", "a:1", "--topic", "a/#"}, "--topic"},
      {{"mqtt-monitor", "--broker", "a:1", "--warning-ms", "2", "--critical-ms", "1"},
       "--warning-ms"},
      {{"mqtt-monitor", "--broker", "a:1", "--availability-warning", "nan"}, "availability"},
  };
  for (const auto& c : kCases) {
    const net::Status status = check(c.argv);
    EXPECT_EQ(status.error, net::Error::invalid) << c.says;
    EXPECT_NE(status.detail.find(c.says), std::string::npos) << status.detail;
  }
}

}  // namespace
}  // namespace culvert::services
