// A NAT in front of an ns-3 node's own routing: translates what the node is to forward between its
// inside devices and its outside device. Decides nothing itself: model/nat does, the same core that
// natbox runs on Linux (RFC 4787, 5382, 5508). Stands on packet_tap.h. Most users want NatHelper.
//
//   Ptr<NatRouter> nat = CreateObjectWithAttributes<NatRouter>("Preset", StringValue("symmetric"));
//   nat->Install(node, {lan}, wan, {"198.51.100.2"});
//
// Public names follow ns-3's style, for ns-3's users call them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/nat/nat.h"
#include "model/nat/nat_log.h"
#include "model/net/event_log.h"
#include "model/net/random.h"
#include "model/ns3/packet_tap.h"
#include "model/ns3/packet_tap6.h"
#include "ns3/event-id.h"
#include "ns3/inet-socket-address.h"
#include "ns3/net-device.h"
#include "ns3/node.h"
#include "ns3/object.h"
#include "ns3/traced-callback.h"

namespace culvert::ns3_world {

// Attributes: `Preset` (a name of model/nat/presets.cc, perhaps with axes:
// "symmetric,udp_new=30s"), `Seed`, and one string for each axis of nat::Config, its name in
// CamelCase (`Mapping`, `UdpNew`), empty: as the preset has it. They take effect at Install. Trace
// sources: `MappingCreated`, `MappingExpired`, `Translated`, `Dropped`.
class NatRouter : public ns3::Object, private PacketTapRouting::Handler {
 public:
  static ns3::TypeId GetTypeId();
  NatRouter();
  ~NatRouter() override;

  // Puts the NAT to work on `node` and aggregates it to the node. `publicAddresses` that the node
  // does not have are added to the outside device, so that it answers for them. invalid: the
  // sentence says what cannot be (an impossible configuration, no address, a device of another
  // node).
  net::Status Install(ns3::Ptr<ns3::Node> node, std::vector<ns3::Ptr<ns3::NetDevice>> inside,
                      ns3::Ptr<ns3::NetDevice> outside,
                      const std::vector<ns3::Ipv4Address>& publicAddresses);

  // What attributes say, in one piece. `name` is for the log.
  void SetConfig(const nat::Config& config, const std::string& name);
  // The configuration that the attributes make; invalid with a sentence.
  net::Result<nat::Config> GetConfig() const;
  void SetSeed(uint64_t seed) { seed_ = seed; }
  // One axis by its name in model/nat ("udp_new"). Before Install only.
  net::Status SetAxis(const std::string& axis, const std::string& value);

  // Events as docs/reference/events.md has them. `log` must outlive this. Before Install only.
  void SetEventLog(net::EventLog* log) { log_ = log; }
  // Writes the counters: at the end, or whenever wanted.
  void LogCounters();

  void Reboot();  // all state is lost
  void Rebind();  // every mapping moves to another external port
  // New public addresses; all state is lost. Those on the outside device are replaced.
  net::Status ChangeAddress(const std::vector<ns3::Ipv4Address>& publicAddresses);

  // Null before Install.
  const nat::Nat* GetNat() const { return nat_.get(); }

  using MappingCallback = void (*)(uint8_t protocol, ns3::InetSocketAddress internal,
                                   ns3::InetSocketAddress external);
  using MappingExpiredCallback = void (*)(uint8_t protocol, ns3::InetSocketAddress internal,
                                          ns3::InetSocketAddress external, std::string why);
  // Packets are without their IP header; `before` is as it arrived, `after` as it goes on.
  using TranslatedCallback = void (*)(ns3::Ptr<const ns3::Packet>, const ns3::Ipv4Header& before,
                                      const ns3::Ipv4Header& after);
  using DroppedCallback = void (*)(ns3::Ptr<const ns3::Packet>, const ns3::Ipv4Header&,
                                   std::string why);

 protected:
  void DoDispose() override;

 private:
  class Watch;  // passes mappings on to the log and to the trace sources
  class AxisAccessor;
  class Ipv6Side;  // the same NAT, asked about IPv6: it filters, and rewrites nothing

  PacketTapRouting::Fate on_arrival(ns3::Ipv4Header& header, ns3::Ptr<ns3::Packet>& packet,
                                    ns3::Ptr<const ns3::NetDevice> device) override;
  void on_addresses_changed() override { own_known_ = false; }
  PacketTapRouting::Fate translate(nat::Side side, ns3::Ipv4Header& header,
                                   ns3::Ptr<ns3::Packet>& packet);
  PacketTap6::Fate filter6(ns3::Ipv6Header& header, ns3::Ptr<ns3::Packet>& packet);
  bool carries_ipv6() const;
  void know_own();
  bool is_own(ns3::Ipv4Address address);
  bool stays_inside(ns3::Ipv4Address address);  // on the subnet of an inside device
  void answer_time_exceeded(const ns3::Ipv4Header& header, ns3::Ptr<ns3::Packet> packet);
  void after_call();
  void send_emitted();
  void arm();
  void expire();
  net::Status put_on_interface(const std::vector<ns3::Ipv4Address>& addresses);
  static net::Time now();

  // Configuration, until Install.
  std::string preset_;
  std::string name_;  // of SetConfig, for the log
  std::map<std::string, std::string> axes_;
  uint64_t seed_ = 0;

  std::unique_ptr<nat::Nat> nat_;
  std::unique_ptr<nat::NatLog> nat_log_;
  std::unique_ptr<Watch> watch_;
  net::EventLog* log_ = nullptr;
  ns3::Ptr<PacketTapRouting> tap_;
  ns3::Ptr<PacketTap6> tap6_;  // null: the outside device has no IPv6 address
  std::unique_ptr<Ipv6Side> ipv6_side_;
  ns3::Ptr<ns3::Ipv4> ipv4_;
  ns3::Ptr<ns3::Node> node_;
  ns3::Ptr<ns3::NetDevice> outside_;
  std::vector<ns3::Ptr<ns3::NetDevice>> inside_;
  std::vector<uint32_t> public_;  // as numbers: compared for every packet
  std::vector<uint32_t> own_;     // of the node's own stack: not the NAT's business
  std::vector<std::pair<ns3::Ipv4Address, ns3::Ipv4Mask>> inner_;  // subnets of inside devices
  bool own_known_ = false;                                         // own_ and inner_ are up to date
  ns3::EventId wake_;
  net::Time wake_at_{0};

  ns3::TracedCallback<uint8_t, ns3::InetSocketAddress, ns3::InetSocketAddress> created_trace_;
  ns3::TracedCallback<uint8_t, ns3::InetSocketAddress, ns3::InetSocketAddress, std::string>
      expired_trace_;
  ns3::TracedCallback<ns3::Ptr<const ns3::Packet>, const ns3::Ipv4Header&, const ns3::Ipv4Header&>
      translated_trace_;
  ns3::TracedCallback<ns3::Ptr<const ns3::Packet>, const ns3::Ipv4Header&, std::string>
      dropped_trace_;
};

}  // namespace culvert::ns3_world
