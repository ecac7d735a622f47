#include "model/mqtt/broker/session.h"

#include "model/mqtt/broker/core.h"

namespace culvert::mqtt {

OutEntry* Session::sent_entry(uint16_t id) {
  // Identifiers follow each other from the oldest entry's on.
  const uint32_t offset = (65535u + id - packet_id(first)) % 65535u;
  if (offset >= next) return nullptr;
  OutEntry& found = out[offset];
  const bool open =
      found.state == OutEntry::State::sent || found.state == OutEntry::State::released;
  return open ? &found : nullptr;
}

Session* Core::find_session(std::string_view client_id) {
  const auto found = by_id_.find(client_id);
  return found == by_id_.end() ? nullptr : found->second;
}

Session* Core::session_at(SessionIndex index, uint32_t serial) {
  if (index >= sessions_.size() || !sessions_[index]) return nullptr;
  return sessions_[index]->serial == serial ? sessions_[index].get() : nullptr;
}

Session* Core::create_session(const std::string& client_id, const std::string& user) {
  auto made = std::make_unique<Session>();
  Session& s = *made;
  s.client_id = client_id;
  s.user = user;
  s.serial = ++session_serials_;
  if (free_sessions_.empty()) {
    s.index = static_cast<SessionIndex>(sessions_.size());
    sessions_.push_back(std::move(made));
  } else {
    s.index = free_sessions_.back();
    free_sessions_.pop_back();
    sessions_[s.index] = std::move(made);
  }
  by_id_.emplace(s.client_id, &s);
  ++counters_.sessions;
  return &s;
}

// The session's state is gone (4.1); what it owed to shared subscriptions goes to the others.
void Core::end_session(Session& s, Reason reason) {
  set_due(s, Due::session, net::Time::max());
  publish_will(s);  // 3.1.2-8, 3.1.3-9: a will that waits for its delay goes out now
  tell_lost(s);
  for (const SubscriptionRecord& record : s.subscriptions) tree_.erase(record.filter, s.index);
  counters_.subscriptions -= s.subscriptions.size();

  std::vector<std::pair<MessagePtr, uint32_t>> owed;
  for (uint32_t i = 0; i < s.out.size(); ++i) {
    OutEntry& entry = s.out[i];
    // A QoS 2 message that was sent may have been taken (4.8.2-5); what is pending is somebody
    // else's until its commit is done, and then finds that this session is gone.
    const bool sent = entry.state != OutEntry::State::queued || entry.was_sent;
    if (entry.share != 0 && entry.message && !entry.pending && !(sent && entry.qos == 2)) {
      owed.emplace_back(entry.message, entry.share);
    }
    if (entry.stored) unstore_entry(s, s.first + i, entry);
    drop(s, entry);
  }
  for (const auto& [id, inbound] : s.inbound) unstore_inbound(s, id);
  if (s.durable) unstore_session(s);
  while (!s.out_qos0.empty()) drop_qos0(s);
  if (on_event) {
    on_event({BrokerEvent::What::session_ended, s.client_id, s.user, reason, {}});
  }
  if (logs()) log("session_ended", {{"client", s.client_id}});
  by_id_.erase(s.client_id);
  --counters_.sessions;
  free_sessions_.push_back(s.index);
  const std::unique_ptr<Session> gone = std::move(sessions_[s.index]);
  for (const auto& [message, share] : owed) redistribute(message, share);
}

// A client has come back to its session: what it has not acknowledged goes out again, in the order
// in which it went out before (4.4.0-1, 4.6.0-1).
void Core::resume_session(Session& s) {
  set_due(s, Due::session, net::Time::max());
  tell_lost(s);
  pump(s);
}

}  // namespace culvert::mqtt
