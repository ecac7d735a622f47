#include "model/plan/plan.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "model/net/random.h"
#include "model/plan/network.h"
#include "model/plan/run.h"

namespace culvert::plan {
namespace {

struct Files {
  Item scenario, topology;
};

Item load(const std::function<net::Result<Source>(const std::string&)>& open,
          const std::string& name, const std::string& where = "", int line = 0) {
  const auto source = open(name);
  if (!source) throw InputError(where, line, source.status().detail);
  return parse_toml(source->path, source->text);
}

void check_topology_keys(const Item& topology) {
  topology.only({"name", "about", "picture", "parameters", "nodes", "links", "services", "secrets",
                 "names", "secret_files"},
                "a topology");
}

void check_scenario_keys(const Item& scenario) {
  scenario.only(
      {"name",      "about",     "topology", "worlds",      "seeds",       "parameters", "sets",
       "vary",      "draw",      "services", "secrets",     "names",       "timeline",   "until",
       "linger_ms", "budget_ms", "measures", "expect",      "differences", "world",      "figures",
       "grid",      "skip",      "results",  "secret_files"},
      "a scenario");
}

std::vector<std::string> wanted_worlds(const Item& scenario, const Request& request) {
  std::vector<std::string> possible;
  if (const Item* worlds = scenario.find("worlds"))
    for (const Item& world : worlds->items("worlds")) possible.push_back(world.text("a world"));
  else
    possible = {"ns3", "linux"};
  if (possible.empty()) scenario.get("worlds").fail("'worlds' names no world");
  for (const std::string& world : possible)
    if (world != "ns3" && world != "linux")
      scenario.get("worlds").fail("'" + world + "' is no world; " +
                                  suggestion(world, {"ns3", "linux"}));
  if (request.worlds.empty()) return possible;
  for (const std::string& world : request.worlds)
    if (std::find(possible.begin(), possible.end(), world) == possible.end())
      scenario.fail("this scenario does not run on '" + world + "'; it runs on " + possible[0] +
                    (possible.size() > 1 ? " and " + possible[1] : ""));
  return request.worlds;
}

const Item* world_table(const Item& scenario, const std::string& world) {
  const Item* worlds = scenario.find("world");
  if (!worlds) return nullptr;
  worlds->only({"ns3", "linux"}, "[world]");
  const Item* table = worlds->find(world);
  if (table) table->only({"seeds", "budget_ms", "parameters", "vary"}, "[world." + world + "]");
  return table;
}

Assignment world_overrides(const Item& scenario, const std::string& world,
                           const Parameters& parameters) {
  Assignment out;
  const Item* table = world_table(scenario, world);
  const Item* values = table ? table->find("parameters") : nullptr;
  if (!values) return out;
  for (const auto& [name, item] : values->table) {
    parameters.check(name, item.json(), item);
    out[name] = item.json();
  }
  return out;
}

std::vector<uint64_t> seeds_of(const Item& scenario, const std::string& world, const Item* grid,
                               const Request& request) {
  if (!request.seeds.empty()) return request.seeds;
  const Item* seeds = scenario.find("seeds");
  if (const Item* table = world_table(scenario, world))
    if (const Item* own = table->find("seeds")) seeds = own;
  if (grid) seeds = grid;
  if (!seeds) return {1};
  const double count = seeds->finite("seeds");
  if (count < 1 || count > static_cast<double>(request.most_runs) || count != std::floor(count))
    seeds->fail("seeds must be a whole number from 1 to " + std::to_string(request.most_runs));
  std::vector<uint64_t> out;
  for (uint64_t seed = 1; seed <= static_cast<uint64_t>(count); ++seed) out.push_back(seed);
  return out;
}

// The grids of a scenario, one empty one if it has none of its own: which axes they replace, and
// who runs them.
struct SubGrid {
  Item axes;  // a table
  std::vector<std::string> worlds;
  const Item* seeds = nullptr;
  bool quick = false;
};

std::vector<SubGrid> sub_grids(const Item& scenario, const Request& request) {
  const Item* grids = scenario.find("grid");
  std::vector<SubGrid> out;
  if (!grids) {
    out.emplace_back();
    if (request.quick) scenario.fail("it has no [[grid]] with quick = true");
    return out;
  }
  if (!scenario.find("vary")) grids->fail("[[grid]] replaces axes of [vary], which is missing");
  for (const Item& item : grids->items("[[grid]]")) {
    SubGrid grid;
    grid.axes = item;
    grid.axes.table.clear();
    for (const auto& entry : item.table) {
      if (entry.first == "quick")
        grid.quick = entry.second.json() == boost::json::value(true);
      else if (entry.first == "worlds")
        for (const Item& world : entry.second.items("worlds"))
          grid.worlds.push_back(world.text("a world"));
      else if (entry.first == "seeds")
        grid.seeds = &entry.second;
      else if (entry.first != "about")
        grid.axes.table.push_back(entry);
    }
    if (grid.quick || !request.quick) out.push_back(std::move(grid));
  }
  if (out.empty()) grids->fail("none of the [[grid]]s says quick = true");
  return out;
}

std::string clean_label(const std::string& label) {
  std::string out;
  for (const char c : label) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_';
    out += plain ? c : c == '.' ? 'p' : '-';  // 0.05 becomes 0p05: '.' joins the parts of an id
  }
  return out;
}

boost::json::value copy_or_empty(const Item& item, std::string_view key) {
  const Item* found = item.find(key);
  return found ? found->json() : boost::json::value(boost::json::array());
}

std::string topology_name(const Item& scenario) {
  return scenario.get("topology").text("topology");
}

template <class Function>
net::Result<boost::json::object> guarded(Function function) {
  try {
    return function();
  } catch (const InputError& error) {
    return {net::Error::invalid, error.what()};
  } catch (const std::exception& error) {  // a value of a kind that nobody had thought of
    return {net::Error::invalid, std::string("the input makes no sense: ") + error.what()};
  }
}

}  // namespace

