// PUBLISH from a client: what is refused and how, what is acknowledged when. QoS 2 goes onward at
// PUBLISH and is known by its identifier until PUBREL (MQTT 5.0 section 4.3.3, decision 0008).
#include <algorithm>

#include "model/mqtt/broker/core.h"
#include "model/mqtt/topic.h"

namespace culvert::mqtt {
namespace {

std::string expand(const std::string& pattern, std::string_view user, std::string_view client) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '%' && i + 1 < pattern.size() &&
        (pattern[i + 1] == 'u' || pattern[i + 1] == 'c')) {
      out += pattern[++i] == 'u' ? user : client;
    } else {
      out += pattern[i];
    }
  }
  return out;
}

// $SYS and its like are the broker's (4.7.2).
bool reserved(std::string_view topic) {
  return topic.substr(0, 4) == "$SYS" && (topic.size() == 4 || topic[4] == '/');
}

}  // namespace

std::string Core::response_prefix(const Session& s) const {
  return expand(options_.response_prefix, s.user, s.client_id);
}

Handled Core::handle_publish(Connection& c, Bytes packet) {
  Publish& p = publish_;
  Fault bad;
  if (decode_publish(packet, c.version, p, bad, Side::client) != nullptr) {
    fault(c, bad);
    return Handled::done;
  }
  if (break_off(c, p) || !resolve_alias(c, p)) return Handled::done;
  if (p.qos == 2 && options_.deduplicate && c.session->inbound.contains(p.packet_id)) {
    again(c, p.packet_id);
    return Handled::done;
  }
  std::string_view why;
  Reason reason = check_publish(c, p, why);
  if (reason == Reason::success && !c.unrestricted) {
    AccessRequest request{c.peer, c.session->client_id, c.session->user};
    request.topic = p.topic;
    request.qos = p.qos;
    request.retain = p.retain;
    const std::optional<Reason> answer = ask_may(c, request, 0);
    if (!answer) return Handled::wait;
    reason = *answer;
    why = "the access rules say no";
  }
  c.answers.reset();
  ++counters_.published_in[p.qos];
  if (p.qos > 0) ++c.unacknowledged;
  if (reason == Reason::success) {
    accept_publish(c, p);
  } else {
    refuse_publish(c, p, reason, why);
  }
  return Handled::done;
}

// What ends the connection. True: it does.
bool Core::break_off(Connection& c, const Publish& p) {
  if (p.qos > options_.maximum_qos) {
    fault(c, {Reason::qos_not_supported, "the QoS is above the maximum", "MQTT-3.2.2-11"});
    return true;
  }
  if (p.retain && !options_.retain_available) {
    fault(c,
          {Reason::retain_not_supported, "retained messages are not available", "MQTT-3.2.2-14"});
    return true;
  }
  if (p.qos > 0 && c.unacknowledged >= options_.receive_maximum && c.version == Version::v5 &&
      !(p.qos == 2 && c.session->inbound.contains(p.packet_id))) {
    fault(c, {Reason::receive_maximum_exceeded, "more messages are under way than we take",
              "MQTT-3.3.4-7"});
    return true;
  }
  return false;
}

// 3.3.2.3.4. False: it is wrong, and the connection ends.
bool Core::resolve_alias(Connection& c, Publish& p) {
  if (p.topic_alias == 0) return true;
  if (p.topic_alias > options_.topic_alias_maximum) {
    fault(c, {Reason::topic_alias_invalid, "the topic alias is above the maximum", "MQTT-3.3.2-9"});
    return false;
  }
  if (!c.aliases) c.aliases = std::make_unique<Aliases>();
  auto& known = c.aliases->from_client;
  if (!p.topic.empty()) {
    if (known.size() < p.topic_alias) known.resize(p.topic_alias);
    known[p.topic_alias - 1u] = p.topic;
    return true;
  }
  if (known.size() < p.topic_alias || known[p.topic_alias - 1u].empty()) {
    fault(c, {Reason::protocol_error, "the topic alias is not known", "MQTT-3.3.2-7"});
    return false;
  }
  p.topic = known[p.topic_alias - 1u];
  return true;
}

// What refuses the message alone.
Reason Core::check_publish(const Connection& c, const Publish& p, std::string_view& why) const {
  if (reserved(p.topic)) {
    why = "topics below $SYS are the server's";
    // Not the name is at fault. 3.1.1 and QoS 0 drop it: mosquitto's bridges tell their state
    // there.
    return Reason::not_authorized;
  }
  if (static_cast<size_t>(std::count(p.topic.begin(), p.topic.end(), '/')) >=
      options_.topic_levels) {
    why = "the topic has too many levels";
    return Reason::topic_name_invalid;
  }
  if (p.properties.utf8_payload && !valid_utf8(net::as_text(p.payload))) {
    why = "the payload is not the UTF-8 that it is said to be";
    return Reason::payload_format_invalid;
  }
  if (!options_.response_prefix.empty() && p.properties.response_topic) {
    const std::string prefix = response_prefix(*c.session);
    if (p.properties.response_topic->substr(0, prefix.size()) != prefix) {
      why = "the response topic is not within the client's own namespace";
      return Reason::not_authorized;
    }
  }
  return Reason::success;
}

