#include "model/ns3/head_bytes.h"

#include <algorithm>

#include "ns3/node.h"

namespace culvert::ns3_world {
namespace {

constexpr uint8_t kTcp = 6, kUdp = 17;  // IANA protocol numbers
constexpr size_t kIpv4Size = 20, kIpv6Size = 40;

void put16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
void put32(uint8_t* at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}
uint16_t get16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }
uint32_t get32(const uint8_t* at) { return uint32_t{get16(at)} << 16 | get16(at + 2); }

}  // namespace

ns3::TypeId RawHeader::GetTypeId() {
  static const ns3::TypeId id = ns3::TypeId("culvert::RawHeader")
                                    .SetParent<ns3::Header>()
                                    .SetGroupName("Culvert")
                                    .AddConstructor<RawHeader>();
  return id;
}

void RawHeader::Serialize(ns3::Buffer::Iterator start) const {
  start.Write(bytes_.data(), static_cast<uint32_t>(bytes_.size()));
}

uint16_t internet_checksum(net::Bytes bytes) {
  uint64_t sum = 0;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) sum += get16(&bytes[i]);
  if (bytes.size() % 2) sum += uint32_t{bytes[bytes.size() - 1]} << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

HeadBytes::HeadBytes(const ns3::Ipv4Header& header, const ns3::Packet& packet)
    : ip_size_(kIpv4Size), total_(kIpv4Size + packet.GetSize()) {
  uint8_t* at = bytes_.data();
  at[0] = 0x45;
  at[1] = header.GetTos();
  put16(at + 2, static_cast<uint32_t>(total_));
  put16(at + 4, header.GetIdentification());
  put16(at + 6, (header.IsDontFragment() ? 0x4000u : 0u) |
                    (header.IsLastFragment() ? 0u : 0x2000u) | header.GetFragmentOffset() / 8u);
  at[8] = header.GetTtl();
  at[9] = header.GetProtocol();
  put16(at + 10, 0);
  put32(at + 12, header.GetSource().Get());
  put32(at + 16, header.GetDestination().Get());
  put16(at + 10, internet_checksum({at, kIpv4Size}));
  load_transport(packet, header.GetProtocol());
}

HeadBytes::HeadBytes(const ns3::Ipv6Header& header, const ns3::Packet& packet)
    : ip_size_(kIpv6Size), total_(kIpv6Size + packet.GetSize()) {
  uint8_t* at = bytes_.data();
  put32(at,
        6u << 28 | uint32_t{header.GetTrafficClass()} << 20 | (header.GetFlowLabel() & 0xfffffu));
  put16(at + 4, packet.GetSize());
  at[6] = header.GetNextHeader();
  at[7] = header.GetHopLimit();
  header.GetSource().GetBytes(at + 8);
  header.GetDestination().GetBytes(at + 24);
  load_transport(packet, header.GetNextHeader());
}

void HeadBytes::load_transport(const ns3::Packet& packet, uint8_t protocol) {
  const bool known = protocol == kTcp || protocol == kUdp;
  const size_t room = known ? kTransport : kCapacity - ip_size_;
  const auto wanted = static_cast<uint32_t>(std::min<size_t>(room, packet.GetSize()));
  size_ = ip_size_ + packet.CopyData(bytes_.data() + ip_size_, wanted);
}

void HeadBytes::store_transport(ns3::Packet& packet) const {
  const auto size = static_cast<uint32_t>(size_ - ip_size_);
  packet.RemoveAtStart(size);
  packet.AddHeader(RawHeader({bytes_.data() + ip_size_, size}));
}

void HeadBytes::store(ns3::Ipv4Header& header, ns3::Packet& packet) const {
  const uint8_t* at = bytes_.data();
  header.SetTos(at[1]);
  header.SetIdentification(get16(at + 4));
  header.SetTtl(at[8]);
  header.SetSource(ns3::Ipv4Address(get32(at + 12)));
  header.SetDestination(ns3::Ipv4Address(get32(at + 16)));
  store_transport(packet);
}

void HeadBytes::store(ns3::Ipv6Header& header, ns3::Packet& packet) const {
  const uint8_t* at = bytes_.data();
  header.SetTrafficClass(static_cast<uint8_t>(get32(at) >> 20));
  header.SetHopLimit(at[7]);
  header.SetSource(ns3::Ipv6Address(const_cast<uint8_t*>(at + 8)));
  header.SetDestination(ns3::Ipv6Address(const_cast<uint8_t*>(at + 24)));
  store_transport(packet);
}

ns3::Ipv4Header parse_ipv4_header(net::Bytes packet) {
  const uint8_t* at = packet.data();
  ns3::Ipv4Header header;
  header.SetTos(at[1]);
  header.SetPayloadSize(static_cast<uint16_t>(get16(at + 2) - (at[0] & 15) * 4));
  header.SetIdentification(get16(at + 4));
  const uint16_t fragment = get16(at + 6);
  if (fragment & 0x4000)
    header.SetDontFragment();
  else
    header.SetMayFragment();
  if (fragment & 0x2000)
    header.SetMoreFragments();
  else
    header.SetLastFragment();
  header.SetFragmentOffset(static_cast<uint16_t>((fragment & 0x1fff) * 8));
  header.SetTtl(at[8]);
  header.SetProtocol(at[9]);
  header.SetSource(ns3::Ipv4Address(get32(at + 12)));
  header.SetDestination(ns3::Ipv4Address(get32(at + 16)));
  return header;
}

ns3::Ipv6Header parse_ipv6_header(net::Bytes packet) {
  const uint8_t* at = packet.data();
  ns3::Ipv6Header header;
  header.SetTrafficClass(static_cast<uint8_t>(get32(at) >> 20));
  header.SetFlowLabel(get32(at) & 0xfffffu);
  header.SetPayloadLength(get16(at + 4));
  header.SetNextHeader(at[6]);
  header.SetHopLimit(at[7]);
  header.SetSource(ns3::Ipv6Address(const_cast<uint8_t*>(at + 8)));
  header.SetDestination(ns3::Ipv6Address(const_cast<uint8_t*>(at + 24)));
  return header;
}

void store_whole(ns3::Ipv4Header& header, ns3::Packet& packet, net::Bytes bytes) {
  const bool checksum = ns3::Node::ChecksumEnabled();
  header = parse_ipv4_header(bytes);
  if (checksum) header.EnableChecksum();
  packet.RemoveAtStart(packet.GetSize());
  packet.AddHeader(RawHeader(bytes.subspan(kIpv4Size)));
}

void store_whole(ns3::Ipv6Header& header, ns3::Packet& packet, net::Bytes bytes) {
  header = parse_ipv6_header(bytes);
  packet.RemoveAtStart(packet.GetSize());
  packet.AddHeader(RawHeader(bytes.subspan(kIpv6Size)));
}

}  // namespace culvert::ns3_world
