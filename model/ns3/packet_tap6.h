// Every IPv6 packet that arrives at a node, before the node's own stack sees it: what packet_tap.h
// is for IPv4. ns-3's IPv6 delivers local packets without asking a routing protocol, so this sits
// between the devices and the node; the price is one idle device more on the node.
#pragma once

#include <vector>

#include "ns3/ipv6-header.h"
#include "ns3/ipv6-l3-protocol.h"
#include "ns3/net-device.h"
#include "ns3/node.h"
#include "ns3/object.h"

namespace culvert::ns3_world {

class PacketTap6 : public ns3::Object {
 public:
  enum class Fate : uint8_t {
    next,     // on to the next handler, then to the node
    consume,  // the node never sees it
    accept,   // to the node, past the other handlers
  };
  // Destroying a handler takes it off the tap.
  class Handler {
   public:
    virtual ~Handler();
    // `packet` is without its IPv6 header, with its extension headers.
    virtual Fate on_arrival6(ns3::Ipv6Header& header, ns3::Ptr<ns3::Packet>& packet) = 0;

   private:
    friend class PacketTap6;
    PacketTap6* tap6_ = nullptr;
  };

  static ns3::TypeId GetTypeId();
  ~PacketTap6() override;
  // The tap of a node, made and put on all its devices if there is none. Null without IPv6.
  static ns3::Ptr<PacketTap6> on(ns3::Ptr<ns3::Node> node);
  // The tap if there is one: new devices have to be watched.
  static ns3::Ptr<PacketTap6> existing(ns3::Ptr<ns3::Node> node);
  void watch(ns3::Ptr<ns3::NetDevice> device);

  // Where the packet came in that a handler is being asked about.
  ns3::Ptr<ns3::NetDevice> arrival_device() const { return arrival_device_; }

  void add(Handler& handler, int stage);  // stages as PacketTapRouting::Stage
  void remove(Handler& handler);
  // Sends a packet to this node itself or along its routes; no handler sees it. False: no route.
  bool send(ns3::Ptr<ns3::Packet> packet, const ns3::Ipv6Header& header);

 protected:
  void DoDispose() override;

 private:
  struct Entry {
    int stage;
    Handler* handler;
  };
  bool receive(ns3::Ptr<ns3::NetDevice> device, ns3::Ptr<const ns3::Packet> packet,
               uint16_t protocol, const ns3::Address& from);
  void sweep();

  ns3::Ptr<ns3::NetDevice> arrival_device_;
  ns3::Ptr<ns3::Node> node_;
  ns3::Ptr<ns3::Ipv6L3Protocol> ipv6_;
  ns3::NetDevice::ReceiveCallback to_node_;
  std::vector<Entry> entries_;
  int walking_ = 0;
};

}  // namespace culvert::ns3_world