void Core::refuse_publish(Connection& c, const Publish& p, Reason reason, std::string_view why) {
  ++counters_.refused_publishes;
  if (!c.told_refusal && logs()) {  // a connection's first; the others are counted
    c.told_refusal = true;
    log("publish_refused", {{"client", c.session->client_id},
                            {"topic", p.topic},
                            {"reason", to_string(reason)},
                            {"why", why}});
  }
  if (p.qos > 0) return negative_ack(c, p.qos, p.packet_id, reason, why);
  // A QoS 0 message has no answer; what is wrong with it, rather than forbidden, is said on the way
  // out (3.3.2.3.2, 4.13).
  if (reason == Reason::payload_format_invalid || reason == Reason::topic_name_invalid) {
    doom(c, reason, true, why);
  }
}

// PUBACK or PUBREC with a reason (5.0). In 3.1.1 there is none: what the rules forbid is
// acknowledged and dropped (3.1.1 section 3.3.5), for all else the connection ends.
void Core::negative_ack(Connection& c, uint8_t qos, uint16_t id, Reason reason,
                        std::string_view why) {
  const bool forbidden = reason == Reason::not_authorized;
  if (c.version == Version::v311 && !forbidden) return doom(c, reason, false, why);
  if (c.version == Version::v311 && qos == 2) {
    // PUBREL will come; the identifier counts as known until then.
    c.session->inbound[id].connection = c.serial;
    return c.ack(Type::pubrec, id);
  }
  if (c.unacknowledged > 0) --c.unacknowledged;
  if (c.version == Version::v311) return c.ack(Type::puback, id);
  Ack ack;
  ack.type = qos == 2 ? Type::pubrec : Type::puback;
  ack.packet_id = id;
  ack.reason = reason;
  if (c.problem_info) ack.reason_string = why;
  c.send(ack);
}

void Core::accept_publish(Connection& c, const Publish& p) {
  Session& s = *c.session;
  const MessagePtr message = Message::make(p, now_);
  CommitQueue::Action action;
  action.qos = p.qos;
  action.fate = p.qos == 0 ? CommitQueue::Fate::tried_again : CommitQueue::Fate::refused;
  if (p.qos > 0) {
    action.packet_id = p.packet_id;
    action.type = p.qos == 1 ? Type::puback : Type::pubrec;
    action.connection = c.slot;
    action.connection_serial = c.serial;
    action.session = s.index;
    action.session_serial = s.serial;
  }
  bool must_store = false;
  if (p.retain) {
    if (!retain(message, action)) {
      return refuse_publish(c, p, Reason::quota_exceeded,
                            "there is no room for more retained messages");
    }
    must_store = action.retained;
  }
  const bool onward = p.qos < 2 || options_.qos2 == OnwardQos2::at_publish || !options_.deduplicate;
  if (onward) {
    match(*message, &s);
  } else {
    target_count_ = 0;
  }
  if (p.qos == 2) {
    Inbound& inbound = s.inbound[p.packet_id];
    inbound.connection = c.serial;
    if (!onward) inbound.message = message;
    if (s.durable) {
      store_inbound(s, p.packet_id, onward ? nullptr : message.get(), action.fate);
      must_store = true;
    }
  }
  // 3.4.2.1, 3.5.2.1: the server may say so if it knows.
  if (onward && target_count_ == 0) action.reason = Reason::no_matching_subscribers;
  route(message, std::move(action), must_store);
}

void Core::again(Connection& c, uint16_t id) {
  ++counters_.duplicates;
  Inbound& inbound = c.session->inbound[id];
  if (inbound.connection != c.serial) {
    inbound.connection = c.serial;
    ++c.unacknowledged;
  }
  CommitQueue::Action action;
  action.kind = CommitQueue::Action::Kind::again;
  action.fate = CommitQueue::Fate::tried_again;
  action.type = Type::pubrec;
  action.packet_id = id;
  action.connection = c.slot;
  action.connection_serial = c.serial;
  action.session = c.session->index;
  action.session_serial = c.session->serial;
  // The first one's commit may be under way: this one's answer must not come before.
  if (!commits_.busy()) return finish_again(action);
  commits_.then(std::move(action));
}

void Core::finish_again(const CommitQueue::Action& action) {
  Connection* c = connection_at(action.connection, action.connection_serial);
  Session* s = session_at(action.session, action.session_serial);
  if (c == nullptr || s == nullptr || c->session != s) return;
  if (s->inbound.contains(action.packet_id)) return c->ack(Type::pubrec, action.packet_id);
  negative_ack(*c, 2, action.packet_id, Reason::implementation_specific,
               "the message could not be stored");
}

void Core::handle_pubrel(Connection& c, uint16_t id) {
  Session& s = *c.session;
  CommitQueue::Action action;
  action.type = Type::pubcomp;
  action.fate = CommitQueue::Fate::tried_again;
  action.packet_id = id;
  action.connection = c.slot;
  action.connection_serial = c.serial;
  const auto found = s.inbound.find(id);
  const bool known = found != s.inbound.end();
  MessagePtr message;
  if (known) {
    message = std::move(found->second.message);
    if (found->second.connection != c.serial) ++c.unacknowledged;  // acknowledge() takes it off
    s.inbound.erase(found);
    if (s.durable) unstore_inbound(s, id);
  } else {
    ++c.unacknowledged;
    action.reason = Reason::packet_identifier_not_found;
  }
  if (message) {
    match(*message, &s);
    return route(message, std::move(action), s.durable);
  }
  if (!commits_.on() || (!s.durable && !commits_.busy())) return acknowledge(action);
  // PUBCOMP when the store has forgotten the identifier: else a crash would take the next message
  // that has it for this one.
  action.kind = CommitQueue::Action::Kind::reply;
  commits_.then(std::move(action));
}

}  // namespace culvert::mqtt
