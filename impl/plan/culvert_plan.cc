// culvert-plan: turns a scenario and its topology into the plan that the runners execute
// (docs/reference/plan.md). Exit code 2 and one sentence for anything wrong with the input.
#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "model/nat/presets.h"
#include "model/plan/item.h"
#include "model/plan/plan.h"
#include "model/services/service.h"

namespace {

namespace fs = std::filesystem;
using culvert::net::Error;
using culvert::net::Result;
using culvert::net::Status;
using culvert::plan::Source;

constexpr int kBadInput = 2;

struct Options {
  std::string name, on, out, root = ".";
  std::vector<std::string> sets;
  uint64_t seeds = 0;
  std::vector<uint64_t> seed;
  bool quick = false;
};

std::vector<std::string> stems(const fs::path& folder) {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".toml") out.push_back(entry.path().stem().string());
  std::sort(out.begin(), out.end());
  return out;
}

// `name` is a file's path or the stem of a file in ROOT/folder.
Result<Source> open_source(const fs::path& root, const std::string& folder,
                           const std::string& name) {
  const bool is_path = name.size() > 5 && name.substr(name.size() - 5) == ".toml";
  const fs::path path = is_path ? fs::path(name) : root / folder / (name + ".toml");
  std::ifstream in(path, std::ios::binary);
  std::error_code error;
  if (is_path && !fs::exists(path, error)) return {Error::not_found, "there is no file " + name};
  if (is_path && (!in || fs::is_directory(path, error)))
    return {Error::not_found, name + " cannot be read"};
  if (!in || fs::is_directory(path, error)) {
    const std::string what = folder == "scenarios" ? "scenario" : "topology";
    return {Error::not_found, "there is no " + what + " '" + name + "'; " +
                                  culvert::plan::suggestion(name, stems(root / folder))};
  }
  std::ostringstream text;
  text << in.rdbuf();
  return Source{is_path ? name : folder + "/" + name + ".toml", text.str()};
}

// A file of ROOT/scenarios/secrets.
Result<Source> open_secret(const fs::path& root, const std::string& name) {
  std::ifstream in(root / "scenarios" / "secrets" / name, std::ios::binary);
  std::ostringstream text;
  if (name.find('/') != std::string::npos || !in || !(text << in.rdbuf()))
    return {Error::not_found, "there is no file scenarios/secrets/" + name};
  return Source{name, text.str()};
}

culvert::plan::Vocabulary vocabulary() {
  culvert::plan::Vocabulary words;
  words.nat_kind = [](const std::string& kind) -> std::string {
    const auto config = culvert::nat::from_preset(kind);
    return config ? "" : config.status().detail;
  };
  words.nat_translates = [](const std::string& kind) {
    const auto config = culvert::nat::from_preset(kind);
    return !config || config->kind == culvert::nat::Kind::nat;
  };
  words.nat_axis = [](const std::string& axis, const std::string& value) {
    culvert::nat::Config config;
    return culvert::nat::set(config, axis, value).detail;
  };
  words.service = [](const std::vector<std::string>& argv) {
    return culvert::services::check(argv).detail;
  };
  return words;
}

int fail(const std::string& sentence) {
  std::cerr << "culvert: " << sentence << "\n";
  return kBadInput;
}

int make(const Options& options, bool topology) {
  culvert::plan::Request request;
  request.scenario = [&](const std::string& name) {
    return open_source(options.root, "scenarios", name);
  };
  request.topology = [&](const std::string& name) {
    return open_source(options.root, "topologies", name);
  };
  request.secret = [&](const std::string& name) { return open_secret(options.root, name); };
  request.quick = options.quick;
  if (options.on == "both")
    request.worlds = {"ns3", "linux"};
  else if (!options.on.empty())
    request.worlds = {options.on};
  for (const std::string& set : options.sets) {
    const size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail("--set " + set + ": it must be name=value");
    request.sets.emplace_back(set.substr(0, equals), set.substr(equals + 1));
  }
  for (uint64_t seed = 1; seed <= options.seeds; ++seed) request.seeds.push_back(seed);
  if (!options.seed.empty()) request.seeds = options.seed;
  // What cannot be opened is a sentence of its own, without a file and a line.
  const auto source = topology ? request.topology(options.name) : request.scenario(options.name);
  if (!source) return fail(source.status().detail);

  const auto plan = topology ? culvert::plan::plan_topology(options.name, request, vocabulary())
                             : culvert::plan::plan_scenario(options.name, request, vocabulary());
  if (!plan) return fail(plan.status().detail);
  const std::string text = boost::json::serialize(*plan) + "\n";
  if (options.out.empty()) {
    std::cout << text;
    return 0;
  }
  std::ofstream out(options.out, std::ios::binary);
  if (!(out << text)) return fail(options.out + " cannot be written");
  return 0;
}

