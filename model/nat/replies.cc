#include "model/nat/replies.h"

#include <algorithm>
#include <cstring>

#include "model/packet/checksum.h"

namespace culvert::nat {
namespace {

constexpr uint8_t kTtl = 64;  // RFC 1700's recommended default

void put16(uint8_t* p, uint32_t value) { cv_store16(p, cv_swap16(static_cast<uint16_t>(value))); }
void put32(uint8_t* p, uint32_t value) { cv_store32(p, cv_swap32(value)); }

// A packet with its IP header; addresses are of network order, `size` bytes long.
net::Buffer start(uint8_t version, uint8_t protocol, const uint8_t* source,
                  const uint8_t* destination, size_t payload) {
  const size_t header = version == 4 ? 20 : 40;
  net::Buffer out(header + payload);
  uint8_t* p = out.data();
  if (version == 4) {
    p[0] = 0x45;
    put16(p + 2, static_cast<uint32_t>(out.size()));
    put16(p + 6, 0x4000);  // don't fragment: an ID of 0 is then right (RFC 6864)
    p[8] = kTtl;
    p[9] = protocol;
    std::memcpy(p + 12, source, 4);
    std::memcpy(p + 16, destination, 4);
    cv_store16(p + 10, static_cast<uint16_t>(~cv_fold(cv_sum(p, 20, 0))));
  } else {
    p[0] = 0x60;
    put16(p + 4, static_cast<uint32_t>(payload));
    p[6] = protocol;
    p[7] = kTtl;
    std::memcpy(p + 8, source, 16);
    std::memcpy(p + 24, destination, 16);
  }
  return out;
}

// Fills the transport checksum at `field` bytes into the payload.
void finish(net::Buffer& packet, uint8_t protocol, size_t field, bool pseudo) {
  const bool v4 = packet[0] >> 4 == 4;
  const size_t header = v4 ? 20 : 40;
  const auto size = static_cast<uint32_t>(packet.size() - header);
  uint32_t sum = 0;
  if (pseudo) {
    sum = cv_sum(packet.data() + (v4 ? 12 : 8), v4 ? 8 : 32, 0);
    sum = cv_sum_add(sum, cv_swap32(size));
    sum = cv_sum_add(sum, cv_swap32(uint32_t{protocol}));
  }
  sum = cv_sum(packet.data() + header, size, sum);
  cv_store16(packet.data() + header + field, static_cast<uint16_t>(~cv_fold(sum)));
}

}  // namespace

net::Buffer make_rst(net::Bytes packet, const cv_packet& parsed) {
  const bool v4 = parsed.version == 4;
  const uint8_t* source = packet.data() + (v4 ? 12 : 8);
  const uint8_t* destination = source + (v4 ? 4 : 16);
  const uint8_t* tcp = packet.data() + parsed.l4;
  net::Buffer out = start(parsed.version, CV_TCP, destination, source, 20);
  uint8_t* t = out.data() + out.size() - 20;
  put16(t, parsed.destination_port);
  put16(t + 2, parsed.source_port);
  t[12] = 5 << 4;
  if (parsed.tcp_flags & CV_ACK) {
    std::memcpy(t + 4, tcp + 8, 4);  // its acknowledgement is our sequence number
    t[13] = CV_RST;
  } else {
    const uint32_t header = (tcp[12] >> 4) * 4u;
    uint32_t length = parsed.length - parsed.l4 - header;
    length += (parsed.tcp_flags & CV_SYN ? 1 : 0) + (parsed.tcp_flags & CV_FIN ? 1 : 0);
    put32(t + 8, cv_swap32(cv_load32(tcp + 4)) + length);
    t[13] = CV_RST | CV_ACK;
  }
  finish(out, CV_TCP, 16, true);
  return out;
}

net::Buffer make_unreachable(net::Bytes packet, const cv_packet& parsed, Unreachable what,
                             const net::IpAddress& from) {
  const bool v4 = parsed.version == 4;
  const uint8_t* source = packet.data() + (v4 ? 12 : 8);
  const uint8_t* destination = source + (v4 ? 4 : 16);
  if (v4 ? from.is_v4() : from.is_v6()) destination = from.bytes().data();
  const size_t quote = std::min<size_t>(packet.size(), parsed.l4 + 8u);
  net::Buffer out = start(parsed.version, v4 ? CV_ICMP : CV_ICMPV6, destination, source, 8 + quote);
  uint8_t* icmp = out.data() + (v4 ? 20 : 40);
  icmp[0] = v4 ? 3 : 1;
  if (what == Unreachable::port)
    icmp[1] = v4 ? 3 : 4;
  else
    icmp[1] = v4 ? 13 : 1;
  std::memcpy(icmp + 8, packet.data(), quote);
  finish(out, v4 ? CV_ICMP : CV_ICMPV6, 2, !v4);
  return out;
}

}  // namespace culvert::nat
