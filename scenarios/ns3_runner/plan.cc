#include "scenarios/ns3_runner/plan.h"

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>

namespace culvert::runner {
namespace {

namespace json = boost::json;

// A place in the document, for messages; a value that knows how to complain.
class Place {
 public:
  Place(const json::value& value, std::string path) : value_(value), path_(std::move(path)) {}

  [[noreturn]] void fail(const std::string& sentence) const {
    throw std::runtime_error((path_.empty() ? "the document" : path_) + ": " + sentence);
  }
  const json::value& raw() const { return value_; }

  bool has(const char* key) const { return object().contains(key); }
  Place get(const char* key) const {
    const json::object& members = object();
    const auto found = members.find(key);
    if (found == members.end()) fail(std::string("'") + key + "' is missing");
    return {found->value(), join(key)};
  }
  std::optional<Place> find(const char* key) const {
    if (!has(key) || object().at(key).is_null()) return std::nullopt;
    return get(key);
  }
  template <class Visit>
  void each(Visit visit) const {
    if (!value_.is_array()) fail("must be a list");
    size_t index = 0;
    for (const json::value& item : value_.get_array())
      visit(Place(item, path_ + '[' + std::to_string(index++) + ']'));
  }
  template <class Visit>
  void members(Visit visit) const {
    for (const auto& member : object())
      visit(std::string(member.key()), Place(member.value(), join(std::string(member.key()))));
  }

  std::string text() const {
    if (!value_.is_string()) fail("must be a string");
    return std::string(value_.get_string());
  }
  bool boolean() const {
    if (!value_.is_bool()) fail("must be true or false");
    return value_.get_bool();
  }
  double number() const {
    json::error_code error;
    const double number = value_.to_number<double>(error);
    if (error || !(number >= 0) || number > 1e15) fail("must be a number, 0 or more");
    return number;
  }
  uint64_t natural() const {
    json::error_code error;
    const auto number = value_.to_number<uint64_t>(error);
    if (error) fail("must be a whole number, 0 or more");
    return number;
  }
  net::Duration ms() const { return net::from_ms(number()); }
  std::vector<std::string> texts() const {
    std::vector<std::string> out;
    each([&](const Place& item) { out.push_back(item.text()); });
    return out;
  }
  net::IpAddress address() const {
    const auto parsed = net::IpAddress::parse(text());
    if (!parsed) fail("'" + text() + "' is not an IP address");
    return *parsed;
  }
  net::Prefix prefix() const {
    const auto parsed = net::Prefix::parse(text());
    if (!parsed) fail("'" + text() + "' is not an address with a prefix length");
    return *parsed;
  }
  std::vector<net::IpAddress> address_list() const {
    std::vector<net::IpAddress> out;
    each([&](const Place& item) { out.push_back(item.address()); });
    return out;
  }

 private:
  const json::object& object() const {
    if (!value_.is_object()) fail("must be an object");
    return value_.get_object();
  }
  std::string join(const std::string& key) const { return path_.empty() ? key : path_ + '.' + key; }

  const json::value& value_;
  std::string path_;
};

std::string scalar_text(const Place& place) {
  const json::value& value = place.raw();
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_bool()) return value.get_bool() ? "yes" : "no";
  if (value.is_number()) return json::serialize(value);
  place.fail("must be a string, a number, true or false");
}

net::Buffer hex_bytes(const Place& place) {
  const std::string text = place.text();
  net::Buffer out;
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    if (digit(text[i]) < 0 || digit(text[i + 1]) < 0) break;
    out.push_back(static_cast<uint8_t>(digit(text[i]) * 16 + digit(text[i + 1])));
  }
  if (out.size() * 2 != text.size()) place.fail("must be hexadecimal bytes");
  return out;
}

InterfacePlan read_interface(const Place& place) {
  InterfacePlan interface;
  interface.name = place.get("name").text();
  interface.link = place.get("link").text();
  place.get("addresses").each([&](const Place& a) { interface.addresses.push_back(a.prefix()); });
  return interface;
}

NatPlan read_nat(const Place& place) {
  NatPlan nat;
  nat.kind = place.get("kind").text();
  if (const auto set = place.find("set"))
    set->members([&](const std::string& axis, const Place& value) {
      nat.set.emplace_back(axis, scalar_text(value));
    });
  if (const auto engine = place.find("engine"))
    if (engine->text() != "culvert")
      engine->fail("'" + engine->text() + "' is not there in ns-3; only 'culvert' is");
  nat.inside = place.get("inside").texts();
  nat.outside = place.get("outside").text();
  nat.public_addresses = place.get("public").address_list();
  return nat;
}

