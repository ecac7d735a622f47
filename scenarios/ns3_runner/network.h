// The network of one run in ns-3: nodes, links, addresses, routes, NATs, and a Host on every node
// that has services. Everybody knows everybody's link addresses from the start (no ARP, no
// neighbour discovery on the wire): runs begin warm. Stands on model/ns3 and link.h.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/net/error.h"
#include "model/ns3/host.h"
#include "model/ns3/nat_router.h"
#include "scenarios/ns3_runner/capture.h"
#include "scenarios/ns3_runner/link.h"
#include "scenarios/ns3_runner/lte.h"
#include "scenarios/ns3_runner/plan.h"
#include "scenarios/ns3_runner/run_log.h"

namespace culvert::runner {

class Network {
 public:
  // `capture_folder` empty: no captures. invalid: the sentence says what cannot be built.
  static net::Result<std::unique_ptr<Network>> build(const RunPlan& plan, RunLog& log,
                                                     const std::string& capture_folder);
  ~Network();  // before Simulator::Destroy()

  // Null if there is none of that name.
  net::Host* host(const std::string& node);
  Link* link(const std::string& name);
  ns3_world::NatRouter* nat(const std::string& node);

  // "198.51.100.7,198.51.100.8": new public addresses of a NAT, known to its neighbours at once.
  net::Status change_address(const std::string& node, const std::string& addresses);
  void log_counters();                  // of every NAT, in the plan's order
  void watch(const std::string& link);  // from now on `link.passed` for each packet
  void count(const std::string& link);  // writes `link.counted` for each of its stations
  // When services may start: radios need a moment to attach.
  net::Time ready_at() const;

 private:
  struct Port;  // an interface of a node
  struct Machine;
  Network(const RunPlan& plan, RunLog& log);
  net::Status add_links();
  net::Status add_machine(const NodePlan& node, size_t rank, const std::string& capture_folder);
  net::Status add_port(Machine& machine, const InterfacePlan& interface,
                       const std::string& capture_folder);
  net::Status add_route(Machine& machine, const RoutePlan& route);
  net::Status add_nat(Machine& machine);
  std::pair<net::Prefix, net::IpAddress> carrier_of(const LinkPlan& link) const;
  void capture_ip(Port& port);
  void fill_neighbours();
  void know(const Port& who, const net::IpAddress& address);
  Port* port(Machine& machine, const std::string& interface);

  const RunPlan& plan_;
  RunLog& log_;
  std::map<std::string, ns3::Ptr<Link>> links_;
  std::map<std::string, net::EventLog*> link_logs_;
  std::map<std::string, std::unique_ptr<Lte>> lte_;  // by their links' names
  std::vector<std::unique_ptr<Machine>> machines_;   // in the plan's order
  std::vector<std::unique_ptr<net::EventLog>> logs_;
};

}  // namespace culvert::runner
