// Reads the headers of a contiguous IP packet: IPv4, IPv6 with extension headers, TCP, UDP, ICMP,
// fragments. RFC 791, 8200, 9293, 768, 792, 4443. C for g++ and `clang -target bpf`: no libc,
// bounded loops, every access checked against data_end in the form that the verifier follows.
// The view may be shorter than the packet: only headers are ever read.
#ifndef CULVERT_MODEL_PACKET_PACKET_H_
#define CULVERT_MODEL_PACKET_PACKET_H_

#include "model/packet/checksum.h"

enum {
  CV_ICMP = 1,
  CV_TCP = 6,
  CV_UDP = 17,
  CV_ICMPV6 = 58,
};
enum {              // bits of cv_packet.flags
  CV_FRAGMENT = 1,  // a piece of a datagram
  CV_LATER = 2,     // not the first piece: no transport header here
  CV_PORTS = 4,     // source_port and destination_port hold something
  CV_ECHO_REQUEST = 8,
  CV_ECHO_REPLY = 16,
  CV_ICMP_ERROR = 32,  // holds an inner packet at l4 + 8
};
enum { CV_FIN = 1, CV_SYN = 2, CV_RST = 4, CV_PSH = 8, CV_ACK = 16 };  // bits of tcp_flags

enum {  // what cv_parse returns
  CV_OK = 0,
  CV_TRUNCATED = 1,  // the view ends inside a header that is needed
  CV_MALFORMED = 2,  // lengths contradict each other, or no IP version known
};

struct cv_packet {
  cv_u8 version;   // 4 or 6
  cv_u8 protocol;  // of the transport header, after IPv6 extension headers
  cv_u8 flags;
  cv_u8 tcp_flags;
  cv_u8 icmp_type, icmp_code;
  cv_u16 l4;                             // bytes from the start to the transport header
  cv_u16 source_port, destination_port;  // host order; echo: both hold the identifier
  cv_u32 length;                         // bytes of the whole packet, by its IP header
  cv_u32 fragment_id;                    // with CV_FRAGMENT
};

#define CV_MAX_EXTENSIONS 6  /* ours: a bound for the verifier; stacks send at most four */
#define CV_MAX_EXTENSION 264 /* ours: hop-by-hop and options up to 256 bytes, more is not sent */

CV_INLINE int cv_is_icmp_error(cv_u8 version, cv_u8 type) {
  // RFC 792: unreachable, source quench, redirect, time exceeded, parameter problem; a redirect
  // speaks of the local link only and is not translated (RFC 5508 section 7.2). RFC 4443 section
  // 2.1: types below 128 are errors.
  if (version == 4) return type == 3 || type == 4 || type == 11 || type == 12;
  return type >= 1 && type <= 4;
}

CV_INLINE int cv_parse_l4(const cv_u8* data, const cv_u8* data_end, struct cv_packet* out) {
  const cv_u8* l4 = data + out->l4;
  cv_u32 rest = out->length - out->l4;  // bytes of transport header and payload
  if (out->protocol == CV_UDP) {
    if (rest < 8) return CV_MALFORMED;
    if (l4 + 8 > data_end) return CV_TRUNCATED;
    cv_u16 length = cv_swap16(cv_load16(l4 + 4));
    if (length < 8 || (length > rest && !(out->flags & CV_FRAGMENT))) return CV_MALFORMED;
  } else if (out->protocol == CV_TCP) {
    if (rest < 20) return CV_MALFORMED;  // RFC 1858: also of a tiny first fragment
    if (l4 + 20 > data_end) return CV_TRUNCATED;
    cv_u32 header = (cv_u32)(l4[12] >> 4) * 4;
    if (header < 20 || (header > rest && !(out->flags & CV_FRAGMENT))) return CV_MALFORMED;
    out->tcp_flags = l4[13];
  } else if (out->protocol == (out->version == 4 ? CV_ICMP : CV_ICMPV6)) {
    if (rest < 8) return CV_MALFORMED;
    if (l4 + 8 > data_end) return CV_TRUNCATED;
    out->icmp_type = l4[0];
    out->icmp_code = l4[1];
    if (cv_is_icmp_error(out->version, l4[0])) {
      out->flags |= CV_ICMP_ERROR;
    } else {
      cv_u8 request = out->version == 4 ? 8 : 128, reply = out->version == 4 ? 0 : 129;
      if (l4[0] != request && l4[0] != reply) return CV_OK;
      out->flags |= (cv_u8)(CV_PORTS | (l4[0] == request ? CV_ECHO_REQUEST : CV_ECHO_REPLY));
      out->source_port = out->destination_port = cv_swap16(cv_load16(l4 + 4));
    }
    return CV_OK;
  } else {
    return CV_OK;
  }
  out->flags |= CV_PORTS;
  out->source_port = cv_swap16(cv_load16(l4));
  out->destination_port = cv_swap16(cv_load16(l4 + 2));
  return CV_OK;
}

