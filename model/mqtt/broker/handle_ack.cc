// PUBACK, PUBREC, PUBREL and PUBCOMP from clients.
#include "model/mqtt/broker/core.h"

namespace culvert::mqtt {

void Core::handle_ack(Connection& c, Type type, uint16_t id, Reason reason) {
  if (type == Type::pubrel) return handle_pubrel(c, id);
  Session& s = *c.session;
  OutEntry* entry = s.sent_entry(id);
  if (entry == nullptr) {
    if (type != Type::pubrec) return;  // 4.3.2, 4.3.3: nothing is left to do
    Ack answer;
    answer.type = Type::pubrel;
    answer.packet_id = id;
    answer.reason = Reason::packet_identifier_not_found;
    return c.send(answer);
  }
  if ((type == Type::puback) != (entry->qos == 1)) {
    return fault(c, {Reason::protocol_error, "this is not how this QoS is acknowledged",
                     entry->qos == 1 ? "MQTT-4.3.2-4" : "MQTT-4.3.3-4"});
  }
  const uint64_t sequence = s.sequence_of(id);
  if (type == Type::pubrec && !is_error(reason)) {
    return handle_pubrec(c, *entry, sequence);
  }
  if (type == Type::pubcomp && entry->state != OutEntry::State::released) {
    return fault(c, {Reason::protocol_error, "PUBCOMP without PUBREL", "MQTT-4.3.3-4"});
  }
  // Done: acknowledged, or refused and not to be sent to anybody else (4.8.2-6).
  if (entry->stored) unstore_entry(s, sequence, *entry);
  drop(s, *entry);
  trim(s);
  pump(s);
}

void Core::handle_pubrec(Connection& c, OutEntry& entry, uint64_t sequence) {
  Session& s = *c.session;
  const uint16_t id = s.packet_id(sequence);
  const bool again = entry.state == OutEntry::State::released;
  entry.state = OutEntry::State::released;
  if (!s.durable) {
    forget_message(s, entry);
    return c.ack(Type::pubrel, id);
  }
  // PUBREL when the store has it: else a crash would send the PUBLISH again to a client that has
  // forgotten it.
  if (!again) {
    store_entry(s, sequence, entry, false, CommitQueue::Fate::tried_again);
    forget_message(s, entry);
  }
  CommitQueue::Action action;
  action.kind = CommitQueue::Action::Kind::reply;
  action.fate = CommitQueue::Fate::tried_again;
  action.type = Type::pubrel;
  action.packet_id = id;
  action.connection = c.slot;
  action.connection_serial = c.serial;
  commits_.then(std::move(action));
}

// PUBREL to a subscriber or PUBCOMP to a publisher, once the store has what it says.
void Core::finish_reply(const CommitQueue::Action& action) {
  note_time();
  if (action.type == Type::pubcomp) return acknowledge(action);
  Connection* c = connection_at(action.connection, action.connection_serial);
  if (c != nullptr) c->ack(action.type, action.packet_id);
}

}  // namespace culvert::mqtt
