#include "impl/linux/flow_table.h"

#include <algorithm>
#include <array>

#include "impl/linux/packet_tap.h"
#include "model/packet/glance.h"
#include "model/packet/packet.h"

namespace culvert::linux_host {

using net::Result;
using net::Status;

namespace {

// Takes one hop off; there is one. RFC 1812 section 5.3.1; the checksum by RFC 1624.
void take_hop(net::MutableBytes packet) {
  const bool v4 = packet[0] >> 4 == 4;
  --packet[v4 ? 8 : 7];
  if (!v4) return;
  uint32_t sum = (uint32_t{packet[10]} << 8 | packet[11]) + 0x100;
  sum = (sum & 0xffff) + (sum >> 16);
  packet[10] = static_cast<uint8_t>(sum >> 8);
  packet[11] = static_cast<uint8_t>(sum);
}

net::Endpoint address_in(net::Bytes data, size_t v4_offset, size_t v6_offset) {
  const uint8_t version = data[0] >> 4;
  // Port 9 (discard, RFC 863): a route wants some port to be asked about.
  return {packet::address_at(data.data() + (version == 4 ? v4_offset : v6_offset), version), 9};
}
net::Endpoint sender_of(net::Bytes packet) { return address_in(packet, 12, 8); }
net::Endpoint receiver_of(net::Bytes packet) { return address_in(packet, 16, 24); }

bool may_be_cut_up(net::Bytes packet) {
  return packet[0] >> 4 == 4 && (packet[6] & 0x40) == 0;  // RFC 8200 section 5: never in IPv6
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

bool FlowTableImpl::forward(net::MutableBytes data) {
  // ICMP errors are about the packet as it came.
  std::array<uint8_t, packet::kQuote> kept;
  const net::Bytes head(kept.data(), std::min(kept.size(), data.size()));
  std::copy_n(data.begin(), head.size(), kept.begin());
  switch (table_.process(host_.now(), data)) {
    case packet::SoftFlowTable::Verdict::miss:
      return false;
    case packet::SoftFlowTable::Verdict::expired:
      answer(head, packet::IcmpError::ttl_exceeded, 0);
      return true;
    case packet::SoftFlowTable::Verdict::rewritten:
      break;
  }
  take_hop(data);
  if (tap_.inject(data).error != net::Error::too_big) return true;
  const auto path = path_to(host_.netns(), receiver_of(data));
  if (!path) return true;
  if (may_be_cut_up(data))
    send_in_pieces(data, path->mtu);
  else
    answer(head, packet::IcmpError::too_big, path->mtu);
  return true;
}

void FlowTableImpl::answer(net::Bytes head, packet::IcmpError what, uint32_t mtu) {
  const auto back = path_to(host_.netns(), sender_of(head));
  if (!back) return;
  const net::Buffer error = packet::make_icmp_error(head, what, back->source, mtu);
  if (!error.empty()) tap_.inject(error);
}

// RFC 791 section 3.2. The packet is no fragment itself: those match no flow. Options are copied
// into every piece, also those that need not be.
void FlowTableImpl::send_in_pieces(net::Bytes packet, uint32_t mtu) {
  const size_t header = 4u * (packet[0] & 15), payload = packet.size() - header;
  if (mtu < header + 8) return;
  const size_t step = (mtu - header) / 8 * 8;
  for (size_t at = 0; at < payload; at += step) {
    const size_t size = std::min(step, payload - at);
    const bool last = at + size == payload;
    net::Buffer piece(packet.begin(), packet.begin() + header);
    piece.insert(piece.end(), packet.begin() + header + at, packet.begin() + header + at + size);
    cv_store16(&piece[2], cv_swap16(static_cast<uint16_t>(piece.size())));
    cv_store16(&piece[6], cv_swap16(static_cast<uint16_t>((last ? 0 : 0x2000) | at / 8)));
    tap_.inject(piece);  // the kernel fills the header's checksum in (raw(7))
  }
}

}  // namespace culvert::linux_host
