#include "model/packet/selector.h"

#include "model/packet/glance.h"
#include "model/packet/packet.h"

namespace culvert::packet {

using net::Error;

net::Status check(const net::Selector& s) {
  const bool ports = s.source_port_first != 0 || s.source_port_last != 65535 ||
                     s.destination_port_first != 0 || s.destination_port_last != 65535;
  if (ports && s.protocol != CV_TCP && s.protocol != CV_UDP)
    return {Error::invalid, "a selector by ports needs protocol 6 (TCP) or 17 (UDP)"};
  if (s.source_port_first > s.source_port_last ||
      s.destination_port_first > s.destination_port_last)
    return {Error::invalid, "a range of ports ends before it begins"};
  if (!s.source.ip.is_none() && !s.destination.ip.is_none() &&
      s.source.ip.family() != s.destination.ip.family())
    return {Error::invalid, "source and destination are of different families"};
  return {};
}

bool matches(const net::Selector& s, net::Bytes packet) {
  cv_packet parsed;
  if (cv_parse(packet.data(), packet.data() + packet.size(), &parsed) != CV_OK) return false;
  if (s.protocol != 0 && s.protocol != parsed.protocol) return false;
  const bool v4 = parsed.version == 4;
  const auto within_prefix = [&](const net::Prefix& prefix, size_t offset) {
    return prefix.ip.is_none() ||
           prefix.contains(address_at(packet.data() + offset, parsed.version));
  };
  if (!within_prefix(s.source, v4 ? 12 : 8) || !within_prefix(s.destination, v4 ? 16 : 24))
    return false;
  const auto within = [&](uint16_t port, uint16_t first, uint16_t last) {
    if (first == 0 && last == 65535) return true;
    return (parsed.flags & CV_PORTS) && port >= first && port <= last;
  };
  return within(parsed.source_port, s.source_port_first, s.source_port_last) &&
         within(parsed.destination_port, s.destination_port_first, s.destination_port_last);
}

}  // namespace culvert::packet
