#include "model/plan/network.h"

#include <algorithm>
#include <set>

namespace culvert::plan {
namespace {

constexpr size_t kLongestName = 10;  // Linux interface names have 15: "nat_a-eth12"

void check_name(const std::string& name, const Item& where) {
  const bool good = !name.empty() && name.size() <= kLongestName &&
                    std::all_of(name.begin(), name.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
                    });
  if (!good)
    where.fail("'" + name + "' is no name: lower-case letters, digits and '_', at most " +
               std::to_string(kLongestName) + " of them");
}

// Does a bit behind the prefix stand in its address?
bool has_host_bits(const net::Prefix& prefix) {
  const int bits = prefix.ip.is_v4() ? 32 : 128;
  for (int bit = prefix.length; bit < bits; ++bit)
    if (prefix.ip.bytes()[static_cast<size_t>(bit / 8)] >> (7 - bit % 8) & 1) return true;
  return false;
}

net::Prefix read_subnet(const Item& link, const char* key, const Assignment& values, bool v6) {
  const std::string text = string(link, key, values, "");
  if (text.empty()) return {};
  const auto prefix = net::Prefix::parse(text);
  if (!prefix || prefix->ip.is_v6() != v6)
    link.get(key).fail("'" + text + "' is not an IPv" + (v6 ? "6" : "4") + " subnet such as " +
                       (v6 ? "2001:db8:1::/64" : "10.1.0.0/24"));
  const int longest = v6 ? 126 : 30;  // two ends, and IPv4's addresses of network and broadcast
  if (prefix->length < 8 || prefix->length > longest)
    link.get(key).fail("'" + text + "': a subnet's length is 8 to " + std::to_string(longest));
  if (has_host_bits(*prefix))
    link.get(key).fail("'" + text + "' is an address in a subnet; a subnet ends in zero bits");
  return *prefix;
}

// The n-th address of a subnet, 1 being the first usable one.
net::IpAddress nth_address(const net::Prefix& subnet, uint32_t n) {
  if (subnet.ip.is_v4()) return net::IpAddress::v4(subnet.ip.to_v4() + n);
  auto bytes = subnet.ip.bytes();
  for (int i = 15, carry = static_cast<int>(n); i >= 0 && carry; --i) {
    carry += bytes[i];
    bytes[i] = static_cast<uint8_t>(carry);
    carry >>= 8;
  }
  return net::IpAddress::v6(bytes);
}

Link read_link(const std::string& name, const Item& item, const Assignment& values) {
  item.only({"ends", "subnet", "subnet_open", "subnet6", "delay_ms", "jitter_ms", "loss",
             "rate_mbps", "mtu", "access", "about", "wake_ms", "idle_ms", "up_delay_ms",
             "up_grant_ms", "down_delay_ms", "down_grant_ms", "up_mbps", "down_mbps"},
            "link '" + name + "'");
  Link link;
  link.name = name;
  link.where = item;
  check_name(name, item);
  const Item& ends = item.get("ends");
  if (!ends.is_list() || ends.list.size() < 2) ends.fail("a link has two ends or more");
  for (const Item& end : ends.list) link.ends.push_back(end.text("an end"));
  link.subnet = read_subnet(item, "subnet", values, false);
  link.subnet_open = read_subnet(item, "subnet_open", values, false);
  link.subnet6 = read_subnet(item, "subnet6", values, true);
  if (link.subnet.ip.is_none() && link.subnet6.ip.is_none())
    item.fail("link '" + name + "' needs a subnet or a subnet6");
  link.access = string(item, "access", values, "ethernet");
  if (link.access != "ethernet" && link.access != "lte")
    item.get("access").fail("access '" + link.access + "'; " +
                            suggestion(link.access, {"ethernet", "lte"}));
  const auto within = [&](const char* key, double fallback, double min, double max) {
    const double value = number(item, key, values, fallback);
    if (value < min || value > max)  // number() lets no NaN through
      item.get(key).fail(std::string(key) + " = " + to_text(value) + " is out of range " +
                         to_text(min) + " to " + to_text(max));
    return value;
  };
  link.delay_ms = within("delay_ms", 1.0, 0, 60000);
  link.jitter_ms = within("jitter_ms", 0, 0, 60000);
  link.loss = within("loss", 0, 0, 1);
  link.rate_mbps = within("rate_mbps", 1000, 0.001, 100000);
  link.mtu = static_cast<int>(within("mtu", 1500, 576, 65535));  // RFC 791: 576 must pass
  // A radio's numbers may stand at a link whose access a scenario varies; on Ethernet they are
  // idle.
  for (const RadioNumber& number : kRadioNumbers)
    link.radio.push_back(within(number.key, number.fallback, number.min, number.max));
  if (link.access == "lte") {
    if (!link.subnet6.ip.is_none())
      item.get("subnet6").fail(
          "a link with access 'lte' has IPv4 only: ns-3's carrier is built so");
    if (link.mtu != 1500) item.get("mtu").fail("the mtu of a link with access 'lte' is 1500");
  }
  return link;
}

Node read_node(const std::string& name, const Item& item, const Assignment& values,
               const Vocabulary& vocabulary) {
  item.only({"kind", "nat", "engine", "outside", "public", "set", "addresses", "about"},
            "node '" + name + "'");
  Node node;
  node.name = name;
  node.where = item;
  check_name(name, item);
  node.kind = string(item, "kind", values, "");
  if (node.kind != "host" && node.kind != "router" && node.kind != "nat")
    item.fail("node '" + name + "' has kind '" + node.kind + "'; " +
              suggestion(node.kind, {"host", "router", "nat"}));
  if (node.kind != "nat") {
    for (const char* key : {"nat", "engine", "outside", "public", "set"})
      if (const Item* wrong = item.find(key))
        wrong->fail("'" + std::string(key) + "' is for NATs, and '" + name + "' is a " + node.kind);
    return node;
  }
  const Item& kind = item.get("nat");
  node.nat_kind = string(item, "nat", values, "");
  if (vocabulary.nat_kind) {
    const std::string wrong = vocabulary.nat_kind(node.nat_kind);
    if (!wrong.empty()) kind.fail(wrong);
  }
  node.translates = !vocabulary.nat_translates || vocabulary.nat_translates(node.nat_kind);
  node.engine = string(item, "engine", values, "culvert");
  if (node.engine != "culvert" && node.engine != "kernel")
    item.get("engine").fail("engine '" + node.engine + "'; " +
                            suggestion(node.engine, {"culvert", "kernel"}));
  node.outside_link = string(item, "outside", values, "");
  if (node.outside_link.empty()) item.get("outside");  // says that it is missing
  if (const Item* set = item.find("set")) {
    if (!set->is_table()) set->fail("'set' is a table of axes: { hairpin = \"internal\" }");
    for (const auto& [axis, value] : set->table) {
      const Value resolved = substitute(value, values);
      if (resolved.is_string() && resolved.get_string().empty()) continue;  // "" leaves the kind's
      if (vocabulary.nat_axis) {
        const std::string wrong = vocabulary.nat_axis(axis, to_text(resolved));
        if (!wrong.empty()) value.fail(wrong);
      }
      node.nat_set[axis] = to_text(resolved);
    }
  }
  return node;
}

// How many addresses a node takes on a link: hosts may want several, NATs a public pool.
int addresses_wanted(const Node& node, const std::string& link, const Assignment& values) {
  const bool pool = node.kind == "nat" && node.outside_link == link;
  const char* key = pool ? "public" : "addresses";
  const double wanted = number(node.where, key, values, 1);
  if (wanted < 1 || wanted > 64) node.where.get(key).fail(std::string(key) + " must be 1 to 64");
  return pool || node.kind == "host" ? static_cast<int>(wanted) : 1;
}

// Links inside of NATs that do not translate take their open subnets.
void open_subnets(Network& network) {
  for (Link& link : network.links) {
    if (link.subnet_open.ip.is_none()) continue;
    for (const std::string& end : link.ends) {
      const Node* node = network.node(end);
      if (node && node->kind == "nat" && !node->translates && node->outside_link != link.name)
        link.subnet = link.subnet_open;
    }
  }
}

// Devices, and last the carrier's router or NAT behind its packet gateway.
void check_lte(const Network& network) {
  for (const Link& link : network.links) {
    if (link.access != "lte") continue;
    for (const std::string& end : link.ends) {
      const Node* node = network.node(end);
      const bool last = &end == &link.ends.back();
      if (node && (node->kind == "host") == last)
        link.where.get("ends").fail(
            "the ends of a link with access 'lte' are hosts, and last the "
            "carrier's router or NAT; '" +
            end + "' is a " + node->kind);
    }
  }
}

void assign_addresses(Network& network, const Assignment& values) {
  for (const Link& link : network.links) {
    uint32_t next = 2;
    std::set<net::IpAddress> taken;
    for (size_t i = 0; i < link.ends.size(); ++i) {
      const auto found = std::find_if(network.nodes.begin(), network.nodes.end(),
                                      [&](const Node& n) { return n.name == link.ends[i]; });
      if (found == network.nodes.end()) {
        std::vector<std::string> known;
        for (const Node& n : network.nodes) known.push_back(n.name);
        link.where.get("ends").fail("there is no node '" + link.ends[i] + "'; " +
                                    suggestion(link.ends[i], known));
      }
      if (found->on(link.name)) link.where.get("ends").fail("'" + found->name + "' stands twice");
      Interface interface;
      interface.link = link.name;
      interface.name = found->name + "-eth" + std::to_string(found->interfaces.size());
      const bool upstream = i + 1 == link.ends.size();
      const int wanted = addresses_wanted(*found, link.name, values);
      const uint32_t first = upstream ? 1 : next;
      for (const net::Prefix* subnet : {&link.subnet, &link.subnet6}) {
        if (subnet->ip.is_none()) continue;
        const bool pool = found->kind == "nat" && found->outside_link == link.name;
        for (int k = 0; k < wanted; ++k) {
          // The upstream end has .1; what it wants beyond that stands from .200 on.
          const uint32_t n =
              upstream && k > 0 ? 199 + static_cast<uint32_t>(k) : first + static_cast<uint32_t>(k);
          const net::IpAddress address = nth_address(*subnet, n);
          if (!subnet->contains(address) || !subnet->contains(nth_address(*subnet, n + 1)) ||
              !taken.insert(address).second)
            link.where.fail("'" + subnet->to_string() + "' has no room for all addresses of '" +
                            found->name + "'");
          if (k == 0 || !pool) interface.addresses.push_back({address, subnet->length});
          if (pool && address.is_v4()) found->public_addresses.push_back(address);
        }
      }
      if (!upstream) next += static_cast<uint32_t>(wanted);
      found->interfaces.push_back(std::move(interface));
    }
  }
}

boost::json::object interface_json(const Interface& interface) {
  boost::json::array addresses;
  for (const net::Prefix& a : interface.addresses) addresses.push_back(a.to_string().c_str());
  return {{"name", interface.name}, {"link", interface.link}, {"addresses", addresses}};
}

}  // namespace

