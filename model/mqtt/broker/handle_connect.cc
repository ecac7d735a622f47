// CONNECT: who it is, whose session it takes, and CONNACK (MQTT 5.0 sections 3.1, 3.2).
#include <algorithm>
#include <cstdio>

#include "model/mqtt/broker/core.h"

namespace culvert::mqtt {
namespace {

constexpr size_t kLoggedId = 256;  // ours: of an identifier that was refused

}  // namespace

Handled Core::handle_connect(Connection& c, const Connect& p, Bytes packet) {
  c.version = p.version;
  c.problem_info = p.request_problem_information;
  if (p.maximum_packet_size) c.maximum_packet = *p.maximum_packet_size;
  std::string detail;
  const Reason wrong = check_connect(c, p, detail);
  if (wrong != Reason::success) {
    refuse(c, p.client_id, wrong, detail);
    return Handled::done;
  }
  LoginAnswer answer;
  if (c.peer.transport == "local" && !c.peer.user.empty()) {
    answer.user = c.peer.user;
  } else {
    LoginRequest request{c.peer, p.client_id, p.user_name, p.password};
    request.method = p.authentication_method;
    request.data = p.authentication_data;
    if (p.authentication_method && !c.exchange) {
      c.exchange = std::make_unique<Exchange>();
      c.exchange->number = ++exchanges_;
    }
    if (c.exchange) request.exchange = c.exchange->number;
    const std::optional<LoginAnswer> given = ask_login(c, request);
    if (!given) return Handled::wait;
    answer = *given;
  }
  if (answer.reason == Reason::continue_authentication && c.exchange) {
    c.method = *p.authentication_method;
    c.exchange->connect.assign(packet.begin(), packet.end());
    c.answers.reset();
    c.state = Connection::State::authenticating;
    challenge(c, answer, Reason::continue_authentication);
    return Handled::done;
  }
  if (p.authentication_method) c.method = *p.authentication_method;
  return logged_in(c, p, answer);
}

// What is wrong with it whoever it is.
Reason Core::check_connect(const Connection& c, const Connect& p, std::string& detail) const {
  if (c.turned_away != Reason::success) {
    detail = "there are too many connections";
    return c.turned_away;
  }
  if (p.client_id.empty() &&
      (!options_.allow_empty_client_id || (p.version == Version::v311 && !p.clean_start))) {
    detail = "a client identifier is needed";
    return Reason::client_identifier_not_valid;
  }
  if (p.will) {
    if (p.will->qos > options_.maximum_qos) {
      detail = "the will's QoS is above the maximum";  // 3.2.2-12
      return Reason::qos_not_supported;
    }
    if (p.will->retain && !options_.retain_available) {
      detail = "retained messages are not available";  // 3.2.2-13
      return Reason::retain_not_supported;
    }
    if (static_cast<size_t>(std::count(p.will->topic.begin(), p.will->topic.end(), '/')) >=
        options_.topic_levels) {
      detail = "the will's topic has too many levels";
      return Reason::topic_name_invalid;
    }
  }
  return Reason::success;
}

void Core::refuse(Connection& c, std::string_view id, Reason reason, std::string_view detail) {
  if (c.turned_away == Reason::success) ++counters_.refused;
  if (logs()) {
    log("refused", {{"client", id.substr(0, kLoggedId)},
                    {"from", c.peer.remote},
                    {"reason", to_string(reason)},
                    {"detail", detail}});
  }
  doom(c, reason, true, detail);
}

// Strangers may be many, and each may send almost all of a large CONNECT.
void Core::greeted(Connection& c) {
  const size_t before = c.greeting_counted;
  c.greeting_counted = static_cast<uint32_t>(c.greeting());
  greeting_bytes_ += c.greeting_counted;
  greeting_bytes_ -= before;
  if (c.greeting_counted <= before || greeting_bytes_ <= options_.greeting_bytes) return;
  refuse(c, {}, Reason::server_busy, "too much waits of CONNECTs that are not complete");
}

// Access has said its word, perhaps after an AUTH exchange.
Handled Core::logged_in(Connection& c, const Connect& p, const LoginAnswer& answer) {
  if (is_error(answer.reason)) {
    refuse(c, p.client_id, answer.reason,
           answer.reason_string.empty() ? "login failed" : answer.reason_string);
    return Handled::done;
  }
  if (p.will) {
    AccessRequest request{c.peer, p.client_id, answer.user};
    request.topic = p.will->topic;
    request.qos = p.will->qos;
    request.retain = p.will->retain;
    const std::optional<Reason> may = ask_may(c, request, 0);
    if (!may) {  // then this comes here again, and the login is not asked for anew
      if (!c.answers) c.answers = std::make_unique<Answers>();
      c.answers->login = std::make_unique<LoginAnswer>(answer);
      return Handled::wait;
    }
    if (is_error(*may)) {
      refuse(c, p.client_id, *may, "the access rules do not allow the will");
      return Handled::done;
    }
  }
  establish(c, p, answer);
  return Handled::done;
}

void Core::establish(Connection& c, const Connect& p, const LoginAnswer& answer) {
  const bool assigned = p.client_id.empty();
  const std::string id = assigned ? assign_client_id() : std::string(p.client_id);
  if (Session* old = find_session(id)) {
    if (options_.bind_client_id_to_user && old->user != answer.user) {
      return refuse(c, id, Reason::client_identifier_not_valid,
                    "the client identifier belongs to another user");
    }
  }
  take_over(id);
  Session* s = find_session(id);
  bool ended = false;
  if (s != nullptr && p.clean_start) {  // 3.1.2-4
    ended = s->durable;
    end_session(*s, Reason::success);
    s = nullptr;
  }
  const bool present = s != nullptr;
  if (s == nullptr) {
    if (counters_.sessions >= options_.sessions) {
      return refuse(c, id, Reason::quota_exceeded, "there are too many sessions");
    }
    s = create_session(id, answer.user);
  }
  s->user = answer.user;
  s->version = p.version;
  s->expiry_s = p.version == Version::v311
                    ? (p.clean_start ? 0 : options_.session_expiry_v311_s)
                    : std::min(p.session_expiry_s, options_.session_expiry_most_s);
  set_due(*s, Due::session, net::Time::max());
  forget_will(*s);  // 3.1.3-9: the one that waited for its delay
  if (p.will) keep_will(*s, *p.will);
  if (s->expiry_s > 0 && commits_.on()) s->durable = true;
  if (s->durable) store_session(*s, true);

  c.answers.reset();
  const std::unique_ptr<Exchange> over = std::move(c.exchange);  // `p` may be views into it
  c.unrestricted = access_.unrestricted(answer.user);
  c.asked_expiry_s = p.session_expiry_s;
  c.receive_maximum = p.receive_maximum;
  c.alias_maximum = std::min(p.topic_alias_maximum, options_.topic_alias_maximum);
  c.keep_alive_s = p.keep_alive_s;
  if (options_.keep_alive_most_s > 0 && p.version == Version::v5 &&
      (c.keep_alive_s == 0 || c.keep_alive_s > options_.keep_alive_most_s)) {
    c.keep_alive_s = options_.keep_alive_most_s;
  }
  net::Buffer connack = make_connack(c, p, answer, *s, present, assigned);
  if (connack.empty()) {  // 3.1.2-24; the session ends or waits as after any connection
    c.session = s;
    s->connection = &c;
    forget_will(*s);
    return refuse(c, id, Reason::packet_too_large, "no CONNACK is as small as the client wants");
  }
  if (!s->durable && !ended) return come_up(c, *s, connack);
  // The store must know the session (and have forgotten the one before) when the client does.
  c.blocked = true;
  CommitQueue::Action action;
  action.kind = CommitQueue::Action::Kind::call;
  action.fate = CommitQueue::Fate::tried_again;
  action.call = [this, slot = c.slot, serial = c.serial, index = s->index, number = s->serial,
                 connack = std::move(connack)] {
    Session* session = session_at(index, number);
    Connection* connection = connection_at(slot, serial);
    if (connection != nullptr && connection->state != Connection::State::doomed &&
        connection->state != Connection::State::closing) {
      connection->blocked = false;
      if (session == nullptr) {
        return doom(*connection, Reason::session_taken_over, true, "taken over meanwhile");
      }
      take_over(session->client_id);
      session = session_at(index, number);
      if (session == nullptr) {
        return doom(*connection, Reason::session_taken_over, true, "taken over meanwhile");
      }
      come_up(*connection, *session, connack);
      return connection->read_again();
    }
    // It went before it was told: the session waits, as if it had been.
    if (session != nullptr && session->connection == nullptr)
      leave_alone(*session, false, Reason::unspecified_error);
  };
  commits_.then(std::move(action));
}

// The session's connection is there, and the client is told.
void Core::come_up(Connection& c, Session& s, const net::Buffer& connack) {
  c.state = Connection::State::up;
  greeted(c);
  c.session = &s;
  s.connection = &c;
  net::Buffer& out = c.out();
  out.insert(out.end(), connack.begin(), connack.end());
  ++counters_.packets_out;
  ++counters_.connected_ever;
  c.written();
  if (c.keep_alive_s > 0) {
    set_keep_alive(c);
  } else {
    c.leave_wheel();
  }
  if (logs()) {
    log("connected", {{"client", s.client_id},
                      {"user", s.user},
                      {"from", c.peer.remote},
                      {"transport", c.peer.transport},
                      {"version", s.version == Version::v5 ? "5.0" : "3.1.1"},
                      {"keep_alive_s", c.keep_alive_s},
                      {"expiry_s", s.expiry_s},
                      {"queued", s.live}});
  }
  if (on_event) {
    on_event({BrokerEvent::What::connected, s.client_id, s.user, Reason::success, {}});
  }
  resume_session(s);
}

// 3.1.4-3: whoever has the session must go.
void Core::take_over(const std::string& client_id) {
  Session* s = find_session(client_id);
  if (s == nullptr || s->connection == nullptr) return;
  Connection& old = *s->connection;
  const bool doomed = old.state == Connection::State::doomed;
  if (!doomed) doom(old, Reason::session_taken_over, true, "the client connected anew");
  doomed_.erase(std::remove(doomed_.begin(), doomed_.end(), &old), doomed_.end());
  end_connection(old);
}

net::Buffer Core::make_connack(const Connection& c, const Connect& p, const LoginAnswer& answer,
                               const Session& s, bool present, bool assigned) const {
  ConnAck a;
  a.session_present = present;
  std::string prefix;
  if (c.version == Version::v5) {
    if (s.expiry_s != p.session_expiry_s) a.session_expiry_s = s.expiry_s;
    a.receive_maximum = options_.receive_maximum;
    a.maximum_qos = options_.maximum_qos;
    a.retain_available = options_.retain_available;
    a.maximum_packet_size = options_.packet_bytes;
    if (assigned) a.assigned_client_id = s.client_id;
    a.topic_alias_maximum = options_.topic_alias_maximum;
    if (c.keep_alive_s != p.keep_alive_s) a.server_keep_alive_s = c.keep_alive_s;
    if (p.request_response_information && !options_.response_prefix.empty()) {  // 3.1.2-28
      prefix = response_prefix(s);
      a.response_information = prefix;
    }
    if (p.authentication_method) {
      a.authentication_method = p.authentication_method;
      if (!answer.data.empty()) a.authentication_data = Bytes(answer.data);
    }
    a.reason_string = answer.reason_string;
  }
  net::Buffer out;
  if (!encode(a, c.version, out)) return {};
  if (out.size() > c.maximum_packet) {  // 3.2.2-19
    out.clear();
    a.reason_string = {};
    if (!encode(a, c.version, out) || out.size() > c.maximum_packet) return {};
  }
  return out;
}

std::string Core::assign_client_id() {
  for (;;) {
    uint8_t random[10];
    host_.secure_random(random);
    std::string id = "auto-";
    for (const uint8_t byte : random) {
      char hex[3];
      std::snprintf(hex, sizeof hex, "%02x", byte);
      id += hex;
    }
    if (find_session(id) == nullptr) return id;  // 3.2.2-16
  }
}

}  // namespace culvert::mqtt
