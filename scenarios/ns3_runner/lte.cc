#include "scenarios/ns3_runner/lte.h"

#include <ns3/config.h>
#include <ns3/constant-position-mobility-model.h>
#include <ns3/ipv4-static-routing-helper.h>
#include <ns3/node-container.h>
#include <ns3/uinteger.h>

#include "model/ns3/convert.h"

namespace culvert::runner {
namespace {

// ns-3's 10 kB would lose most of a window; 1 MB is what base stations about have (ours).
constexpr uint32_t kRadioQueueBytes = 1'000'000;
constexpr uint32_t kResourceBlocks = 50;  // 10 MHz, 3GPP TS 36.101 table 5.6-1
constexpr uint32_t kTunInterface = 1;     // ns-3's helper makes the PGW's tunnel its first
// RFC 7335's addresses for whatever needs one that nobody routes; the PGW's outer side.
const ns3::Ipv4Address kGatewayAddress("192.0.0.2");
const ns3::Ipv4Mask kGatewayMask("255.255.255.248");

ns3::Ptr<ns3::Node> placed(ns3::Ptr<ns3::Node> node, double x, double height) {
  const auto position = ns3::CreateObject<ns3::ConstantPositionMobilityModel>();
  position->SetPosition({x, 0, height});
  node->AggregateObject(position);
  return node;
}

}  // namespace

Lte::Lte(ns3::Ptr<LinkDevice> gateway, const net::Prefix& subnet, const net::IpAddress& carrier) {
  ns3::Config::SetDefault("ns3::LteRlcUm::MaxTxBufferSize", ns3::UintegerValue(kRadioQueueBytes));
  // Up to 320 devices take turns in sounding; ns-3's 40 are too few for a crowd.
  ns3::Config::SetDefault("ns3::LteEnbRrc::SrsPeriodicity", ns3::UintegerValue(320));
  ns3::Config::SetDefault("ns3::LteEnbNetDevice::DlBandwidth", ns3::UintegerValue(kResourceBlocks));
  ns3::Config::SetDefault("ns3::LteEnbNetDevice::UlBandwidth", ns3::UintegerValue(kResourceBlocks));
  helper_ = ns3::CreateObject<ns3::LteHelper>();
  core_ = ns3::CreateObject<ns3::PointToPointEpcHelper>();
  helper_->SetEpcHelper(core_);
  station_ = helper_
                 ->InstallEnbDevice(ns3::NodeContainer(
                     placed(ns3::CreateObject<ns3::Node>(), 0, 30)))  // a mast of 30 m
                 .Get(0);

  const ns3::Ptr<ns3::Node> node = core_->GetPgwNode();
  node->AddDevice(gateway);
  const auto ipv4 = node->GetObject<ns3::Ipv4>();
  const uint32_t outside = ipv4->AddInterface(gateway);
  ipv4->AddAddress(outside, {kGatewayAddress, kGatewayMask});
  ipv4->SetUp(outside);
  const auto routes = ns3::Ipv4StaticRoutingHelper().GetStaticRouting(ipv4);
  const ns3::Ipv4Address next = ns3_world::to_ipv4(carrier);
  const ns3::Ipv4Mask mask(~uint32_t{0} << (32 - subnet.length));
  routes->AddNetworkRouteTo(ns3_world::to_ipv4(subnet.ip).CombineMask(mask), mask, kTunInterface);
  routes->AddHostRouteTo(next, outside);
  routes->SetDefaultRoute(next, outside);
}

ns3::Ptr<ns3::NetDevice> Lte::add(ns3::Ptr<ns3::Node> node) {
  // Near enough for the best modulation: what is measured is the protocol, not the cell's edge.
  const double away = 50 + 5 * static_cast<double>(devices_.GetN());  // m
  const auto device =
      helper_->InstallUeDevice(ns3::NodeContainer(placed(std::move(node), away, 1.5))).Get(0);
  devices_.Add(device);
  return device;
}

void Lte::attach() { helper_->Attach(devices_, station_); }

}  // namespace culvert::runner
