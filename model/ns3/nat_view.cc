#include "model/ns3/nat_view.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "ns3/tag.h"

namespace culvert::ns3_world {
namespace {

constexpr uint8_t kTcp = 6, kUdp = 17;  // IANA protocol numbers
constexpr size_t kIpSize = 20;          // ns-3 has no IP options

void put16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
void put32(uint8_t* at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}
uint32_t get32(const uint8_t* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

// A byte tag that covers some of the bytes about to be replaced.
struct KeptTag {
  std::unique_ptr<ns3::ObjectBase> object;
  uint32_t start, end;
};

// ns-3 trims byte tags with the bytes they cover; these are put back afterwards.
std::vector<KeptTag> tags_over_head(const ns3::Packet& packet, uint32_t head) {
  std::vector<KeptTag> kept;
  for (ns3::ByteTagIterator i = packet.GetByteTagIterator(); i.HasNext();) {
    ns3::ByteTagIterator::Item item = i.Next();
    if (item.GetStart() >= head || !item.GetTypeId().HasConstructor()) continue;
    std::unique_ptr<ns3::ObjectBase> object(item.GetTypeId().GetConstructor()());
    auto* tag = dynamic_cast<ns3::Tag*>(object.get());
    if (!tag) continue;
    item.GetTag(*tag);
    // What reaches beyond the head stays on the packet by itself.
    kept.push_back({std::move(object), item.GetStart(), std::min(item.GetEnd(), head)});
  }
  return kept;
}

void replace_head(ns3::Packet& packet, net::Bytes head) {
  const auto size = static_cast<uint32_t>(head.size());
  const std::vector<KeptTag> kept = tags_over_head(packet, size);
  packet.RemoveAtStart(size);
  packet.AddHeader(RawHeader(head));
  for (const KeptTag& tag : kept)
    packet.AddByteTag(*dynamic_cast<ns3::Tag*>(tag.object.get()), tag.start, tag.end);
}

}  // namespace

NatView::NatView(const ns3::Ipv4Header& header, const ns3::Packet& packet)
    : total_(kIpSize + packet.GetSize()) {
  uint8_t* at = bytes_.data();
  at[0] = 0x45;
  at[1] = header.GetTos();
  put16(at + 2, static_cast<uint32_t>(total_));
  put16(at + 4, header.GetIdentification());
  put16(at + 6, (header.IsDontFragment() ? 0x4000u : 0u) |
                    (header.IsLastFragment() ? 0u : 0x2000u) | header.GetFragmentOffset() / 8u);
  at[8] = header.GetTtl();
  at[9] = header.GetProtocol();
  put16(at + 10, 0);  // ns-3 makes the header's checksum itself, on the way out
  put32(at + 12, header.GetSource().Get());
  put32(at + 16, header.GetDestination().Get());
  const auto wanted = static_cast<uint32_t>(std::min(kCapacity - kIpSize, total_ - kIpSize));
  size_ = kIpSize + packet.CopyData(at + kIpSize, wanted);
  std::memcpy(original_.data(), bytes_.data(), size_);
}

bool NatView::closes() const {
  const size_t flags = kIpSize + 13;  // RFC 9293 section 3.1
  const bool first = (original_[6] & 0x1f) == 0 && original_[7] == 0;
  return original_[9] == kTcp && first && size_ > flags && (original_[flags] & 5) != 0;
}

void NatView::store(ns3::Ipv4Header& header, ns3::Packet& packet) const {
  header.SetSource(ns3::Ipv4Address(get32(bytes_.data() + 12)));
  header.SetDestination(ns3::Ipv4Address(get32(bytes_.data() + 16)));
  // Of a TCP or UDP header ports and checksum may change; of ICMP anything in view.
  const uint8_t protocol = bytes_[9];
  size_t changed = size_;
  if (protocol == kTcp) changed = std::min(size_, kIpSize + 20);
  if (protocol == kUdp) changed = std::min(size_, kIpSize + 8);
  while (changed > kIpSize && bytes_[changed - 1] == original_[changed - 1]) --changed;
  if (changed > kIpSize) replace_head(packet, {bytes_.data() + kIpSize, changed - kIpSize});
}

}  // namespace culvert::ns3_world