NodePlan read_node(const Place& place) {
  NodePlan node;
  node.name = place.get("name").text();
  node.kind = place.get("kind").text();
  if (node.kind != "host" && node.kind != "router" && node.kind != "nat")
    place.get("kind").fail("'" + node.kind + "' is not a kind of node; host, router and nat are");
  node.forward = place.has("forward") ? place.get("forward").boolean() : node.kind != "host";
  std::set<std::string> names;
  place.get("interfaces").each([&](const Place& item) {
    node.interfaces.push_back(read_interface(item));
    if (!names.insert(node.interfaces.back().name).second)
      item.fail("two interfaces are called '" + node.interfaces.back().name + "'");
  });
  const auto known = [&](const Place& at, const std::string& name) {
    if (!names.count(name)) at.fail("node '" + node.name + "' has no interface '" + name + "'");
  };
  if (const auto routes = place.find("routes"))
    routes->each([&](const Place& item) {
      RoutePlan route;
      route.to = item.get("to").prefix();
      if (const auto via = item.find("via")) route.via = via->address();
      route.interface = item.get("interface").text();
      known(item.get("interface"), route.interface);
      if (!route.via.is_none() && route.via.family() != route.to.ip.family())
        item.fail("'to' and 'via' are not of one family");
      node.routes.push_back(std::move(route));
    });
  if (node.kind == "nat") {
    const Place nat = place.get("nat");
    node.nat = read_nat(nat);
    known(nat.get("outside"), node.nat->outside);
    for (const std::string& inside : node.nat->inside) known(nat.get("inside"), inside);
  }
  return node;
}

LinkPlan read_link(const Place& place) {
  LinkPlan link;
  link.name = place.get("name").text();
  link.ends = place.get("ends").texts();
  if (link.ends.size() < 2) place.get("ends").fail("a link has at least two ends");
  if (const auto access = place.find("access")) {
    if (access->text() != "ethernet" && access->text() != "lte")
      access->fail("access '" + access->text() + "' is not there; 'ethernet' and 'lte' are");
    if (access->text() == "lte") link.lte.emplace();
  }
  if (link.lte) {
    if (const auto v = place.find("wake_ms")) link.lte->wake = v->ms();
    if (const auto v = place.find("idle_ms")) link.lte->idle = v->ms();
  }
  if (const auto v = place.find("delay_ms")) link.delay = v->ms();
  if (const auto v = place.find("jitter_ms")) link.jitter = v->ms();
  if (const auto v = place.find("rate_mbps")) link.rate_mbps = v->number();
  if (const auto v = place.find("loss")) {
    link.loss = v->number();
    if (link.loss > 1) v->fail("is a probability, 0 to 1");
  }
  if (const auto v = place.find("mtu")) {
    link.mtu = static_cast<uint32_t>(v->natural());
    if (link.mtu < 68 || link.mtu > 65535) v->fail("must be 68 (RFC 791) to 65535 bytes");
  }
  return link;
}

Condition read_condition(const Place& place, const RunPlan& run) {
  Condition condition;
  const Place event = place.get("event");
  const std::string text = event.text();
  const size_t dot = text.find('.');
  if (dot == std::string::npos || dot == 0 || dot + 1 == text.size())
    event.fail("'" + text + "' must be service.event");
  condition.service = text.substr(0, dot);
  condition.event = text.substr(dot + 1);
  const Place nodes = place.get("nodes");
  condition.nodes = nodes.texts();
  if (condition.nodes.empty()) nodes.fail("names no node, so it would never be met");
  for (const std::string& node : condition.nodes)
    if (!run.node(node) && !run.link(node))
      nodes.fail("there is no node '" + node + "', and no such link");
  return condition;
}

StepPlan read_step(const Place& place, const RunPlan& run) {
  StepPlan step;
  if (const auto when = place.find("when")) {
    step.when = read_condition(*when, run);
    if (const auto after = place.find("after_ms")) step.delay = after->ms();
  } else {
    step.delay = place.get("at_ms").ms();
  }
  step.action = place.get("do").text();
  if (const auto v = place.find("node")) step.node = v->text();
  if (const auto v = place.find("service")) step.service = v->text();
  if (const auto v = place.find("link")) step.link = v->text();
  if (step.node.empty() == step.link.empty()) place.fail("needs either 'node' or 'link'");
  if (!step.link.empty() && !run.link(step.link))
    place.get("link").fail("there is no link '" + step.link + "'");
  if (!step.node.empty()) {
    const NodePlan* node = run.node(step.node);
    if (!node) place.get("node").fail("there is no node '" + step.node + "'");
    if (step.service.empty() && !node->nat)
      place.get("node").fail("'" + step.node + "' is not a NAT, so its step needs a 'service'");
  }
  if (!step.service.empty() &&
      std::none_of(run.services.begin(), run.services.end(), [&](const ServicePlan& service) {
        return service.node == step.node && service.name == step.service;
      }))
    place.get("service").fail("no service '" + step.service + "' runs on '" + step.node + "'");
  return step;
}

