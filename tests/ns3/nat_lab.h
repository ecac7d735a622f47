// A little network around one NAT router, for the tests of the router: packets are put on the wire
// as bytes and looked at as they arrive, so nothing between test and wire can hide a fault.
//
//   a 10.1.0.2 ---- .1 |
//                      | nat 198.51.100.2 ---- .1 core .1 ---- 203.0.113.2 and .3 x
//   b 10.2.0.2 ---- .1 |
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/net/event_log.h"
#include "model/ns3/convert.h"
#include "model/ns3/nat_helper.h"
#include "model/ns3/packet_tap.h"
#include "model/packet/packet.h"
#include "ns3/node-container.h"

namespace culvert::test {

struct Arrival {
  net::Time when{0};
  ns3::Ipv4Header header;
  std::vector<uint8_t> bytes;  // without the IP header
  ns3::Ptr<ns3::Packet> packet;

  net::Endpoint source() const;  // of UDP and TCP; port 0 for others
  net::Endpoint destination() const;
  std::string payload() const;         // of UDP
  bool transport_checksum_ok() const;  // of UDP, TCP and ICMP
};

// Keeps what arrives at a node; the node's own stack sees it too unless `consume`.
class Recorder : public ns3_world::PacketTapRouting::Handler {
 public:
  Recorder(ns3::Ptr<ns3::Node> node, bool consume);
  std::vector<Arrival> seen;

 private:
  ns3_world::PacketTapRouting::Fate on_arrival(ns3::Ipv4Header& header,
                                               ns3::Ptr<ns3::Packet>& packet,
                                               ns3::Ptr<const ns3::NetDevice> device) override;
  bool consume_;
};

struct LabOptions {
  std::string preset = "eim-apdf";
  std::map<std::string, std::string> axes;
  std::vector<std::string> public_addresses = {"198.51.100.2"};
  bool hosts_consume = true;  // hosts answer nothing by themselves
  uint16_t far_mtu = 1500;    // of core - x
  uint16_t wan_mtu = 1500;    // of nat - core
};

class Lab {
 public:
  explicit Lab(LabOptions options = {});
  ~Lab();

  // Runs for that long; all delays of the network together are below 100 ms.
  void run(double seconds = 0.2);
  // Packets of a test's own making, from a host along its routes.
  void udp(ns3::Ptr<ns3::Node> from, const std::string& source, const std::string& destination,
           const std::string& payload, uint8_t ttl = 64, bool dont_fragment = false);
  void tcp(ns3::Ptr<ns3::Node> from, const std::string& source, const std::string& destination,
           uint8_t flags);
  void echo(ns3::Ptr<ns3::Node> from, const std::string& source, const std::string& destination,
            bool request, uint16_t identifier, const std::string& data);
  void send(ns3::Ptr<ns3::Node> from, const std::string& source, const std::string& destination,
            uint8_t protocol, std::vector<uint8_t> bytes, uint8_t ttl = 64,
            bool dont_fragment = false, std::function<void(ns3::Ptr<ns3::Packet>)> edit = {});

  std::vector<std::string> events(const std::string& name) const;  // lines of that event
  std::vector<std::string> drops;                                  // reasons, from the trace

  ns3::Ptr<ns3::Node> a, b, nat, core, x;
  std::unique_ptr<Recorder> at_a, at_b, at_x, at_nat;
  ns3::Ptr<ns3_world::NatRouter> router;
  std::vector<std::string> log_lines;

 private:
  net::EventLog log_;
};

}  // namespace culvert::test
