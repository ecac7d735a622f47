// Every IPv4 packet that arrives at a node, before the node's own stack answers or forwards it.
// Wraps the node's Ipv4RoutingProtocol, whose RouteInput is the first to see a packet; hooks, the
// flow table and the NAT router all stand on it, in this order of their stages. It also gives
// ns-3's routers the two ICMP errors that they lack: fragmentation needed (RFC 1191) and no route
// (RFC 1812 section 5.2.7.1).
#pragma once

#include <cstdint>
#include <vector>

#include "ns3/ipv4-list-routing.h"
#include "ns3/ipv4-routing-protocol.h"
#include "ns3/ipv4.h"
#include "ns3/node.h"

namespace culvert::ns3_world {

class PacketTapRouting : public ns3::Ipv4RoutingProtocol {
 public:
  enum class Fate : uint8_t {
    next,     // on to the next handler and then to the node's own routing, as it is now
    consume,  // the node never sees it
    accept,   // on to the node's own routing, past the other handlers
  };

  // Destroying a handler takes it off the tap; it may do so from its own call.
  class Handler {
   public:
    virtual ~Handler();
    // `packet` is without its IP header and belongs to the handler: edit it with HeadBytes (which
    // keeps tags), keep it, or replace it. Fragments come unreassembled. `device` is where it came
    // in. The TTL is as it arrived: forwarding takes one off afterwards.
    virtual Fate on_arrival(ns3::Ipv4Header& header, ns3::Ptr<ns3::Packet>& packet,
                            ns3::Ptr<const ns3::NetDevice> device) = 0;
    // The node has found that it would forward the packet along `route`; the TTL is still as it
    // arrived. Asked only of those who say wants_forward().
    virtual bool wants_forward() const { return false; }
    virtual Fate on_forward(ns3::Ipv4Header&, ns3::Ptr<ns3::Packet>&, ns3::Ptr<ns3::Ipv4Route>) {
      return Fate::next;
    }
    // An address of the node came or went.
    virtual void on_addresses_changed() {}

   private:
    friend class PacketTapRouting;
    PacketTapRouting* tap_ = nullptr;
  };

  // The order of handlers; equal stages run in the order in which they were added.
  enum Stage : int { kObserver = 0, kFlowTable = 10, kHook = 20, kRouter = 30, kTest = 40 };

  static ns3::TypeId GetTypeId();
  ~PacketTapRouting() override;
  // The tap of a node, put around its routing protocol if there is none yet. The node needs an IPv4
  // stack (else null). Do not change the node's routing protocol afterwards.
  static ns3::Ptr<PacketTapRouting> on(ns3::Ptr<ns3::Node> node);

  void add(Handler& handler, int stage);
  void remove(Handler& handler);

  // Sends a packet of the caller's own making: to this node itself if `header` is addressed to it,
  // else along its routes, with the TTL that the header says. False if there is no route. No
  // handler sees it.
  bool send(ns3::Ptr<ns3::Packet> packet, const ns3::Ipv4Header& header);
  // Lets a packet arrive on `device` as if from outside, past the handlers of stages up to and
  // including `after` (hairpin is a second pass through a router's own stack).
  void arrive(ns3::Ptr<ns3::Packet> packet, const ns3::Ipv4Header& header,
              ns3::Ptr<ns3::NetDevice> device, int after);

  // The routing protocol of a node beneath its tap, if it has one: ns-3's helpers
  // (Ipv4StaticRoutingHelper::GetStaticRouting) do not look through a tap, so give them no tapped
  // node; find the protocol to edit here.
  template <class Routing>
  static ns3::Ptr<Routing> find(ns3::Ptr<ns3::Ipv4> ipv4);

  // An ICMP destination unreachable about `packet` (without IP header) to its source, unless
  // RFC 1122 section 3.2.2 forbids it. Codes: RFC 792 and RFC 1812 section 5.2.7.1.
  void send_unreachable(const ns3::Ipv4Header& header, ns3::Ptr<const ns3::Packet> packet,
                        uint8_t code, uint16_t mtu = 0);

  // Whether packets without a route are answered with ICMP network unreachable; on at first.
  void set_answers_no_route(bool on) { answers_no_route_ = on; }
  ns3::Ptr<ns3::Ipv4RoutingProtocol> inner() const { return inner_; }
  ns3::Ptr<ns3::Ipv4> ipv4() const { return ipv4_; }

  ns3::Ptr<ns3::Ipv4Route> RouteOutput(ns3::Ptr<ns3::Packet> packet, const ns3::Ipv4Header& header,
                                       ns3::Ptr<ns3::NetDevice> oif,
                                       ns3::Socket::SocketErrno& error) override;
  bool RouteInput(ns3::Ptr<const ns3::Packet> packet, const ns3::Ipv4Header& header,
                  ns3::Ptr<const ns3::NetDevice> device, UnicastForwardCallback forward,
                  MulticastForwardCallback multicast, LocalDeliverCallback deliver,
                  ErrorCallback error) override;
  void NotifyInterfaceUp(uint32_t interface) override { inner_->NotifyInterfaceUp(interface); }
  void NotifyInterfaceDown(uint32_t interface) override { inner_->NotifyInterfaceDown(interface); }
  void NotifyAddAddress(uint32_t interface, ns3::Ipv4InterfaceAddress address) override;
  void NotifyRemoveAddress(uint32_t interface, ns3::Ipv4InterfaceAddress address) override;
  void SetIpv4(ns3::Ptr<ns3::Ipv4> ipv4) override;
  void PrintRoutingTable(ns3::Ptr<ns3::OutputStreamWrapper> stream,
                         ns3::Time::Unit unit = ns3::Time::S) const override;

 protected:
  void DoDispose() override;

 private:
  struct Entry {
    int stage;
    Handler* handler;  // null: removed while the list was being walked
  };
  bool run_arrival(ns3::Ipv4Header& header, ns3::Ptr<ns3::Packet>& packet,
                   ns3::Ptr<const ns3::NetDevice> device, int after);
  void forward(ns3::Ptr<ns3::Ipv4Route> route, ns3::Ptr<const ns3::Packet> packet,
               const ns3::Ipv4Header& header);
  void sweep();
  void tell_addresses_changed();

  ns3::Ptr<ns3::Ipv4RoutingProtocol> inner_;
  ns3::Ptr<ns3::Ipv4> ipv4_;
  std::vector<Entry> entries_;
  int walking_ = 0;
  bool swept_ = true;
  bool answers_no_route_ = true;
  int skip_through_ = -1;  // arrive() and send(): the stages that the next RouteInput leaves out
  size_t forward_handlers_ = 0;
  UnicastForwardCallback forward_;       // ours, made once
  UnicastForwardCallback real_forward_;  // the stack's own
};

template <class Routing>
ns3::Ptr<Routing> PacketTapRouting::find(ns3::Ptr<ns3::Ipv4> ipv4) {
  ns3::Ptr<ns3::Ipv4RoutingProtocol> routing = ipv4->GetRoutingProtocol();
  if (const auto tap = ns3::DynamicCast<PacketTapRouting>(routing)) routing = tap->inner();
  if (const auto found = ns3::DynamicCast<Routing>(routing)) return found;
  const auto list = ns3::DynamicCast<ns3::Ipv4ListRouting>(routing);
  for (uint32_t i = 0; list && i < list->GetNRoutingProtocols(); ++i) {
    int16_t priority;
    if (const auto found = ns3::DynamicCast<Routing>(list->GetRoutingProtocol(i, priority)))
      return found;
  }
  return nullptr;
}

}  // namespace culvert::ns3_world
