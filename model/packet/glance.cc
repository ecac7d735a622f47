#include "model/packet/glance.h"

#include <algorithm>
#include <array>

#include "model/net/event_log.h"
#include "model/packet/packet.h"

namespace culvert::packet {
namespace {

net::IpAddress address_at(net::Bytes packet, size_t at, bool v4) {
  if (v4)
    return net::IpAddress::v4(uint32_t{packet[at]} << 24 | uint32_t{packet[at + 1]} << 16 |
                              uint32_t{packet[at + 2]} << 8 | packet[at + 3]);
  std::array<uint8_t, 16> bytes;
  std::copy_n(packet.begin() + static_cast<long>(at), bytes.size(), bytes.begin());
  return net::IpAddress::v6(bytes);
}

}  // namespace

Glance glance(net::Bytes view) {
  Glance seen;
  seen.mark = net::payload_mark({});
  cv_packet parsed;
  if (view.empty() || cv_parse(view.data(), view.data() + view.size(), &parsed) != CV_OK)
    return seen;
  const bool v4 = parsed.version == 4;
  seen.protocol = parsed.protocol;
  seen.ttl = view[v4 ? 8 : 7];
  seen.source.ip = address_at(view, v4 ? 12 : 8, v4);
  seen.destination.ip = address_at(view, v4 ? 16 : 24, v4);
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
