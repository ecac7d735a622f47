#include "model/ns3/hook.h"

#include <algorithm>
#include <array>

#include "model/ns3/head_bytes.h"
#include "model/packet/glance.h"
#include "model/packet/selector.h"

namespace culvert::ns3_world {
namespace {

uint16_t get16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

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
bool HookChain::run(Header& header, ns3::Ptr<ns3::Packet>& body) {
  hooks_.erase(
      std::remove_if(hooks_.begin(), hooks_.end(), [](const auto& hook) { return !hook->alive; }),
      hooks_.end());
  if (hooks_.empty()) return true;
  const auto any = [&](net::Bytes bytes) {
    return std::any_of(hooks_.begin(), hooks_.end(),
                       [&](const auto& hook) { return packet::matches(hook->selector, bytes); });
  };
  HeadBytes head(header, *body);
  if (!any(head.bytes())) return true;
  net::Buffer whole_packet(head.total_length());
  std::copy_n(head.bytes().begin(), header_size(header), whole_packet.begin());
  body->CopyData(whole_packet.data() + header_size(header), body->GetSize());
  const net::Buffer before = whole_packet;
  const auto hooks = hooks_;  // a hook may add or remove others
  for (const auto& hook : hooks) {
    if (!hook->alive || !packet::matches(hook->selector, whole_packet)) continue;
    ++hook->stats.matched;
    const auto function = hook->function;
    const net::Verdict verdict = function(whole_packet);
    if (verdict == net::Verdict::consume) {
      ++hook->stats.consumed;
      return false;
    }
    ++hook->stats.passed;
  }
  if (whole_packet != before) store_whole(header, *body, whole_packet);
  return true;
}

PacketTapRouting::Fate HookChain::on_arrival(ns3::Ipv4Header& header, ns3::Ptr<ns3::Packet>& packet,
                                             ns3::Ptr<const ns3::NetDevice>) {
  return run(header, packet) ? PacketTapRouting::Fate::next : PacketTapRouting::Fate::consume;
}

PacketTap6::Fate HookChain::on_arrival6(ns3::Ipv6Header& header, ns3::Ptr<ns3::Packet>& packet) {
  return run(header, packet) ? PacketTap6::Fate::next : PacketTap6::Fate::consume;
}

net::Status HookChain::inject(net::Bytes data) {
  if (!whole(data)) return {net::Error::invalid, "not a whole IP packet"};
  const bool v4 = data[0] >> 4 == 4;
  const size_t header = v4 ? 20 : 40;
  const auto payload =
      ns3::Create<ns3::Packet>(data.data() + header, static_cast<uint32_t>(data.size() - header));
  bool sent = false;
  if (v4 && tap_) sent = tap_->send(payload, parse_ipv4_header(data));
  if (!v4 && tap6_) sent = tap6_->send(payload, parse_ipv6_header(data));
  if (!sent)
    return {net::Error::unreachable,
            "no route to " + packet::address_at(&data[v4 ? 16 : 24], v4 ? 4 : 6).to_string()};
  return {};
}

net::Status Ns3Hook::inject(net::Bytes packet) {
  net::Status status = chain_.inject(packet);
  if (status.ok()) ++hook_->stats.injected;
  return status;
}

Ns3FlowTable::Ns3FlowTable(IpOutput& output, Loop& loop, size_t limit, uint64_t seed)
    : output_(output),
      loop_(loop),
      table_(limit, seed),
      tap_(PacketTapRouting::on(output.node())),
      tap6_(PacketTap6::on(output.node())) {
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

template <class Fate, class Header>
Fate Ns3FlowTable::run(Header& header, ns3::Packet& body) {
  if (table_.size() == 0) return Fate::next;
  HeadBytes head(header, body);
  // ICMP errors are about the packet as it came.
  std::array<uint8_t, packet::kQuote> kept;
  const net::Bytes quote(kept.data(), std::min(kept.size(), head.bytes().size()));
  std::copy_n(head.bytes().begin(), quote.size(), kept.begin());
  switch (table_.process(loop_.now(), head.bytes(), head.total_length())) {
    case packet::SoftFlowTable::Verdict::miss:
      return Fate::next;
    case packet::SoftFlowTable::Verdict::expired:
      answer(quote, packet::IcmpError::ttl_exceeded, 0);
      return Fate::consume;
    case packet::SoftFlowTable::Verdict::rewritten:
      break;
  }
  const uint8_t* p = head.bytes().data();
  const bool v4 = p[0] >> 4 == 4, may_be_cut_up = v4 && (p[6] & 0x40) == 0;
  const auto route = output_.route(packet::address_at(p + (v4 ? 16 : 24), v4 ? 4 : 6));
  if (route && head.total_length() > route->mtu && !may_be_cut_up) {
    answer(quote, packet::IcmpError::too_big, route->mtu);
    return Fate::consume;
  }
  head.store(header, body);
  return Fate::accept;
}

void Ns3FlowTable::answer(net::Bytes quote, packet::IcmpError what, uint32_t mtu) {
  const bool v4 = quote[0] >> 4 == 4;
  const net::IpAddress sender = packet::address_at(&quote[v4 ? 12 : 8], v4 ? 4 : 6);
  const auto back = output_.route(sender);
  if (!back) return;
  const net::Buffer error = packet::make_icmp_error(quote, what, back->source, mtu);
  if (error.empty()) return;
  const size_t ip = v4 ? 20 : 40;
  IpOutput::Options options;
  options.protocol = error[v4 ? 9 : 6];
  output_.send(ns3::Create<ns3::Packet>(&error[ip], static_cast<uint32_t>(error.size() - ip)),
               back->source, sender, *back, options);
}

PacketTapRouting::Fate Ns3FlowTable::on_arrival(ns3::Ipv4Header& header,
                                                ns3::Ptr<ns3::Packet>& packet,
                                                ns3::Ptr<const ns3::NetDevice>) {
  return run<PacketTapRouting::Fate>(header, *packet);
}

PacketTap6::Fate Ns3FlowTable::on_arrival6(ns3::Ipv6Header& header, ns3::Ptr<ns3::Packet>& packet) {
  return run<PacketTap6::Fate>(header, *packet);
}

}  // namespace culvert::ns3_world
