// The first bytes of an ns-3 IP packet as on the wire, to be read and rewritten with model/packet.
// Stands on ns-3's Packet, whose payload is neither copied nor touched, so tags stay.
#pragma once

#include <array>
#include <cstdint>

#include "model/net/bytes.h"
#include "ns3/header.h"
#include "ns3/ipv4-header.h"
#include "ns3/ipv6-header.h"
#include "ns3/packet.h"

namespace culvert::ns3_world {

// Bytes as a Header: how ns-3 lets one put them in front of a packet without losing its tags.
class RawHeader : public ns3::Header {
 public:
  RawHeader() = default;
  explicit RawHeader(net::Bytes bytes) : bytes_(bytes) {}
  static ns3::TypeId GetTypeId();
  ns3::TypeId GetInstanceTypeId() const override { return GetTypeId(); }
  uint32_t GetSerializedSize() const override { return static_cast<uint32_t>(bytes_.size()); }
  void Serialize(ns3::Buffer::Iterator start) const override;
  uint32_t Deserialize(ns3::Buffer::Iterator) override { return 0; }  // never taken off as such
  void Print(std::ostream& os) const override { os << bytes_.size() << " bytes"; }

 private:
  net::Bytes bytes_;
};

// Usage:
//   HeadBytes head(header, *packet);
//   if (rewrite(head.bytes(), head.total_length())) head.store(header, *packet);
class HeadBytes {
 public:
  // Enough for IPv4 or IPv6 with the whole TCP header; packets of other protocols (ICMP carries
  // another packet's headers) come whole if they are not longer than kCapacity.
  static constexpr size_t kCapacity = 2048;
  static constexpr size_t kTransport = 60;  // the longest TCP header (RFC 9293 section 3.1)

  // `packet` is without its IP header. The IPv4 header's checksum is made right.
  HeadBytes(const ns3::Ipv4Header& header, const ns3::Packet& packet);
  HeadBytes(const ns3::Ipv6Header& header, const ns3::Packet& packet);

  // An IP packet from its first byte, possibly cut short.
  net::MutableBytes bytes() { return {bytes_.data(), size_}; }
  size_t total_length() const { return total_; }  // bytes of the whole IP packet

  // Puts what was edited back. The length of the packet must not have changed.
  void store(ns3::Ipv4Header& header, ns3::Packet& packet) const;
  void store(ns3::Ipv6Header& header, ns3::Packet& packet) const;

 private:
  void load_transport(const ns3::Packet& packet, uint8_t protocol);
  void store_transport(ns3::Packet& packet) const;

  // Not initialised: clearing two kilobytes for each packet would cost more than the rest.
  std::array<uint8_t, kCapacity> bytes_;
  size_t ip_size_ = 0, size_ = 0, total_ = 0;
};

// The checksum of RFC 1071 over `bytes`, as it goes into the header.
uint16_t internet_checksum(net::Bytes bytes);

// Makes `header` and `packet` what the wire bytes of a whole IP packet say; tags stay.
void store_whole(ns3::Ipv4Header& header, ns3::Packet& packet, net::Bytes bytes);
void store_whole(ns3::Ipv6Header& header, ns3::Packet& packet, net::Bytes bytes);

// Copies: the IPv4 header that the wire bytes say. Options are dropped, as ns-3 has none.
ns3::Ipv4Header parse_ipv4_header(net::Bytes packet);
ns3::Ipv6Header parse_ipv6_header(net::Bytes packet);

}  // namespace culvert::ns3_world
