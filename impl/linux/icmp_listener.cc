#include "impl/linux/icmp_listener.h"

#include <linux/icmp.h>

#include <algorithm>

#include "impl/linux/dial.h"

namespace culvert::linux_host {
namespace {

uint16_t read16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
net::IpAddress read_ip(const uint8_t* p) {
  return net::IpAddress::v4(uint32_t{read16(p)} << 16 | read16(p + 2));
}

}  // namespace

std::unique_ptr<IcmpListener> IcmpListener::open(LinuxHost& host) {
  auto socket = open_socket(host.netns(), AF_INET, SOCK_RAW, IPPROTO_ICMP);
  if (!socket) return nullptr;
  icmp_filter filter{~(1u << ICMP_TIME_EXCEEDED)};  // set bits are not delivered
  setsockopt(socket->get(), SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
  return std::make_unique<IcmpListener>(host, std::move(*socket));
}

IcmpListener::IcmpListener(LinuxHost& host, Fd fd) { watch(&host.loop(), std::move(fd)); }

void IcmpListener::remove(DialImpl* dial) {
  dials_.erase(std::remove(dials_.begin(), dials_.end(), dial), dials_.end());
}

void IcmpListener::turn() {
  for (int i = 0; i < 64; ++i) {  // a flood of errors must not hold the loop
    uint8_t packet[256];
    const ssize_t size = recv(fd(), packet, sizeof packet, 0);
    if (size < 0) return;
    // IPv4 header, ICMP header, the quoted IPv4 header, the first 8 bytes of its payload (RFC 792).
    if (size < 20) continue;
    const size_t outer = 4u * (packet[0] & 15);
    const size_t quoted = outer + 8;
    if (static_cast<size_t>(size) < quoted + 20 || packet[outer] != ICMP_TIME_EXCEEDED) continue;
    const uint8_t* inner = packet + quoted;
    const size_t ports = quoted + 4u * (inner[0] & 15);
    if (inner[9] != IPPROTO_TCP || static_cast<size_t>(size) < ports + 8) continue;
    net::IcmpEvent event;
    event.error = net::Error::ttl_exceeded;
    event.type = packet[outer];
    event.code = packet[outer + 1];
    event.reporter = read_ip(packet + 12);
    event.to = {read_ip(inner + 16), read16(packet + ports + 2)};
    const net::Endpoint from{read_ip(inner + 12), read16(packet + ports)};
    const std::vector<DialImpl*> dials = dials_;  // a callback may destroy any of them
    for (DialImpl* dial : dials)
      if (std::find(dials_.begin(), dials_.end(), dial) != dials_.end()) dial->icmp(from, event);
  }
  schedule();
}

}  // namespace culvert::linux_host
