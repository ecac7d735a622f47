#include "model/mqtt/client/aliases.h"

#include <algorithm>

namespace culvert::mqtt {
namespace {

constexpr size_t kShortTopic = 4;  // ours: the alias itself takes three bytes

}  // namespace

AliasesOut::AliasesOut(uint16_t broker_takes) : most_(std::min(broker_takes, kMostAliasesOut)) {}

AliasesOut::Choice AliasesOut::choose(std::string_view topic) {
  if (most_ == 0 || topic.size() < kShortTopic) return {};
  ++uses_;
  size_t oldest = 0;
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.topic == topic) {
      slot.used = uses_;
      const bool known = slot.told;
      slot.told = true;
      return {static_cast<uint16_t>(i + 1), known};
    }
    if (slot.used < slots_[oldest].used) oldest = i;
  }
  if (slots_.size() < most_) {
    oldest = slots_.size();
    slots_.emplace_back();
  }
  slots_[oldest].topic.assign(topic.data(), topic.size());
  slots_[oldest].used = uses_;
  slots_[oldest].told = false;
  return {};
}

std::string_view AliasesIn::resolve(uint16_t alias, std::string_view topic, uint16_t most) {
  if (alias == 0 || alias > std::min(most, kMostAliasesIn)) return {};
  if (topic.empty()) return alias <= topics_.size() ? std::string_view(topics_[alias - 1]) : topic;
  if (alias > topics_.size()) topics_.resize(alias);
  topics_[alias - 1].assign(topic.data(), topic.size());
  return topic;
}

}  // namespace culvert::mqtt
