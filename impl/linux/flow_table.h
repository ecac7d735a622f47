// A flow table in user space: model/packet's, fed by the Host's packet queue. A rewritten packet
// leaves by a raw socket, one hop poorer.
#pragma once

#include "impl/linux/host.h"
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

  // True: the packet was of a flow and is on its way, or dropped because its TTL ran out.
  bool forward(net::MutableBytes packet);

 private:
  LinuxHost& host_;
  PacketTap& tap_;
  packet::SoftFlowTable table_;
  bool attached_ = false;  // to the queue; only while there are flows
};

}  // namespace culvert::linux_host
