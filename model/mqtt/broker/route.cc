// Who gets a message, and when: at once, or when the store has it.
#include <algorithm>

#include "model/mqtt/broker/core.h"

namespace culvert::mqtt {

void Core::match(const Message& message, const Session* publisher) {
  ++stamp_;
  target_count_ = 0;
  matching_ = &message;
  publisher_ = publisher;
  tree_.match(message.topic(), this, &Core::visit, &Core::visit_shared);
}

Core::Target& Core::new_target(Session& s, const Subscription& subscription) {
  if (target_count_ == targets_.size()) targets_.emplace_back();
  Target& target = targets_[target_count_++];
  target.session = &s;
  target.qos = std::min(subscription.options.qos, matching_->qos());
  // 3.3.1-12, 3.3.1-13: only those who asked for it see RETAIN on a message as it is published.
  target.retain = matching_->retain() && subscription.options.retain_as_published;
  target.free = false;
  target.share = subscription.share;
  target.id = subscription.subscription_id;
  target.more.clear();
  return target;
}

void Core::visit(void* core, const Subscription& subscription) {
  Core& self = *static_cast<Core*>(core);
  Session& s = *self.sessions_[subscription.session];
  if (subscription.options.no_local && &s == self.publisher_) return;  // 3.8.3-3
  if (s.stamp != self.stamp_) {
    s.stamp = self.stamp_;
    s.target = static_cast<uint32_t>(self.target_count_);
    self.new_target(s, subscription);
    return;
  }
  // Overlapping subscriptions: one message at the highest QoS with all identifiers (3.3.4-2,
  // 3.3.4-3).
  Target& target = self.targets_[s.target];
  target.qos = std::max(target.qos, std::min(subscription.options.qos, self.matching_->qos()));
  target.retain |= self.matching_->retain() && subscription.options.retain_as_published;
  if (subscription.subscription_id == 0) return;
  if (target.id == 0) {
    target.id = subscription.subscription_id;
  } else {
    target.more.push_back(subscription.subscription_id);
  }
}

void Core::visit_shared(void* core, SharedGroup& group) {
  Core& self = *static_cast<Core*>(core);
  const Subscription* chosen = self.choose(group);
  if (chosen != nullptr) self.new_target(*self.sessions_[chosen->session], *chosen);
}

// Whether this message has to wait for the store: because of what it changes there, or because
// something earlier waits.
bool Core::must_wait(const MessagePtr& message, const CommitQueue::Action& action,
                     bool must_store) {
  if (!commits_.on() || (message->qos() == 0 && action.packet_id == 0)) return false;
  if (must_store || commits_.busy()) return true;
  return std::any_of(targets_.begin(), targets_.begin() + static_cast<ptrdiff_t>(target_count_),
                     [](const Target& t) { return t.qos > 0 && t.session->durable; });
}

void Core::route(const MessagePtr& message, CommitQueue::Action action, bool must_store) {
  if (!must_wait(message, action, must_store)) return send_now(message, action);
  size_t stored = 0;
  for (size_t i = 0; i < target_count_; ++i) {
    stored += targets_[i].qos > 0 && targets_[i].session->durable ? 1 : 0;
  }
  // A message for one queue is kept in that queue's record; for several, in one of its own.
  const bool inside = stored == 1 && message->stored().number == 0;
  size_t added = 0;
  for (size_t i = 0; i < target_count_; ++i) {
    const Target& target = targets_[i];
    Session& s = *target.session;
    CommitQueue::Target to;
    to.session = s.index;
    to.serial = s.serial;
    to.retain = target.retain;
    to.free = target.free;
    to.sequence = CommitQueue::kQos0;
    if (target.qos == 0) {
      to.ids = ids_of(target);
    } else {
      OutEntry* entry = enqueue(s, message, target, true);
      if (entry == nullptr) continue;
      to.sequence = s.end() - 1;
      if (s.durable) store_entry(s, to.sequence, *entry, inside, action.fate);
    }
    commits_.add(to);
    ++added;
  }
  action.message = message;
  commits_.then(std::move(action), added);
  schedule_flush();
}

void Core::send_now(const MessagePtr& message, const CommitQueue::Action& action) {
  if (action.packet_id != 0) acknowledge(action);  // first, if it is one connection (4.3.3)
  for (size_t i = 0; i < target_count_; ++i) {
    const Target& target = targets_[i];
    Session& s = *target.session;
    if (target.qos == 0) {
      deliver_qos0(s, message, ids_of(target), target.retain, target.free);
    } else if (enqueue(s, message, target, false) != nullptr) {
      if (s.connection != nullptr) pump(s);
    }
  }
}

Connection* Core::connection_at(uint32_t slot, uint32_t serial) {
  if (slot >= connections_.size() || !connections_[slot]) return nullptr;
  Connection* c = connections_[slot].get();
  return c->serial == serial ? c : nullptr;
}

// PUBACK, PUBREC or PUBCOMP for what a client has published.
void Core::acknowledge(const CommitQueue::Action& action) {
  Connection* c = connection_at(action.connection, action.connection_serial);
  if (c == nullptr || c->state != Connection::State::up) return;
  if (action.type != Type::pubrec && c->unacknowledged > 0) --c->unacknowledged;
  if (action.reason == Reason::success || c->version == Version::v311) {
    return c->ack(action.type, action.packet_id);
  }
  Ack ack;
  ack.type = action.type;
  ack.packet_id = action.packet_id;
  ack.reason = action.reason;
  c->send(ack);
}

// The commit is done: what waited for it goes on.
void Core::finish_publish(const CommitQueue::Action& action, const CommitQueue::Target* targets,
                          net::Error failed) {
  note_time();
  if (failed != net::Error::none) return roll_back(action, targets, failed);
  if (action.packet_id != 0) acknowledge(action);
  for (uint32_t i = 0; i < action.targets; ++i) {
    const CommitQueue::Target& target = targets[i];
    Session* s = session_at(target.session, target.serial);
    if (target.sequence == CommitQueue::kQos0) {
      if (s == nullptr) {
        ids_.release(target.ids);
      } else {
        deliver_qos0(*s, action.message, target.ids, target.retain, target.free);
      }
      continue;
    }
    if (s == nullptr) continue;
    OutEntry* entry = s->entry(target.sequence);
    if (entry == nullptr) continue;
    entry->pending = false;
    if (s->connection != nullptr) pump(*s);
  }
}

void Core::take_back(const CommitQueue::Action& action) {
  if (!action.retained) return;
  if (action.retained_before) {
    retained_.put(action.retained_before);
  } else {
    retained_.erase(action.message->topic());
  }
  counters_.retained = retained_.size();
}

// The commit failed: as if the message had never come; its publisher is told.
void Core::roll_back(const CommitQueue::Action& action, const CommitQueue::Target* targets,
                     net::Error failed) {
  for (uint32_t i = 0; i < action.targets; ++i) {
    const CommitQueue::Target& target = targets[i];
    Session* s = session_at(target.session, target.serial);
    if (target.sequence == CommitQueue::kQos0) {
      ids_.release(target.ids);
      continue;
    }
    OutEntry* entry = s == nullptr ? nullptr : s->entry(target.sequence);
    if (entry == nullptr) continue;
    entry->stored = false;
    drop(*s, *entry);
    trim(*s);
    pump(*s);
  }
  action.message->stored() = {};
  if (action.packet_id == 0) return;
  Session* publisher = session_at(action.session, action.session_serial);
  if (publisher != nullptr && action.qos == 2) publisher->inbound.erase(action.packet_id);
  Connection* c = connection_at(action.connection, action.connection_serial);
  if (c == nullptr || c->state != Connection::State::up) return;
  negative_ack(
      *c, action.qos, action.packet_id,
      failed == net::Error::exhausted ? Reason::quota_exceeded : Reason::implementation_specific,
      "the message could not be stored");
}

bool Core::retain(const MessagePtr& message, CommitQueue::Action& action) {
  const MessagePtr before = retained_.find(message->topic());
  if (message->payload().empty()) {  // 3.3.1-6, 3.3.1-7
    if (!before) return true;
    retained_.erase(message->topic());
    unstore_retained(before, action.fate);
  } else {
    if (!retained_.put(message)) return false;
    store_retained(message, action.fate);
  }
  action.retained = true;
  action.retained_before = before;
  counters_.retained = retained_.size();
  if (message->expires() != net::Time::max()) arm_sweep();
  return true;
}

void Core::publish_message(const MessagePtr& message, const Session* publisher) {
  CommitQueue::Action action;
  action.fate = CommitQueue::Fate::tried_again;
  if (message->retain() && !retain(message, action) && logs()) {
    log("retained_full", {{"topic", message->topic()}, {"retained", retained_.size()}});
  }
  match(*message, publisher);
  route(message, std::move(action), false);
}

}  // namespace culvert::mqtt
