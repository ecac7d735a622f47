// Questions to Access that may be answered later, and the AUTH exchange (MQTT 5.0 section 4.12).
#include "model/mqtt/broker/core.h"

namespace culvert::mqtt {

Connection* Core::waiting_for(uint32_t slot, uint32_t serial, uint32_t ticket) {
  Connection* c = connection_at(slot, serial);
  return c != nullptr && c->blocked && c->ticket == ticket ? c : nullptr;
}

std::optional<LoginAnswer> Core::ask_login(Connection& c, const LoginRequest& request) {
  if (c.answers && c.answers->login) return *c.answers->login;
  const uint32_t ticket = ++c.ticket;
  std::optional<LoginAnswer> at_once =
      access_.login(request, [this, alive = std::weak_ptr<bool>(alive_), slot = c.slot,
                              serial = c.serial, ticket](LoginAnswer answer) {
        if (alive.expired()) return;
        Connection* waiting = waiting_for(slot, serial, ticket);
        if (waiting == nullptr) return;
        note_time();
        waiting->answers = std::make_unique<Answers>();
        waiting->answers->login = std::make_unique<LoginAnswer>(std::move(answer));
        waiting->blocked = false;
        waiting->read_again();
      });
  if (!at_once) c.blocked = true;
  return at_once;
}

std::optional<Reason> Core::ask_may(Connection& c, const AccessRequest& request, size_t question) {
  if (c.answers && c.answers->may.size() > question && c.answers->may[question]) {
    return c.answers->may[question];
  }
  const uint32_t ticket = ++c.ticket;
  const std::optional<Reason> at_once =
      access_.may(request, [this, alive = std::weak_ptr<bool>(alive_), slot = c.slot,
                            serial = c.serial, ticket, question](Reason reason) {
        if (alive.expired()) return;
        Connection* waiting = waiting_for(slot, serial, ticket);
        if (waiting == nullptr) return;
        note_time();
        if (!waiting->answers) waiting->answers = std::make_unique<Answers>();
        auto& may = waiting->answers->may;
        if (may.size() <= question) may.resize(question + 1);
        may[question] = reason;
        waiting->blocked = false;
        waiting->read_again();
      });
  if (!at_once) c.blocked = true;
  return at_once;
}

void Core::challenge(Connection& c, const LoginAnswer& answer, Reason reason) {
  Auth auth;
  auth.reason = reason;
  auth.authentication_method = c.method;
  if (!answer.data.empty()) auth.authentication_data = Bytes(answer.data);
  if (c.problem_info) auth.reason_string = answer.reason_string;
  c.send(auth);
}

Handled Core::handle_auth(Connection& c, const Auth& p) {
  const bool again = c.state == Connection::State::up;
  if (c.method.empty()) {
    fault(c, {Reason::protocol_error, "AUTH, and CONNECT named no authentication method",
              "MQTT-4.12.0-7"});
    return Handled::done;
  }
  if (p.authentication_method != std::string_view(c.method)) {
    fault(c, {Reason::protocol_error, "the authentication method has changed",
              again ? "MQTT-4.12.1-1" : "MQTT-4.12.0-5"});
    return Handled::done;
  }
  const Reason wanted = again && (!c.exchange || c.exchange->step == 0)
                            ? Reason::reauthenticate
                            : Reason::continue_authentication;
  if (p.reason != wanted) {
    fault(c, {Reason::protocol_error, "this AUTH does not fit the exchange", "MQTT-4.12.0-3"});
    return Handled::done;
  }
  if (!c.exchange) {
    c.exchange = std::make_unique<Exchange>();
    c.exchange->number = ++exchanges_;
  }
  Exchange& exchange = *c.exchange;
  std::optional<Connect> connect;
  std::variant<Packet, Fault> decoded;
  if (!again) {
    decoded = decode(exchange.connect, c.version, Side::client);  // it was well when it came
    connect = std::get<Connect>(std::get<Packet>(decoded));
  }
  LoginRequest request{c.peer, again ? std::string_view(c.session->client_id) : connect->client_id};
  if (connect) {
    request.user_name = connect->user_name;
    request.password = connect->password;
  }
  request.method = p.authentication_method;
  request.data = p.authentication_data;
  request.step = exchange.step + 1;
  request.again = again;
  request.exchange = exchange.number;
  std::optional<LoginAnswer> answer = ask_login(c, request);
  if (!answer) return Handled::wait;
  ++exchange.step;
  if (answer->reason == Reason::continue_authentication) {
    c.answers.reset();
    challenge(c, *answer, Reason::continue_authentication);
    return Handled::done;
  }
  if (!again) {
    // The will's permission may have to wait: then this AUTH comes here again with its answer.
    const Handled handled = logged_in(c, *connect, *answer);
    if (handled == Handled::wait) --exchange.step;
    return handled;
  }
  c.answers.reset();
  c.exchange.reset();
  if (is_error(answer->reason)) {  // 4.12.1-2
    doom(c, answer->reason, true, "authentication failed");
    return Handled::done;
  }
  if (answer->user != c.session->user) {
    doom(c, Reason::not_authorized, true, "authentication as another user");
    return Handled::done;
  }
  challenge(c, *answer, Reason::success);
  return Handled::done;
}

}  // namespace culvert::mqtt
