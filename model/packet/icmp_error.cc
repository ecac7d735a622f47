#include "model/packet/icmp_error.h"

#include <algorithm>
#include <cstring>

#include "model/packet/glance.h"
#include "model/packet/packet.h"

namespace culvert::packet {
namespace {

constexpr uint8_t kTtl = 64;  // RFC 1700

void put16(uint8_t* p, size_t value) { cv_store16(p, cv_swap16(static_cast<uint16_t>(value))); }

bool is_one_host(const net::IpAddress& ip) {
  return !ip.is_any() && !ip.is_loopback() && !ip.is_multicast() &&
         !(ip.is_v4() && ip.to_v4() == 0xffffffff);
}

}  // namespace

net::Buffer make_icmp_error(net::Bytes packet, IcmpError what, const net::IpAddress& source,
                            uint32_t mtu) {
  const uint8_t version = packet.empty() ? 0 : packet[0] >> 4;
  const bool v4 = version == 4;
  const size_t header = v4 ? 20 : 40, address = v4 ? 4 : 16;
  if ((!v4 && version != 6) || packet.size() < header || !(v4 ? source.is_v4() : source.is_v6()))
    return {};
  const net::IpAddress sender = address_at(packet.data() + (v4 ? 12 : 8), version);
  if (!is_one_host(sender)) return {};
  const size_t quote = std::min(packet.size(), kQuote), payload = 8 + quote;
  net::Buffer out(header + payload);
  uint8_t* p = out.data();
  uint8_t* icmp = p + header;
  if (v4) {
    p[0] = 0x45;
    put16(p + 2, out.size());
    put16(p + 6, 0x4000);  // don't fragment: an ID of 0 is then right (RFC 6864)
    p[8] = kTtl;
    p[9] = CV_ICMP;
  } else {
    p[0] = 0x60;
    put16(p + 4, payload);
    p[6] = CV_ICMPV6;
    p[7] = kTtl;
  }
  uint8_t* addresses = p + (v4 ? 12 : 8);
  std::memcpy(addresses, source.bytes().data(), address);
  std::memcpy(addresses + address, sender.bytes().data(), address);
  if (v4) cv_store16(p + 10, static_cast<uint16_t>(~cv_fold(cv_sum(p, 20, 0))));
  const bool big = what == IcmpError::too_big;
  icmp[0] = v4 ? (big ? 3 : 11) : (big ? 2 : 3);
  icmp[1] = v4 && big ? 4 : 0;
  if (big && v4) put16(icmp + 6, std::min<uint32_t>(mtu, 65535));
  if (big && !v4) cv_store32(icmp + 4, cv_swap32(mtu));
  std::memcpy(icmp + 8, packet.data(), quote);
  uint32_t sum = 0;
  if (!v4) {  // ICMPv6 has a pseudo-header (RFC 8200 section 8.1)
    sum = cv_sum(addresses, 32, 0);
    sum = cv_sum_add(sum, cv_swap32(static_cast<uint32_t>(payload)));
    sum = cv_sum_add(sum, cv_swap32(CV_ICMPV6));
  }
  sum = cv_sum(icmp, static_cast<uint32_t>(payload), sum);
  cv_store16(icmp + 2, static_cast<uint16_t>(~cv_fold(sum)));
  return out;
}

}  // namespace culvert::packet
