// How connections end, and what is done at the end of each turn of the loop.
#include <algorithm>

#include "model/mqtt/broker/core.h"

namespace culvert::mqtt {
namespace {

// Ours: how long a closed connection's last words may take to be read.
constexpr net::Duration kClosePatience = net::Duration(3'000'000'000);

// What CONNACK may say (3.2.2.2): another reason as the nearest one.
Reason for_connack(Reason reason) {
  switch (reason) {
    case Reason::server_shutting_down:
      return Reason::server_unavailable;
    case Reason::keep_alive_timeout:
    case Reason::session_taken_over:
    case Reason::topic_filter_invalid:
    case Reason::packet_identifier_in_use:
    case Reason::packet_identifier_not_found:
    case Reason::receive_maximum_exceeded:
    case Reason::topic_alias_invalid:
    case Reason::message_rate_too_high:
    case Reason::administrative_action:
    case Reason::shared_subscriptions_not_supported:
    case Reason::maximum_connect_time:
    case Reason::subscription_identifiers_not_supported:
    case Reason::wildcard_subscriptions_not_supported:
      return Reason::unspecified_error;
    default:
      return reason;
  }
}

// The same for a server's DISCONNECT (3.14.2.1).
Reason for_disconnect(Reason reason) {
  switch (reason) {
    case Reason::bad_user_name_or_password:
    case Reason::bad_authentication_method:
    case Reason::banned:
      return Reason::not_authorized;
    case Reason::server_unavailable:
      return Reason::server_busy;
    case Reason::unsupported_protocol_version:
    case Reason::client_identifier_not_valid:
    case Reason::packet_identifier_in_use:
    case Reason::packet_identifier_not_found:
      return Reason::protocol_error;
    default:
      return reason;
  }
}

}  // namespace

void Core::doom(Connection& c, Reason reason, bool tell, std::string_view detail) {
  if (c.state == Connection::State::doomed || c.state == Connection::State::closing) return;
  c.was_up = c.state == Connection::State::up;
  c.state = Connection::State::doomed;
  greeted(c);
  c.end = reason;
  c.tell_end = tell;
  c.end_detail = detail;
  doomed_.push_back(&c);
  schedule_flush();
}

void Core::close_doomed() {
  // Wills that are published on the way may doom more.
  while (!doomed_.empty()) {
    Connection& c = *doomed_.back();
    doomed_.pop_back();
    end_connection(c);
  }
}

void Core::end_connection(Connection& c) {
  if (c.tell_end) say_goodbye(c, c.end, c.end_detail);
  detach(c, c.end, c.end_detail);
  if (!c.tell_end && !c.clean_end) return bury(c);  // its stream has ended
  wheel_.set(c, now_ + kClosePatience);
  c.finish();
}

// The session leaves the connection: what was sent and not acknowledged is to be sent again, the
// will goes out, the session ends or waits.
void Core::detach(Connection& c, Reason reason, std::string_view detail) {
  Session* s = c.session;
  if (s == nullptr) return;
  c.session = nullptr;
  s->connection = nullptr;
  for (uint32_t i = 0; i < s->next; ++i) {
    OutEntry& entry = s->out[i];
    entry.counted = false;
    if (entry.state == OutEntry::State::sent) {
      entry.state = OutEntry::State::queued;
      entry.was_sent = true;
    }
  }
  s->next = s->in_flight = 0;
  while (!s->out_qos0.empty()) drop_qos0(*s);
  if (logs()) {
    log("disconnected", {{"client", s->client_id},
                         {"reason", to_string(reason)},
                         {"detail", detail},
                         {"will", s->rare != nullptr && s->rare->will != nullptr && !c.clean_end}});
  }
  if (on_event) {
    on_event({BrokerEvent::What::disconnected, s->client_id, s->user, reason, {}});
  }
  leave_alone(*s, c.clean_end, reason);
}

// What the client is told, if its version has words for it.
void Core::say_goodbye(Connection& c, Reason reason, std::string_view detail) {
  if (!c.was_up) {
    if (!c.version_known) return;
    // 3.1.1 section 3.1.4: what is malformed is closed without a word.
    if (c.version == Version::v311 &&
        (reason == Reason::malformed_packet || reason == Reason::protocol_error)) {
      return;
    }
    ConnAck answer;
    answer.reason = for_connack(reason);
    answer.reason_string = detail;
    c.send(answer);
    return;
  }
  if (c.version != Version::v5) return;
  Disconnect packet;
  packet.reason = for_disconnect(reason);
  packet.reason_string = detail;
  c.send(packet);
}

void Core::bury(Connection& c) {
  if (c.slot >= connections_.size() || connections_[c.slot].get() != &c) return;
  if (c.session != nullptr) detach(c, c.end, c.end_detail);
  for (auto* list : {&dirty_, &flushing_, &doomed_, &parked_}) {
    std::replace(list->begin(), list->end(), &c, static_cast<Connection*>(nullptr));
  }
  doomed_.erase(std::remove(doomed_.begin(), doomed_.end(), nullptr), doomed_.end());
  c.leave_wheel();
  if (c.turned_away != Reason::success) --turned_away_;
  gone_.push_back(std::move(connections_[c.slot]));
  free_connections_.push_back(c.slot);
  --counters_.connections;
  schedule_flush();
}

void Core::make_dirty(Connection& c) {
  if (c.dirty) return;
  c.dirty = true;
  dirty_.push_back(&c);
  schedule_flush();
}

void Core::schedule_flush() {
  if (flush_posted_) return;
  flush_posted_ = true;
  host_.post([this, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) flush_turn();
  });
}

void Core::flush_turn() {
  note_time();
  flush_posted_ = false;
  batching_ = reads_ > 1;
  reads_ = 0;
  close_doomed();
  stopping_ ? commits_.flush_all() : commits_.flush();
  flush_dirty();
  gone_.clear();
  if (stopped_ && counters_.connections == 0 && commits_.idle()) {
    stop_timer_.cancel();
    std::exchange(stopped_, nullptr)();
  }
}

// One write a connection and turn, so that messages from many sources share it. But while only one
// connection is read in a turn, there is nothing to wait for. (A commit costs more than a write,
// and always waits for the others of its turn.)
void Core::after_read() {
  ++reads_;
  if (!batching_) flush_dirty();
}

void Core::commit_done() {
  flush_dirty();
  if (stopping_) schedule_flush();
}

void Core::flush_dirty() {
  flushing_.swap(dirty_);
  // Those who have got something to write last come first: the receivers of a message before its
  // publisher, whose acknowledgement is in less of a hurry.
  for (size_t i = flushing_.size(); i-- > 0;) {
    Connection* c = flushing_[i];
    if (c == nullptr) continue;
    c->dirty = false;
    if (c->state != Connection::State::doomed) c->flush();
  }
  flushing_.clear();
}

void Core::make_writable(Connection& c) {
  if (c.session != nullptr && c.state == Connection::State::up) pump(*c.session);
}

void Core::park(Connection& c) {
  if (c.parked) return;
  c.parked = true;
  parked_.push_back(&c);
}

void Core::unpark() {
  if (parked_.empty() || commits_.behind()) return;
  std::vector<Connection*> again;
  again.swap(parked_);
  for (Connection* c : again) {
    if (c == nullptr) continue;
    c->parked = false;
    c->read_again();
  }
}

void Core::set_keep_alive(Connection& c) {
  if (c.keep_alive_s == 0) return c.leave_wheel();
  wheel_.set(c, c.last_in + keep_alive_limit(c));
}

// One and a half times the keep alive (3.1.2-22).
net::Duration Core::keep_alive_limit(const Connection& c) {
  return net::Duration(std::chrono::milliseconds(1500)) * c.keep_alive_s;
}

void Core::on_deadline(Wheel::Place& place) {
  note_time();
  auto& c = static_cast<Connection&>(place);
  switch (c.state) {
    case Connection::State::waiting:
    case Connection::State::authenticating:
      ++counters_.refused;
      if (logs()) {
        log("refused", {{"client", ""},
                        {"from", c.peer.remote},
                        {"reason", to_string(Reason::maximum_connect_time)},
                        {"detail", "no complete CONNECT came in time"}});
      }
      return doom(c, Reason::maximum_connect_time, false, "no complete CONNECT came in time");
    case Connection::State::up:
      // A hook that lets it wait, or the store, is not the client's fault.
      if (c.blocked || c.parked) c.last_in = now_;
      if (now_ < c.last_in + keep_alive_limit(c)) return set_keep_alive(c);
      return doom(c, Reason::keep_alive_timeout, true, "nothing came for 1.5 x the keep alive");
    case Connection::State::doomed:
      return;
    case Connection::State::closing:
      return bury(c);
  }
}

void Core::stop(net::Duration patience, std::function<void()> done) {
  note_time();
  stopping_ = true;
  stopped_ = std::move(done);
  for (const auto& c : connections_) {
    if (c) doom(*c, Reason::server_shutting_down, true, "the server is shutting down");
  }
  stop_timer_.arm_after(patience);
  schedule_flush();
}

}  // namespace culvert::mqtt
