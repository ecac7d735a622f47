// The conformance suite against any broker over TCP, or against ours in memory:
//   mqtt-conformance --tcp 127.0.0.1:1883 [--only NAME] [--version 5]
// What fails is listed; with --strict it is the exit status too.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <set>

#include "tests/conformance/world.h"

using namespace culvert;
using namespace culvert::conformance;

int main(int argc, char** argv) {
  std::string tcp, only, version, folder = CULVERT_CONFORMANCE;
  bool strict = false, verbose = false, list = false, durable = false;
  double longest_wait_s = 1e9;
  CLI::App app("MQTT conformance: packet sequences by normative statement");
  app.add_option("--tcp", tcp, "HOST:PORT of a running broker; without it ours, in memory");
  app.add_option("--only", only, "cases whose name contains this");
  app.add_option("--version", version, "5 or 3.1.1");
  app.add_option("--cases", folder, "the folder that holds cases/");
  app.add_option("--longest-wait", longest_wait_s, "skip cases that wait longer, in seconds");
  app.add_flag("--durable", durable, "our broker gets a store");
  app.add_flag("--strict", strict, "exit status 1 if a case fails");
  app.add_flag("--verbose", verbose, "name what passes too");
  app.add_flag("--list", list, "only name the cases and what they cover");
  CLI11_PARSE(app, argc, argv);

  const auto cases = read_all_cases(folder + "/cases");
  if (!cases) {
    std::fprintf(stderr, "%s\n", cases.status().detail.c_str());
    return 2;
  }
  std::string host;
  uint16_t port = 0;
  if (!tcp.empty()) {
    const size_t colon = tcp.rfind(':');
    host = tcp.substr(0, colon);
    port =
        static_cast<uint16_t>(colon == std::string::npos ? 1883 : std::stoi(tcp.substr(colon + 1)));
  }
  size_t passed = 0, failed = 0, skipped = 0;
  std::set<std::string> held, broken;
  for (const Case& one : *cases) {
    if (one.name.find(only) == std::string::npos) continue;
    if (!version.empty() && (version == "5") != (one.version == mqtt::Version::v5)) continue;
    std::string covers;
    for (const std::string& id : one.covers) covers += " " + id;
    if (list) {
      std::printf("%s%s\n", one.name.c_str(), covers.c_str());
      continue;
    }
    double waits_s = 0;
    for (const Step& step : one.steps)
      if (step.what == Step::What::wait || step.what == Step::What::nothing)
        waits_s += static_cast<double>(step.time.count()) / 1e9;
    auto world = tcp.empty() ? make_memory_world(one, {"", durable || one.durable, false})
                             : make_tcp_world(one, host, port);
    if (!world || waits_s > longest_wait_s) {
      ++skipped;
      if (verbose)
        std::printf("skip  %s: %s\n", one.name.c_str(),
                    world ? "waits long" : world.status().detail.c_str());
      continue;
    }
    const std::string wrong = run(one, **world);
    if (wrong.empty()) {
      ++passed;
      if (one.version == mqtt::Version::v5) held.insert(one.covers.begin(), one.covers.end());
      if (verbose) std::printf("ok    %s\n", one.name.c_str());
    } else {
      ++failed;
      if (one.version == mqtt::Version::v5) broken.insert(one.covers.begin(), one.covers.end());
      std::printf("FAIL  %s:%s\n      %s\n", one.name.c_str(), covers.c_str(), wrong.c_str());
    }
    std::fflush(stdout);
  }
  if (!list)
    std::printf(
        "%zu passed, %zu failed, %zu skipped; of MQTT 5.0's statements %zu were seen to "
        "hold in some case, %zu are in a failed one\n",
        passed, failed, skipped, held.size(), broken.size());
  return strict && failed > 0 ? 1 : 0;
}
