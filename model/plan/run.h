// One run of a plan: the network, services, secrets and timeline of one cell with one seed.
#pragma once

#include <boost/json.hpp>
#include <functional>
#include <string>

#include "model/net/error.h"
#include "model/plan/parameters.h"

namespace culvert::plan {

struct Source {
  std::string path;  // as messages name it
  std::string text;
};

struct RunRequest {
  std::string world, cell;
  uint64_t seed = 1;
  Assignment values;
  const Item* world_table = nullptr;  // [world.NAME] with its own budget_ms, if there is one
  std::function<net::Result<Source>(const std::string& name)> secret;  // of [secret_files]
};

// `scenario` may be an empty table (culvert up): then the topology's services are all there is.
boost::json::object make_run(const Item& scenario, const Item& topology, const RunRequest& request,
                             const Vocabulary& vocabulary);

}  // namespace culvert::plan