const Interface* Node::on(const std::string& link) const {
  for (const Interface& i : interfaces)
    if (i.link == link) return &i;
  return nullptr;
}

const Node* Network::node(const std::string& name) const {
  for (const Node& n : nodes)
    if (n.name == name) return &n;
  return nullptr;
}

const Link* Network::link(const std::string& name) const {
  for (const Link& l : links)
    if (l.name == name) return &l;
  return nullptr;
}

Assignment Network::addresses() const {
  Assignment out;
  for (const Node& node : nodes) {
    int v4 = 0, v6 = 0;
    for (const Interface& interface : node.interfaces)
      for (const net::Prefix& a : interface.addresses) {
        int& count = a.ip.is_v4() ? v4 : v6;
        ++count;
        std::string key = node.name + (a.ip.is_v4() ? ".address" : ".address6");
        if (count > 1) key += (a.ip.is_v4() ? "" : "_") + std::to_string(count);
        out[key] = a.ip.to_string().c_str();
      }
  }
  return out;
}

boost::json::object Network::json() const {
  boost::json::array nodes_json, links_json;
  for (const Node& node : nodes) {
    boost::json::array interfaces, routes;
    for (const Interface& interface : node.interfaces)
      interfaces.push_back(interface_json(interface));
    for (const Route& route : node.routes)
      routes.push_back({{"to", route.to.to_string()},
                        {"via", route.via.to_string()},
                        {"interface", route.interface}});
    boost::json::object out{{"name", node.name},
                            {"kind", node.kind},
                            {"forward", node.kind != "host"},
                            {"interfaces", interfaces},
                            {"routes", routes}};
    if (node.kind == "nat") {
      boost::json::array inside, publics;
      std::string outside;
      for (const Interface& i : node.interfaces) {
        if (i.link == node.outside_link)
          outside = i.name;
        else
          inside.push_back(i.name.c_str());
      }
      for (const net::IpAddress& a : node.public_addresses)
        publics.push_back(a.to_string().c_str());
      out["nat"] = {{"kind", node.nat_kind}, {"set", node.nat_set}, {"engine", node.engine},
                    {"inside", inside},      {"outside", outside},  {"public", publics}};
    }
    nodes_json.push_back(std::move(out));
  }
  for (const Link& link : links) {
    boost::json::array ends;
    for (const std::string& end : link.ends) ends.push_back(end.c_str());
    boost::json::object made{{"name", link.name},           {"ends", ends},
                             {"access", link.access},       {"delay_ms", link.delay_ms},
                             {"jitter_ms", link.jitter_ms}, {"loss", link.loss},
                             {"rate_mbps", link.rate_mbps}, {"mtu", link.mtu}};
    for (size_t i = 0; link.access == "lte" && i < link.radio.size(); ++i)
      made[kRadioNumbers[i].key] = link.radio[i];
    links_json.push_back(std::move(made));
  }
  return {{"nodes", nodes_json}, {"links", links_json}};
}

Network resolve_network(const Item& topology, const Assignment& values,
                        const Vocabulary& vocabulary) {
  Network network;
  const Item& nodes = topology.get("nodes");
  const Item& links = topology.get("links");
  for (const Item* table : {&nodes, &links})
    if (!table->is_table()) table->fail("[nodes] and [links] must be tables");
  for (const auto& [name, item] : nodes.table)
    network.nodes.push_back(read_node(name, item, values, vocabulary));
  for (const auto& [name, item] : links.table) {
    if (network.node(name)) item.fail("'" + name + "' is a node already: events name both alike");
    network.links.push_back(read_link(name, item, values));
  }
  check_lte(network);
  open_subnets(network);
  assign_addresses(network, values);
  for (const Node& node : network.nodes) {
    if (node.interfaces.empty()) node.where.fail("'" + node.name + "' is on no link");
    if (node.kind != "nat") continue;
    if (!node.on(node.outside_link))
      node.where.get("outside").fail("'" + node.name + "' has no end on a link '" +
                                     node.outside_link + "'");
    if (node.interfaces.size() < 2) node.where.fail("a NAT needs a link inside, too");
  }
  compute_routes(network);
  return network;
}

}  // namespace culvert::plan
