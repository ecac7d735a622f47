#include "model/plan/run.h"

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "model/net/random.h"
#include "model/plan/network.h"

namespace culvert::plan {
namespace {

constexpr double kDefaultBudgetMs = 60000;
constexpr double kDefaultLingerMs = 50;

std::string node_named(const Item& table, const Network& network, const Assignment& values) {
  const std::string name = string(table, "node", values, "");
  if (network.node(name)) return name;
  std::vector<std::string> known;
  for (const Node& node : network.nodes) known.push_back(node.name);
  const Item* where = table.find("node");
  (where ? *where : table)
      .fail(where ? "there is no node '" + name + "'; " + suggestion(name, known)
                  : "the key 'node' is missing");
}

// A time of a run. No run is longer than eleven days (ours: a slip of the hand).
double time_ms(const Item& table, std::string_view key, const Assignment& values, double fallback) {
  const double value = number(table, key, values, fallback);
  if (value < 0 || value > 1e9)
    table.get(key).fail("'" + std::string(key) + "' = " + to_text(value) +
                        " is out of range: 0 to 1e9 milliseconds");
  return value;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

void add_services(boost::json::array& out, const Item& from, const Network& network,
                  const Assignment& values, const Vocabulary& vocabulary) {
  const Item* services = from.find("services");
  if (!services) return;
  for (const Item& service : services->items("[[services]]")) {
    service.only({"node", "run", "when"}, "a service");
    if (const Item* when = service.find("when")) {  // a parameter that switches it
      const Value on = substitute(*when, values);
      if (on == Value(false) || on == Value("no") || on == Value(0)) continue;
    }
    const std::string line = string(service, "run", values, "");
    const std::vector<std::string> argv = words_of(line);
    if (argv.empty()) service.fail("'run' is missing: the service's command line");
    if (vocabulary.service) {
      const std::string wrong = vocabulary.service(argv);
      if (!wrong.empty()) service.get("run").fail(wrong);
    }
    const std::string node = node_named(service, network, values);
    for (const Value& other : out)
      if (other.at("node") == Value(node) && other.at("name") == Value(argv[0]))
        service.fail("'" + node + "' runs '" + argv[0] + "' already: a step could mean either");
    boost::json::array arguments;
    for (const std::string& word : argv) arguments.push_back(boost::json::value(word));
    out.push_back({{"node", node}, {"name", argv[0]}, {"argv", arguments}});
  }
}

boost::json::object event_condition(const Item& when, const Network& network,
                                    const Assignment& values) {
  when.only({"event", "nodes"}, "a condition");
  boost::json::array nodes;
  const Value names = substitute(when.get("nodes"), values);
  if (!names.is_array()) when.get("nodes").fail("nodes must be a list");
  for (const Value& name : names.get_array()) {
    if (!network.node(to_text(name)) && !network.link(to_text(name)))
      when.get("nodes").fail("there is no node '" + to_text(name) + "', and no such link");
    nodes.push_back(name);
  }
  const std::string event = string(when, "event", values, "");
  if (event.find('.') == std::string::npos)
    when.get("event").fail("an event is written service.event, such as \"punch.ready\"");
  return {{"event", event}, {"nodes", nodes}};
}

void check_step(const Item& step, const std::string& what, const std::vector<std::string>& known) {
  const auto words = words_of(what);
  const std::string verb = words.empty() ? "" : words[0];
  if (std::find(known.begin(), known.end(), verb) == known.end())
    step.get("do").fail("'" + verb + "' cannot be done here; " + suggestion(verb, known));
}

boost::json::object make_step(const Item& step, const Network& network, const Assignment& values,
                              const boost::json::array& services) {
  step.only({"at_ms", "when", "after_ms", "node", "service", "link", "do", "about"},
            "a timeline step");
  boost::json::object out;
  if (const Item* when = step.find("when")) {
    out["when"] = event_condition(*when, network, values);
    out["after_ms"] = time_ms(step, "after_ms", values, 0);
  } else {
    if (!step.find("at_ms")) step.fail("a step needs at_ms, or when and after_ms");
    out["at_ms"] = time_ms(step, "at_ms", values, 0);
  }
  const std::string what = string(step, "do", values, "");
  if (what.empty()) step.fail("'do' is missing");
  out["do"] = what;
  if (step.find("link")) {
    const std::string link = string(step, "link", values, "");
    if (!network.link(link)) step.get("link").fail("there is no link '" + link + "'");
    check_step(step, what, {"cut", "mend", "set", "count", "watch"});
    out["link"] = link;
    return out;
  }
  const std::string node = node_named(step, network, values);
  out["node"] = node;
  if (step.find("service")) {
    const std::string service = string(step, "service", values, "");
    const bool there = std::any_of(services.begin(), services.end(), [&](const Value& s) {
      return s.at("node") == Value(node) && s.at("name") == Value(service);
    });
    if (!there) step.get("service").fail("no service '" + service + "' runs on '" + node + "'");
    out["service"] = service;
  } else if (network.node(node)->kind == "nat") {
    check_step(step, what, {"reboot", "rebind", "address"});
  } else {
    step.fail("a step on node '" + node + "' needs the service it is for");
  }
  return out;
}

boost::json::object make_secrets(const Item& from, uint64_t rng_seed) {
  boost::json::object out;
  const Item* secrets = from.find("secrets");
  if (!secrets) return out;
  for (const Item& item : secrets->items("secrets")) {
    const std::string name = item.text("a secret's name");
    net::Random random(net::derive_seed(rng_seed, "secret/" + name));
    std::string hex;
    for (int i = 0; i < 4; ++i) {  // 32 bytes
      char text[20];
      std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(random.next()));
      hex += text;
    }
    out[name] = hex;
  }
  return out;
}

// Certificates and the like: files that the scenario brings. A run is given those that its command
// lines name, so that a plan of thousands of runs stays small.
void add_secret_files(boost::json::object& secrets, const Item& from, const RunRequest& request,
                      const boost::json::array& services) {
  const Item* files = from.find("secret_files");
  if (!files) return;
  if (!files->is_table()) files->fail("[secret_files] is a table: name = \"file\"");
  for (const auto& [name, item] : files->table) {
    const Value word(name);
    const bool wanted = std::any_of(services.begin(), services.end(), [&](const Value& service) {
      const auto& argv = service.at("argv").get_array();
      return std::find(argv.begin(), argv.end(), word) != argv.end();
    });
    if (!wanted) continue;
    const auto source =
        request.secret
            ? request.secret(item.text("a file's name"))
            : net::Result<Source>(net::Status(net::Error::not_found, "there are no files here"));
    if (!source) item.fail(source.status().detail);
    std::string hex;
    for (const char c : source->text) {
      char text[4];
      std::snprintf(text, sizeof text, "%02x", static_cast<unsigned char>(c));
      hex += text;
    }
    secrets[name] = hex;
  }
}

}  // namespace

boost::json::object make_run(const Item& scenario, const Item& topology, const RunRequest& request,
                             const Vocabulary& vocabulary) {
  const Network network = resolve_network(topology, request.values, vocabulary);
  for (const Node& node : network.nodes)
    if (request.world == "ns3" && node.engine == "kernel")
      node.where.get("engine").fail(
          "engine 'kernel' of '" + node.name +
          "' is the Linux kernel's NAT, which is not in ns-3: --on linux");
  Assignment values = request.values;
  for (const auto& [name, address] : network.addresses()) values[name] = address;

  const uint64_t rng_seed = net::derive_seed(request.seed, "run/" + request.cell);
  boost::json::object out = network.json();
  const std::string id = request.world + "." + request.cell + "." + std::to_string(request.seed);
  boost::json::object parameters;
  for (const auto& [name, value] : request.values) parameters[name] = value;

  const Item& services_from = scenario.find("services") ? scenario : topology;
  boost::json::array services;
  add_services(services, services_from, network, values, vocabulary);

  boost::json::array timeline;
  if (const Item* steps = scenario.find("timeline"))
    for (const Item& step : steps->items("[[timeline]]"))
      timeline.push_back(make_step(step, network, values, services));

  boost::json::object names;
  for (const Item* from : {&topology, &scenario})
    if (const Item* table = from->find("names")) {
      if (!table->is_table()) table->fail("[names] must be a table");
      for (const auto& [name, list] : table->table) names[name] = substitute(list, values);
    }

  out["id"] = id;
  out["cell"] = request.cell;
  out["world"] = request.world;
  out["seed"] = request.seed;
  out["rng_seed"] = rng_seed;
  out["parameters"] = std::move(parameters);
  out["one_way_ms"] = one_way_delays_ms(network);
  boost::json::object secrets =
      make_secrets(scenario.find("secrets") ? scenario : topology, rng_seed);
  for (const Item* from : {&topology, &scenario})
    add_secret_files(secrets, *from, request, services);
  out["services"] = std::move(services);
  out["timeline"] = std::move(timeline);
  out["secrets"] = std::move(secrets);
  out["names"] = std::move(names);
  if (const Item* until = scenario.find("until"))
    out["until"] = event_condition(*until, network, values);
  out["linger_ms"] = time_ms(scenario, "linger_ms", values, kDefaultLingerMs);
  const Item& budget_from = request.world_table ? *request.world_table : scenario;
  out["budget_ms"] = time_ms(budget_from.find("budget_ms") ? budget_from : scenario, "budget_ms",
                             values, kDefaultBudgetMs);
  return out;
}

}  // namespace culvert::plan
