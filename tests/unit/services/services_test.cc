// The registry: every service explains itself, wrong command lines get one clear sentence, and what
// is made runs (over a network in memory; TCP is in tests/linux).
#include <gtest/gtest.h>

#include <iterator>
#include <set>
#include <sstream>

#include "model/services/service.h"
#include "tests/support/fake_net.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;
using testing::FakeNet;

TEST(Registry, EveryServiceHasItsNameOnceALineAboutItAndHelp) {
  std::set<std::string_view> names;
  for (const Info& info : list()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_FALSE(info.about.empty());
    const auto text = help(info.name);
    ASSERT_TRUE(text.ok()) << info.name;
    EXPECT_NE(text->find("--"), std::string::npos);
  }
  for (const char* name : {"stun-server", "stun-client", "stun-lifetime", "rendezvous", "punch",
                           "echo", "rate", "bulk"})
    EXPECT_TRUE(names.count(name)) << name;
}

TEST(Registry, TheExampleOfEveryHelpPasses) {
  for (const Info& info : list()) {
    const std::string text = *help(info.name);
    const size_t at = text.find("\nExample: ") + 10;
    std::istringstream words(text.substr(at, text.find('\n', at) - at));
    const std::vector<std::string> argv{std::istream_iterator<std::string>(words), {}};
    ASSERT_GT(argv.size(), 1u) << text;
    EXPECT_TRUE(check(argv).ok()) << info.name << ": " << check(argv).detail;
    EXPECT_NE(text.find("\nExit status: "), std::string::npos) << info.name;
    size_t begin = 0;
    for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
      EXPECT_LE(end - begin, 110u) << text.substr(begin, end - begin);
  }
}

TEST(Registry, WrongCommandLinesGetOneSentenceThatNamesWhatIsWrong) {
  const struct {
    std::vector<std::string> argv;
    const char* says;
  } kCases[] = {
      {{}, "name is missing"},
      {{"frob"}, "'frob'"},
      {{"stun-server"}, "--bind"},
      {{"stun-server", "--bind", "nowhere"}, "'nowhere'"},
      {{"stun-server", "--bind", "10.0.0.1:1", "--rate", "nan"}, "--rate"},
      {{"rate", "--to", "10.0.0.1:1", "--per-second", "nan"}, "--per-second"},
      {{"stun-server", "--bind", "10.0.0.1:1", "--frob", "1"}, "--frob"},
      {{"stun-server", "--bind", "10.0.0.1:1", "--alternate", "10.0.0.1:2"}, "--alternate"},
      {{"stun-server", "--bind", "10.0.0.1:1", "--alternate", "[::1]:2"}, "family"},
      {{"stun-client", "--server", "s:99999"}, "s:99999"},
      {{"stun-client", "--server", "s:1", "--user", "u"}, "--password"},
      {{"stun-lifetime", "--server", "s:1", "--low-ms", "5", "--high-ms", "5"}, "--low-ms"},
      {{"stun-lifetime", "--server", "s:1", "--low-ms", "nan"}, "--low-ms"},
      {{"echo"}, "--listen"},
      {{"echo", "--listen", "10.0.0.1:1", "--to", "s:1"}, "either"},
      {{"rate", "--to", "s:1", "--per-second", "0"}, "--per-second"},
      {{"bulk", "--to", "s:1", "--bytes", "-1"}, "--bytes"},
      {{"requester", "--broker", "b:1", "--topic", "a/#"}, "--topic"},
      {{"responder", "--broker", "b:1", "--prefix", "a/#"}, "--prefix"},
      {{"mqtt-broker", "--ws-listen", "10.0.0.1:1", "--anonymous", "--ws-path", "x"}, "--ws-path"},
      {{"mqtt-broker", "--listen", "10.0.0.1:1", "--anonymous", "--response-prefix", "#"},
       "--response-prefix"},
      {{"mqtt-rr", "--frob"}, "no option '--frob'"},  // though -e is missing, too
      {{"mqtt-sub", "-t", "a/#/b"}, "no topic filter"},
      {{"mqtt-sub", "-t", "a", "-F", "%z"}, "'%z'"},
      {{"mqtt-sub", "-t", "a", "-F", "\\q"}, "'\\q'"},
      {{"mqtt-sub", "-t", "a", "-x", "soon"}, "'soon'"},
      {{"mqtt-sub", "-t", "a", "-x", "-1"}, "-i"},
      {{"mqtt-sub", "-t", "a", "-A", "home"}, "'home'"},
      {{"mqtt-pub", "-t", "a/+", "-m", "x"}, "no topic"},
      {{"mqtt-pub", "-t", "a", "-m", "x", "--will-topic", "#"}, "--will-topic"},
      {{"mqtt-pub", "-t", "a", "-m", "x", "--proxy", "socks5h://h:1"}, "--proxy"},
      {{"mqtt-pub", "-t", "a", "-m", "x", "-D", "PUBLISH", "frob", "x"}, "'frob'"},
  };
  FakeNet net(1);
  auto& host = net.at(net.host("h"));
  for (const auto& c : kCases) {
    const net::Status status = check(c.argv);
    EXPECT_FALSE(status.ok()) << c.says;
    EXPECT_NE(status.detail.find(c.says), std::string::npos) << status.detail;
    EXPECT_EQ(status.detail.find('\n'), std::string::npos) << status.detail;
    EXPECT_EQ(make(host, c.argv).status().detail, status.detail);
  }
}

