// Rewrites addresses, ports, sequence and acknowledgement numbers (and SACK blocks) of a parsed
// packet in place. Two checksum deltas come out: pseudo-header and segment (field note on
// splicing). User space, ns-3 and XDP apply both with cv_apply_deltas; tc hands the first to
// bpf_l4_csum_replace with BPF_F_PSEUDO_HDR and the second without. C, like packet.h.
#ifndef CULVERT_MODEL_PACKET_REWRITE_H_
#define CULVERT_MODEL_PACKET_REWRITE_H_

#include "model/packet/packet.h"

enum {  // bits of cv_rewrite.what
  CV_SET_SOURCE = 1,
  CV_SET_DESTINATION = 2,
  CV_SET_SOURCE_PORT = 4,
  CV_SET_DESTINATION_PORT = 8,  // echo: either port bit sets the identifier
  CV_ADD_NUMBERS = 16,          // TCP: sequence_delta, acknowledgement_delta
};

struct cv_rewrite {
  cv_u8 what;
  cv_u8 source[16], destination[16];             // network order; IPv4 uses the first four bytes
  cv_u16 source_port, destination_port;          // host order
  cv_u32 sequence_delta, acknowledgement_delta;  // added modulo 2^32
};

struct cv_deltas {
  cv_u32 pseudo, segment;
};

// Offset of the transport checksum from the transport header, or -1: none.
CV_INLINE int cv_checksum_offset(const struct cv_packet* packet) {
  if (packet->flags & CV_LATER) return -1;
  if (packet->protocol == CV_TCP) return 16;
  if (packet->protocol == CV_UDP) return 6;
  if (packet->protocol == CV_ICMP && packet->version == 4) return 2;
  if (packet->protocol == CV_ICMPV6 && packet->version == 6) return 2;
  return -1;
}

// Applies both deltas to the transport checksum. UDP over IPv4 without a checksum stays so (RFC
// 768); a UDP checksum that becomes 0 is sent as ffff. ICMP over IPv4 has no pseudo-header.
CV_INLINE void cv_apply_deltas(cv_u8* data, cv_u8* data_end, const struct cv_packet* packet,
                               const struct cv_deltas* deltas) {
  int offset = cv_checksum_offset(packet);
  if (offset < 0) return;
  cv_u8* field = data + packet->l4 + offset;
  if (field + 2 > data_end) return;
  cv_u16 old = cv_load16(field);
  if (packet->protocol == CV_UDP && old == 0) return;
  cv_u32 delta = deltas->segment;
  if (packet->protocol != CV_ICMP) delta = cv_sum_add(delta, deltas->pseudo);
  cv_u16 sum = cv_checksum_adjust(old, delta);
  if (packet->protocol == CV_UDP && sum == 0) sum = 0xffff;
  cv_store16(field, sum);
}

// The same on a partial checksum (checksum offload): the field holds the folded pseudo-header sum,
// not complemented, and whoever completes it will sum the segment as it is then.
CV_INLINE void cv_apply_deltas_partial(cv_u8* data, cv_u8* data_end, const struct cv_packet* packet,
                                       const struct cv_deltas* deltas) {
  int offset = cv_checksum_offset(packet);
  if (offset < 0 || packet->protocol == CV_ICMP) return;
  cv_u8* field = data + packet->l4 + offset;
  if (field + 2 > data_end) return;
  cv_store16(field, cv_fold(cv_sum_add(cv_load16(field), deltas->pseudo)));
}

// IPv4 only: both addresses lie in the header checksum too, with the same delta.
CV_INLINE void cv_apply_header_delta(cv_u8* data, cv_u32 pseudo) {
  cv_store16(data + 10, cv_checksum_adjust(cv_load16(data + 10), pseudo));
}

