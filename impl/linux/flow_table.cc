#include "impl/linux/flow_table.h"

#include "impl/linux/packet_tap.h"

namespace culvert::linux_host {

using net::Result;
using net::Status;

namespace {

// Takes one hop off. False: it had none left. RFC 1812 section 5.3.1; the checksum by RFC 1624.
bool take_hop(net::MutableBytes packet) {
  const bool v4 = packet[0] >> 4 == 4;
  uint8_t& ttl = packet[v4 ? 8 : 7];
  if (ttl <= 1) return false;
  --ttl;
  if (v4) {
    uint32_t sum = (uint32_t{packet[10]} << 8 | packet[11]) + 0x100;
    sum = (sum & 0xffff) + (sum >> 16);
    packet[10] = static_cast<uint8_t>(sum >> 8);
    packet[11] = static_cast<uint8_t>(sum);
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<net::FlowTable>> FlowTableImpl::open(LinuxHost& host, PacketTap& tap,
                                                            size_t limit) {
  return std::unique_ptr<net::FlowTable>(std::make_unique<FlowTableImpl>(host, tap, limit));
}

FlowTableImpl::FlowTableImpl(LinuxHost& host, PacketTap& tap, size_t limit)
    : host_(host), tap_(tap), table_(limit, host.random().next()) {}

FlowTableImpl::~FlowTableImpl() {
  if (attached_) tap_.remove(this);
}

Status FlowTableImpl::install(const net::FlowKey& key, const net::FlowRewrite& rewrite) {
  const Status status = table_.install(key, rewrite);
  if (!status.ok() || attached_) return status;
  const Status attached = tap_.add(this);
  attached_ = attached.ok();
  if (!attached_) table_.remove(key);
  return attached;
}

Status FlowTableImpl::remove(const net::FlowKey& key) {
  const Status status = table_.remove(key);
  if (status.ok() && table_.size() == 0 && attached_) {
    tap_.remove(this);
    attached_ = false;
  }
  return status;
}

Result<net::FlowStats> FlowTableImpl::stats(const net::FlowKey& key) const {
  return table_.stats(key);
}

bool FlowTableImpl::forward(net::MutableBytes packet) {
  if (table_.process(host_.now(), packet) == packet::SoftFlowTable::Verdict::miss) return false;
  if (take_hop(packet)) tap_.inject(packet);
  return true;
}

}  // namespace culvert::linux_host
