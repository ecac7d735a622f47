// A flow table in user space: model/packet's, fed by the Host's packet queue. A rewritten packet
// leaves by a raw socket, past the kernel's forwarding: hops, fragments and ICMP errors are ours.
// While there are flows, every TCP and UDP packet of the host passes the queue: the kernel's own
// selection by flow is the eBPF table's business.
#pragma once

#include "impl/linux/host.h"
#include "model/packet/icmp_error.h"
#include "model/packet/soft_flow_table.h"

namespace culvert::linux_host {

class FlowTableImpl : public net::FlowTable {
 public:
  static net::Result<std::unique_ptr<net::FlowTable>> open(LinuxHost& host, PacketTap& tap,
                                                           size_t limit);
  FlowTableImpl(LinuxHost& host, PacketTap& tap, size_t limit);
  ~FlowTableImpl() override;

  net::Status install(const net::FlowKey& key, const net::FlowRewrite& rewrite) override;
  net::Status remove(const net::FlowKey& key) override;
  net::Result<net::FlowStats> stats(const net::FlowKey& key) const override;
  size_t size() const override { return table_.size(); }

  // True: the packet was of a flow and is on its way, or its sender was told why it is not.
  bool forward(net::MutableBytes packet);

 private:
  void answer(net::Bytes head, packet::IcmpError what, uint32_t mtu);
  void send_in_pieces(net::Bytes packet, uint32_t mtu);

  LinuxHost& host_;
  PacketTap& tap_;
  packet::SoftFlowTable table_;
  bool attached_ = false;  // to the queue; only while there are flows
};

}  // namespace culvert::linux_host
