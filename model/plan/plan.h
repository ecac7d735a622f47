// Topology + scenario -> plan (docs/reference/plan.md). The one reader of both formats: the ns-3
// runner, the Mininet builder and the analysis only read what comes out.
#pragma once

#include <boost/json.hpp>
#include <functional>
#include <string>
#include <vector>

#include "model/net/error.h"
#include "model/plan/grid.h"
#include "model/plan/parameters.h"
#include "model/plan/run.h"

namespace culvert::plan {

struct Request {
  std::function<net::Result<Source>(const std::string&name)> scenario, topology;
  // What a scenario's or topology's [secret_files] names.
  std::function<net::Result<Source>(const std::string& name)> secret;
  bool quick = false;               // only the scenario's grids that say `quick = true`
  std::vector<std::string> worlds;  // ns3, linux; empty: the scenario's
  std::vector<std::pair<std::string, std::string>> sets;
  std::vector<uint64_t> seeds;  // empty: 1..seeds of the scenario
  size_t most_runs = 200000;    // refuses a larger grid: a slip of the hand
};

// The plan of a scenario. invalid, with file, line and one sentence, if anything is wrong.
net::Result<boost::json::object> plan_scenario(const std::string& name, const Request& request,
                                               const Vocabulary& vocabulary);

// A plan with the one run that `culvert up` wants: the topology with its own services, no
// measures, no end.
net::Result<boost::json::object> plan_topology(const std::string& name, const Request& request,
                                               const Vocabulary& vocabulary);

}  // namespace culvert::plan
