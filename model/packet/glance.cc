#include "model/packet/glance.h"

#include <algorithm>

#include "model/net/event_log.h"
#include "model/packet/packet.h"

namespace culvert::packet {

Glance glance(net::Bytes view) {
  Glance seen;
  seen.mark = net::payload_mark({});
  cv_packet parsed;
  if (view.empty() || cv_parse(view.data(), view.data() + view.size(), &parsed) != CV_OK)
    return seen;
  const bool v4 = parsed.version == 4;
  seen.protocol = parsed.protocol;
  seen.ttl = view[v4 ? 8 : 7];
  seen.source.ip = address_at(&view[v4 ? 12 : 8], parsed.version);
  seen.destination.ip = address_at(&view[v4 ? 16 : 24], parsed.version);
  if (!(parsed.flags & CV_ECHO_REPLY)) seen.source.port = parsed.source_port;
  if (!(parsed.flags & CV_ECHO_REQUEST)) seen.destination.port = parsed.destination_port;
  if (parsed.flags & CV_LATER) return seen;  // no transport header, so no telling its payload
  size_t payload = parsed.l4 + 8u;           // UDP, ICMP
  if (parsed.protocol == CV_TCP) payload = parsed.l4 + size_t{view[parsed.l4 + 12u]} / 16 * 4;
  const size_t end = std::min<size_t>(view.size(), parsed.length);
  if (payload < end) seen.mark = net::payload_mark(view.subspan(payload, end - payload));
  return seen;
}

std::string protocol_name(uint8_t protocol) {
  switch (protocol) {
    case CV_ICMP:
      return "icmp";
    case CV_TCP:
      return "tcp";
    case CV_UDP:
      return "udp";
    case CV_ICMPV6:
      return "icmpv6";
    default:
      return std::to_string(protocol);
  }
}

}  // namespace culvert::packet
