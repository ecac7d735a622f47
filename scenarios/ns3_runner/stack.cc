#include "scenarios/ns3_runner/stack.h"

#include <ns3/arp-l3-protocol.h>
#include <ns3/boolean.h>
#include <ns3/icmpv4-l4-protocol.h>
#include <ns3/icmpv6-l4-protocol.h>
#include <ns3/ipv4-l3-protocol.h>
#include <ns3/ipv4-static-routing.h>
#include <ns3/ipv6-l3-protocol.h>
#include <ns3/ipv6-static-routing.h>
#include <ns3/tcp-l4-protocol.h>
#include <ns3/traffic-control-layer.h>
#include <ns3/udp-l4-protocol.h>

namespace culvert::runner {

void install_stack(ns3::Ptr<ns3::Node> node, const StackOptions& options) {
  const auto traffic_control = ns3::CreateObject<ns3::TrafficControlLayer>();
  if (options.ipv4) {
    const auto arp = ns3::CreateObject<ns3::ArpL3Protocol>();
    const auto ipv4 = ns3::CreateObject<ns3::Ipv4L3Protocol>();
    ipv4->SetAttribute("IpForward", ns3::BooleanValue(options.forward));
    node->AggregateObject(arp);
    node->AggregateObject(ipv4);
    node->AggregateObject(ns3::CreateObject<ns3::Icmpv4L4Protocol>());
    arp->SetTrafficControl(traffic_control);
    ipv4->SetRoutingProtocol(ns3::CreateObject<ns3::Ipv4StaticRouting>());
  }
  if (options.ipv6) {
    const auto ipv6 = ns3::CreateObject<ns3::Ipv6L3Protocol>();
    ipv6->SetAttribute("IpForward", ns3::BooleanValue(options.forward));
    const auto icmp = ns3::CreateObject<ns3::Icmpv6L4Protocol>();
    // Addresses are the plan's, so nobody else has them: they can be used at once.
    icmp->SetAttribute("DAD", ns3::BooleanValue(false));
    node->AggregateObject(ipv6);
    node->AggregateObject(icmp);
    ipv6->SetRoutingProtocol(ns3::CreateObject<ns3::Ipv6StaticRouting>());
    ipv6->RegisterExtensions();
    ipv6->RegisterOptions();
  }
  node->AggregateObject(traffic_control);
  if (options.transports) {
    node->AggregateObject(ns3::CreateObject<ns3::UdpL4Protocol>());
    node->AggregateObject(ns3::CreateObject<ns3::TcpL4Protocol>());
  }
}

}  // namespace culvert::runner
