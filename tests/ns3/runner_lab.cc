#include "tests/ns3/runner_lab.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <sstream>

#include "model/ns3/host.h"

namespace culvert::test {
namespace {

class TestService : public services::Service {
 public:
  TestService(net::Host& host, std::vector<std::string> argv)
      : host_(host), argv_(std::move(argv)), timer_(host.timers(), [this] { talk(); }) {}

  net::Status start() override {
    if (argv_[0] == "crash") std::abort();
    const bool hears = argv_[0] == "hear";
    net::DatagramOptions options;
    const bool v6 = argv_[1].find('[') == 0;
    options.local.ip = v6 ? net::IpAddress::any_v6() : net::IpAddress::any_v4();
    if (hears) options.local = *net::Endpoint::parse(argv_[1]);
    auto socket = host_.open_datagram(options);
    if (!socket) return socket.status();
    socket_ = std::move(*socket);
    socket_->on_readable([this, hears] { receive(hears); });
    if (!hears) timer_.arm_after(net::Duration(0));
    host_.log().write(argv_[0], "started");
    return {};
  }

  net::Status command(std::string_view line) override {
    if (line.substr(0, 4) != "say ") return {net::Error::invalid, "only 'say WORD' is known"};
    host_.log().write(argv_[0], "said", {{"word", line.substr(4)}});
    return {};
  }

 private:
  void send(const net::Endpoint& to, const std::string& text) {
    net::DatagramOut out;
    out.data = net::as_bytes(text);
    out.to = to;
    socket_->send({&out, 1});
  }
  void talk() {
    const std::string text = "number " + std::to_string(sent_);
    send(*net::Endpoint::parse(argv_[1]), text);
    host_.log().write("talk", "sent", {{"number", sent_}, {"draw", host_.random().next()}});
    if (++sent_ < std::atoi(argv_[3].c_str()))
      timer_.arm_after(net::from_ms(std::atof(argv_[2].c_str())));
  }
  void receive(bool answer) {
    std::array<uint8_t, 2000> bytes;
    net::DatagramIn in;
    in.buffer = bytes;
    while (socket_->receive({&in, 1}).count == 1) {
      const std::string text(net::as_text({bytes.data(), in.size}));
      host_.log().write(argv_[0], "got", {{"text", text}, {"from", in.from}});
      if (answer) send(in.from, "re: " + text);
    }
  }

  net::Host& host_;
  std::vector<std::string> argv_;
  std::unique_ptr<net::DatagramSocket> socket_;
  net::Timer timer_;
  int sent_ = 0;
};

std::string host_text(const std::string& name, const std::string& link, const std::string& address,
                      const std::string& routes = "[]") {
  return "{\"name\": \"" + name + "\", \"kind\": \"host\", \"interfaces\": [{\"name\": \"" + name +
         "-eth0\", \"link\": \"" + link + "\", \"addresses\": [\"" + address +
         "\"]}], \"routes\": " + routes + "}";
}

}  // namespace

std::string plan_text(const RunText& run) {
  return "{\"format\": 1, \"scenario\": \"test\", \"runs\": [{\"id\": \"ns3.test.1\", \"world\": "
         "\"ns3\", \"seed\": 1, \"rng_seed\": " +
         run.rng_seed + ", \"nodes\": " + run.nodes + ", \"links\": " + run.links +
         ", \"services\": " + run.services +
         ", \"secrets\": {}, \"names\": {}, \"timeline\": " + run.timeline +
         ", \"until\": " + run.until + ", \"linger_ms\": " + std::to_string(run.linger_ms) +
         ", \"budget_ms\": " + std::to_string(run.budget_ms) + "}]}";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  if (at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

RunText two_hosts() {
  RunText run;
  run.nodes = "[" + host_text("a", "cable", "10.0.0.1/24") + ", " +
              host_text("b", "cable", "10.0.0.2/24") + "]";
  run.links =
      "[{\"name\": \"cable\", \"ends\": [\"a\", \"b\"], \"access\": \"ethernet\", "
      "\"delay_ms\": 10, \"jitter_ms\": 0, \"loss\": 0, \"rate_mbps\": 0, \"mtu\": 1500}]";
  run.services =
      "[{\"node\": \"a\", \"name\": \"talk\", \"argv\": [\"talk\", \"10.0.0.2:700\", "
      "\"10\", \"20\"]}, {\"node\": \"b\", \"name\": \"hear\", \"argv\": [\"hear\", "
      "\"0.0.0.0:700\"]}]";
  return run;
}

RunText behind_nat() {
  RunText run;
  run.nodes =
      "[" +
      host_text("a", "lan", "10.0.0.2/24",
                "[{\"to\": \"0.0.0.0/0\", \"via\": \"10.0.0.1\", \"interface\": \"a-eth0\"}]") +
      ", " + host_text("b", "wan", "198.51.100.1/24") +
      ", {\"name\": \"nat\", \"kind\": \"nat\", \"forward\": true, \"interfaces\": ["
      "{\"name\": \"nat-eth0\", \"link\": \"lan\", \"addresses\": [\"10.0.0.1/24\"]}, "
      "{\"name\": \"nat-eth1\", \"link\": \"wan\", \"addresses\": [\"198.51.100.2/24\"]}], "
      "\"routes\": [], \"nat\": {\"kind\": \"full-cone\", \"set\": {\"udp_new\": \"30s\"}, "
      "\"engine\": \"culvert\", \"inside\": [\"nat-eth0\"], \"outside\": \"nat-eth1\", "
      "\"public\": [\"198.51.100.2\"]}}]";
  run.links =
      "[{\"name\": \"lan\", \"ends\": [\"a\", \"nat\"], \"delay_ms\": 1}, "
      "{\"name\": \"wan\", \"ends\": [\"b\", \"nat\"], \"delay_ms\": 5}]";
  run.services =
      "[{\"node\": \"a\", \"name\": \"talk\", \"argv\": [\"talk\", "
      "\"198.51.100.1:700\", \"10\", \"20\"]}, {\"node\": \"b\", \"name\": \"hear\", "
      "\"argv\": [\"hear\", \"0.0.0.0:700\"]}]";
  return run;
}

net::Result<std::unique_ptr<services::Service>> make_test_service(
    net::Host& host, const std::vector<std::string>& argv) {
  const size_t wanted = argv[0] == "talk" ? 4 : argv[0] == "hear" ? 2 : argv[0] == "crash" ? 1 : 0;
  if (wanted == 0) return {net::Error::not_found, "no service is called '" + argv[0] + "'"};
  if (argv.size() != wanted) return {net::Error::invalid, "wrong options"};
  return std::unique_ptr<services::Service>(std::make_unique<TestService>(host, argv));
}

runner::RunResult execute(const RunText& text, const std::string& capture_folder) {
  ns3_world::configure_ns3_defaults();
  const auto plan = runner::parse_plan("plan.json", plan_text(text), "ns3");
  if (!plan || plan->runs.size() != 1) {
    ADD_FAILURE() << plan.status().detail;
    return {};
  }
  return runner::Run(plan->runs[0], capture_folder, make_test_service).execute();
}

std::vector<std::string> lines_with(const std::string& log, const std::vector<std::string>& words) {
  std::vector<std::string> out;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    bool all = true;
    for (const std::string& word : words) all = all && line.find(word) != std::string::npos;
    if (all) out.push_back(line);
  }
  return out;
}

double time_of(const std::string& line) {
  return std::atof(line.c_str() + sizeof("{\"time_ms\":") - 1);
}

}  // namespace culvert::test
