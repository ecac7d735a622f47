// A client's connections: made, greeted, kept alive, lost, made again, and left.
#include <algorithm>
#include <string>

#include "model/mqtt/client/impl.h"

namespace culvert::mqtt {
namespace {

constexpr uint16_t kBlindQuota = 10;  // ours: QoS 1 and 2 sent before CONNACK tells how many may be
constexpr uint16_t kQuotaV311 =
    1024;  // ours: 3.1.1 has no receive maximum; its brokers have memory
constexpr net::Duration kFarewell = std::chrono::seconds(2);  // ours: for DISCONNECT to be read

// Refusals that trying again does not change (2.4, 3.2.2.2). A taken-over session would be taken
// back and forth for ever.
constexpr Reason kFinal[] = {
    Reason::unsupported_protocol_version,
    Reason::client_identifier_not_valid,
    Reason::bad_authentication_method,
    Reason::use_another_server,
    Reason::server_moved,
    Reason::session_taken_over,
    Reason::banned,
};

bool is_final(Reason reason) {
  return std::find(std::begin(kFinal), std::end(kFinal), reason) != std::end(kFinal);
}

void fill(const OwnedProperties& from, MessageProperties& to) {
  to.utf8_payload = from.utf8_payload;
  to.expiry_s = from.expiry_s;
  to.content_type = from.content_type;
  if (from.response_topic) to.response_topic = *from.response_topic;
  if (from.correlation_data) to.correlation_data = *from.correlation_data;
  for (const auto& [name, value] : from.user) to.user.push_back({name, value});
}

}  // namespace

void Client::Impl::start() {
  if (phase_ != Phase::idle) return;
  phase_ = Phase::waiting;
  timer_.arm_after(net::Duration(0));
}

void Client::Impl::attempt() {
  phase_ = Phase::connecting;
  ++attempts_;
  if (!unreadable_) return fail(unreadable_, Reason::success, "store");
  store_failed_ = false;  // what could not be committed is tried again
  attempt_began_ = host_.now();
  timer_.arm_after(options_.connect_patience);
  connecting_ = connector_->connect(
      [this](net::Connected connected) { turn([&] { connected_to(std::move(connected)); }); },
      [this](net::ConnectFailure failure) {
        turn([&] { fail(std::move(failure.status), Reason::success, failure.phase); });
      });
}

void Client::Impl::connected_to(net::Connected connected) {
  connecting_.reset();
  stream_ = std::move(connected.stream);
  times_ = connected.times;
  stream_->on_readable([this] { turn([this] { readable(); }); });
  in_.clear();
  out_.clear();
  out_at_ = 0;
  written_ = 0;
  can_write_ = true;
  reading_paused_ = ping_under_way_ = authenticating_ = remade_ = false;
  limits_ = {};
  aliases_out_.reset();
  aliases_in_.clear();
  fresh_ = outbox_.nothing_attempted();
  outbox_.connection_began(std::min(kBlindQuota, options_.send_maximum));
  wishes_.connection_began();
  phase_ = Phase::greeting;
  attempt_began_ = host_.now();
  say_hello();
}

void Client::Impl::say_hello() {
  // A session that lives on is taken up again after the first connection, whatever clean_start
  // asked for that one. In 3.1.1 the same flag says that it does not live on.
  clean_ = options_.clean_start &&
           (version_ == Version::v311 || !ever_connected_ || options_.session_expiry_s == 0);
  Connect hello;
  hello.version = version_;
  hello.clean_start = clean_;
  hello.keep_alive_s = options_.keep_alive_s;
  hello.client_id = options_.client_id;
  if (options_.user_name) hello.user_name = *options_.user_name;
  if (options_.password) hello.password = *options_.password;
  if (options_.will) {
    Will will;
    will.topic = options_.will->topic;
    will.payload = options_.will->payload;
    will.qos = options_.will->qos;
    will.retain = options_.will->retain;
    will.delay_s = options_.will->delay_s;
    fill(options_.will->properties, will.properties);
    hello.will = std::move(will);
  }
  hello.session_expiry_s = options_.session_expiry_s;
  hello.receive_maximum = options_.receive_maximum;
  hello.maximum_packet_size = options_.maximum_packet_size;
  hello.topic_alias_maximum = options_.topic_alias_maximum;
  hello.request_response_information = options_.request_response_information;
  for (const auto& [name, value] : options_.user_properties) hello.user.push_back({name, value});
  const auto callbacks = callbacks_;
  if (!callbacks->auth_method.empty()) {
    hello.authentication_method = callbacks->auth_method;
    hello.authentication_data = Bytes(callbacks->auth_first);
  }
  if (const net::Status status = encode(Packet(std::move(hello)), version_, out_); !status)
    return fail(status, Reason::success, "connack");
  if (options_.pipeline && clean_) {
    wishes_.session_lost();
    remade_ = true;
  }
}

void Client::Impl::on_connack(const ConnAck& ack) {
  if (phase_ != Phase::greeting) return fault(Reason::protocol_error, "a second CONNACK");
  if (ack.reason != Reason::success) {
    outbox_.refused();
    const std::string sentence = "the broker refused: " + std::string(to_string(ack.reason));
    return fail({net::Error::refused, sentence}, ack.reason, "connack", ack.reason_string,
                ack.server_reference.value_or(std::string_view{}));
  }
  if (clean_ && ack.session_present)  // 3.2.2-2, 3.2.2-4
    return fault(Reason::protocol_error, "a session is present that was asked to be new");
  if (ack.receive_maximum == 0) return fault(Reason::protocol_error, "a receive maximum of 0");

  phase_ = Phase::up;
  ever_connected_ = true;
  up_since_ = last_received_ = host_.now();
  if (ack.maximum_packet_size) limits_.packet_bytes = *ack.maximum_packet_size;
  limits_.topic_aliases = ack.topic_alias_maximum;
  limits_.maximum_qos = ack.maximum_qos;
  limits_.retain = ack.retain_available;
  limits_.wildcards = ack.wildcards_available;
  limits_.subscription_ids = ack.subscription_ids_available;
  limits_.shared = ack.shared_available;
  if (version_ == Version::v5 && limits_.topic_aliases > 0)
    aliases_out_ = std::make_unique<AliasesOut>(limits_.topic_aliases);
  if (ack.assigned_client_id && options_.client_id.empty()) {
    options_.client_id.assign(ack.assigned_client_id->data(), ack.assigned_client_id->size());
    if (options_.session_expiry_s > 0) journal_.assigned(options_.client_id);
  }
  if (ack.response_information)
    response_information_.assign(ack.response_information->data(),
                                 ack.response_information->size());
  keep_alive_s_ = ack.server_keep_alive_s.value_or(options_.keep_alive_s);
  timer_.cancel();
  arm_keep_alive();
  resolve_session(ack);

  const auto callbacks = callbacks_;
  if (ack.authentication_data && callbacks->auth) {
    Auth last;
    last.authentication_method = ack.authentication_method;
    last.authentication_data = ack.authentication_data;
    if (!survives([&] { callbacks->auth(last); })) return;
  }
  if (!callbacks->connected) return;
  ConnectedInfo info;
  info.connack = ack;
  info.times = times_;
  info.connack_took = up_since_ - attempt_began_;
  info.attempt = attempts_;
  attempts_ = 0;
  survives([&] { callbacks->connected(info); });
}

void Client::Impl::resolve_session(const ConnAck& ack) {
  std::vector<Outbox::Ended> lost;
  const uint16_t window =
      std::min(version_ == Version::v5 ? ack.receive_maximum : kQuotaV311, options_.send_maximum);
  outbox_.session(ack.session_present, window, lost);
  if (!ack.session_present) {
    for (const uint16_t id : inbox_.session_ended()) journal_.forget_incoming(id);
    if (!remade_) wishes_.session_lost();
  }
  for (Outbox::Ended& message : lost) ended(std::move(message));
}

void Client::Impl::on_auth(const Auth& auth) {
  const auto callbacks = callbacks_;
  const bool ours = auth.authentication_method == std::string_view(callbacks->auth_method);
  const bool due = phase_ == Phase::greeting || authenticating_;
  if (!callbacks->auth || callbacks->auth_method.empty() || !ours || !due)
    return fault(Reason::protocol_error, "an AUTH that nobody asked for");
  net::Buffer answer;
  if (!survives([&] { answer = callbacks->auth(auth); })) return;
  if (!stream_) return;
  if (auth.reason == Reason::success) {
    authenticating_ = false;
    return;
  }
  Auth reply;
  reply.reason = Reason::continue_authentication;
  reply.authentication_method = callbacks->auth_method;
  reply.authentication_data = Bytes(answer);
  send(reply);
}

void Client::Impl::fault(Reason reason, std::string_view why) {
  if (version_ == Version::v5 && phase_ == Phase::up && stream_) {
    Disconnect bye;
    bye.reason = reason;
    send(bye);
    // What may go out goes; the rest is no use any more.
    (void)stream_->write(Bytes(out_).subspan(out_at_));
    stream_->shutdown_write();
  }
  fail({net::Error::failed, "the broker broke the protocol: " + std::string(why)}, reason,
       phase_ == Phase::up ? "session" : "connack");
}

void Client::Impl::drop_connection() {
  connecting_.reset();
  stream_.reset();
  in_.clear();
  out_.clear();
  out_at_ = 0;
  answers_.clear();
  inbox_.connection_ended();
  PublishOutcome unsent;
  unsent.status = {net::Error::closed, "the connection went before it was written"};
  while (!to_tell_.empty()) later(to_tell_.pop().done, unsent);
  if (!options_.queue_qos0_offline) {
    std::vector<Outbox::Ended> dropped;
    outbox_.drop_qos0(dropped, unsent);
    for (Outbox::Ended& message : dropped) ended(std::move(message));
  }
}

void Client::Impl::fail(net::Status status, Reason reason, std::string_view phase,
                        std::string_view reason_string, std::string_view server_reference) {
  const bool was_up = phase_ == Phase::up;
  drop_connection();
  if (stopping_ || phase_ == Phase::leaving) return gone_away();
  if (phase_ == Phase::idle || phase_ == Phase::over) return;
  // A broker that lets everybody in and throws them out again is not a good connection.
  if (was_up && host_.now() - up_since_ >= options_.backoff_least) backoff_.reset();
  Lost lost;
  lost.status = std::move(status);
  lost.reason = reason;
  lost.phase = phase;
  lost.reason_string = reason_string;
  lost.server_reference = server_reference;
  if (options_.reconnect && !is_final(reason) && unreadable_) {
    lost.again_in = backoff_.next(options_.backoff_least, options_.backoff_most, host_.random());
    phase_ = Phase::waiting;
    timer_.arm_after(*lost.again_in);
  } else {
    phase_ = Phase::idle;
    timer_.cancel();
  }
  const auto callbacks = callbacks_;
  if (callbacks->lost) survives([&] { callbacks->lost(lost); });
}

void Client::Impl::on_timer() {
  switch (phase_) {
    case Phase::waiting:
      return attempt();
    case Phase::connecting:
      return fail({net::Error::timed_out, "no connection within the time set for it"},
                  Reason::success, "tcp");
    case Phase::greeting:
      return fail({net::Error::timed_out, "the broker sent no CONNACK"}, Reason::success,
                  "connack");
    case Phase::up:
      return stopping_ ? depart() : keep_alive();
    case Phase::leaving:
      return gone_away();
    case Phase::idle:
    case Phase::over:
      return;
  }
}

void Client::Impl::arm_keep_alive() {
  if (stopping_ || (keep_alive_s_ == 0 && !ping_under_way_)) return;
  net::Time due = net::Time::max();
  if (keep_alive_s_ > 0) due = last_sent_ + std::chrono::seconds(keep_alive_s_);
  if (ping_under_way_)
    due = std::min(due, std::max(ping_sent_, last_received_) + options_.ping_patience);
  timer_.arm_at(due);
}

void Client::Impl::keep_alive() {
  const net::Time now = host_.now();
  // Whatever comes from the broker shows that it lives.
  if (ping_under_way_ && now - std::max(ping_sent_, last_received_) >= options_.ping_patience)
    return fail({net::Error::timed_out, "the broker did not answer a PINGREQ"},
                Reason::keep_alive_timeout, "session");
  if (now - last_sent_ >= std::chrono::seconds(keep_alive_s_)) {  // 3.1.2-20
    send(Packet(Ping{}));
    last_sent_ = now;
    if (!ping_under_way_) ping_sent_ = now;
    ping_under_way_ = true;
    trim();
  }
  arm_keep_alive();
}

void Client::Impl::trim() {
  outbox_.trim();
  inbox_.trim();
  answers_.trim();
  to_tell_.trim();
  if (in_.empty()) net::Buffer().swap(in_);
  if (told_.empty()) decltype(told_)().swap(told_);
}

void Client::Impl::stop(Reason reason, std::function<void()> done) {
  if (done) stopped_ = std::move(done);
  wake();
  if (stopping_) return;
  stopping_ = true;
  leaving_with_ = reason;
  if (phase_ == Phase::up)
    timer_.arm_after(kFarewell);  // for what is on its way out, and for the store
}

// DISCONNECT, once all that can go before it has gone.
void Client::Impl::depart() {
  if (phase_ == Phase::leaving || phase_ == Phase::over) return;
  if (phase_ != Phase::up || !stream_) return gone_away();
  Disconnect bye;
  bye.reason = leaving_with_;
  send(bye);
  phase_ = Phase::leaving;
  timer_.arm_after(kFarewell);
  write_out();
}

void Client::Impl::gone_away() {
  if (phase_ == Phase::over) return;
  phase_ = Phase::over;
  drop_connection();
  timer_.cancel();
  PublishOutcome closed;
  closed.status = {net::Error::closed, "the client was stopped"};
  std::vector<Outbox::Ended> rest;
  // Not through ended(): the store keeps them for the next life.
  outbox_.drop_all(rest, closed);
  for (Outbox::Ended& message : rest)
    if (!message.entry.restored) later(std::move(message.entry.done), closed);
  for (Wishes::Wish& wish : wishes_.drop_all())
    later(std::move(wish.done), {closed.status, {}, {}});
}

}  // namespace culvert::mqtt
