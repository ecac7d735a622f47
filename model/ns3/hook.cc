#include "model/ns3/hook.h"

#include <algorithm>

#include "model/ns3/head_bytes.h"

namespace culvert::ns3_world {
namespace {

constexpr uint8_t kTcp = 6, kUdp = 17;  // IANA protocol numbers

uint16_t get16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

bool any_ports(const net::Selector& s) {
  return s.source_port_first == 0 && s.source_port_last == 65535 && s.destination_port_first == 0 &&
         s.destination_port_last == 65535;
}

net::IpAddress address_at(const uint8_t* at, bool v4) {
  if (v4) return net::IpAddress::v4(uint32_t{get16(at)} << 16 | get16(at + 2));
  std::array<uint8_t, 16> bytes;
  std::copy(at, at + 16, bytes.begin());
  return net::IpAddress::v6(bytes);
}

// Whether `packet` is a whole IP packet that says of itself how long it is.
bool whole(net::Bytes packet) {
  if (packet.size() < 20) return false;
  const int version = packet[0] >> 4;
  if (version == 4) return (packet[0] & 15) == 5 && get16(&packet[2]) == packet.size();
  return version == 6 && packet.size() >= 40 && get16(&packet[4]) + 40u == packet.size();
}

size_t header_size(const ns3::Ipv4Header&) { return 20; }
size_t header_size(const ns3::Ipv6Header&) { return 40; }

}  // namespace

net::Status check(const net::Selector& s) {
  if (s.source_port_first > s.source_port_last ||
      s.destination_port_first > s.destination_port_last)
    return {net::Error::invalid, "a port range ends before it begins"};
  if (!any_ports(s) && s.protocol != kTcp && s.protocol != kUdp)
    return {net::Error::invalid, "only TCP and UDP have ports to select by"};
  if (!s.source.ip.is_none() && !s.destination.ip.is_none() &&
      s.source.ip.family() != s.destination.ip.family())
    return {net::Error::invalid, "source and destination are of different families"};
  return {};
}

bool matches(const net::Selector& s, net::Bytes packet) {
  const bool v4 = packet[0] >> 4 == 4;
  const uint8_t protocol = packet[v4 ? 9 : 6];
  if (s.protocol != 0 && s.protocol != protocol) return false;
  if (!s.source.ip.is_none() && !s.source.contains(address_at(&packet[v4 ? 12 : 8], v4)))
    return false;
  if (!s.destination.ip.is_none() && !s.destination.contains(address_at(&packet[v4 ? 16 : 24], v4)))
    return false;
  if (any_ports(s)) return true;
  const size_t transport = v4 ? 20 : 40;
  const bool later_fragment = v4 && (get16(&packet[6]) & 0x1fff) != 0;
  if (later_fragment || packet.size() < transport + 4) return false;  // has no ports to compare
  const uint16_t from = get16(&packet[transport]), to = get16(&packet[transport + 2]);
  return from >= s.source_port_first && from <= s.source_port_last &&
         to >= s.destination_port_first && to <= s.destination_port_last;
}

std::shared_ptr<HookChain::Hook> HookChain::add(const net::Selector& selector,
                                                net::HookFunction function) {
  if (!tap_ && (tap_ = PacketTapRouting::on(node_))) tap_->add(*this, PacketTapRouting::kHook);
  if (!tap6_ && (tap6_ = PacketTap6::on(node_))) tap6_->add(*this, PacketTapRouting::kHook);
  auto hook = std::make_shared<Hook>();
  hook->selector = selector;
  hook->function = std::move(function);
  hooks_.push_back(hook);
  return hook;
}

template <class Header>
bool HookChain::run(Header& header, ns3::Ptr<ns3::Packet>& packet) {
  hooks_.erase(
      std::remove_if(hooks_.begin(), hooks_.end(), [](const auto& hook) { return !hook->alive; }),
      hooks_.end());
  if (hooks_.empty()) return true;
  const auto any = [&](net::Bytes bytes) {
    return std::any_of(hooks_.begin(), hooks_.end(),
                       [&](const auto& hook) { return matches(hook->selector, bytes); });
  };
  HeadBytes head(header, *packet);
  if (!any(head.bytes())) return true;
  net::Buffer whole_packet(head.total_length());
  std::copy_n(head.bytes().begin(), header_size(header), whole_packet.begin());
  packet->CopyData(whole_packet.data() + header_size(header), packet->GetSize());
  const net::Buffer before = whole_packet;
  const auto hooks = hooks_;  // a hook may add or remove others
  for (const auto& hook : hooks) {
    if (!hook->alive || !matches(hook->selector, whole_packet)) continue;
    ++hook->stats.matched;
    const auto function = hook->function;
    const net::Verdict verdict = function(whole_packet);
    if (verdict == net::Verdict::consume) {
      ++hook->stats.consumed;
      return false;
    }
    ++hook->stats.passed;
  }
  if (whole_packet != before) store_whole(header, *packet, whole_packet);
  return true;
}

PacketTapRouting::Fate HookChain::on_arrival(ns3::Ipv4Header& header, ns3::Ptr<ns3::Packet>& packet,
                                             ns3::Ptr<const ns3::NetDevice>) {
  return run(header, packet) ? PacketTapRouting::Fate::next : PacketTapRouting::Fate::consume;
}

PacketTap6::Fate HookChain::on_arrival6(ns3::Ipv6Header& header, ns3::Ptr<ns3::Packet>& packet) {
  return run(header, packet) ? PacketTap6::Fate::next : PacketTap6::Fate::consume;
}

net::Status HookChain::inject(net::Bytes packet) {
  if (!whole(packet)) return {net::Error::invalid, "not a whole IP packet"};
  const bool v4 = packet[0] >> 4 == 4;
  const size_t header = v4 ? 20 : 40;
  const auto payload = ns3::Create<ns3::Packet>(packet.data() + header,
                                                static_cast<uint32_t>(packet.size() - header));
  bool sent = false;
  if (v4 && tap_) sent = tap_->send(payload, parse_ipv4_header(packet));
  if (!v4 && tap6_) sent = tap6_->send(payload, parse_ipv6_header(packet));
  if (!sent)
    return {net::Error::unreachable,
            "no route to " + address_at(&packet[v4 ? 16 : 24], v4).to_string()};
  return {};
}

net::Status Ns3Hook::inject(net::Bytes packet) {
  net::Status status = chain_.inject(packet);
  if (status.ok()) ++hook_->stats.injected;
  return status;
}

Ns3FlowTable::Ns3FlowTable(ns3::Ptr<ns3::Node> node, Loop& loop, size_t limit, uint64_t seed)
    : loop_(loop),
      table_(limit, seed),
      tap_(PacketTapRouting::on(node)),
      tap6_(PacketTap6::on(node)) {
  if (tap_) tap_->add(*this, PacketTapRouting::kFlowTable);
  if (tap6_) tap6_->add(*this, PacketTapRouting::kFlowTable);
}

Ns3FlowTable::~Ns3FlowTable() = default;

net::Status Ns3FlowTable::install(const net::FlowKey& key, const net::FlowRewrite& rewrite) {
  return table_.install(key, rewrite);
}
net::Status Ns3FlowTable::remove(const net::FlowKey& key) { return table_.remove(key); }
net::Result<net::FlowStats> Ns3FlowTable::stats(const net::FlowKey& key) const {
  return table_.stats(key);
}

PacketTapRouting::Fate Ns3FlowTable::on_arrival(ns3::Ipv4Header& header,
                                                ns3::Ptr<ns3::Packet>& packet,
                                                ns3::Ptr<const ns3::NetDevice>) {
  if (table_.size() == 0) return PacketTapRouting::Fate::next;
  HeadBytes head(header, *packet);
  if (table_.process(loop_.now(), head.bytes(), head.total_length()) ==
      packet::SoftFlowTable::Verdict::miss)
    return PacketTapRouting::Fate::next;
  head.store(header, *packet);
  return PacketTapRouting::Fate::accept;
}

PacketTap6::Fate Ns3FlowTable::on_arrival6(ns3::Ipv6Header& header, ns3::Ptr<ns3::Packet>& packet) {
  if (table_.size() == 0) return PacketTap6::Fate::next;
  HeadBytes head(header, *packet);
  if (table_.process(loop_.now(), head.bytes(), head.total_length()) ==
      packet::SoftFlowTable::Verdict::miss)
    return PacketTap6::Fate::next;
  head.store(header, *packet);
  return PacketTap6::Fate::accept;
}

}  // namespace culvert::ns3_world
