// A line of ns-3 nodes with Hosts at both ends, for tests of what our Host adds to ns-3.
//
//     left ---- middle ---- right          10.1.0.0/24 and 10.2.0.0/24, hosts .2, middle .1
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/ns3/host.h"
#include "model/ns3/packet_tap.h"
#include "ns3/error-model.h"
#include "ns3/net-device-container.h"
#include "ns3/node-container.h"

namespace culvert::ns3_world {

struct LabOptions {
  uint64_t seed = 1;
  double loss = 0;  // of packets, on every link in both directions
  const char* rate = "100Mbps";
  net::Duration delay = net::Duration(5000000);  // of each link
  bool host_on_middle = false;
};

// What passes the middle node, before it is forwarded.
class Watcher : public PacketTapRouting::Handler {
 public:
  using Look = std::function<bool(const ns3::Ipv4Header&, const ns3::Packet&)>;  // false: dropped
  Look look;
  PacketTapRouting::Fate on_arrival(ns3::Ipv4Header& header, ns3::Ptr<ns3::Packet>& packet,
                                    ns3::Ptr<const ns3::NetDevice>) override {
    return !look || look(header, *packet) ? PacketTapRouting::Fate::next
                                          : PacketTapRouting::Fate::consume;
  }
};

class Lab {
 public:
  explicit Lab(const LabOptions& options = {});
  ~Lab();
  bool run_until(const std::function<bool()>& done,
                 net::Duration limit = net::Duration(60000000000));
  void run_for(net::Duration length);
  std::unique_ptr<Ns3Host> make_host(int node, const char* name);

  std::unique_ptr<Ns3Host> left, right, middle;
  Watcher watcher;
  std::vector<std::string> log;
  ns3::NodeContainer nodes;
  ns3::NetDeviceContainer near_link, far_link;

 private:
  LabOptions options_;
};

inline net::IpAddress address(const char* text) { return *net::IpAddress::parse(text); }

}  // namespace culvert::ns3_world