net::Result<boost::json::object> plan_scenario(const std::string& name, const Request& request,
                                               const Vocabulary& vocabulary) {
  return guarded([&]() -> boost::json::object {
    Files files;
    files.scenario = load(request.scenario, name);
    check_scenario_keys(files.scenario);
    const Item& topology = files.scenario.get("topology");
    files.topology =
        load(request.topology, topology_name(files.scenario), topology.file, topology.line);
    check_topology_keys(files.topology);

    Parameters parameters(&vocabulary);
    if (const Item* table = files.topology.find("parameters")) parameters.declare(*table);
    if (const Item* table = files.scenario.find("parameters")) parameters.declare(*table);
    const Grid grid(files.scenario, parameters, {request.sets});
    const std::vector<std::string> worlds = wanted_worlds(files.scenario, request);

    boost::json::array runs;
    std::set<std::string> ids;
    for (const std::string& world : worlds) {
      const Item* own = world_table(files.scenario, world);
      const Assignment overrides = world_overrides(files.scenario, world, parameters);
      for (const SubGrid& part : sub_grids(files.scenario, request)) {
        if (!part.worlds.empty() &&
            std::find(part.worlds.begin(), part.worlds.end(), world) == part.worlds.end())
          continue;
        const Grid grid(files.scenario, parameters,
                        {request.sets, {own ? own->find("vary") : nullptr, &part.axes}});
        const auto seeds = seeds_of(files.scenario, world, part.seeds, request);
        if (grid.cells() * seeds.size() > request.most_runs)
          files.scenario.fail("this makes " + std::to_string(grid.cells() * seeds.size()) +
                              " runs, more than the limit of " + std::to_string(request.most_runs));
        std::set<std::string> of_this_grid;
        for (size_t cell = 0; cell < grid.cells(); ++cell) {
          if (grid.skipped(cell, overrides)) continue;
          const auto words = grid.labels(cell);
          RunRequest run;
          run.world = world;
          for (const std::string& label : words)
            run.cell += (run.cell.empty() ? "" : ".") + clean_label(label);
          if (run.cell.empty()) run.cell = "only";
          for (const uint64_t seed : seeds) {
            const std::string id = world + "." + run.cell + "." + std::to_string(seed);
            if (!of_this_grid.insert(id).second)
              files.scenario.fail("two runs would be called '" + id +
                                  "': a value or a seed stands twice");
            if (!ids.insert(id).second) continue;  // another grid of the scenario has it, too
            run.seed = seed;
            run.values = grid.assignment(cell, seed, overrides);
            run.world_table = own;
            run.secret = request.secret;
            boost::json::object made = make_run(files.scenario, files.topology, run, vocabulary);
            boost::json::object labels;
            for (size_t i = 0; i < words.size(); ++i) labels[grid.axes()[i].name] = words[i];
            made["labels"] = std::move(labels);
            runs.push_back(std::move(made));
          }
        }
      }
    }
    if (runs.empty()) files.scenario.fail("no run is left: its grids skip all that was asked for");

    boost::json::array columns;
    for (const Axis& axis : grid.axes()) columns.push_back(boost::json::value(axis.name));
    std::string rerun = "./culvert run " + name;
    for (const auto& [key, value] : request.sets)
      if (std::none_of(grid.axes().begin(), grid.axes().end(),
                       [&, k = key](const Axis& axis) { return axis.name == k; }))
        rerun += " --set " + key + "=" + value;
    boost::json::object plan{{"format", 1},
                             {"scenario", name},
                             {"topology", topology_name(files.scenario)},
                             {"about", string(files.scenario, "about", {}, "")},
                             {"columns", columns},
                             {"measures", copy_or_empty(files.scenario, "measures")},
                             {"expect", copy_or_empty(files.scenario, "expect")},
                             {"figures", copy_or_empty(files.scenario, "figures")},
                             {"results", copy_or_empty(files.scenario, "results")},
                             {"differences", copy_or_empty(files.scenario, "differences")},
                             {"picture", string(files.topology, "picture", {}, "")},
                             {"rerun", rerun},
                             {"runs", std::move(runs)}};
    return plan;
  });
}

net::Result<boost::json::object> plan_topology(const std::string& name, const Request& request,
                                               const Vocabulary& vocabulary) {
  return guarded([&]() -> boost::json::object {
    const Item topology = load(request.topology, name);
    check_topology_keys(topology);
    Parameters parameters(&vocabulary);
    if (const Item* table = topology.find("parameters")) parameters.declare(*table);
    Item empty;
    empty.kind = Item::Kind::table;
    empty.file = topology.file;
    const Grid grid(empty, parameters, {request.sets});
    if (grid.cells() != 1)
      topology.fail("one value for each parameter: a network is brought up once");
    RunRequest run;
    run.world = "linux";
    run.cell = "up";
    run.seed = request.seeds.empty() ? 1 : request.seeds[0];
    run.values = grid.assignment(0, run.seed, {});
    run.secret = request.secret;
    boost::json::array runs;
    runs.push_back(make_run(empty, topology, run, vocabulary));
    return {{"format", 1},
            {"scenario", nullptr},
            {"topology", name},
            {"about", string(topology, "about", {}, "")},
            {"picture", string(topology, "picture", {}, "")},
            {"columns", boost::json::array()},
            {"measures", boost::json::array()},
            {"runs", std::move(runs)}};
  });
}

}  // namespace culvert::plan
