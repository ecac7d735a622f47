// Three NATs, one behind the other: a home router, a building's and a carrier's. Each translates
// what the one before it made; the carrier reboots half way, and its mappings are new afterwards.
//
//   host ---- home ---- building ---- carrier ---- server
//     192.168.1/24   10.0/24    100.64.0/24   203.0.113/24
//
//   nat-nested
//   nat-nested --carrier=cgnat-port-block

#include "model/ns3/nat_helper.h"
#include "ns3/applications-module.h"
#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"
#include "ns3/point-to-point-module.h"

using namespace ns3;
using culvert::ns3_world::NatHelper;
using culvert::ns3_world::NatRouter;

namespace {

void Created(std::string who, uint8_t, InetSocketAddress internal, InetSocketAddress external) {
  std::cout << Simulator::Now().As(Time::S) << "  " << who << ": " << internal.GetIpv4() << ":"
            << internal.GetPort() << " -> " << external.GetIpv4() << ":" << external.GetPort()
            << std::endl;
}

void Seen(Ptr<const Packet>, const Address& from, const Address&) {
  const InetSocketAddress address = InetSocketAddress::ConvertFrom(from);
  std::cout << Simulator::Now().As(Time::S) << "  server sees " << address.GetIpv4() << ":"
            << address.GetPort() << std::endl;
}

}  // namespace

int main(int argc, char* argv[]) {
  std::string home = "port-restricted-cone", building = "symmetric", carrier = "full-cone";
  CommandLine cmd(__FILE__);
  cmd.AddValue("home", "the kind of the innermost NAT", home);
  cmd.AddValue("building", "the kind of the middle one", building);
  cmd.AddValue("carrier", "the kind of the outermost one", carrier);
  cmd.Parse(argc, argv);
  GlobalValue::Bind("ChecksumEnabled", BooleanValue(true));

  NodeContainer nodes(5);  // host, three NATs, server
  InternetStackHelper internet;
  internet.Install(nodes);
  PointToPointHelper link;
  link.SetChannelAttribute("Delay", StringValue("3ms"));
  const char* const subnets[] = {"192.168.1.0", "10.0.0.0", "100.64.0.0", "203.0.113.0"};
  std::vector<NetDeviceContainer> devices;
  std::vector<Ipv4InterfaceContainer> interfaces;
  for (uint32_t i = 0; i < 4; ++i) {
    devices.push_back(link.Install(nodes.Get(i), nodes.Get(i + 1)));
    Ipv4AddressHelper addresses(subnets[i], "255.255.255.0");
    interfaces.push_back(addresses.Assign(devices.back()));
    Ipv4StaticRoutingHelper routing;
    routing.GetStaticRouting(nodes.Get(i)->GetObject<Ipv4>())
        ->SetDefaultRoute(interfaces.back().GetAddress(1), i == 0 ? 1 : 2);
  }

  const char* const names[] = {"home", "building", "carrier"};
  const std::string kinds[] = {home, building, carrier};
  std::vector<Ptr<NatRouter>> routers;
  for (uint32_t i = 0; i < 3; ++i) {
    NatHelper helper(kinds[i]);
    routers.push_back(helper.Install(nodes.Get(i + 1), devices[i].Get(1), devices[i + 1].Get(0)));
    routers.back()->TraceConnect("MappingCreated", names[i], MakeCallback(&Created));
  }
  NatHelper::ScheduleReboot(Seconds(2.5), routers[2]);

  UdpEchoServerHelper echo(7);
  ApplicationContainer server = echo.Install(nodes.Get(4));
  server.Get(0)->TraceConnectWithoutContext("RxWithAddresses", MakeCallback(&Seen));
  UdpEchoClientHelper client(interfaces[3].GetAddress(1), 7);
  client.SetAttribute("MaxPackets", UintegerValue(4));
  client.SetAttribute("Interval", TimeValue(Seconds(1)));
  client.Install(nodes.Get(0)).Start(Seconds(1));

  Simulator::Stop(Seconds(10));
  Simulator::Run();
  for (uint32_t i = 0; i < 3; ++i)
    std::cout << names[i] << ": " << routers[i]->GetNat()->counters().out << " packets out, "
              << routers[i]->GetNat()->counters().in << " in" << std::endl;
  Simulator::Destroy();
  return 0;
}
