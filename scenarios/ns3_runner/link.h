// A link of a plan in ns-3: a cable (two ends) or a switched LAN (more), full duplex. One event a
// packet: rate, queue, delay, jitter and loss are worked out when it is sent. Ethernet framing is
// counted in the rate and shown in captures. Stands on ns-3's network module and model/net.
#pragma once

#include <ns3/channel.h>
#include <ns3/mac48-address.h>
#include <ns3/net-device.h>
#include <ns3/packet.h>

#include <functional>
#include <string>
#include <vector>

#include "model/link/counter.h"
#include "model/link/radio.h"
#include "model/net/address.h"
#include "model/net/event_log.h"
#include "model/net/random.h"
#include "model/net/time.h"

namespace culvert::runner {

class LinkDevice;

struct LinkOptions {
  net::Duration delay{0};   // one way, between any two ends
  net::Duration jitter{0};  // uniform in 0..jitter, added; never reorders
  double loss = 0;          // probability per packet and direction
  double rate_mbps = 0;     // of each end's transmitter; 0: no limit
};

class Link : public ns3::Channel {
 public:
  static ns3::TypeId GetTypeId();

  LinkOptions options;
  bool lan = false;  // more than two ends; to be said before the first is attached
  bool cut = false;  // what is sent meanwhile is lost; what is under way still arrives
  // A packet was lost: its IP bytes, and why: "loss", "queue" or "cut".
  std::function<void(ns3::Ptr<const ns3::Packet>, const char* why)> on_lost;

  // Draws of this end come from `seed` only, so that one direction never shifts another. `node`: as
  // `count` is to call it.
  void attach(ns3::Ptr<LinkDevice> device, uint64_t seed, const std::string& node);
  // End 0 is a carrier's packet gateway, and this device stands behind its radio: counted as if it
  // were an end itself, and its packets of either direction wait at the gateway for its radio's
  // promotion. Uplink ones have then crossed the radio already, which takes as long before as
  // after.
  void add_device(const std::string& node, const net::IpAddress& address);
  link::RadioOptions radio;

  // Writes `link.counted` for every station: ends, and devices in place of end 0.
  void count(net::EventLog& log);
  // From now on writes `link.passed` for every packet of every station; `log` outlives this.
  void watch(net::EventLog& log) { watch_log_ = &log; }
  size_t GetNDevices() const override { return ends_.size(); }
  ns3::Ptr<ns3::NetDevice> GetDevice(size_t i) const override;

 private:
  friend class LinkDevice;
  // The sending side of one end.
  struct End {
    ns3::Ptr<LinkDevice> device;
    net::Random random{0};
    int64_t free_at = 0;       // ns: the transmitter is done with what was queued
    int64_t last_arrival = 0;  // ns: nothing may arrive earlier (no reordering)
    std::string node;
    link::Counter counter;
  };
  struct Device {
    std::string node;
    net::IpAddress address;
    link::Radio radio;
    link::Counter counter;
    int64_t last_arrival[2] = {0, 0};  // from each end
  };
  // The device that a packet to (or from) end 0 is for; null: none.
  Device* device_of(const ns3::Packet& packet, bool source, uint16_t protocol);
  void received(size_t end, const ns3::Packet& packet, uint16_t protocol);
  bool transmit(size_t end, ns3::Ptr<ns3::Packet> packet, ns3::Mac48Address to, uint16_t protocol);
  void watched(const std::string& node, const char* way, const ns3::Packet& packet);
  bool lose(const ns3::Ptr<ns3::Packet>& packet, const char* why);

  std::vector<End> ends_;
  std::vector<Device> devices_;
  net::EventLog* watch_log_ = nullptr;
};

class LinkDevice : public ns3::NetDevice {
 public:
  static ns3::TypeId GetTypeId();

  // Every packet sent and received, without its Ethernet header: for captures. Empty: none.
  std::function<void(ns3::Ptr<const ns3::Packet>, ns3::Mac48Address from, ns3::Mac48Address to,
                     uint16_t protocol)>
      tap;

  void SetIfIndex(const uint32_t index) override { index_ = index; }
  uint32_t GetIfIndex() const override { return index_; }
  ns3::Ptr<ns3::Channel> GetChannel() const override { return link_; }
  void SetAddress(ns3::Address address) override;
  ns3::Address GetAddress() const override { return address_; }
  bool SetMtu(const uint16_t mtu) override;
  uint16_t GetMtu() const override { return mtu_; }
  bool IsLinkUp() const override { return link_ != nullptr; }
  void AddLinkChangeCallback(ns3::Callback<void>) override {}
  bool IsBroadcast() const override { return true; }
  ns3::Address GetBroadcast() const override { return ns3::Mac48Address::GetBroadcast(); }
  bool IsMulticast() const override { return true; }
  ns3::Address GetMulticast(ns3::Ipv4Address group) const override;
  ns3::Address GetMulticast(ns3::Ipv6Address group) const override;
  bool IsBridge() const override { return false; }
  bool IsPointToPoint() const override;
  bool Send(ns3::Ptr<ns3::Packet> packet, const ns3::Address& to, uint16_t protocol) override;
  bool SendFrom(ns3::Ptr<ns3::Packet> packet, const ns3::Address& from, const ns3::Address& to,
                uint16_t protocol) override;
  ns3::Ptr<ns3::Node> GetNode() const override { return node_; }
  void SetNode(ns3::Ptr<ns3::Node> node) override { node_ = node; }
  // On a cable there is nobody to ask for; on a LAN the network fills the caches in beforehand.
  bool NeedsArp() const override { return !IsPointToPoint(); }
  void SetReceiveCallback(ReceiveCallback callback) override { receive_ = callback; }
  void SetPromiscReceiveCallback(PromiscReceiveCallback callback) override {
    promiscuous_ = callback;
  }
  bool SupportsSendFrom() const override { return false; }

 private:
  friend class Link;
  void DoDispose() override;
  void receive(ns3::Ptr<ns3::Packet> packet, ns3::Mac48Address from, ns3::Mac48Address to,
               uint16_t protocol);

  ns3::Ptr<ns3::Node> node_;
  ns3::Ptr<Link> link_;
  size_t end_ = 0;
  ns3::Mac48Address address_;
  uint32_t index_ = 0;
  uint16_t mtu_ = 1500;
  ReceiveCallback receive_;
  PromiscReceiveCallback promiscuous_;
};

}  // namespace culvert::runner
