// Puts NATs on ns-3 nodes, as ns-3's own helpers do.
//
//   NatHelper nat("symmetric");
//   nat.SetAttribute("UdpNew", StringValue("30s"));
//   Ptr<NatRouter> router = nat.Install(node, lanDevices, wanDevice);
//   nat.EnableEventLog(stream);
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "model/ns3/nat_router.h"
#include "ns3/attribute.h"
#include "ns3/net-device-container.h"
#include "ns3/nstime.h"
#include "ns3/object-factory.h"
#include "ns3/output-stream-wrapper.h"

namespace culvert::ns3_world {

class NatHelper {
 public:
  explicit NatHelper(const std::string& preset = "port-restricted-cone");

  // The kind of NAT that Install makes: see NatRouter's attribute `Preset`.
  void SetNat(const std::string& preset);
  void SetAttribute(const std::string& name, const ns3::AttributeValue& value);

  // The node has its IPv4 stack and its addresses. Without `publicAddresses` the outside device's
  // first address is the public one. What cannot be ends the program with a sentence (as ns-3's
  // helpers do); NatRouter::Install returns it instead.
  ns3::Ptr<NatRouter> Install(ns3::Ptr<ns3::Node> node, const ns3::NetDeviceContainer& inside,
                              ns3::Ptr<ns3::NetDevice> outside,
                              std::vector<ns3::Ipv4Address> publicAddresses = {}) const;

  // NATs installed afterwards write their events to `stream`, JSON lines
  // (docs/reference/events.md); a NAT is called by its node's name in ns3::Names, else "node-ID".
  void EnableEventLog(ns3::Ptr<ns3::OutputStreamWrapper> stream) { stream_ = stream; }

  // What happens to NATs, at a time of the simulation.
  static void ScheduleReboot(ns3::Time at, ns3::Ptr<NatRouter> router);
  static void ScheduleRebind(ns3::Time at, ns3::Ptr<NatRouter> router);
  static void ScheduleAddressChange(ns3::Time at, ns3::Ptr<NatRouter> router,
                                    std::vector<ns3::Ipv4Address> publicAddresses);

 private:
  ns3::ObjectFactory factory_;
  ns3::Ptr<ns3::OutputStreamWrapper> stream_;
};

}  // namespace culvert::ns3_world
