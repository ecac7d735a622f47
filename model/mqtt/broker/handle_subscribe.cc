// SUBSCRIBE and UNSUBSCRIBE (MQTT 5.0 sections 3.8 to 3.11), and the retained messages that a new
// subscription brings (3.3.1.3).
#include <algorithm>

#include "model/mqtt/broker/core.h"
#include "model/mqtt/topic.h"

namespace culvert::mqtt {

std::optional<Reason> Core::may_subscribe(Connection& c, const Subscribe::Entry& entry, size_t i) {
  const std::optional<SharedFilter> group = shared(entry.filter);
  const std::string_view filter = group ? group->filter : entry.filter;
  if (static_cast<size_t>(std::count(filter.begin(), filter.end(), '/')) >= options_.topic_levels) {
    return Reason::topic_filter_invalid;
  }
  AccessRequest request{c.peer, c.session->client_id, c.session->user};
  request.action = Action::subscribe;
  request.topic = filter;
  request.qos = entry.options.qos;
  return ask_may(c, request, i);
}

Handled Core::handle_subscribe(Connection& c, const Subscribe& p) {
  Session& s = *c.session;
  SubAck answer;
  answer.type = Type::suback;
  answer.packet_id = p.packet_id;
  for (size_t i = 0; i < p.entries.size(); ++i) {
    const std::optional<Reason> may = may_subscribe(c, p.entries[i], i);
    if (!may) return Handled::wait;
    answer.reasons.push_back(*may);
  }
  c.answers.reset();
  std::vector<SubscriptionRecord> retained;
  bool changed = false;
  for (size_t i = 0; i < p.entries.size(); ++i) {
    const Subscribe::Entry& entry = p.entries[i];
    if (answer.reasons[i] != Reason::success) {
      if (logs()) {
        log("subscribe_refused", {{"client", s.client_id},
                                  {"filter", entry.filter},
                                  {"reason", to_string(answer.reasons[i])}});
      }
      continue;
    }
    const uint32_t id = p.subscription_id.value_or(0);
    bool was_there = false;
    answer.reasons[i] = subscribe(s, entry, id, was_there);
    if (is_error(answer.reasons[i])) continue;
    changed = true;
    const uint8_t handling = entry.options.retain_handling;
    if (handling == 2 || (handling == 1 && was_there) || shared(entry.filter)) continue;
    SubscriptionRecord wanted;
    wanted.filter = entry.filter;
    wanted.id = id;
    wanted.options = entry.options;
    wanted.options.qos = std::min(wanted.options.qos, options_.maximum_qos);
    retained.push_back(std::move(wanted));
  }
  if (c.version == Version::v311) {  // 3.1.1 section 3.9.3: one code for every refusal
    for (Reason& reason : answer.reasons) {
      if (is_error(reason)) reason = Reason::unspecified_error;
    }
  }
  answer_when_stored(c, answer, std::move(retained), changed);
  return Handled::done;
}

Reason Core::subscribe(Session& s, const Subscribe::Entry& entry, uint32_t id, bool& was_there) {
  Subscription subscription;
  subscription.session = s.index;
  subscription.subscription_id = id;
  subscription.options = entry.options;
  subscription.options.qos = std::min(entry.options.qos, options_.maximum_qos);
  if (shared(entry.filter)) subscription.share = share_number(entry.filter);
  auto found = s.subscriptions.end();
  if (s.subscriptions.size() >= options_.subscriptions_per_session) {
    found = std::find_if(s.subscriptions.begin(), s.subscriptions.end(),
                         [&](const SubscriptionRecord& r) { return r.filter == entry.filter; });
    if (found == s.subscriptions.end()) return Reason::quota_exceeded;
  }
  was_there = tree_.put(entry.filter, subscription);
  if (was_there && found == s.subscriptions.end()) {
    found = std::find_if(s.subscriptions.begin(), s.subscriptions.end(),
                         [&](const SubscriptionRecord& r) { return r.filter == entry.filter; });
  }
  if (!was_there) {
    found = s.subscriptions.emplace(s.subscriptions.end());
    found->filter = entry.filter;
    ++counters_.subscriptions;
  }
  found->id = id;
  found->share = subscription.share;
  found->options = subscription.options;
  if (s.durable) store_subscription(s, *found);
  if (logs()) {
    log("subscribed",
        {{"client", s.client_id}, {"filter", entry.filter}, {"qos", int{found->options.qos}}});
  }
  if (on_event) {
    on_event({BrokerEvent::What::subscribed, s.client_id, s.user, Reason::success, entry.filter});
  }
  return static_cast<Reason>(found->options.qos);
}

// Sends `packet`, then what is retained: now, or when the store knows of the subscriptions.
void Core::answer_when_stored(Connection& c, const Packet& packet,
                              std::vector<SubscriptionRecord> retained, bool changed) {
  if (!commits_.on() || !((c.session->durable && changed) || commits_.busy())) {
    c.send(packet);
    for (const SubscriptionRecord& wanted : retained) send_retained(*c.session, wanted);
    return;
  }
  net::Buffer bytes;
  if (!encode(packet, c.version, bytes)) return;
  CommitQueue::Action action;
  action.kind = CommitQueue::Action::Kind::call;
  action.fate = CommitQueue::Fate::tried_again;
  action.call = [this, slot = c.slot, serial = c.serial, bytes = std::move(bytes),
                 retained = std::move(retained)] {
    Connection* to = connection_at(slot, serial);
    if (to == nullptr || to->state != Connection::State::up) return;
    net::Buffer& out = to->out();
    out.insert(out.end(), bytes.begin(), bytes.end());
    ++counters_.packets_out;
    to->written();
    for (const SubscriptionRecord& wanted : retained) send_retained(*to->session, wanted);
  };
  commits_.then(std::move(action));
}

void Core::send_retained(Session& s, const SubscriptionRecord& wanted) {
  // The messages are the retained store's already, so that the first burst of them is free of the
  // queue's quota: else whoever subscribes to many would be taken for a slow reader.
  const bool free = s.free == 0;
  std::vector<MessagePtr> found;
  retained_.match(wanted.filter, now_, [&](const MessagePtr& m) { found.push_back(m); });
  for (const MessagePtr& message : found) {
    if (targets_.empty()) targets_.emplace_back();
    Target& target = targets_[0];
    target.session = &s;
    target.qos = std::min(wanted.options.qos, message->qos());
    target.retain = true;  // 3.3.1-8
    target.free = free;
    target.share = 0;
    target.id = wanted.id;
    target.more.clear();
    target_count_ = 1;
    CommitQueue::Action action;
    action.fate = CommitQueue::Fate::tried_again;
    route(message, std::move(action), false);
  }
}

Handled Core::handle_unsubscribe(Connection& c, const Unsubscribe& p) {
  Session& s = *c.session;
  SubAck answer;
  answer.type = Type::unsuback;
  answer.packet_id = p.packet_id;
  bool changed = false;
  for (const std::string_view filter : p.filters) {
    const bool there = unsubscribe(s, filter);
    changed |= there;
    answer.reasons.push_back(there ? Reason::success : Reason::no_subscription_existed);
  }
  answer_when_stored(c, answer, {}, changed);
  return Handled::done;
}

bool Core::unsubscribe(Session& s, std::string_view filter) {
  if (!tree_.erase(filter, s.index)) return false;
  const auto found = std::find_if(s.subscriptions.begin(), s.subscriptions.end(),
                                  [&](const SubscriptionRecord& r) { return r.filter == filter; });
  if (found != s.subscriptions.end()) s.subscriptions.erase(found);
  --counters_.subscriptions;
  if (s.durable) unstore_subscription(s, filter);
  if (logs()) log("unsubscribed", {{"client", s.client_id}, {"filter", filter}});
  if (on_event) {
    on_event({BrokerEvent::What::unsubscribed, s.client_id, s.user, Reason::success, filter});
  }
  return true;
}

void Core::access_changed(std::string_view user) {
  note_time();
  for (size_t i = 0; i < sessions_.size(); ++i) {
    if (sessions_[i] && sessions_[i]->user == user) re_ask(*sessions_[i]);
  }
}

void Core::access_changed_of_all() {
  note_time();
  for (size_t i = 0; i < sessions_.size(); ++i)
    if (sessions_[i]) re_ask(*sessions_[i]);
}

void Core::re_ask(Session& s) {
  if (s.connection != nullptr) s.connection->unrestricted = access_.unrestricted(s.user);
  const Peer nobody;  // a session without a connection
  const Peer& peer = s.connection != nullptr ? s.connection->peer : nobody;
  std::vector<std::string> filters;
  for (const SubscriptionRecord& record : s.subscriptions) filters.push_back(record.filter);
  for (const std::string& filter : filters) {
    AccessRequest request{peer, s.client_id, s.user};
    request.action = Action::subscribe;
    const std::optional<SharedFilter> group = shared(filter);
    request.topic = group ? group->filter : std::string_view(filter);
    const auto lose = [this, index = s.index, serial = s.serial, filter](Reason reason) {
      Session* found = session_at(index, serial);
      if (!is_error(reason) || found == nullptr || !unsubscribe(*found, filter)) return;
      if (logs()) log("subscription_withdrawn", {{"client", found->client_id}, {"filter", filter}});
    };
    const std::optional<Reason> at_once =
        access_.may(request, [lose, alive = std::weak_ptr<bool>(alive_)](Reason reason) {
          if (!alive.expired()) lose(reason);
        });
    if (at_once) lose(*at_once);
  }
}

}  // namespace culvert::mqtt
