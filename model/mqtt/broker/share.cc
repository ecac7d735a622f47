// Shared subscriptions (MQTT 5.0 section 4.8): one member gets the message. Those that are
// connected and read come first, in turn; what a session that ended has not acknowledged goes to
// another.
#include "model/mqtt/broker/core.h"

namespace culvert::mqtt {

const Subscription* Core::choose(SharedGroup& group) {
  const size_t count = group.members.size();
  if (count == 0) return nullptr;
  const Subscription *idle = nullptr, *connected = nullptr, *any = nullptr;
  size_t turn = 0;
  for (size_t i = 0; i < count && idle == nullptr; ++i) {
    const size_t at = (group.turn + i) % count;
    const Subscription& member = group.members[at];
    const Session& s = *sessions_[member.session];
    const Connection* c = s.connection;
    const bool up = c != nullptr && c->state == Connection::State::up;
    if (up && c->writable() && s.next == s.out.size() && s.in_flight < window(*c)) {
      idle = &member;
      turn = at;
    } else if (up && connected == nullptr) {
      connected = &member;
      turn = at;
    } else if (!up && any == nullptr && connected == nullptr && matching_->qos() > 0 &&
               member.options.qos > 0) {
      any = &member;
      turn = at;
    }
  }
  const Subscription* chosen = idle != nullptr ? idle : connected != nullptr ? connected : any;
  if (chosen != nullptr) group.turn = (turn + 1) % count;
  return chosen;
}

// Of a "$share/GROUP/FILTER": FNV-1a, the same after a restart. Two that collide may have each
// other's messages redistributed, no more.
uint32_t Core::share_number(std::string_view filter) {
  uint32_t h = 2166136261;
  for (const char c : filter) h = (h ^ static_cast<uint8_t>(c)) * 16777619;
  return h == 0 ? 1 : h;
}

void Core::redistribute(const MessagePtr& message, uint32_t share) {
  // Everything that matches is looked at, and all but the one group are left out.
  match(*message, nullptr);
  size_t kept = 0;
  for (size_t i = 0; i < target_count_; ++i) {
    if (targets_[i].share == share) std::swap(targets_[kept++], targets_[i]);
  }
  target_count_ = kept;
  if (kept == 0) return;
  CommitQueue::Action action;
  action.fate = CommitQueue::Fate::tried_again;
  route(message, std::move(action), false);
}

}  // namespace culvert::mqtt
