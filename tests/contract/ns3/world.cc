// The contract's little network in ns-3: three nodes, two point-to-point links, an Ns3Host each.
#include "tests/contract/world.h"

#include <array>
#include <optional>
#include <set>

#include "model/ns3/convert.h"
#include "model/ns3/host.h"
#include "model/ns3/packet_tap.h"
#include "model/ns3/packet_tap6.h"
#include "ns3/config.h"
#include "ns3/icmpv6-l4-protocol.h"
#include "ns3/internet-stack-helper.h"
#include "ns3/ipv4-l3-protocol.h"
#include "ns3/ipv4-static-routing-helper.h"
#include "ns3/ipv6-l3-protocol.h"
#include "ns3/ipv6-static-routing-helper.h"
#include "ns3/node-container.h"
#include "ns3/point-to-point-helper.h"
#include "ns3/rng-seed-manager.h"
#include "ns3/simulator.h"
#include "ns3/string.h"
#include "ns3/uinteger.h"

namespace culvert::contract {
namespace {

using ns3_world::from_ns3;
using ns3_world::Ns3Host;
using ns3_world::PacketTapRouting;
using ns3_world::to_ns3;

constexpr net::Duration kLinkDelay = std::chrono::milliseconds(1);
constexpr net::Duration kStep = std::chrono::microseconds(50);  // how often run_until looks
constexpr net::Duration kSettle = std::chrono::milliseconds(50);

// What r does with packets for b.
class FateHandler : public PacketTapRouting::Handler, public ns3_world::PacketTap6::Handler {
 public:
  ns3_world::PacketTap6::Fate on_arrival6(ns3::Ipv6Header& header,
                                          ns3::Ptr<ns3::Packet>& packet) override {
    const auto to = from_ns3(header.GetDestination());
    const auto ipv6 = far->GetNode()->GetObject<ns3::Ipv6L3Protocol>();
    if (fate == Fate::forward || !net::Prefix::parse("fd02::/64")->contains(to) ||
        ipv6->GetInterfaceForAddress(header.GetDestination()) >= 0)
      return ns3_world::PacketTap6::Fate::next;
    if (fate == Fate::unreachable) {
      const auto whole = packet->Copy();
      whole->AddHeader(header);
      ipv6->GetIcmpv6()->SendErrorDestinationUnreachable(
          whole, header.GetSource(), ns3::Icmpv6Header::ICMPV6_ADDR_UNREACHABLE);
    }
    return ns3_world::PacketTap6::Fate::consume;
  }

  PacketTapRouting::Fate on_arrival(ns3::Ipv4Header&, ns3::Ptr<ns3::Packet>&,
                                    ns3::Ptr<const ns3::NetDevice>) override {
    return PacketTapRouting::Fate::next;
  }
  bool wants_forward() const override { return true; }
  PacketTapRouting::Fate on_forward(ns3::Ipv4Header& header, ns3::Ptr<ns3::Packet>& packet,
                                    ns3::Ptr<ns3::Ipv4Route> route) override {
    if (fate == Fate::forward || route->GetOutputDevice() != far)
      return PacketTapRouting::Fate::next;
    if (fate == Fate::unreachable) tap->send_unreachable(header, packet, 1);
    return PacketTapRouting::Fate::consume;
  }
  Fate fate = Fate::forward;
  ns3::Ptr<ns3::NetDevice> far;
  ns3::Ptr<PacketTapRouting> tap;
};

class Ns3World final : public World {
 public:
  explicit Ns3World(const WorldOptions& options) {
    ns3_world::configure_ns3_defaults();
    ns3::RngSeedManager::SetSeed(1);
    ns3::RngSeedManager::SetRun(options.seed);
    nodes_.Create(3);
    ns3::InternetStackHelper().Install(nodes_);
    ns3::PointToPointHelper link;
    link.SetDeviceAttribute("DataRate", ns3::StringValue("1Gbps"));
    link.SetChannelAttribute("Delay", ns3::TimeValue(to_ns3(kLinkDelay)));
    link.SetQueue("ns3::DropTailQueue", "MaxSize", ns3::StringValue("1000p"));
    near_ = link.Install(nodes_.Get(0), nodes_.Get(1));
    far_ = link.Install(nodes_.Get(1), nodes_.Get(2));
    // InstallStack order gives interface 0 to the loopback; the links follow.
    add(near_.Get(0), {"10.1.0.2"}, {"fd01::2"});
    add(near_.Get(1), {"10.1.0.1"}, {"fd01::1"});
    add(far_.Get(0), {"10.2.0.1"}, {"fd02::1"});
    add(far_.Get(1), {"10.2.0.2", "10.2.0.3"}, {"fd02::2", "fd02::3"});
    default_route(0, "10.1.0.1", "fd01::1");
    default_route(2, "10.2.0.1", "fd02::1");
    const auto v6 = nodes_.Get(1)->GetObject<ns3::Ipv6L3Protocol>();
    for (uint32_t i = 0; i < v6->GetNInterfaces(); ++i) v6->SetForwarding(i, true);
    for (int i = 0; i < 3; ++i) {
      ns3_world::Ns3HostOptions host;
      host.name = std::string(1, "arb"[i]);
      host.seed = options.seed;
      host.sink = [this, i](std::string_view line) { logs_[i].emplace_back(line); };
      host.names["b.test"] = {*net::IpAddress::parse("10.2.0.2"),
                              *net::IpAddress::parse("fd02::2")};
      if (i == 0)
        host.secrets[kSecretName] =
            net::Buffer(kSecretContent, kSecretContent + std::string_view(kSecretContent).size());
      hosts_[i].emplace(nodes_.Get(i), std::move(host));
    }
    fate_.tap = PacketTapRouting::on(nodes_.Get(1));
    fate_.far = far_.Get(0);
    fate_.tap->add(fate_, PacketTapRouting::kTest);
    ns3_world::PacketTap6::on(nodes_.Get(1))->add(fate_, PacketTapRouting::kTest);
    run_for(std::chrono::seconds(2));  // IPv6 start-up
  }
  ~Ns3World() override {
    for (auto& host : hosts_) host.reset();
    fate_.tap->remove(fate_);
    ns3_world::PacketTap6::on(nodes_.Get(1))->remove(fate_);
    fate_.tap = nullptr;
    ns3::Simulator::Destroy();
  }

