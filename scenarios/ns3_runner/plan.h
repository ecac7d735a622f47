// The plan as the runner executes it: plain data, read from JSON (docs/reference/plan.md) and
// checked as far as executing it needs. Decides nothing. Stands on model/net and Boost.JSON.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/link/radio.h"
#include "model/net/address.h"
#include "model/net/bytes.h"
#include "model/net/error.h"
#include "model/net/time.h"

namespace culvert::runner {

struct InterfacePlan {
  std::string name, link;
  std::vector<net::Prefix> addresses;
};

struct RoutePlan {
  net::Prefix to;
  net::IpAddress via;  // none: on the link
  std::string interface;
};

struct NatPlan {
  std::string kind;  // a preset's name, perhaps with axes to change
  std::vector<std::pair<std::string, std::string>> set;  // axis, value
  std::vector<std::string> inside;                       // interfaces
  std::string outside;
  std::vector<net::IpAddress> public_addresses;
};

struct NodePlan {
  std::string name, kind;  // host, router, nat
  bool forward = false;
  std::vector<InterfacePlan> interfaces;
  std::vector<RoutePlan> routes;
  std::optional<NatPlan> nat;
};

struct LinkPlan {
  std::string name;
  std::vector<std::string> ends;  // nodes
  // Access "lte": devices, and last the carrier's router or NAT; the radio's states. What else the
  // plan says of a radio is for emulated ones.
  std::optional<link::RadioOptions> lte;
  net::Duration delay{0}, jitter{0};
  double loss = 0;       // probability, 0..1
  double rate_mbps = 0;  // 0: no limit
  uint32_t mtu = 1500;   // bytes of IP packet
};

struct ServicePlan {
  std::string node, name;
  std::vector<std::string> argv;
};

// An event seen from every one of the nodes.
struct Condition {
  std::string service, event;
  std::vector<std::string> nodes;
};

struct StepPlan {
  std::optional<Condition> when;  // none: `delay` counts from the start of the run
  net::Duration delay{0};
  std::string node, service, link;  // service: with a node; link: without
  std::string action;               // `do`
};

struct RunPlan {
  std::string id, scenario, world;
  uint64_t seed = 0, rng_seed = 0;
  std::vector<NodePlan> nodes;
  std::vector<LinkPlan> links;
  std::vector<ServicePlan> services;
  std::map<std::string, net::Buffer> secrets;
  std::map<std::string, std::vector<net::IpAddress>> names;
  std::vector<StepPlan> timeline;
  std::optional<Condition> until;  // none: the run lasts its whole budget
  net::Duration linger{0}, budget{0};

  const NodePlan* node(const std::string& name) const;
  const LinkPlan* link(const std::string& name) const;
};

struct Plan {
  std::string scenario;
  std::vector<RunPlan> runs;  // those of the world asked for, in the plan's order
};

// Reads the runs of one world. invalid with one sentence that names the file and the place in it
// ("plan.json: runs[3].links[0].delay_ms: must be a number, 0 or more").
net::Result<Plan> parse_plan(const std::string& file, std::string_view text,
                             const std::string& world);
// The same from a file; not_found if it cannot be read.
net::Result<Plan> read_plan(const std::string& file, const std::string& world);

}  // namespace culvert::runner
