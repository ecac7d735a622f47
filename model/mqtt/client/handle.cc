// What a client does with each packet that comes.
#include "model/mqtt/client/impl.h"
#include "model/mqtt/topic.h"

namespace culvert::mqtt {
namespace {

// How a broker that knows 3.1.1 alone refuses 5.0: in its own format (3.1.1 section 3.2).
bool refuses_version(Bytes bytes) {
  return bytes.size() == 4 && bytes[0] >> 4 == int(Type::connack) && bytes[1] == 2 && bytes[3] == 1;
}

}  // namespace

void Client::Impl::packet(Bytes bytes) {
  const Type type = static_cast<Type>(bytes[0] >> 4);
  if (phase_ == Phase::greeting && type != Type::connack && type != Type::auth)
    return fault(Reason::protocol_error, "a packet before CONNACK");  // 3.2.0-1
  if (type == Type::publish) {
    Publish publish;
    Fault wrong;
    if (const Fault* f = decode_publish(bytes, version_, publish, wrong))
      return fault(f->reason, f->why);
    return on_publish(bytes, publish);
  }
  if (phase_ == Phase::greeting && version_ == Version::v5 && refuses_version(bytes)) {
    ConnAck refusal;
    refusal.reason = Reason::unsupported_protocol_version;
    refusal.reason_string = "the broker speaks MQTT 3.1.1";
    return on_connack(refusal);
  }
  const auto decoded = decode(bytes, version_, Side::server);
  if (const Fault* wrong = std::get_if<Fault>(&decoded)) return fault(wrong->reason, wrong->why);
  const Packet& packet = std::get<Packet>(decoded);
  if (const auto* ack = std::get_if<Ack>(&packet)) return on_ack(*ack);
  if (const auto* ack = std::get_if<ConnAck>(&packet)) return on_connack(*ack);
  if (const auto* auth = std::get_if<Auth>(&packet)) return on_auth(*auth);
  if (const auto* ack = std::get_if<SubAck>(&packet)) {
    Wishes::Wish wish;
    SubscribeOutcome outcome;
    if (wishes_.acknowledged(*ack, wish, outcome)) return later(std::move(wish.done), outcome);
    return fault(Reason::protocol_error, "an acknowledgement that answers no SUBSCRIBE");
  }
  if (std::holds_alternative<Ping>(packet)) {
    ping_under_way_ = false;
    return arm_keep_alive();
  }
  if (const auto* bye = std::get_if<Disconnect>(&packet)) {
    const std::string sentence = "the broker said good-bye: " + std::string(to_string(bye->reason));
    return fail({net::Error::closed, sentence}, bye->reason, "session", bye->reason_string,
                bye->server_reference.value_or(std::string_view{}));
  }
  fault(Reason::protocol_error, "a packet that only clients send");
}

bool Client::Impl::hand_on(const Publish& publish, uint64_t token) {
  const auto callbacks = callbacks_;  // stays, even if the client goes
  if (!callbacks->message) return true;
  return survives([&] { callbacks->message({publish, token}); });
}

void Client::Impl::on_publish(Bytes bytes, const Publish& received) {
  Publish with_topic;
  const Publish* publish = &received;
  if (received.topic_alias != 0) {
    if (received.topic_alias > options_.topic_alias_maximum)
      return fault(Reason::topic_alias_invalid, "a topic alias beyond what we take");  // 3.3.2-10
    const std::string_view topic =
        aliases_in_.resolve(received.topic_alias, received.topic, options_.topic_alias_maximum);
    if (topic.empty())
      return fault(Reason::protocol_error, "a topic alias that stands for nothing");
    if (received.topic.empty()) {
      with_topic = received;
      with_topic.topic = topic;
      publish = &with_topic;
    }
  } else if (received.topic.empty()) {
    return fault(Reason::protocol_error, "neither a topic nor an alias");
  }
  // The alias table may change while the application has the view: not the entry in use, as only
  // one packet is looked at at a time.
  if (publish->qos == 0) {
    hand_on(*publish, 0);
    return;
  }
  const size_t most = version_ == Version::v5 ? options_.receive_maximum : 65535;
  const uint16_t id = publish->packet_id;
  if (publish->qos == 1) {
    const Inbox::Arrival arrival = inbox_.qos1(id);
    if (inbox_.unanswered() > most)
      return fault(Reason::receive_maximum_exceeded, "more messages at a time than we take");
    const net::Stream* const stream = stream_.get();
    if (!hand_on(*publish, arrival.token)) return;
    if (arrival.token == 0 && stream_.get() == stream) answer(Type::puback, id, Reason::success, 0);
    return;
  }
  const Inbox::Arrival arrival = inbox_.qos2(id);
  if (inbox_.unanswered() > most)
    return fault(Reason::receive_maximum_exceeded, "more messages at a time than we take");
  uint64_t barrier = arrival.barrier;
  if (arrival.keep) {
    net::Buffer whole;
    if (publish == &with_topic) {  // the alias is of this connection only
      with_topic.topic_alias = 0;
      (void)encode(with_topic, version_, whole);
      bytes = whole;
    }
    if (inbox_.held_bytes() + bytes.size() > options_.queued_bytes)
      return fault(Reason::quota_exceeded, "too much is held until its PUBREL");
    inbox_.hold(id, bytes);
    journal_.incoming(id, bytes);
  }
  // The application first, then the store: a crash between the two repeats to an application that
  // has died with us. One whose doings outlive it acknowledges by hand, with its own changes.
  const net::Stream* const stream = stream_.get();
  if (arrival.hand_on && !hand_on(*publish, arrival.token)) return;
  if (arrival.note) {
    if (!arrival.keep) journal_.incoming(id, {});
    barrier = journal_.all();
    inbox_.noted(id, barrier);
  }
  if (arrival.answer && stream_.get() == stream) answer(Type::pubrec, id, Reason::success, barrier);
}

void Client::Impl::on_pubrel(const Ack& ack) {
  const uint16_t id = ack.packet_id;
  Inbox::Release release = inbox_.pubrel(id);
  if (!release.known) {
    // Its end may be on the way to the store still: no PUBCOMP before that.
    return answer(Type::pubcomp, id,
                  version_ == Version::v5 ? Reason::packet_identifier_not_found : Reason::success,
                  journal_.all());
  }
  const net::Stream* const stream = stream_.get();
  if (release.hand_on > 0) {
    Publish publish;
    Fault fault;
    if (!decode_publish(release.packet, version_, publish, fault))
      for (unsigned i = 0; i < release.hand_on; ++i)
        if (!hand_on(publish, i == 0 ? release.token : 0)) return;
  }
  if (!release.erase) return;
  inbox_.completed(id);
  journal_.forget_incoming(id);
  // Durable first: else a crash would leave the identifier known here, and the broker's next
  // message under it would be taken for this one.
  if (stream_.get() == stream) answer(Type::pubcomp, id, Reason::success, journal_.all());
}

void Client::Impl::on_ack(const Ack& ack) {
  if (ack.type == Type::pubrel) return on_pubrel(ack);
  std::optional<Outbox::Ended> end;
  Outbox::Verdict verdict = Outbox::Verdict::unknown;
  const uint16_t id = ack.packet_id;
  if (ack.type == Type::puback) {
    verdict = outbox_.puback(id, ack.reason, end);
  } else if (ack.type == Type::pubcomp) {
    verdict = outbox_.pubcomp(id, ack.reason, end);
  } else {
    verdict = outbox_.pubrec(id, ack.reason, end);
    if (verdict == Outbox::Verdict::release) {
      // PUBREL after this is durable: else a crash would send the PUBLISH again, which a broker
      // that has completed it takes for a new one.
      const uint64_t sequence = outbox_.sequence_of(id);
      journal_.released(sequence);
      outbox_.at(sequence).barrier = journal_.all();
    } else if (verdict == Outbox::Verdict::repeated || verdict == Outbox::Verdict::unknown) {
      if (is_error(ack.reason)) return;  // it has ended, there is nothing to release
      Ack release;
      release.type = Type::pubrel;
      release.packet_id = id;
      if (verdict == Outbox::Verdict::unknown) release.reason = Reason::packet_identifier_not_found;
      send(release);
    }
  }
  if (verdict == Outbox::Verdict::wrong)
    return fault(Reason::protocol_error, "an acknowledgement of another kind than its message's");
  if (end) ended(std::move(*end));
}

}  // namespace culvert::mqtt
