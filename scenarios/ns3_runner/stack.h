// An internet stack on an ns-3 node with only what a run needs, put together by hand: ns-3's helper
// costs several times as much, and a campaign makes thousands of nodes.
#pragma once

#include <ns3/node.h>

namespace culvert::runner {

struct StackOptions {
  bool ipv4 = true, ipv6 = false;
  bool forward = false;     // a router
  bool transports = false;  // TCP and UDP, for a host with services
};

// Routes are ns-3's static routing, without anything in front of it.
void install_stack(ns3::Ptr<ns3::Node> node, const StackOptions& options);

}  // namespace culvert::runner
