#include "model/packet/soft_flow_table.h"

#include <cstring>

#include "model/packet/glance.h"
#include "model/packet/rewrite.h"

namespace culvert::packet {
namespace {

void copy_address(cv_u8* to, const net::IpAddress& address) {
  std::memcpy(to, address.bytes().data(), 16);
}

uint64_t word(const net::IpAddress& address, size_t at) {
  uint64_t value;
  std::memcpy(&value, address.bytes().data() + at, 8);
  return value;
}

}  // namespace

SoftFlowTable::SoftFlowTable(size_t limit, uint64_t seed) : limit_(limit), seed_(seed) {}

uint32_t SoftFlowTable::hash(const net::FlowKey& key) const {
  const uint64_t ports = static_cast<uint64_t>(key.source.port) << 24 |
                         static_cast<uint64_t>(key.destination.port) << 8 | key.protocol;
  uint64_t h =
      mix(word(key.source.ip, 0) ^ seed_, word(key.destination.ip, 0) ^ 0x9e3779b97f4a7c15);
  h = mix(h ^ word(key.source.ip, 8), word(key.destination.ip, 8) ^ 0xa0761d6478bd642full);
  return hash_words(h, ports, seed_);
}

uint32_t SoftFlowTable::find(const net::FlowKey& key) const {
  return index_.find(hash(key), [&](uint32_t i) { return flows_[i].key == key; });
}

net::Status SoftFlowTable::install(const net::FlowKey& key, const net::FlowRewrite& rewrite) {
  using net::Error;
  if (key.protocol != CV_TCP && key.protocol != CV_UDP)
    return {Error::invalid, "a flow is TCP (6) or UDP (17)"};
  const auto family = key.source.ip.family();
  if (family == net::IpAddress::Family::none || key.destination.ip.family() != family ||
      rewrite.source.ip.family() != family || rewrite.destination.ip.family() != family)
    return {Error::invalid, "all four addresses of a flow are IPv4, or all are IPv6"};
  if (key.protocol == CV_UDP && (rewrite.sequence_delta || rewrite.acknowledgement_delta))
    return {Error::invalid, "UDP has no sequence numbers to shift"};
  if (find(key) != kNoRecord) return {Error::in_use, "this flow is installed already"};
  if (used_ >= limit_)
    return {Error::exhausted, "the flow table is full: " + std::to_string(limit_) + " flows"};
  uint32_t i;
  if (free_.empty()) {
    i = static_cast<uint32_t>(flows_.size());
    flows_.emplace_back();
  } else {
    i = free_.back();
    free_.pop_back();
  }
  flows_[i] = {key, rewrite, {}};
  index_.insert(hash(key), i);
  ++used_;
  return {};
}

net::Status SoftFlowTable::remove(const net::FlowKey& key) {
  const uint32_t i = find(key);
  if (i == kNoRecord) return {net::Error::not_found, "no such flow"};
  index_.erase(hash(key), i);
  free_.push_back(i);
  --used_;
  return {};
}

net::Result<net::FlowStats> SoftFlowTable::stats(const net::FlowKey& key) const {
  const uint32_t i = find(key);
  if (i == kNoRecord) return {net::Error::not_found, "no such flow"};
  return flows_[i].stats;
}

void SoftFlowTable::clear() {
  index_.clear();
  flows_.clear();
  free_.clear();
  used_ = 0;
}

SoftFlowTable::Verdict SoftFlowTable::process(net::Time now, net::MutableBytes packet,
                                              size_t total_length) {
  if (used_ == 0) return Verdict::miss;
  uint8_t* const data = packet.data();
  uint8_t* const end = data + packet.size();
  cv_packet parsed;
  if (cv_parse(data, end, &parsed) != CV_OK || parsed.length > total_length) return Verdict::miss;
  if ((parsed.flags & CV_FRAGMENT) || (parsed.protocol != CV_TCP && parsed.protocol != CV_UDP))
    return Verdict::miss;
  const size_t addresses = parsed.version == 4 ? 12 : 8, size = parsed.version == 4 ? 4 : 16;
  net::FlowKey key;
  key.protocol = parsed.protocol;
  key.source = {address_at(data + addresses, parsed.version), parsed.source_port};
  key.destination = {address_at(data + addresses + size, parsed.version), parsed.destination_port};
  const uint32_t i = find(key);
  if (i == kNoRecord) return Verdict::miss;
  if (data[parsed.version == 4 ? 8 : 7] <= 1) return Verdict::expired;
  Flow& flow = flows_[i];
  cv_rewrite rewrite = {};
  rewrite.what = CV_SET_SOURCE | CV_SET_DESTINATION | CV_SET_SOURCE_PORT | CV_SET_DESTINATION_PORT;
  copy_address(rewrite.source, flow.rewrite.source.ip);
  copy_address(rewrite.destination, flow.rewrite.destination.ip);
  rewrite.source_port = flow.rewrite.source.port;
  rewrite.destination_port = flow.rewrite.destination.port;
  rewrite.sequence_delta = flow.rewrite.sequence_delta;
  rewrite.acknowledgement_delta = flow.rewrite.acknowledgement_delta;
  if (rewrite.sequence_delta || rewrite.acknowledgement_delta) rewrite.what |= CV_ADD_NUMBERS;
  if (cv_rewrite_packet(data, end, &parsed, &rewrite) != CV_OK) return Verdict::miss;
  ++flow.stats.packets;
  flow.stats.bytes += parsed.length;
  flow.stats.last_seen = now;
  return Verdict::rewritten;
}

}  // namespace culvert::packet
