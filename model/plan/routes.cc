// Static routes for a resolved network: see network.h for the rule of realms.
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "model/plan/network.h"

namespace culvert::plan {
namespace {

// The links of one realm: joined by hosts and routers, and by a NAT only among its inside links.
std::vector<std::set<std::string>> find_realms(const Network& network) {
  std::vector<std::set<std::string>> realms;
  std::set<std::string> seen;
  for (const Link& start : network.links) {
    if (seen.count(start.name)) continue;
    std::set<std::string> realm;
    std::deque<std::string> todo{start.name};
    while (!todo.empty()) {
      const std::string name = todo.front();
      todo.pop_front();
      if (!realm.insert(name).second) continue;
      seen.insert(name);
      for (const std::string& end : network.link(name)->ends) {
        const Node& node = *network.node(end);
        const bool from_outside = node.cuts() && node.outside_link == name;
        if (node.kind == "host" || from_outside) continue;
        for (const Interface& i : node.interfaces)
          if (!node.cuts() || i.link != node.outside_link) todo.push_back(i.link);
      }
    }
    realms.push_back(std::move(realm));
  }
  return realms;
}

bool forwards(const Node& node, const std::string& from, const std::string& to) {
  if (node.kind == "host") return false;
  return !node.cuts() || (from != node.outside_link && to != node.outside_link);
}

struct Hop {
  std::string link;  // by which link of the starting node
  std::string via;   // to which node on it
  int distance = 0;  // links to the far node
};

// First hops from `node` to every other node of the realm, by fewest links.
std::map<std::string, Hop> first_hops(const Network& network, const Node& node,
                                      const std::set<std::string>& realm) {
  struct Step {
    std::string node, arrived_by;
    Hop first;
  };
  std::map<std::string, Hop> hops;
  std::deque<Step> todo;
  const auto spread = [&](const Node& from, const std::string& arrived_by, const Hop* first) {
    for (const Interface& i : from.interfaces) {
      if (!realm.count(i.link)) continue;
      if (first && !forwards(from, arrived_by, i.link)) continue;
      for (const std::string& end : network.link(i.link)->ends) {
        if (end == node.name || hops.count(end)) continue;
        Hop hop = first ? *first : Hop{i.link, end, 0};
        ++hop.distance;
        hops[end] = hop;
        todo.push_back({end, i.link, hop});
      }
    }
  };
  spread(node, "", nullptr);
  while (!todo.empty()) {
    const Step step = todo.front();
    todo.pop_front();
    spread(*network.node(step.node), step.arrived_by, &step.first);
  }
  return hops;
}

// The default gateway of a realm as seen from `node`: the NAT that has it inside, or in the
// outermost realm, for a host or a NAT, the nearest router.
const Node* default_exit(const Network& network, const Node& node,
                         const std::set<std::string>& realm) {
  for (const Node& nat : network.nodes) {
    if (!nat.cuts() || realm.count(nat.outside_link)) continue;
    for (const Interface& i : nat.interfaces)
      if (realm.count(i.link)) return &nat == &node ? nullptr : &nat;
  }
  if (node.kind != "host" && !node.cuts()) return nullptr;
  for (const Interface& i : node.interfaces) {
    if (!realm.count(i.link)) continue;
    for (const std::string& end : network.link(i.link)->ends)
      if (end != node.name && network.node(end)->kind != "host" && !network.node(end)->cuts())
        return network.node(end);
  }
  return nullptr;
}

bool overlap(const net::Prefix& a, const net::Prefix& b) {
  if (a.ip.is_none() || a.ip.family() != b.ip.family()) return false;
  return a.length <= b.length ? a.contains(b.ip) : b.contains(a.ip);
}

void check_overlap(const Link& one, const Link& other) {
  for (const auto& [a, b] : {std::pair{one.subnet, other.subnet}, {one.subnet6, other.subnet6}})
    if (overlap(a, b))
      other.where.fail("link '" + other.name + "' has " + b.to_string() + ", which overlaps " +
                       a.to_string() + " of '" + one.name + "' in sight of it");
}

// Two homes may both use 10.1.0.0/24, but not two links of one realm, nor of one node.
void check_subnets(const Network& network, const std::vector<std::set<std::string>>& realms) {
  for (size_t i = 0; i < network.links.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      const Link &one = network.links[j], &other = network.links[i];
      bool in_sight = false;
      for (const auto& realm : realms)
        in_sight = in_sight || (realm.count(one.name) && realm.count(other.name));
      for (const Node& node : network.nodes)
        in_sight = in_sight || (node.on(one.name) && node.on(other.name));
      if (in_sight) check_overlap(one, other);
    }
}

// From a realm outwards, NAT by NAT: who comes round again never reaches the outside.
void check_circles(const Network& network, const std::vector<std::set<std::string>>& realms) {
  for (const Node& start : network.nodes) {
    if (!start.cuts()) continue;
    std::set<std::string> passed;
    std::deque<const Node*> todo{&start};
    while (!todo.empty()) {
      const Node& nat = *todo.front();
      todo.pop_front();
      for (const auto& realm : realms) {
        if (!realm.count(nat.outside_link)) continue;
        for (const Node& next : network.nodes) {
          if (!next.cuts()) continue;
          for (const Interface& i : next.interfaces) {
            if (i.link == next.outside_link || !realm.count(i.link)) continue;
            if (&next == &start)
              start.where.fail("the way out of '" + start.name + "' leads back to its inside");
            if (passed.insert(next.name).second) todo.push_back(&next);
          }
        }
      }
    }
  }
}

void add_route(const Network& network, Node& node, const net::Prefix& to, const Hop& hop) {
  const Interface* own = node.on(hop.link);
  const Interface* next = network.node(hop.via)->on(hop.link);
  for (const net::Prefix& a : next->addresses) {
    if (a.ip.family() != to.ip.family()) continue;
    for (const Route& route : node.routes)
      if (route.to == to) return;
    node.routes.push_back({to, a.ip, own->name});
    return;
  }
}

}  // namespace

void compute_routes(Network& network) {
  const net::Prefix default4{net::IpAddress::any_v4(), 0}, default6{net::IpAddress::any_v6(), 0};
  const auto realms = find_realms(network);
  check_subnets(network, realms);
  check_circles(network, realms);
  for (const std::set<std::string>& realm : realms) {
    for (Node& node : network.nodes) {
      const auto hops = first_hops(network, node, realm);
      if (hops.empty()) continue;
      const Node* exit = default_exit(network, node, realm);
      const bool only_default = node.kind == "host" && exit;
      for (const Link& link : network.links) {
        if (only_default || !realm.count(link.name) || node.on(link.name)) continue;
        const Hop* nearest = nullptr;
        for (const std::string& end : link.ends) {
          const auto hop = hops.find(end);
          if (hop != hops.end() && (!nearest || hop->second.distance < nearest->distance))
            nearest = &hop->second;
        }
        if (!nearest) continue;
        for (const net::Prefix& subnet : {link.subnet, link.subnet6})
          if (!subnet.ip.is_none()) add_route(network, node, subnet, *nearest);
      }
      if (!exit || !hops.count(exit->name)) continue;
      add_route(network, node, default4, hops.at(exit->name));
      add_route(network, node, default6, hops.at(exit->name));
    }
  }
}

}  // namespace culvert::plan
