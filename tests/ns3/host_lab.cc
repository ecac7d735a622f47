#include "tests/ns3/host_lab.h"

#include "model/ns3/convert.h"
#include "ns3/double.h"
#include "ns3/internet-stack-helper.h"
#include "ns3/ipv4-address-helper.h"
#include "ns3/ipv4-static-routing-helper.h"
#include "ns3/point-to-point-helper.h"
#include "ns3/point-to-point-net-device.h"
#include "ns3/pointer.h"
#include "ns3/rng-seed-manager.h"
#include "ns3/simulator.h"
#include "ns3/string.h"

namespace culvert::ns3_world {

Lab::Lab(const LabOptions& options) : options_(options) {
  configure_ns3_defaults();
  ns3::RngSeedManager::SetSeed(1);
  ns3::RngSeedManager::SetRun(options.seed);
  nodes.Create(3);
  ns3::InternetStackHelper().Install(nodes);
  ns3::PointToPointHelper link;
  link.SetDeviceAttribute("DataRate", ns3::StringValue(options.rate));
  link.SetChannelAttribute("Delay", ns3::TimeValue(to_ns3(options.delay)));
  near_link = link.Install(nodes.Get(0), nodes.Get(1));
  far_link = link.Install(nodes.Get(1), nodes.Get(2));
  ns3::Ipv4AddressHelper addresses;
  addresses.SetBase("10.1.0.0", "255.255.255.0", "0.0.0.1");
  addresses.Assign(ns3::NetDeviceContainer(near_link.Get(1), near_link.Get(0)));
  addresses.SetBase("10.2.0.0", "255.255.255.0", "0.0.0.1");
  addresses.Assign(far_link);
  for (uint32_t i : {0u, 2u})
    ns3::Ipv4StaticRoutingHelper()
        .GetStaticRouting(nodes.Get(i)->GetObject<ns3::Ipv4>())
        ->SetDefaultRoute(i == 0 ? "10.1.0.1" : "10.2.0.1", 1);
  int64_t stream = 1000;
  if (options.loss > 0)
    for (const auto& device :
         {near_link.Get(0), near_link.Get(1), far_link.Get(0), far_link.Get(1)}) {
      const auto errors = ns3::CreateObject<ns3::RateErrorModel>();
      errors->SetUnit(ns3::RateErrorModel::ERROR_UNIT_PACKET);
      errors->SetRate(options.loss);
      // By hand: ns-3 numbers streams through a whole process, so that the second simulation in one
      // would draw other numbers than the first.
      errors->AssignStreams(stream++);
      device->SetAttribute("ReceiveErrorModel", ns3::PointerValue(errors));
    }
  left = make_host(0, "left");
  right = make_host(2, "right");
  if (options.host_on_middle) middle = make_host(1, "middle");
  PacketTapRouting::on(nodes.Get(1))->add(watcher, PacketTapRouting::kTest);
}

Lab::~Lab() {
  left.reset(), right.reset(), middle.reset();
  PacketTapRouting::on(nodes.Get(1))->remove(watcher);
  ns3::Simulator::Destroy();
}

std::unique_ptr<Ns3Host> Lab::make_host(int node, const char* name) {
  Ns3HostOptions host;
  host.name = name;
  host.seed = options_.seed;
  host.sink = [this](std::string_view line) { log.emplace_back(line); };
  return std::make_unique<Ns3Host>(nodes.Get(node), std::move(host));
}

bool Lab::run_until(const std::function<bool()>& done, net::Duration limit) {
  const net::Time end = from_ns3(ns3::Simulator::Now()) + limit;
  while (!done()) {
    const net::Time now = from_ns3(ns3::Simulator::Now());
    if (now >= end) return false;
    ns3::Simulator::Stop(to_ns3(std::min(net::Duration(100000), end - now)));
    ns3::Simulator::Run();
  }
  return true;
}

void Lab::run_for(net::Duration length) {
  ns3::Simulator::Stop(to_ns3(length));
  ns3::Simulator::Run();
}

}  // namespace culvert::ns3_world
