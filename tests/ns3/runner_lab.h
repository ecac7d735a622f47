// Small plans, and a service that sends and hears datagrams, for the tests of the runner.
#pragma once

#include <string>
#include <vector>

#include "model/services/service.h"
#include "scenarios/ns3_runner/run.h"

namespace culvert::test {

// {"name": …}-style pieces of a run, as JSON text.
struct RunText {
  std::string nodes, links, services, timeline = "[]";
  std::string until = "null";
  std::string rng_seed = "18446744073709551615";
  int linger_ms = 0, budget_ms = 1000;
};
std::string plan_text(const RunText& run);
std::string replaced(std::string text, const std::string& from, const std::string& to);

// a 10.0.0.1 ---- cable, 10 ms ---- b 10.0.0.2; a talks to b every 10 ms.
RunText two_hosts();
// a 10.0.0.2 ---- nat 198.51.100.2 ---- b 198.51.100.1; a talks to b every 10 ms.
RunText behind_nat();

// The test's own service:
//   talk TO EVERY_MS COUNT   sends COUNT datagrams, event `sent`
//   hear PORT                event `got` for each, and answers it
//   crash                    ends its process
// Commands: `say WORD` (event `said`). Anything else is an error.
net::Result<std::unique_ptr<services::Service>> make_test_service(
    net::Host& host, const std::vector<std::string>& argv);

// Parses and executes the only run of the plan.
runner::RunResult execute(const RunText& run, const std::string& capture_folder = {});
// Lines that contain all of the words.
std::vector<std::string> lines_with(const std::string& log, const std::vector<std::string>& words);
double time_of(const std::string& line);

}  // namespace culvert::test
