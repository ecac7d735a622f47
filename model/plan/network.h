// A topology with its parameters resolved: nodes with addresses and routes, links with delays.
// Addressing and routing are decided here, once, so that both worlds get the same network.
//
// Routing: a NAT cuts the network into realms, for nobody outside may know a route inside. In each
// realm every node knows the way to every subnet of the realm, and by default goes to the NAT that
// has the realm inside; in the outermost realm, to the nearest router. A "NAT" that does not
// translate (open, firewall-only) is a router to all this, and a link inside of it takes its
// subnet_open, addresses that are nobody's private ones.
#pragma once

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "model/net/address.h"
#include "model/plan/item.h"
#include "model/plan/parameters.h"

namespace culvert::plan {

struct Link {
  std::string name;
  std::vector<std::string> ends;  // node names; the last is the upstream one and gets .1
  std::string access;             // "ethernet"
  net::Prefix subnet, subnet6;    // ip none: not of that family
  net::Prefix subnet_open;        // instead of subnet where nothing translates in front
  double delay_ms = 0, jitter_ms = 0, loss = 0, rate_mbps = 1000;
  int mtu = 1500;
  Item where;
};

struct Interface {
  std::string name;
  std::string link;
  std::vector<net::Prefix> addresses;
};

struct Route {
  net::Prefix to;
  net::IpAddress via;
  std::string interface;
};

struct Node {
  std::string name, kind;  // host, router, nat
  std::vector<Interface> interfaces;
  std::vector<Route> routes;
  // NAT only:
  bool translates = true;
  std::string nat_kind, engine, outside_link;
  boost::json::object nat_set;
  std::vector<net::IpAddress> public_addresses;
  Item where;

  const Interface* on(const std::string& link) const;
  bool cuts() const { return kind == "nat" && translates; }  // realms
};

struct Network {
  std::vector<Node> nodes;
  std::vector<Link> links;
  const Node* node(const std::string& name) const;
  const Link* link(const std::string& name) const;
  // "a.address", "s.address2", "s.address6" … for service command lines.
  Assignment addresses() const;
  boost::json::object json() const;  // {"nodes": […], "links": […]}
};

// Throws InputError. Unknown keys, nodes and kinds are errors at their line.
Network resolve_network(const Item& topology, const Assignment& values,
                        const Vocabulary& vocabulary);

// Fills in `routes` of every node. Refuses subnets that overlap in sight of each other, and NATs
// whose way out leads back to their inside.
void compute_routes(Network& network);

// {"a>s": 12.5, …}: sums of link delays along the fewest links, between hosts and NATs.
boost::json::object one_way_delays_ms(const Network& network);

}  // namespace culvert::plan
