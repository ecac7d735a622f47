#include "model/ns3/nat_helper.h"

#include "ns3/names.h"
#include "ns3/simulator.h"
#include "ns3/string.h"

namespace culvert::ns3_world {
namespace {

// The event log of one NAT, kept as long as its node.
class LogHolder : public ns3::Object {
 public:
  static ns3::TypeId GetTypeId() {
    static const ns3::TypeId id =
        ns3::TypeId("culvert::NatLogHolder").SetParent<ns3::Object>().SetGroupName("Culvert");
    return id;
  }
  std::unique_ptr<net::EventLog> log;
  ns3::Ptr<ns3::OutputStreamWrapper> stream;
};

[[noreturn]] void fail(const std::string& sentence) {
  NS_FATAL_ERROR(sentence);
  std::terminate();
}

void log_counters(ns3::Ptr<NatRouter> router) { router->LogCounters(); }

}  // namespace

NatHelper::NatHelper(const std::string& preset) {
  factory_.SetTypeId(NatRouter::GetTypeId());
  SetNat(preset);
}

void NatHelper::SetNat(const std::string& preset) {
  factory_.Set("Preset", ns3::StringValue(preset));
}

void NatHelper::SetAttribute(const std::string& name, const ns3::AttributeValue& value) {
  factory_.Set(name, value);
}

ns3::Ptr<NatRouter> NatHelper::Install(ns3::Ptr<ns3::Node> node,
                                       const ns3::NetDeviceContainer& inside,
                                       ns3::Ptr<ns3::NetDevice> outside,
                                       std::vector<ns3::Ipv4Address> publicAddresses) const {
  const auto router = factory_.Create<NatRouter>();
  if (publicAddresses.empty()) {
    const auto ipv4 = node->GetObject<ns3::Ipv4>();
    const int32_t interface = ipv4 ? ipv4->GetInterfaceForDevice(outside) : -1;
    if (interface < 0 || ipv4->GetNAddresses(static_cast<uint32_t>(interface)) == 0)
      fail("NatHelper: the outside device has no IPv4 address");
    publicAddresses.push_back(ipv4->GetAddress(static_cast<uint32_t>(interface), 0).GetLocal());
  }
  if (stream_) {
    const auto holder = ns3::CreateObject<LogHolder>();
    std::string name = ns3::Names::FindName(node);
    if (name.empty()) name = "node-" + std::to_string(node->GetId());
    std::ostream* out = stream_->GetStream();
    holder->stream = stream_;
    holder->log = std::make_unique<net::EventLog>(
        name, [] { return net::Time(ns3::Simulator::Now().GetNanoSeconds()); },
        [out](std::string_view line) { *out << line << '\n'; });
    router->SetEventLog(holder->log.get());
    router->AggregateObject(holder);
    ns3::Simulator::ScheduleDestroy(&log_counters, router);
  }
  std::vector<ns3::Ptr<ns3::NetDevice>> devices(inside.Begin(), inside.End());
  const net::Status status = router->Install(node, devices, outside, publicAddresses);
  if (!status) fail("NatHelper: " + status.detail);
  return router;
}

void NatHelper::ScheduleReboot(ns3::Time at, ns3::Ptr<NatRouter> router) {
  ns3::Simulator::Schedule(at - ns3::Simulator::Now(), &NatRouter::Reboot, router);
}

void NatHelper::ScheduleRebind(ns3::Time at, ns3::Ptr<NatRouter> router) {
  ns3::Simulator::Schedule(at - ns3::Simulator::Now(), &NatRouter::Rebind, router);
}

void NatHelper::ScheduleAddressChange(ns3::Time at, ns3::Ptr<NatRouter> router,
                                      std::vector<ns3::Ipv4Address> publicAddresses) {
  ns3::Simulator::Schedule(at - ns3::Simulator::Now(), &NatRouter::ChangeAddress, router,
                           publicAddresses);
}

}  // namespace culvert::ns3_world
