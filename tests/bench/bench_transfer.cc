// How long ns-3 takes for a bulk TCP transfer over two routers, plain or with NAT:
//
//   client ---- router ---- core ---- router ---- server
//
// Prints one line of JSON. transfer.py alternates the two and compares (Must-hold 9).

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "model/ns3/nat_helper.h"
#include "ns3/applications-module.h"
#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"
#include "ns3/point-to-point-module.h"

using namespace ns3;
using culvert::ns3_world::NatHelper;
using culvert::ns3_world::NatRouter;
using culvert::ns3_world::PacketTapRouting;

namespace {

constexpr uint16_t kPort = 5001;

// A SYN from the server to nowhere, so that its NAT has a mapping that the client can come in by.
void OpenServerSide(Ptr<Node> server, Ipv4Address source, Ipv4Address nowhere) {
  TcpHeader tcp;
  tcp.SetSourcePort(kPort);
  tcp.SetDestinationPort(9);
  tcp.SetFlags(TcpHeader::SYN);
  tcp.EnableChecksums();
  tcp.InitializeChecksum(source, nowhere, TcpL4Protocol::PROT_NUMBER);
  Ptr<Packet> packet = Create<Packet>();
  packet->AddHeader(tcp);
  Ipv4Header header;
  header.SetSource(source);
  header.SetDestination(nowhere);
  header.SetProtocol(TcpL4Protocol::PROT_NUMBER);
  header.SetTtl(64);
  header.SetPayloadSize(static_cast<uint16_t>(packet->GetSize()));
  PacketTapRouting::on(server)->send(packet, header);
}

void StartClient(Ptr<Node> client, Ptr<NatRouter> serverNat, Ipv4Address server, uint64_t bytes) {
  InetSocketAddress to(server, kPort);
  if (serverNat) {
    const auto external = serverNat->GetNat()->mappings(culvert::net::Time(0)).at(0).external;
    to = InetSocketAddress(Ipv4Address(external.ip.to_v4()), external.port);
  }
  BulkSendHelper bulk("ns3::TcpSocketFactory", to);
  bulk.SetAttribute("MaxBytes", UintegerValue(bytes));
  bulk.SetAttribute("SendSize", UintegerValue(16384));
  bulk.Install(client).Start(Seconds(0));
}

}  // namespace

int main(int argc, char* argv[]) {
  bool nat = false;
  std::string log = "/dev/null";
  uint64_t megabytes = 100;
  CommandLine cmd(__FILE__);
  cmd.AddValue("nat", "the two routers are NATs", nat);
  cmd.AddValue("log", "file for the NATs' event logs", log);
  cmd.AddValue("megabytes", "how much is sent", megabytes);
  cmd.Parse(argc, argv);
  GlobalValue::Bind("ChecksumEnabled", BooleanValue(true));
  Config::SetDefault("ns3::TcpSocket::SegmentSize", UintegerValue(1448));
  Config::SetDefault("ns3::TcpSocket::SndBufSize", UintegerValue(1 << 20));
  Config::SetDefault("ns3::TcpSocket::RcvBufSize", UintegerValue(1 << 20));

  NodeContainer nodes(5);  // client, router, core, router, server
  InternetStackHelper internet;
  internet.SetIpv6StackInstall(false);
  internet.Install(nodes);
  PointToPointHelper link;
  link.SetDeviceAttribute("DataRate", StringValue("1Gbps"));
  link.SetChannelAttribute("Delay", StringValue("1ms"));
  // No more than the window in flight, so nothing is lost and both variants send the same packets.
  link.SetQueue("ns3::DropTailQueue<Packet>", "MaxSize", StringValue("2000p"));
  const char* const subnets[] = {"10.1.0.0", "198.51.100.0", "203.0.113.0", "10.2.0.0"};
  std::vector<NetDeviceContainer> devices;
  std::vector<Ipv4InterfaceContainer> interfaces;
  for (uint32_t i = 0; i < 4; ++i) {
    devices.push_back(link.Install(nodes.Get(i), nodes.Get(i + 1)));
    interfaces.push_back(Ipv4AddressHelper(subnets[i], "255.255.255.0").Assign(devices.back()));
  }
  Ipv4StaticRoutingHelper routing;
  const auto route = [&](uint32_t node, const char* to, Ipv4Address via, uint32_t interface) {
    routing.GetStaticRouting(nodes.Get(node)->GetObject<Ipv4>())
        ->AddNetworkRouteTo(to, to == std::string("0.0.0.0") ? "0.0.0.0" : "255.255.255.0", via,
                            interface);
  };
  route(0, "0.0.0.0", interfaces[0].GetAddress(1), 1);
  route(1, "0.0.0.0", interfaces[1].GetAddress(1), 2);
  route(3, "0.0.0.0", interfaces[2].GetAddress(0), 1);
  route(4, "0.0.0.0", interfaces[3].GetAddress(0), 1);
  route(2, "10.1.0.0", interfaces[1].GetAddress(0), 1);
  route(2, "10.2.0.0", interfaces[2].GetAddress(1), 2);

  Ptr<NatRouter> serverNat;
  if (nat) {
    NatHelper helper("full-cone");
    helper.EnableEventLog(Create<OutputStreamWrapper>(log, std::ios::out));
    helper.Install(nodes.Get(1), devices[0].Get(1), devices[1].Get(0));
    serverNat = helper.Install(nodes.Get(3), devices[3].Get(0), devices[2].Get(1));
    Simulator::Schedule(Seconds(0.1), &OpenServerSide, nodes.Get(4), interfaces[3].GetAddress(1),
                        Ipv4Address("192.0.2.1"));
  }
  PacketSinkHelper sink("ns3::TcpSocketFactory", InetSocketAddress(Ipv4Address::GetAny(), kPort));
  ApplicationContainer sinks = sink.Install(nodes.Get(4));
  Simulator::Schedule(Seconds(0.5), &StartClient, nodes.Get(0), serverNat,
                      interfaces[3].GetAddress(1), megabytes * 1000000);

  Simulator::Stop(Seconds(600));
  const auto begin = std::chrono::steady_clock::now();
  Simulator::Run();
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
  const uint64_t received = sinks.Get(0)->GetObject<PacketSink>()->GetTotalRx();
  const uint64_t translated =
      nat ? serverNat->GetNat()->counters().in + serverNat->GetNat()->counters().out : 0;
  std::printf(
      "{\"nat\": %s, \"megabytes\": %.3f, \"wall_s\": %.3f, \"events\": %lu, "
      "\"translated\": %lu}\n",
      nat ? "true" : "false", static_cast<double>(received) / 1e6, wall.count(),
      static_cast<unsigned long>(Simulator::GetEventCount()),
      static_cast<unsigned long>(translated));
  Simulator::Destroy();
  return received == megabytes * 1000000 ? 0 : 1;
}