  net::Host& host(Machine machine) override { return *hosts_[static_cast<int>(machine)]; }
  net::Time now() const override { return from_ns3(ns3::Simulator::Now()); }
  bool run_until(const std::function<bool()>& done, net::Duration limit) override {
    const net::Time end = now() + limit;
    while (!done()) {
      if (now() >= end) return false;
      ns3::Simulator::Stop(to_ns3(std::min(kStep, end - now())));
      ns3::Simulator::Run();
    }
    return true;
  }
  void settle() override { run_for(kSettle); }
  void set_fate_towards_b(Fate fate) override { fate_.fate = fate; }
  void set_far_mtu(uint32_t mtu) override {
    for (uint32_t i = 0; i < 2; ++i) far_.Get(i)->SetMtu(static_cast<uint16_t>(mtu));
  }
  std::vector<std::string> log_lines(Machine machine) const override {
    return logs_[static_cast<size_t>(machine)];
  }
  bool differs(const std::string& entry) const override { return entry == "F-01"; }

 private:
  void add(ns3::Ptr<ns3::NetDevice> device, std::vector<const char*> v4,
           std::vector<const char*> v6) {
    const auto ipv4 = device->GetNode()->GetObject<ns3::Ipv4L3Protocol>();
    const uint32_t i = ipv4->AddInterface(device);
    for (const char* text : v4)
      ipv4->AddAddress(i, ns3::Ipv4InterfaceAddress(text, ns3::Ipv4Mask("255.255.255.0")));
    ipv4->SetUp(i);
    const auto ipv6 = device->GetNode()->GetObject<ns3::Ipv6L3Protocol>();
    const uint32_t k = ipv6->AddInterface(device);
    for (const char* text : v6)
      ipv6->AddAddress(k, ns3::Ipv6InterfaceAddress(ns3::Ipv6Address(text), ns3::Ipv6Prefix(64)));
    ipv6->SetUp(k);
  }
  void default_route(uint32_t node, const char* v4, const char* v6) {
    const auto ipv4 = nodes_.Get(node)->GetObject<ns3::Ipv4>();
    ns3::Ipv4StaticRoutingHelper().GetStaticRouting(ipv4)->SetDefaultRoute(v4, 1);
    const auto ipv6 = nodes_.Get(node)->GetObject<ns3::Ipv6>();
    ns3::Ipv6StaticRoutingHelper().GetStaticRouting(ipv6)->SetDefaultRoute(ns3::Ipv6Address(v6), 1);
  }

  ns3::NodeContainer nodes_;
  ns3::NetDeviceContainer near_, far_;
  std::array<std::vector<std::string>, 3> logs_;
  FateHandler fate_;
  std::array<std::optional<Ns3Host>, 3> hosts_;
};

}  // namespace

std::unique_ptr<World> make_world(const WorldOptions& options) {
  return std::make_unique<Ns3World>(options);
}
std::string world_obstacle() { return {}; }

}  // namespace culvert::contract
