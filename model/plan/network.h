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

// A number of a link with access "lte": its key, what it is without one, and its range. Delays and
// rates of the radio itself are for emulated links only: ns-3 has a radio of its own.
struct RadioNumber {
  const char* key;
  double fallback, min, max;
};
inline constexpr RadioNumber kRadioNumbers[] = {
    // From idle to connected, and back after so long without a packet: Huang et al., MobiSys 2012.
    {"wake_ms", 260.1, 0, 60000},
    {"idle_ms", 11576, 0, 3600000},  // 0: never idle
    // 3GPP TR 36.881 table 5.2.1-1: 12 ms from scheduling request to decoded data, before which a
    // device without a grant waits for its turn to ask, every 10 ms (up_grant_ms, uniform).
    {"up_delay_ms", 12, 0, 60000},
    {"up_grant_ms", 10, 0, 60000},
    // Ibid., table 5.2.1-2: 7 ms, and up to a sub-frame's wait.
    {"down_delay_ms", 7, 0, 60000},
    {"down_grant_ms", 1, 0, 60000},
    // What ns-3's eNB with 50 resource blocks (10 MHz) gives one device near it, about.
    {"up_mbps", 20, 0.001, 100000},
    {"down_mbps", 35, 0.001, 100000},
};

struct Link {
  std::string name;
  std::vector<std::string> ends;  // node names; the last is the upstream one and gets .1
  std::string access;             // "ethernet" or "lte"
  std::vector<double> radio;      // of "lte": as kRadioNumbers
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
