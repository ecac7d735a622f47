#include "model/mqtt/client/subscriptions.h"

#include <algorithm>

namespace culvert::mqtt {
namespace {

constexpr size_t kFiltersAtOnce = 50;  // ours: one SUBSCRIBE stays below any broker's packet limit

}  // namespace

void Wishes::forget(const std::string& filter) {
  held_.erase(std::remove_if(held_.begin(), held_.end(),
                             [&](const Held& held) { return held.request.filter == filter; }),
              held_.end());
}

void Wishes::add(Wish wish) {
  if (wish.away)
    for (const auto& request : wish.filters) forget(request.filter);
  wishes_.push_back(std::move(wish));
}

void Wishes::connection_began() {
  for (Wish& wish : wishes_) wish.id = 0;
}

void Wishes::session_lost() {
  std::vector<Wish> again;
  for (Held& held : held_) {
    if (again.empty() || again.back().filters.size() == kFiltersAtOnce ||
        again.back().subscription_id != held.subscription_id) {
      again.emplace_back();
      again.back().subscription_id = held.subscription_id;
    }
    again.back().filters.push_back(held.request);
  }
  // Before what was wished for later.
  wishes_.insert(wishes_.begin(), std::make_move_iterator(again.begin()),
                 std::make_move_iterator(again.end()));
}

Wishes::Wish* Wishes::next() {
  for (Wish& wish : wishes_)
    if (wish.id == 0) return &wish;
  return nullptr;
}

bool Wishes::uses(uint16_t id) const {
  for (const Wish& wish : wishes_)
    if (wish.id == id) return true;
  return false;
}

bool Wishes::acknowledged(const SubAck& ack, Wish& ended, SubscribeOutcome& outcome) {
  const bool away = ack.type == Type::unsuback;
  const auto at = std::find_if(wishes_.begin(), wishes_.end(), [&](const Wish& wish) {
    return wish.id == ack.packet_id && wish.away == away;
  });
  if (at == wishes_.end() || ack.packet_id == 0) return false;
  ended = std::move(*at);
  wishes_.erase(at);
  outcome.reasons.assign(ack.reasons.begin(), ack.reasons.end());
  outcome.reason_string.assign(ack.reason_string.data(), ack.reason_string.size());
  // An UNSUBACK of 3.1.1 has no reasons.
  if (away && outcome.reasons.empty()) outcome.reasons.assign(ended.filters.size(), {});
  if (outcome.reasons.size() != ended.filters.size()) return false;
  if (away) return true;
  for (size_t i = 0; i < ended.filters.size(); ++i) {
    forget(ended.filters[i].filter);
    if (!is_error(outcome.reasons[i])) held_.push_back({ended.filters[i], ended.subscription_id});
  }
  return true;
}

void Wishes::drop(Wish* wish, Wish& ended) {
  ended = std::move(*wish);
  wishes_.erase(wishes_.begin() + (wish - wishes_.data()));
}

std::vector<Wishes::Wish> Wishes::drop_all() {
  std::vector<Wish> all;
  all.swap(wishes_);
  return all;
}

}  // namespace culvert::mqtt
