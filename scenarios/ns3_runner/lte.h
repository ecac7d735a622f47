// A link with access "lte" in ns-3: one cell, its evolved packet core, and a packet gateway (PGW)
// whose outer side is one end of a Link towards the carrier's router or NAT. Stands on ns-3's LTE
// module and link.h.
#pragma once

#include <ns3/lte-helper.h>
#include <ns3/net-device-container.h>
#include <ns3/node.h>
#include <ns3/point-to-point-epc-helper.h>

#include <memory>

#include "model/net/address.h"
#include "model/net/time.h"
#include "scenarios/ns3_runner/link.h"

namespace culvert::runner {

class Lte {
 public:
  // Nothing that is sent before this arrives: devices are attaching.
  static constexpr net::Time kAttached{500'000'000};

  // Puts `gateway` on the PGW, with routes: `subnet` over the radio, all else to `carrier`.
  Lte(ns3::Ptr<LinkDevice> gateway, const net::Prefix& subnet, const net::IpAddress& carrier);

  // A device of the cell. The node gets its IP stack and address before attach().
  ns3::Ptr<ns3::NetDevice> add(ns3::Ptr<ns3::Node> node);
  void attach();

 private:
  ns3::Ptr<ns3::LteHelper> helper_;
  ns3::Ptr<ns3::PointToPointEpcHelper> core_;
  ns3::Ptr<ns3::NetDevice> station_;  // the eNB's
  ns3::NetDeviceContainer devices_;
};

}  // namespace culvert::runner
