#include "scenarios/ns3_runner/network.h"

#include <ns3/arp-cache.h>
#include <ns3/ipv4-interface.h>
#include <ns3/ipv4-l3-protocol.h>
#include <ns3/ipv4-static-routing.h>
#include <ns3/ipv6-interface.h>
#include <ns3/ipv6-l3-protocol.h>
#include <ns3/ipv6-static-routing.h>
#include <ns3/names.h>
#include <ns3/ndisc-cache.h>
#include <ns3/simulator.h>

#include <algorithm>

#include "model/nat/presets.h"
#include "model/ns3/convert.h"
#include "model/packet/glance.h"
#include "scenarios/ns3_runner/stack.h"

namespace culvert::runner {
namespace {

constexpr uint32_t kNone = ~uint32_t{0};
constexpr size_t kGatewayMac = 0xf00000;  // ours: no plan has that many interfaces
constexpr size_t kGlance = 112;           // bytes that packet::glance can make use of: 20 + 60 + 32

using ns3_world::to_ipv4;
using ns3_world::to_ipv6;

ns3::Ipv4Mask mask(uint8_t length) {
  return ns3::Ipv4Mask(length == 0 ? 0u : ~uint32_t{0} << (32 - length));
}

// The addresses of nodes in order, so that two runs of one plan are alike to the byte even in one
// process (ns-3's own counter would go on).
ns3::Mac48Address mac_of(size_t number) {
  const uint8_t bytes[6] = {0x02,
                            0,
                            0,
                            static_cast<uint8_t>(number >> 16),
                            static_cast<uint8_t>(number >> 8),
                            static_cast<uint8_t>(number)};
  ns3::Mac48Address mac;
  mac.CopyFrom(bytes);
  return mac;
}

void log_lost(net::EventLog& log, const ns3::Packet& packet, const char* why) {
  uint8_t head[kGlance];
  const size_t size = packet.CopyData(head, sizeof head);
  const packet::Glance seen = packet::glance({head, size});
  if (seen.source.is_none()) return;  // not IP
  log.write("link", "lost",
            {{"source", seen.source},
             {"destination", seen.destination},
             {"packet", seen.mark},
             {"why", why}});
}

}  // namespace

struct Network::Port {
  Machine* machine = nullptr;
  const InterfacePlan* plan = nullptr;
  ns3::Ptr<ns3::NetDevice> device;  // a LinkDevice, or a radio's
  ns3::Mac48Address mac;
  uint32_t v4 = kNone, v6 = kNone;  // interface numbers in the stacks
  std::unique_ptr<Capture> capture;
};

struct Network::Machine {
  const NodePlan* plan = nullptr;
  ns3::Ptr<ns3::Node> node;
  std::vector<Port> ports;  // never grows after it was filled: others point into it
  ns3::Ptr<ns3::Ipv4StaticRouting> routes4;
  ns3::Ptr<ns3::Ipv6StaticRouting> routes6;
  std::unique_ptr<ns3_world::Ns3Host> host;
  ns3::Ptr<ns3_world::NatRouter> nat;
};

Network::Network(const RunPlan& plan, RunLog& log) : plan_(plan), log_(log) {}

Network::~Network() {
  for (auto& machine : machines_) machine->host.reset();
  for (auto& [name, link] : links_) link->on_lost = nullptr;
  ns3::Names::Clear();
}

net::Result<std::unique_ptr<Network>> Network::build(const RunPlan& plan, RunLog& log,
                                                     const std::string& capture_folder) {
  std::unique_ptr<Network> network(new Network(plan, log));
  net::Status status = network->add_links();
  for (size_t i = 0; i < plan.nodes.size() && status; ++i)
    status = network->add_machine(plan.nodes[i], i + 1, capture_folder);
  if (!status) return status;
  for (auto& [name, lte] : network->lte_) lte->attach();
  network->fill_neighbours();
  return network;
}

net::Status Network::add_links() {
  for (const LinkPlan& plan : plan_.links) {
    const auto link = ns3::CreateObject<Link>();
    link->lan = plan.ends.size() > 2 && !plan.lte;
    link->options.delay = plan.delay;
    link->options.jitter = plan.jitter;
    link->options.loss = plan.loss;
    link->options.rate_mbps = plan.rate_mbps;
    logs_.push_back(log_.open(plan.name, 1 + plan_.nodes.size() + links_.size()));
    link->on_lost = [log = logs_.back().get()](ns3::Ptr<const ns3::Packet> packet,
                                               const char* why) { log_lost(*log, *packet, why); };
    links_[plan.name] = link;
    link_logs_[plan.name] = logs_.back().get();
    if (!plan.lte) continue;
    link->radio = *plan.lte;
    const auto gateway = ns3::CreateObject<LinkDevice>();
    gateway->SetAddress(mac_of(kGatewayMac + lte_.size()));
    link->attach(gateway, net::derive_seed(plan_.rng_seed, "link/" + plan.name + "/gateway"), "");
    const auto [subnet, carrier] = carrier_of(plan);
    lte_[plan.name] = std::make_unique<Lte>(gateway, subnet, carrier);
  }
  return {};
}

// What the packet gateway must know: the devices' subnet and the carrier's router on it.
std::pair<net::Prefix, net::IpAddress> Network::carrier_of(const LinkPlan& link) const {
  for (const InterfacePlan& interface : plan_.node(link.ends.back())->interfaces)
    if (interface.link == link.name)
      for (const net::Prefix& address : interface.addresses)
        if (address.ip.is_v4()) return {address, address.ip};
  return {};
}

net::Status Network::add_machine(const NodePlan& plan, size_t rank,
                                 const std::string& capture_folder) {
  machines_.push_back(std::make_unique<Machine>());
  Machine& machine = *machines_.back();
  machine.plan = &plan;
  machine.node = ns3::CreateObject<ns3::Node>();
  ns3::Names::Add(plan.name, machine.node);
  const bool serves =
      std::any_of(plan_.services.begin(), plan_.services.end(),
                  [&](const ServicePlan& service) { return service.node == plan.name; });
  StackOptions stack;
  stack.ipv4 = false;
  for (const InterfacePlan& interface : plan.interfaces)
    for (const net::Prefix& address : interface.addresses)
      (address.ip.is_v4() ? stack.ipv4 : stack.ipv6) = true;
  stack.forward = plan.forward;
  stack.transports = plan.kind == "host";
  install_stack(machine.node, stack);
  if (const auto ipv4 = machine.node->GetObject<ns3::Ipv4>())
    machine.routes4 = ns3::DynamicCast<ns3::Ipv4StaticRouting>(ipv4->GetRoutingProtocol());
  if (const auto ipv6 = machine.node->GetObject<ns3::Ipv6>())
    machine.routes6 = ns3::DynamicCast<ns3::Ipv6StaticRouting>(ipv6->GetRoutingProtocol());

  machine.ports.reserve(plan.interfaces.size());
  for (const InterfacePlan& interface : plan.interfaces)
    if (net::Status status = add_port(machine, interface, capture_folder); !status) return status;
  for (const RoutePlan& route : plan.routes)
    if (net::Status status = add_route(machine, route); !status) return status;
  if (plan.nat) {
    logs_.push_back(log_.open(plan.name, rank));
    if (net::Status status = add_nat(machine); !status) return status;
  }
  if (serves) {
    ns3_world::Ns3HostOptions options;
    options.name = plan.name;
    options.seed = plan_.rng_seed;
    options.sink = log_.sink(plan.name, rank);
    options.secrets = plan_.secrets;
    options.names = plan_.names;
    machine.host = std::make_unique<ns3_world::Ns3Host>(machine.node, std::move(options));
  }
  return {};
}

net::Status Network::add_port(Machine& machine, const InterfacePlan& plan,
                              const std::string& capture_folder) {
  machine.ports.emplace_back();
  Port& port = machine.ports.back();
  port.machine = &machine;
  port.plan = &plan;
  const LinkPlan& link = *plan_.link(plan.link);
  const bool radio = link.lte && machine.plan->name != link.ends.back();
  ns3::Ptr<LinkDevice> wired;
  if (radio) {
    port.device = lte_[plan.link]->add(machine.node);
    for (const net::Prefix& address : plan.addresses)
      links_[plan.link]->add_device(machine.plan->name, address.ip);
  } else {
    port.device = wired = ns3::CreateObject<LinkDevice>();
    size_t number = 1;
    for (const auto& other : machines_) number += other->ports.size();
    port.mac = mac_of(number - 1);
    wired->SetAddress(port.mac);
    wired->SetMtu(static_cast<uint16_t>(link.mtu));
    machine.node->AddDevice(wired);
    const std::string direction = "link/" + plan.link + '/' + machine.plan->name + '/' + plan.name;
    links_[plan.link]->attach(wired, net::derive_seed(plan_.rng_seed, direction),
                              machine.plan->name);
  }
  ns3::Names::Add(machine.node, plan.name, port.device);  // Host::interfaces() says it

  const auto ipv4 = machine.node->GetObject<ns3::Ipv4>();
  const auto ipv6 = machine.node->GetObject<ns3::Ipv6>();
  if (ipv4) port.v4 = ipv4->AddInterface(port.device);
  if (ipv6) port.v6 = ipv6->AddInterface(port.device);
  for (const net::Prefix& address : plan.addresses) {
    if (address.ip.is_v4())
      ipv4->AddAddress(port.v4, {to_ipv4(address.ip), mask(address.length)});
    else
      ipv6->AddAddress(port.v6, {to_ipv6(address.ip), ns3::Ipv6Prefix(address.length)});
  }
  if (ipv4) ipv4->SetUp(port.v4);
  if (ipv6) ipv6->SetUp(port.v6);

  if (!capture_folder.empty()) {
    // Interfaces are usually called after their node already ("a-eth0").
    const std::string& node = machine.plan->name;
    const bool says_node = plan.name.compare(0, node.size() + 1, node + '-') == 0;
    auto capture =
        Capture::open(capture_folder + '/' + (says_node ? "" : node + '-') + plan.name + ".pcap");
    if (!capture) return capture.status();
    port.capture = std::move(*capture);
    if (radio)
      capture_ip(port);
    else
      wired->tap = [capture = port.capture.get()](ns3::Ptr<const ns3::Packet> packet,
                                                  ns3::Mac48Address from, ns3::Mac48Address to,
                                                  uint16_t protocol) {
        capture->write(ns3_world::from_ns3(ns3::Simulator::Now()), *packet, from, to, protocol);
      };
  }
  return {};
}

// A radio has no Ethernet frames: its IP packets are shown in some.
void Network::capture_ip(Port& port) {
  const auto note = [](Capture* capture, uint32_t wanted, ns3::Ptr<const ns3::Packet> packet,
                       ns3::Ptr<ns3::Ipv4>, uint32_t interface) {
    constexpr uint16_t kIpv4 = 0x0800;  // IANA ethertype
    if (interface == wanted)
      capture->write(ns3_world::from_ns3(ns3::Simulator::Now()), *packet, mac_of(0), mac_of(0),
                     kIpv4);
  };
  using Note =
      void (*)(Capture*, uint32_t, ns3::Ptr<const ns3::Packet>, ns3::Ptr<ns3::Ipv4>, uint32_t);
  const auto ipv4 = port.machine->node->GetObject<ns3::Ipv4L3Protocol>();
  const auto callback =
      ns3::MakeBoundCallback(static_cast<Note>(note), port.capture.get(), port.v4);
  ipv4->TraceConnectWithoutContext("Tx", callback);
  ipv4->TraceConnectWithoutContext("Rx", callback);
}

net::Status Network::add_route(Machine& machine, const RoutePlan& route) {
  const Port& out = *port(machine, route.interface);
  const bool v4 = route.to.ip.is_v4();
  if (v4 ? !machine.routes4 : !machine.routes6)
    return {net::Error::invalid, "node '" + machine.plan->name + "' has a route to " +
                                     route.to.to_string() + " but no address of that family"};
  if (v4) {
    const ns3::Ipv4Mask length = mask(route.to.length);
    const ns3::Ipv4Address to = to_ipv4(route.to.ip).CombineMask(length);
    if (route.via.is_none())
      machine.routes4->AddNetworkRouteTo(to, length, out.v4);
    else
      machine.routes4->AddNetworkRouteTo(to, length, to_ipv4(route.via), out.v4);
  } else {
    const ns3::Ipv6Prefix length(route.to.length);
    const ns3::Ipv6Address to = to_ipv6(route.to.ip).CombinePrefix(length);
    if (route.via.is_none())
      machine.routes6->AddNetworkRouteTo(to, length, out.v6);
    else
      machine.routes6->AddNetworkRouteTo(to, length, to_ipv6(route.via), out.v6);
  }
  return {};
}

net::Status Network::add_nat(Machine& machine) {
  const NatPlan& plan = *machine.plan->nat;
  const std::string who = "NAT '" + machine.plan->name + "': ";
  net::Result<nat::Config> config = nat::from_preset(plan.kind);
  if (!config) return {config.error(), who + config.status().detail};
  for (const auto& [axis, value] : plan.set)
    if (net::Status status = nat::set(*config, axis, value); !status)
      return {status.error, who + status.detail};
  machine.nat = ns3::CreateObject<ns3_world::NatRouter>();
  machine.nat->SetConfig(*config, plan.kind);
  machine.nat->SetSeed(net::derive_seed(plan_.rng_seed, "nat/" + machine.plan->name));
  machine.nat->SetEventLog(logs_.back().get());
  std::vector<ns3::Ptr<ns3::NetDevice>> inside;
  for (const std::string& name : plan.inside) inside.push_back(port(machine, name)->device);
  std::vector<ns3::Ipv4Address> addresses;
  for (const net::IpAddress& address : plan.public_addresses)
    if (address.is_v4()) addresses.push_back(to_ipv4(address));
  const net::Status status =
      machine.nat->Install(machine.node, inside, port(machine, plan.outside)->device, addresses);
  return status.ok() ? status : net::Status(status.error, who + status.detail);
}

// On a LAN every interface knows every other's addresses, as if ARP had been done.
void Network::fill_neighbours() {
  for (const auto& machine : machines_)
    for (const Port& port : machine->ports) {
      for (const net::Prefix& address : port.plan->addresses) know(port, address.ip);
      if (machine->nat && machine->plan->nat->outside == port.plan->name)
        for (const net::IpAddress& address : machine->nat->GetNat()->public_addresses())
          know(port, address);
    }
}

void Network::know(const Port& who, const net::IpAddress& address) {
  for (const auto& machine : machines_)
    for (const Port& other : machine->ports) {
      if (other.plan->link != who.plan->link || &other == &who || !other.device->NeedsArp())
        continue;
      if (address.is_v4() && other.v4 != kNone) {
        const auto stack = other.machine->node->GetObject<ns3::Ipv4L3Protocol>();
        const auto cache = stack->GetInterface(other.v4)->GetArpCache();
        const ns3::Ipv4Address key = to_ipv4(address);
        ns3::ArpCache::Entry* entry = cache->Lookup(key);
        if (!entry) entry = cache->Add(key);
        entry->SetMacAddress(who.mac);
        entry->MarkPermanent();
      } else if (address.is_v6() && other.v6 != kNone) {
        const auto stack = other.machine->node->GetObject<ns3::Ipv6L3Protocol>();
        const auto cache = stack->GetInterface(other.v6)->GetNdiscCache();
        const ns3::Ipv6Address key = to_ipv6(address);
        ns3::NdiscCache::Entry* entry = cache->Lookup(key);
        if (!entry) entry = cache->Add(key);
        entry->SetMacAddress(who.mac);
        entry->MarkPermanent();
      }
    }
}

Network::Port* Network::port(Machine& machine, const std::string& interface) {
  for (Port& port : machine.ports)
    if (port.plan->name == interface) return &port;
  return nullptr;  // the plan was checked: it is there
}

net::Host* Network::host(const std::string& node) {
  for (const auto& machine : machines_)
    if (machine->plan->name == node) return machine->host.get();
  return nullptr;
}

Link* Network::link(const std::string& name) {
  const auto found = links_.find(name);
  return found == links_.end() ? nullptr : ns3::PeekPointer(found->second);
}

ns3_world::NatRouter* Network::nat(const std::string& node) {
  for (const auto& machine : machines_)
    if (machine->plan->name == node) return ns3::PeekPointer(machine->nat);
  return nullptr;
}

net::Status Network::change_address(const std::string& node, const std::string& addresses) {
  std::vector<ns3::Ipv4Address> changed;
  for (size_t at = 0; at <= addresses.size();) {
    const size_t comma = std::min(addresses.find(',', at), addresses.size());
    const std::string text = addresses.substr(at, comma - at);
    const auto address = net::IpAddress::parse(text);
    if (!address || !address->is_v4())
      return {net::Error::invalid, "'" + text + "' is not an IPv4 address"};
    changed.push_back(to_ipv4(*address));
    at = comma + 1;
  }
  for (const auto& machine : machines_) {
    if (machine->plan->name != node || !machine->nat) continue;
    if (net::Status status = machine->nat->ChangeAddress(changed); !status) return status;
    for (const ns3::Ipv4Address address : changed)
      know(*port(*machine, machine->plan->nat->outside), ns3_world::from_ns3(address));
    return {};
  }
  return {net::Error::not_found, "there is no NAT '" + node + "'"};
}

void Network::watch(const std::string& link) { links_[link]->watch(*link_logs_[link]); }
void Network::count(const std::string& link) { links_[link]->count(*link_logs_[link]); }

net::Time Network::ready_at() const { return lte_.empty() ? net::Time(0) : Lte::kAttached; }

void Network::log_counters() {
  for (const auto& machine : machines_)
    if (machine->nat) machine->nat->LogCounters();
}

}  // namespace culvert::runner