TEST(Registry, GoodCommandLinesPassWithoutAHost) {
  EXPECT_TRUE(
      check({"stun-server", "--bind", "10.0.0.1:3478", "--alternate", "10.0.0.2:3479"}).ok());
  EXPECT_TRUE(check({"stun-client", "--server", "server.example:3478", "--behaviour"}).ok());
  EXPECT_TRUE(check({"rate", "--to", "[2001:db8::1]:9", "--per-second", "12.5"}).ok());
}

struct Pair {
  Pair() : net(7) {
    const auto core = net.router("core");
    a = net.host("a");
    b = net.host("b");
    net.uplink(a, "198.51.100.2", core, "198.51.100.1", 10ms);
    link_b = net.uplink(b, "203.0.113.10", core, "203.0.113.1", 5ms);
    net.add_address(b, "203.0.113.11");
  }
  std::unique_ptr<Service> start(FakeNet::Node node, std::vector<std::string> argv) {
    auto service = make(net.at(node), argv);
    EXPECT_TRUE(service.ok()) << service.status().detail;
    const net::Status started = (*service)->start();
    EXPECT_TRUE(started.ok()) << started.to_string();
    return std::move(*service);
  }
  std::string only(const std::string& node, const std::string& event) {
    const auto lines = net.lines(node, event);
    EXPECT_EQ(lines.size(), 1u) << event;
    return lines.empty() ? "" : lines[0];
  }
  FakeNet net;
  FakeNet::Node a = 0, b = 0;
  FakeNet::Link link_b = 0;
};

TEST(Services, AStunClientIsToldItsAddressAndFinishes) {
  Pair pair;
  const auto server = pair.start(
      pair.b, {"stun-server", "--bind", "203.0.113.10:3478", "--alternate", "203.0.113.11:3479"});
  const auto client = pair.start(pair.a, {"stun-client", "--server", "203.0.113.10:3478"});
  std::optional<net::Status> outcome;
  client->on_finished([&](net::Status status) { outcome = status; });
  pair.net.run_for(5s);
  ASSERT_TRUE(outcome && outcome->ok());
  const std::string line = pair.only("a", "result");
  EXPECT_NE(line.find("\"observed\":\"198.51.100.2:"), std::string::npos) << line;
  EXPECT_NE(line.find("\"rtt_ms\":30.0"), std::string::npos) << line;
  EXPECT_FALSE(client->command("dance").ok());
  EXPECT_TRUE(client->command("ask").ok());
  pair.net.run_for(5s);
  EXPECT_EQ(pair.net.lines("a", "result").size(), 2u);
}

TEST(Services, EchoMeasuresTheRoundTripOfEachDatagram) {
  Pair pair;
  const auto server = pair.start(pair.b, {"echo", "--listen", "203.0.113.10:7"});
  const auto client = pair.start(pair.a, {"echo", "--to", "203.0.113.10:7", "--count", "5"});
  pair.net.run_for(5s);
  const std::string line = pair.only("a", "result");
  EXPECT_NE(line.find("\"sent\":5,\"received\":5,\"rtt_least_ms\":30.0"), std::string::npos)
      << line;
}

TEST(Services, RateCountsLossAndDelay) {
  Pair pair;
  const auto sink = pair.start(pair.b, {"rate", "--listen", "203.0.113.10:9"});
  pair.net.set_loss(pair.link_b, 0.1);
  const auto source = pair.start(
      pair.a, {"rate", "--to", "203.0.113.10:9", "--count", "1000", "--per-second", "1000"});
  pair.net.run_for(10s);
  const std::string line = pair.only("b", "result");
  EXPECT_NE(line.find("\"sent\":1000"), std::string::npos) << line;
  EXPECT_NE(line.find("\"delay_least_ms\":15.0"), std::string::npos) << line;
  const size_t lost = std::stoul(line.substr(line.find("\"lost\":") + 7));
  EXPECT_GT(lost, 50u);
  EXPECT_LT(lost, 200u);
}

TEST(Services, DestroyingOneStopsIt) {
  Pair pair;
  auto server = pair.start(pair.b, {"echo", "--listen", "203.0.113.10:7"});
  auto client = pair.start(pair.a, {"echo", "--to", "203.0.113.10:7", "--count", "1000"});
  pair.net.run_for(500ms);
  client.reset();
  server.reset();
  const size_t before = pair.net.log().size();
  pair.net.run_for(5s);
  EXPECT_EQ(pair.net.log().size(), before);
}

}  // namespace
}  // namespace culvert::services
