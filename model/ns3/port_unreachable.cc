#include "model/ns3/port_unreachable.h"

#include <algorithm>

namespace culvert::ns3_world {
namespace {

constexpr size_t kIcmpHeader = 8;
constexpr size_t kQuoted4 = 28;  // RFC 792: the IP header and eight bytes
constexpr uint8_t kIcmp = 1, kIcmpv6 = 58;

}  // namespace

void send_port_unreachable(IpOutput& output, HeadBytes& head, const net::IpAddress& from,
                           const net::IpAddress& to) {
  if (from.is_any() || from.is_multicast() || to.is_multicast()) return;
  const auto route = output.route(from);
  if (!route) return;
  const net::MutableBytes original = head.bytes();
  const size_t quoted = to.is_v4() ? std::min(kQuoted4, original.size()) : original.size();
  net::Buffer message(kIcmpHeader + quoted);
  message[0] = to.is_v4() ? 3 : 1;  // destination unreachable
  message[1] = to.is_v4() ? 3 : 4;  // port
  std::copy_n(original.begin(), quoted, message.begin() + kIcmpHeader);
  IpOutput::Options options;
  options.protocol = to.is_v4() ? kIcmp : kIcmpv6;
  net::Buffer summed = message;
  if (to.is_v6()) {  // RFC 8200 section 8.1: a pseudo-header, which may as well stand behind
    summed.resize(summed.size() + summed.size() % 2);
    for (const net::IpAddress* address : {&to, &from})
      summed.insert(summed.end(), address->bytes().begin(), address->bytes().end());
    const uint8_t rest[] = {0,
                            0,
                            static_cast<uint8_t>(message.size() >> 8),
                            static_cast<uint8_t>(message.size()),
                            0,
                            0,
                            0,
                            kIcmpv6};
    summed.insert(summed.end(), std::begin(rest), std::end(rest));
  }
  const uint16_t checksum = internet_checksum(summed);
  message[2] = static_cast<uint8_t>(checksum >> 8);
  message[3] = static_cast<uint8_t>(checksum);
  output.send(ns3::Create<ns3::Packet>(message.data(), static_cast<uint32_t>(message.size())), to,
              from, *route, options);
}

}  // namespace culvert::ns3_world
