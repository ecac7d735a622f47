#include "model/mqtt/client/inbox.h"

#include <algorithm>

namespace culvert::mqtt {

void Inbox::restore(uint16_t id, net::Buffer packet) {
  Item item;
  item.in_store = true;
  item.state = packet.empty() ? State::acknowledged : State::held;
  held_bytes_ += packet.size();
  item.packet = std::move(packet);
  items_[id] = std::move(item);
}

void Inbox::connection_ended() {
  unanswered_ = 0;
  for (auto& [id, item] : items_) item.here = false;
  for (size_t i = 0; i < pending_.size(); ++i) pending_[i].silent = true;
  // QoS 1 will come again under a new token.
  while (!pending_.empty() && (pending_.front().qos == 1 || pending_.front().spoken)) {
    pending_.pop();
    ++first_token_;
  }
}

std::vector<uint16_t> Inbox::session_ended() {
  std::vector<uint16_t> noted;
  for (const auto& [id, item] : items_)
    if (item.in_store) noted.push_back(id);
  std::sort(noted.begin(), noted.end());
  items_.clear();
  held_bytes_ = 0;
  first_token_ += pending_.size();
  pending_.clear();
  return noted;
}

uint64_t Inbox::wait_for_application(Pending pending) {
  pending_.push(pending);
  return first_token_ + pending_.size() - 1;
}

Inbox::Pending* Inbox::pending_of(uint64_t token) {
  if (token < first_token_ || token - first_token_ >= pending_.size()) return nullptr;
  return &pending_[token - first_token_];
}

Inbox::Arrival Inbox::qos1(uint16_t id) {
  Arrival arrival;
  arrival.hand_on = true;
  ++unanswered_;
  if (options_.manual) {
    Pending pending;
    pending.id = id;
    pending.qos = 1;
    arrival.token = wait_for_application(pending);
  }
  return arrival;
}

Inbox::Arrival Inbox::qos2(uint16_t id) {
  Arrival arrival;
  const auto [at, fresh] = items_.try_emplace(id);
  Item& item = at->second;
  if (!item.here) ++unanswered_;
  item.here = true;
  if (!fresh) {
    arrival.barrier = item.barrier;
    if (item.state == State::handed) {
      // The application still has it. Its answer goes out here, now that it was asked for here.
      if (Pending* pending = pending_of(item.token); pending && !pending->release)
        pending->silent = false;
    } else {
      arrival.answer = true;
    }
    if (options_.deduplicate) return arrival;
    if (!options_.early) {
      if (item.copies < 255) ++item.copies;
      return arrival;
    }
    arrival.hand_on = true;
    return arrival;
  }
  if (!options_.early) {
    item.state = State::held;
    arrival.keep = arrival.note = arrival.answer = true;
    return arrival;
  }
  arrival.hand_on = true;
  if (!options_.manual) {
    arrival.note = arrival.answer = true;
    return arrival;
  }
  item.state = State::handed;
  Pending pending;
  pending.id = id;
  pending.qos = 2;
  arrival.token = item.token = wait_for_application(pending);
  return arrival;
}

void Inbox::hold(uint16_t id, Bytes packet) {
  Item& item = items_[id];
  held_bytes_ += packet.size();
  item.packet.assign(packet.begin(), packet.end());
}

void Inbox::noted(uint16_t id, uint64_t barrier) {
  const auto at = items_.find(id);
  if (at == items_.end()) return;
  at->second.in_store = true;
  at->second.barrier = barrier;
}

Inbox::Release Inbox::pubrel(uint16_t id) {
  Release release;
  const auto at = items_.find(id);
  if (at == items_.end()) return release;
  Item& item = at->second;
  release.known = true;
  switch (item.state) {
    case State::held:
      release.hand_on = item.copies;
      held_bytes_ -= item.packet.size();
      if (options_.manual) {
        item.state = State::handed;
        Pending pending;
        pending.id = id;
        pending.qos = 2;
        pending.release = true;
        release.token = item.token = wait_for_application(pending);
        release.packet = std::move(item.packet);
      } else {
        release.packet = std::move(item.packet);
        release.erase = true;
      }
      break;
    case State::handed:
      // Late and still with the application: PUBCOMP follows its word. Early: a PUBREL to a
      // PUBREC that was never sent; the broker has given the message up.
      if (Pending* pending = pending_of(item.token)) {
        if (pending->release) {
          pending->silent = false;
          break;
        }
        pending->silent = true;
      }
      release.erase = true;
      break;
    case State::acknowledged:
      release.erase = true;
      break;
  }
  return release;
}

void Inbox::completed(uint16_t id) { items_.erase(id); }

Inbox::Acknowledged Inbox::acknowledge(uint64_t token, Reason reason) {
  Acknowledged result;
  Pending* pending = pending_of(token);
  if (!pending || pending->spoken) return result;
  if (pending->qos == 1 && pending->silent) return result;
  pending->spoken = true;
  pending->reason = reason;
  result.valid = true;
  result.qos = pending->qos;
  result.id = pending->id;
  if (pending->qos == 1) return result;
  const auto at = items_.find(pending->id);
  if (at == items_.end() || at->second.token != token) {
    pending->silent = true;
    return result;
  }
  Item& item = at->second;
  if (pending->release) {
    result.erase = true;
    items_.erase(at);
  } else if (is_error(reason)) {
    result.erase = item.in_store;
    items_.erase(at);  // 4.3.3: after a PUBREC of 0x80 or more the identifier counts as new
  } else {
    item.state = State::acknowledged;
    result.note = true;
  }
  return result;
}

void Inbox::committed(uint64_t token, uint64_t barrier) {
  Pending* pending = pending_of(token);
  if (!pending) return;
  pending->barrier = barrier;
  if (pending->qos == 2 && !pending->release && !is_error(pending->reason))
    noted(pending->id, barrier);
}

std::optional<Inbox::Answer> Inbox::next_answer() {
  while (!pending_.empty() && (pending_.front().spoken || pending_.front().silent)) {
    const Pending& front = pending_.front();
    // A QoS 2 message whose PUBLISH or PUBREL will come again keeps its place until the word.
    if (!front.spoken && front.qos == 2 && items_.count(front.id) != 0) return {};
    const Pending pending = pending_.pop();
    ++first_token_;
    if (pending.silent) continue;
    Answer answer;
    answer.id = pending.id;
    answer.reason = pending.reason;
    answer.barrier = pending.barrier;
    answer.type = pending.qos == 1 ? Type::puback : pending.release ? Type::pubcomp : Type::pubrec;
    return answer;
  }
  return {};
}

void Inbox::trim() {
  pending_.trim();
  if (items_.empty()) items_ = {};
}

}  // namespace culvert::mqtt