// Adds to every edge of every SACK block (RFC 2018). CV_TRUNCATED: the options are not in the view;
// then nothing was changed.
CV_INLINE int cv_shift_sack(cv_u8* data, cv_u8* data_end, const struct cv_packet* packet,
                            cv_u32 add, cv_u32* segment) {
  cv_u8* tcp = data + packet->l4;
  if (tcp + 20 > data_end) return CV_TRUNCATED;
  cv_u32 end = (cv_u32)(tcp[12] >> 4) * 4, at = 20;
  if (end > packet->length - packet->l4) return CV_MALFORMED;  // a first fragment ends in them
  if (tcp + end > data_end) return CV_TRUNCATED;
  for (int i = 0; i < 40; ++i) {  // 40 bytes of options at most, each at least one
    if (at + 2 > end || at > 58) break;
    cv_u8* option = tcp + at;
    if (option + 2 > data_end) break;
    if (option[0] == 0) break;
    if (option[0] == 1) {
      ++at;
      continue;
    }
    cv_u32 size = option[1];
    if (size < 2 || at + size > end) break;
    if (option[0] == 5) {
      for (cv_u32 k = 2; k + 4 <= 34; k += 4) {  // four blocks at most
        if (k + 4 > size) break;
        cv_u8* edge = option + k;
        if (edge + 4 > data_end) break;
        cv_u32 value = cv_swap32(cv_swap32(cv_load32(edge)) + add);
        if (at & 1)
          cv_replace32_odd(edge, value, segment);
        else
          cv_replace32(edge, value, segment);
      }
    }
    at += size;
  }
  return CV_OK;
}

// Writes the fields and the IPv4 header checksum; the transport checksum is left to the deltas.
// CV_TRUNCATED: a field lies outside the view; then nothing was changed.
CV_INLINE int cv_rewrite_fields(cv_u8* data, cv_u8* data_end, const struct cv_packet* packet,
                                const struct cv_rewrite* rewrite, struct cv_deltas* deltas) {
  deltas->pseudo = deltas->segment = 0;
  cv_u8* l4 = data + packet->l4;
  if (rewrite->what & CV_ADD_NUMBERS) {
    if (packet->protocol != CV_TCP || (packet->flags & CV_LATER)) return CV_MALFORMED;
    if (l4 + 20 > data_end) return CV_TRUNCATED;
    if (l4[13] & CV_ACK) {
      int result =
          cv_shift_sack(data, data_end, packet, rewrite->acknowledgement_delta, &deltas->segment);
      if (result != CV_OK) return result;
      cv_replace32(l4 + 8, cv_swap32(cv_swap32(cv_load32(l4 + 8)) + rewrite->acknowledgement_delta),
                   &deltas->segment);
    }
    cv_replace32(l4 + 4, cv_swap32(cv_swap32(cv_load32(l4 + 4)) + rewrite->sequence_delta),
                 &deltas->segment);
  }
  if (packet->flags & CV_PORTS) {
    if (l4 + 8 > data_end) return CV_TRUNCATED;
    if (packet->flags & (CV_ECHO_REQUEST | CV_ECHO_REPLY)) {
      if (rewrite->what & CV_SET_SOURCE_PORT)
        cv_replace16(l4 + 4, cv_swap16(rewrite->source_port), &deltas->segment);
      else if (rewrite->what & CV_SET_DESTINATION_PORT)
        cv_replace16(l4 + 4, cv_swap16(rewrite->destination_port), &deltas->segment);
    } else {
      if (rewrite->what & CV_SET_SOURCE_PORT)
        cv_replace16(l4, cv_swap16(rewrite->source_port), &deltas->segment);
      if (rewrite->what & CV_SET_DESTINATION_PORT)
        cv_replace16(l4 + 2, cv_swap16(rewrite->destination_port), &deltas->segment);
    }
  }
  if (packet->version == 4) {
    if (data + 20 > data_end) return CV_TRUNCATED;
    if (rewrite->what & CV_SET_SOURCE)
      cv_replace32(data + 12, cv_load32(rewrite->source), &deltas->pseudo);
    if (rewrite->what & CV_SET_DESTINATION)
      cv_replace32(data + 16, cv_load32(rewrite->destination), &deltas->pseudo);
    cv_apply_header_delta(data, deltas->pseudo);
  } else {
    if (data + 40 > data_end) return CV_TRUNCATED;
    for (int i = 0; i < 16; i += 4) {
      if (rewrite->what & CV_SET_SOURCE)
        cv_replace32(data + 8 + i, cv_load32(rewrite->source + i), &deltas->pseudo);
      if (rewrite->what & CV_SET_DESTINATION)
        cv_replace32(data + 24 + i, cv_load32(rewrite->destination + i), &deltas->pseudo);
    }
  }
  return CV_OK;
}

// Fields and both checksums: what user space, ns-3 and XDP call.
CV_INLINE int cv_rewrite_packet(cv_u8* data, cv_u8* data_end, const struct cv_packet* packet,
                                const struct cv_rewrite* rewrite) {
  struct cv_deltas deltas;
  int result = cv_rewrite_fields(data, data_end, packet, rewrite, &deltas);
  if (result == CV_OK) cv_apply_deltas(data, data_end, packet, &deltas);
  return result;
}

#endif  // CULVERT_MODEL_PACKET_REWRITE_H_
