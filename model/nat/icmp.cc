#include "model/nat/icmp.h"

#include <algorithm>

#include "model/packet/rewrite.h"

namespace culvert::nat {

bool read_inner(net::Bytes packet, const cv_packet& outer, InnerPacket* inner) {
  const size_t at = outer.l4 + 8u;
  if (packet.size() < at || outer.length < at) return false;
  const uint8_t* data = packet.data() + at;
  const uint8_t* end = packet.data() + std::min<size_t>(packet.size(), outer.length);
  if (data >= end || data[0] >> 4 != outer.version) return false;
  cv_packet p = {};
  p.version = outer.version;
  const int result = p.version == 4 ? cv_parse_v4(data, end, &p) : cv_parse_v6(data, end, &p);
  if (result != CV_OK || (p.flags & CV_LATER)) return false;
  const uint8_t* l4 = data + p.l4;
  if (l4 + 8 > end) return false;
  inner->at = static_cast<uint16_t>(at);
  inner->version = p.version;
  inner->protocol = p.protocol;
  inner->l4 = p.l4;
  if (p.protocol == CV_TCP || p.protocol == CV_UDP) {
    inner->source_port = cv_swap16(cv_load16(l4));
    inner->destination_port = cv_swap16(cv_load16(l4 + 2));
    return true;
  }
  const uint8_t request = p.version == 4 ? 8 : 128, reply = p.version == 4 ? 0 : 129;
  if (p.protocol != (p.version == 4 ? CV_ICMP : CV_ICMPV6)) return false;
  if (l4[0] != request && l4[0] != reply) return false;
  inner->source_port = inner->destination_port = cv_swap16(cv_load16(l4 + 4));
  return true;
}

void rewrite_inner(net::MutableBytes packet, const cv_packet& outer, const InnerPacket& inner,
                   const InnerRewrite& rewrite) {
  uint8_t* const data = packet.data();
  uint8_t* const end = data + std::min<size_t>(packet.size(), outer.length);
  uint8_t* const ip = data + inner.at;
  uint8_t* const l4 = ip + inner.l4;
  cv_u32 change = 0;  // of all that the outer ICMP checksum covers
  cv_u32 pseudo = 0, segment = 0;
  cv_replace32(ip + (rewrite.inner_source ? 12 : 16), cv_swap32(rewrite.inner_ip), &pseudo);
  change = cv_sum_add(change, pseudo);
  cv_replace16(ip + 10, cv_checksum_adjust(cv_load16(ip + 10), pseudo), &change);
  const bool echo = inner.protocol == CV_ICMP;
  uint8_t* const port = echo ? l4 + 4 : rewrite.inner_source ? l4 : l4 + 2;
  cv_replace16(port, cv_swap16(rewrite.inner_port), &segment);
  change = cv_sum_add(change, segment);
  const int offset = inner.protocol == CV_TCP ? 16 : inner.protocol == CV_UDP ? 6 : 2;
  uint8_t* const sum = l4 + offset;
  if (sum + 2 <= end && !(inner.protocol == CV_UDP && cv_load16(sum) == 0)) {
    const cv_u32 delta = echo ? segment : cv_sum_add(segment, pseudo);
    cv_u16 value = cv_checksum_adjust(cv_load16(sum), delta);
    if (inner.protocol == CV_UDP && value == 0) value = 0xffff;
    cv_replace16(sum, value, &change);
  }
  cv_u8* const outer_sum = data + outer.l4 + 2;
  cv_store16(outer_sum, cv_checksum_adjust(cv_load16(outer_sum), change));
  pseudo = 0;
  if (rewrite.set_outer_source) cv_replace32(data + 12, cv_swap32(rewrite.outer_source), &pseudo);
  if (rewrite.set_outer_destination)
    cv_replace32(data + 16, cv_swap32(rewrite.outer_destination), &pseudo);
  cv_apply_header_delta(data, pseudo);
}

}  // namespace culvert::nat