boost::json::array describe(const Options& options, const std::string& folder) {
  boost::json::array out;
  for (const std::string& name : stems(fs::path(options.root) / folder)) {
    const auto source = open_source(options.root, folder, name);
    boost::json::object row{{"name", name}};
    try {
      const auto item = culvert::plan::parse_toml(source->path, source->text);
      if (const auto* about = item.find("about")) row["about"] = about->text("about");
      if (const auto* topology = item.find("topology")) row["topology"] = topology->json();
      if (const auto* worlds = item.find("worlds")) row["worlds"] = worlds->json();
      if (const auto* vary = item.find("vary")) {
        boost::json::array varies;
        for (const auto& axis : vary->table) varies.push_back(boost::json::value(axis.first));
        row["varies"] = varies;
      }
      boost::json::array parameters;
      if (const auto* table = item.find("parameters"))
        for (const auto& entry : table->table)
          parameters.push_back(
              entry.second.json().is_object()
                  ? boost::json::value{{"name", entry.first}, {"is", entry.second.json()}}
                  : boost::json::value{{"name", entry.first},
                                       {"is", {{"default", entry.second.json()}}}});
      row["parameters"] = parameters;
    } catch (const culvert::plan::InputError& error) {
      row["about"] = std::string("BROKEN: ") + error.what();
    }
    out.push_back(row);
  }
  return out;
}

int list(const Options& options) {
  boost::json::array kinds, services;
  for (const auto& preset : culvert::nat::presets())
    kinds.push_back({{"name", std::string(preset.name)},
                     {"axes", std::string(preset.axes)},
                     {"source", std::string(preset.source)}});
  for (const auto& service : culvert::services::list())
    services.push_back(
        {{"name", std::string(service.name)}, {"about", std::string(service.about)}});
  const boost::json::object out{{"scenarios", describe(options, "scenarios")},
                                {"topologies", describe(options, "topologies")},
                                {"kinds", kinds},
                                {"services", services}};
  std::cout << boost::json::serialize(out) << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Turns a scenario and its topology into the plan that both worlds execute."};
  app.require_subcommand(1);
  const auto add_common = [&](CLI::App* sub, const std::string& what) {
    sub->add_option("name", options.name, what + ": a name or a .toml file")->required();
    sub->add_option("--set", options.sets, "name=value, or name=value,value,... to vary it")
        ->take_all();
    sub->add_option("--seed", options.seed, "one seed (may be given again)");
    sub->add_option("--out", options.out, "write the plan here instead of to standard output");
    sub->add_option("--root", options.root, "the folder that holds scenarios/ and topologies/");
  };
  CLI::App* scenario = app.add_subcommand("scenario", "the plan of a scenario");
  add_common(scenario, "the scenario");
  scenario->add_option("--seeds", options.seeds, "seeds 1 to N")->check(CLI::Range(1, 1000000));
  scenario->add_option("--on", options.on, "where it runs")
      ->check(CLI::IsMember({"ns3", "linux", "both"}));
  scenario->add_flag("--quick", options.quick, "only the scenario's small sample of its grid");
  CLI::App* topology = app.add_subcommand("topology", "the plan that brings a topology up");
  add_common(topology, "the topology");
  CLI::App* listing =
      app.add_subcommand("list", "all scenarios, topologies, NAT kinds, services, as JSON");
  listing->add_option("--root", options.root, "the folder that holds scenarios/ and topologies/");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kBadInput;
  }
  if (listing->parsed()) return list(options);
  return make(options, topology->parsed());
}
