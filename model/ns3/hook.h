// net::PacketHook and net::FlowTable inside ns-3, over packet_tap.h and packet_tap6.h; the
// rewriting itself is model/packet's.
#pragma once

#include <memory>
#include <vector>

#include "model/net/flow_table.h"
#include "model/net/packet_hook.h"
#include "model/ns3/ip_output.h"
#include "model/ns3/loop.h"
#include "model/ns3/packet_tap.h"
#include "model/ns3/packet_tap6.h"
#include "model/packet/icmp_error.h"
#include "model/packet/soft_flow_table.h"

namespace culvert::ns3_world {

// All the hooks of a host, in the order of adding.
class HookChain : private PacketTapRouting::Handler, private PacketTap6::Handler {
 public:
  explicit HookChain(ns3::Ptr<ns3::Node> node) : node_(node) {}
  struct Hook {
    net::Selector selector;
    net::HookFunction function;
    net::HookStats stats;
    bool alive = true;
  };
  std::shared_ptr<Hook> add(const net::Selector& selector, net::HookFunction function);
  net::Status inject(net::Bytes packet);

 private:
  PacketTapRouting::Fate on_arrival(ns3::Ipv4Header& header, ns3::Ptr<ns3::Packet>& packet,
                                    ns3::Ptr<const ns3::NetDevice> device) override;
  PacketTap6::Fate on_arrival6(ns3::Ipv6Header& header, ns3::Ptr<ns3::Packet>& packet) override;
  template <class Header>
  bool run(Header& header, ns3::Ptr<ns3::Packet>& packet);  // false: consumed

  ns3::Ptr<ns3::Node> node_;
  ns3::Ptr<PacketTapRouting> tap_;
  ns3::Ptr<PacketTap6> tap6_;
  std::vector<std::shared_ptr<Hook>> hooks_;
};

class Ns3Hook final : public net::PacketHook {
 public:
  Ns3Hook(HookChain& chain, std::shared_ptr<HookChain::Hook> hook)
      : chain_(chain), hook_(std::move(hook)) {}
  ~Ns3Hook() override { hook_->alive = false; }
  net::Status inject(net::Bytes packet) override;
  net::HookStats stats() const override { return hook_->stats; }

 private:
  HookChain& chain_;
  std::shared_ptr<HookChain::Hook> hook_;
};

class Ns3FlowTable final : public net::FlowTable,
                           private PacketTapRouting::Handler,
                           private PacketTap6::Handler {
 public:
  Ns3FlowTable(IpOutput& output, Loop& loop, size_t limit, uint64_t seed);
  ~Ns3FlowTable() override;
  net::Status install(const net::FlowKey& key, const net::FlowRewrite& rewrite) override;
  net::Status remove(const net::FlowKey& key) override;
  net::Result<net::FlowStats> stats(const net::FlowKey& key) const override;
  size_t size() const override { return table_.size(); }

 private:
  PacketTapRouting::Fate on_arrival(ns3::Ipv4Header& header, ns3::Ptr<ns3::Packet>& packet,
                                    ns3::Ptr<const ns3::NetDevice> device) override;
  PacketTap6::Fate on_arrival6(ns3::Ipv6Header& header, ns3::Ptr<ns3::Packet>& packet) override;

  template <class Fate, class Header>
  Fate run(Header& header, ns3::Packet& body);
  void answer(net::Bytes quote, packet::IcmpError what, uint32_t mtu);

  IpOutput& output_;
  Loop& loop_;
  packet::SoftFlowTable table_;
  ns3::Ptr<PacketTapRouting> tap_;
  ns3::Ptr<PacketTap6> tap6_;
};

}  // namespace culvert::ns3_world
