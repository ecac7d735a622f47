#include "impl/wire/frame.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "model/net/address.h"
#include "model/net/event_log.h"

namespace culvert::wire {
namespace {

constexpr uint16_t kTypeIpv4 = 0x0800, kTypeIpv6 = 0x86dd;  // IANA ethertypes
constexpr uint8_t kTcp = 6, kUdp = 17, kIcmp = 1, kIcmpv6 = 58;

uint16_t load16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

std::string hardware_address(const uint8_t* at) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", at[0], at[1], at[2], at[3],
                at[4], at[5]);
  return text;
}

}  // namespace

Frame* FramePool::take() {
  if (free_ != nullptr) {
    Frame* frame = free_;
    free_ = frame->next;
    frame->next = nullptr;
    return frame;
  }
  if (all_.size() >= limit_) return nullptr;
  all_.push_back(std::make_unique<Frame>());
  all_.back()->data.reset(new uint8_t[capacity_]);
  return all_.back().get();
}

void FramePool::give(Frame* frame) {
  frame->next = free_;
  free_ = frame;
}

FrameSummary summarise(net::Bytes frame) {
  FrameSummary summary;
  if (frame.size() < kEthernetHeader) return summary;
  const uint16_t type = load16(frame.data() + 12);
  const uint8_t* ip = frame.data() + kEthernetHeader;
  size_t size = frame.size() - kEthernetHeader;
  net::Endpoint source, destination;
  uint8_t protocol = 0;
  size_t header = 0;
  bool first_fragment = true;
  if (type == kTypeIpv4 && size >= 20 && (ip[0] >> 4) == 4) {
    header = size_t{ip[0] & 15u} * 4;
    size = std::min<size_t>(size, load16(ip + 2));
    protocol = ip[9];
    first_fragment = (load16(ip + 6) & 0x1fff) == 0;
    const auto address = [](const uint8_t* at) {
      return net::IpAddress::v4(uint32_t{load16(at)} << 16 | load16(at + 2));
    };
    source.ip = address(ip + 12);
    destination.ip = address(ip + 16);
  } else if (type == kTypeIpv6 && size >= 40 && (ip[0] >> 4) == 6) {
    header = 40;
    protocol = ip[6];
    std::array<uint8_t, 16> bytes;
    std::copy_n(ip + 8, 16, bytes.begin());
    source.ip = net::IpAddress::v6(bytes);
    std::copy_n(ip + 24, 16, bytes.begin());
    destination.ip = net::IpAddress::v6(bytes);
  } else {
    summary.source = hardware_address(frame.data() + 6);
    summary.destination = hardware_address(frame.data());
    return summary;
  }
  const bool ports = first_fragment && (protocol == kTcp || protocol == kUdp);
  if (!ports || size < header + 8) {
    summary.source = source.ip.to_string();
    summary.destination = destination.ip.to_string();
    if (first_fragment && (protocol == kIcmp || protocol == kIcmpv6) && size >= header + 8) {
      summary.packet = net::payload_mark({ip + header + 8, size - header - 8});
    }
    return summary;
  }
  source.port = load16(ip + header);
  destination.port = load16(ip + header + 2);
  size_t payload = header + 8;
  if (protocol == kTcp && size >= header + 20) payload = header + (ip[header + 12] >> 4) * 4u;
  summary.source = source.to_string();
  summary.destination = destination.to_string();
  if (payload <= size) summary.packet = net::payload_mark({ip + payload, size - payload});
  return summary;
}

}  // namespace culvert::wire