CV_INLINE int cv_parse_v4(const cv_u8* data, const cv_u8* data_end, struct cv_packet* out) {
  if (data + 20 > data_end) return CV_TRUNCATED;
  cv_u32 header = (cv_u32)(data[0] & 15) * 4;
  if (header < 20) return CV_MALFORMED;
  out->length = cv_swap16(cv_load16(data + 2));
  if (out->length < header) return CV_MALFORMED;
  out->l4 = (cv_u16)header;
  out->protocol = data[9];
  cv_u16 fragment = cv_swap16(cv_load16(data + 6));
  if (fragment & 0x3fff) {  // more fragments, or an offset
    out->flags |= CV_FRAGMENT;
    out->fragment_id = cv_load16(data + 4);
    if (fragment & 0x1fff) out->flags |= CV_LATER;
  }
  return CV_OK;
}

CV_INLINE int cv_parse_v6(const cv_u8* data, const cv_u8* data_end, struct cv_packet* out) {
  if (data + 40 > data_end) return CV_TRUNCATED;
  cv_u8 next = data[6];
  cv_u32 offset = 40;
  out->length = 40u + cv_swap16(cv_load16(data + 4));
  for (int i = 0; i < CV_MAX_EXTENSIONS; ++i) {
    // Hop-by-hop, routing, destination options (RFC 8200 section 4); fragment (4.5).
    if (next != 0 && next != 43 && next != 60 && next != 44) break;
    if (out->flags & CV_LATER) break;
    if (offset > 40 + CV_MAX_EXTENSIONS * CV_MAX_EXTENSION) return CV_MALFORMED;
    const cv_u8* p = data + offset;
    if (p + 8 > data_end) return CV_TRUNCATED;
    if (next == 44) {
      cv_u16 fragment = cv_swap16(cv_load16(p + 2));
      if (fragment & 0xfff9) {  // an atomic fragment (RFC 6946) is a whole packet
        out->flags |= CV_FRAGMENT;
        out->fragment_id = cv_load32(p + 4);
        if (fragment & 0xfff8) out->flags |= CV_LATER;
      }
      offset += 8;
    } else {
      cv_u32 size = 8u + 8u * p[1];
      if (size > CV_MAX_EXTENSION) return CV_MALFORMED;
      offset += size;
    }
    next = p[0];
  }
  if (out->length < offset) return CV_MALFORMED;
  out->l4 = (cv_u16)offset;
  out->protocol = next;
  return CV_OK;
}

// Fills all of `out`. On anything but CV_OK, `out` must not be used.
CV_INLINE int cv_parse(const cv_u8* data, const cv_u8* data_end, struct cv_packet* out) {
  __builtin_memset(out, 0, sizeof(*out));
  if (data + 1 > data_end) return CV_TRUNCATED;
  out->version = data[0] >> 4;
  int result = CV_MALFORMED;
  if (out->version == 4) result = cv_parse_v4(data, data_end, out);
  if (out->version == 6) result = cv_parse_v6(data, data_end, out);
  if (result != CV_OK || (out->flags & CV_LATER)) return result;
  return cv_parse_l4(data, data_end, out);
}

#endif  // CULVERT_MODEL_PACKET_PACKET_H_