void check_wiring(const Place& place, const RunPlan& run) {
  for (const LinkPlan& link : run.links) {
    for (const std::string& end : link.ends) {
      const NodePlan* node = run.node(end);
      if (!node) place.get("links").fail("link '" + link.name + "' has no node '" + end + "'");
      if (std::none_of(node->interfaces.begin(), node->interfaces.end(),
                       [&](const InterfacePlan& i) { return i.link == link.name; }))
        place.get("nodes").fail("node '" + end + "' has no interface on link '" + link.name + "'");
    }
  }
  for (const NodePlan& node : run.nodes)
    for (const InterfacePlan& interface : node.interfaces)
      if (!run.link(interface.link))
        place.get("nodes").fail("interface '" + interface.name + "' is on link '" + interface.link +
                                "', which is not there");
}

RunPlan read_run(const Place& place) {
  RunPlan run;
  run.id = place.get("id").text();
  if (run.id.empty() || run.id.find('/') != std::string::npos || run.id.front() == '.')
    place.get("id").fail("'" + run.id + "' cannot be a file's name");
  run.world = place.get("world").text();
  run.seed = place.get("seed").natural();
  run.rng_seed = place.get("rng_seed").natural();
  std::set<std::string> names;
  const auto unique = [&](const Place& at, const std::string& name) {
    if (name.empty() || name.find('/') != std::string::npos) at.fail("has no usable name");
    if (!names.insert(name).second) at.fail("the name '" + name + "' is taken");
  };
  place.get("nodes").each([&](const Place& item) {
    run.nodes.push_back(read_node(item));
    unique(item, run.nodes.back().name);
  });
  names.clear();
  place.get("links").each([&](const Place& item) {
    run.links.push_back(read_link(item));
    unique(item, run.links.back().name);
  });
  check_wiring(place, run);
  names.clear();
  if (const auto services = place.find("services"))
    services->each([&](const Place& item) {
      ServicePlan service{item.get("node").text(), item.get("name").text(),
                          item.get("argv").texts()};
      if (!run.node(service.node)) item.fail("there is no node '" + service.node + "'");
      if (service.argv.empty()) item.get("argv").fail("is empty");
      if (!names.insert(service.node + '/' + service.name).second)
        item.fail("two services of '" + service.node + "' are called '" + service.name + "'");
      run.services.push_back(std::move(service));
    });
  if (const auto secrets = place.find("secrets"))
    secrets->members([&](const std::string& name, const Place& value) {
      run.secrets.emplace(name, hex_bytes(value));
    });
  if (const auto table = place.find("names"))
    table->members([&](const std::string& name, const Place& value) {
      run.names.emplace(name, value.address_list());
    });
  if (const auto timeline = place.find("timeline"))
    timeline->each([&](const Place& item) { run.timeline.push_back(read_step(item, run)); });
  if (const auto until = place.find("until")) run.until = read_condition(*until, run);
  if (const auto linger = place.find("linger_ms")) run.linger = linger->ms();
  run.budget = place.get("budget_ms").ms();
  return run;
}

}  // namespace

const NodePlan* RunPlan::node(const std::string& wanted) const {
  for (const NodePlan& node : nodes)
    if (node.name == wanted) return &node;
  return nullptr;
}

const LinkPlan* RunPlan::link(const std::string& wanted) const {
  for (const LinkPlan& link : links)
    if (link.name == wanted) return &link;
  return nullptr;
}

net::Result<Plan> parse_plan(const std::string& file, std::string_view text,
                             const std::string& world) {
  json::error_code error;
  json::monotonic_resource arena;
  json::stream_parser parser(&arena);
  const size_t taken = parser.write_some(text.data(), text.size(), error);
  if (!error && taken == text.size()) parser.finish(error);
  if (error || taken != text.size()) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<long>(taken), '\n');
    return {net::Error::invalid, file + ":" + std::to_string(line) + ": not JSON: " +
                                     (error ? error.message() : "more follows its end")};
  }
  const json::value document = parser.release();
  try {
    const Place top(document, "");
    const Place format = top.get("format");
    if (format.natural() != 1) format.fail("only format 1 can be executed");
    Plan plan;
    plan.scenario = top.get("scenario").text();
    std::set<std::string> ids;
    top.get("runs").each([&](const Place& item) {
      if (item.get("world").text() != world) return;
      plan.runs.push_back(read_run(item));
      plan.runs.back().scenario = plan.scenario;
      if (!ids.insert(plan.runs.back().id).second)
        item.get("id").fail("two runs have the id '" + plan.runs.back().id + "'");
    });
    return plan;
  } catch (const std::runtime_error& problem) {
    return {net::Error::invalid, file + ": " + problem.what()};
  }
}

net::Result<Plan> read_plan(const std::string& file, const std::string& world) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) return {net::Error::not_found, file + ": cannot be read"};
  return parse_plan(file, text.str(), world);
}

}  // namespace culvert::runner
