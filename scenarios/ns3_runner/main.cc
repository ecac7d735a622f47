// culvert-ns3: executes the ns-3 runs of a plan (docs/reference/plan.md).

#include <CLI/CLI.hpp>
#include <cstdio>
#include <thread>

#include "model/ns3/host.h"
#include "scenarios/ns3_runner/plan.h"
#include "scenarios/ns3_runner/pool.h"

namespace {

constexpr int kBadInput = 2;

int complain(const std::string& sentence) {
  std::fprintf(stderr, "culvert-ns3: %s\n", sentence.c_str());
  return kBadInput;
}

// "20:10": ten runs from the twentieth (counted from 0).
bool parse_range(const std::string& text, size_t& first, size_t& count) {
  const size_t colon = text.find(':');
  const auto digits = [](const std::string& s) {
    return !s.empty() && s.size() < 10 && s.find_first_not_of("0123456789") == std::string::npos;
  };
  if (colon == std::string::npos || !digits(text.substr(0, colon)) ||
      !digits(text.substr(colon + 1)))
    return false;
  first = std::stoul(text.substr(0, colon));
  count = std::stoul(text.substr(colon + 1));
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace culvert;
  std::string plan_file, range, id;
  runner::PoolOptions options;
  options.jobs = std::max(1u, std::thread::hardware_concurrency());
  CLI::App app(
      "Executes the ns-3 runs of a plan, each in a process of its own, in virtual time.\n"
      "Writes OUT/logs/ID.jsonl for each and prints a line of JSON when it is done.");
  app.footer(
      "Exit code: 0 all runs came to an end, 1 some failed (their logs say why), 2 bad input.\n"
      "The same plan gives the same logs, byte for byte.");
  app.add_option("--plan", plan_file, "the plan, as culvert-plan writes it")->required();
  app.add_option("--out", options.out, "the folder for logs and captures")->required();
  auto* some =
      app.add_option("--runs", range, "FIRST:COUNT of the plan's ns-3 runs only, counted from 0");
  app.add_option("--id", id, "only the run of this id")->excludes(some);
  app.add_option("--jobs", options.jobs, "processes at a time")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  app.add_option("--limit-s", options.limit_s,
                 "wall time after which a run has failed, in seconds; 0: none")
      ->capture_default_str();
  app.add_flag("--pcap", options.capture, "captures of every interface, OUT/pcap/ID/");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return complain(std::string(error.what()) + " (--help says more)");
  }

  const auto plan = runner::read_plan(plan_file, "ns3");
  if (!plan) return complain(plan.status().detail);
  size_t first = 0, count = plan->runs.size();
  if (!range.empty() && !parse_range(range, first, count))
    return complain("--runs: '" + range + "' is not FIRST:COUNT");
  std::vector<const runner::RunPlan*> runs;
  for (size_t i = 0; i < plan->runs.size(); ++i)
    if (i >= first && i - first < count && (id.empty() || plan->runs[i].id == id))
      runs.push_back(&plan->runs[i]);
  if (runs.empty())
    return complain(id.empty() ? plan_file + ": there is no such run of ns-3"
                               : plan_file + ": there is no run '" + id + "' of ns-3");
  ns3_world::configure_ns3_defaults();
  const auto failed = runner::run_all(runs, options, services::make);
  if (!failed) return complain(failed.status().detail);
  return *failed > 0 ? 1 : 0;
}
