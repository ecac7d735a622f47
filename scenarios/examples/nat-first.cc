// A host behind a NAT echoes UDP datagrams off two servers and pings one of them; the NAT's
// mappings are printed as they come and go, and its event log goes to nat-first.jsonl on request.
//
//   host ------------- nat ------------- core ------------- one
//        10.1.1.0/24       198.51.100.0/24    \------------ two
//                                          203.0.113.0/24, 203.0.114.0/24
//
//   nat-first --nat=symmetric            two mappings, one for each server
//   nat-first --nat=full-cone            one mapping for both
//   nat-first --nat=symmetric,udp_new=5s --log=nat-first.jsonl
//   nat-first --PrintAttributes=culvert::NatRouter

#include "model/ns3/nat_helper.h"
#include "ns3/applications-module.h"
#include "ns3/core-module.h"
#include "ns3/internet-apps-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"
#include "ns3/point-to-point-module.h"

using namespace ns3;
using culvert::ns3_world::NatHelper;
using culvert::ns3_world::NatRouter;

NS_LOG_COMPONENT_DEFINE("NatFirst");

namespace {

std::ostream& Line() { return std::cout << Simulator::Now().As(Time::S) << "  "; }

std::ostream& operator<<(std::ostream& os, const InetSocketAddress& address) {
  return os << address.GetIpv4() << ":" << address.GetPort();
}

void Created(uint8_t protocol, InetSocketAddress internal, InetSocketAddress external) {
  Line() << "mapping created  protocol " << +protocol << "  " << internal << " -> " << external
         << std::endl;
}

void Expired(uint8_t protocol, InetSocketAddress internal, InetSocketAddress external,
             std::string why) {
  Line() << "mapping " << why << "  protocol " << +protocol << "  " << internal << " -> "
         << external << std::endl;
}

void Received(std::string who, Ptr<const Packet> packet, const Address& from, const Address&) {
  Line() << who << " got " << packet->GetSize() << " bytes from "
         << InetSocketAddress::ConvertFrom(from) << std::endl;
}

void Rtt(Time rtt) { Line() << "ping: " << rtt.As(Time::MS) << std::endl; }

// Two datagrams from one socket to both servers: what shows the kind of mapping.
void SendTo(Ptr<Socket> socket, std::vector<InetSocketAddress> servers) {
  for (const InetSocketAddress& server : servers) socket->SendTo(Create<Packet>(100), 0, server);
}

void Answer(Ptr<Socket> socket) {
  Address from;
  while (Ptr<Packet> packet = socket->RecvFrom(from))
    Line() << "host got an answer from " << InetSocketAddress::ConvertFrom(from) << std::endl;
}

}  // namespace

int main(int argc, char* argv[]) {
  std::string kind = "symmetric", log;
  CommandLine cmd(__FILE__);
  cmd.AddValue("nat", "the kind of NAT: a preset, or eim-eif ... apdm-apdf; axes may follow", kind);
  cmd.AddValue("log", "file for the NAT's event log", log);
  cmd.Parse(argc, argv);
  GlobalValue::Bind("ChecksumEnabled", BooleanValue(true));

  NodeContainer nodes(5);
  Ptr<Node> host = nodes.Get(0), nat = nodes.Get(1), core = nodes.Get(2), one = nodes.Get(3),
            two = nodes.Get(4);
  Names::Add("nat", nat);

  PointToPointHelper link;
  link.SetDeviceAttribute("DataRate", StringValue("100Mbps"));
  link.SetChannelAttribute("Delay", StringValue("5ms"));
  NetDeviceContainer lan = link.Install(host, nat);
  NetDeviceContainer wan = link.Install(nat, core);
  NetDeviceContainer toOne = link.Install(core, one), toTwo = link.Install(core, two);

  InternetStackHelper internet;
  internet.Install(nodes);
  Ipv4AddressHelper addresses("10.1.1.0", "255.255.255.0");
  addresses.Assign(lan);
  addresses.SetBase("198.51.100.0", "255.255.255.0");
  addresses.Assign(wan);
  addresses.SetBase("203.0.113.0", "255.255.255.0");
  Ipv4Address oneAddress = addresses.Assign(toOne).GetAddress(1);
  addresses.SetBase("203.0.114.0", "255.255.255.0");
  Ipv4Address twoAddress = addresses.Assign(toTwo).GetAddress(1);

  // Nobody outside knows a way to 10.1.1.0/24: that is what the NAT is for.
  Ipv4StaticRoutingHelper routing;
  auto defaultRoute = [&](Ptr<Node> node, const char* via, uint32_t interface) {
    routing.GetStaticRouting(node->GetObject<Ipv4>())->SetDefaultRoute(Ipv4Address(via), interface);
  };
  defaultRoute(host, "10.1.1.2", 1);
  defaultRoute(nat, "198.51.100.2", 2);
  defaultRoute(one, "203.0.113.1", 1);
  defaultRoute(two, "203.0.114.1", 1);

  NatHelper helper(kind);
  if (!log.empty()) helper.EnableEventLog(Create<OutputStreamWrapper>(log, std::ios::out));
  Ptr<NatRouter> router = helper.Install(nat, lan.Get(1), wan.Get(0));
  router->TraceConnectWithoutContext("MappingCreated", MakeCallback(&Created));
  router->TraceConnectWithoutContext("MappingExpired", MakeCallback(&Expired));

  UdpEchoServerHelper echo(7);
  ApplicationContainer servers = echo.Install(NodeContainer(one, two));
  servers.Get(0)->TraceConnect("RxWithAddresses", "one", MakeCallback(&Received));
  servers.Get(1)->TraceConnect("RxWithAddresses", "two", MakeCallback(&Received));

  Ptr<Socket> socket = Socket::CreateSocket(host, UdpSocketFactory::GetTypeId());
  socket->Bind();
  socket->SetRecvCallback(MakeCallback(&Answer));
  Simulator::Schedule(Seconds(1), &SendTo, socket,
                      std::vector<InetSocketAddress>{{oneAddress, 7}, {twoAddress, 7}});

  V4PingHelper ping(oneAddress);
  ping.SetAttribute("Interval", TimeValue(Seconds(1)));
  ApplicationContainer pings = ping.Install(host);
  pings.Get(0)->TraceConnectWithoutContext("Rtt", MakeCallback(&Rtt));
  pings.Start(Seconds(2));
  pings.Stop(Seconds(4.5));

  Simulator::Stop(Seconds(400));
  Simulator::Run();
  std::cout << "translated " << router->GetNat()->counters().out << " packets out and "
            << router->GetNat()->counters().in << " in" << std::endl;
  Simulator::Destroy();
  return 0;
}
