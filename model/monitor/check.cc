#include "model/monitor/check.h"

#include <algorithm>

namespace culvert::monitor {

using net::Error;

namespace {

constexpr size_t kWord = 16;  // hexadecimal digits: 64 bits tell a check from every other

std::string new_word(net::Host& host) {
  uint8_t bytes[kWord / 2];
  host.secure_random(bytes);
  std::string word;
  for (const uint8_t byte : bytes) {
    word += "0123456789abcdef"[byte >> 4];
    word += "0123456789abcdef"[byte & 15];
  }
  return word;
}

// A check makes its own attempt, once, and leaves nothing behind.
mqtt::ClientOptions once(mqtt::ClientOptions options, net::Duration patience,
                         const std::string& word) {
  options.reconnect = false;
  options.clean_start = true;
  options.session_expiry_s = 0;
  options.store = nullptr;
  options.manual_ack = false;
  options.connect_patience = 2 * patience;  // our own timer knows the phase
  if (options.client_id.empty() && options.version == mqtt::Version::v311)
    options.client_id = "monitor-" + word;
  return options;
}

}  // namespace

struct Check::Impl {
  Impl(net::Host& h, CheckOptions o, std::unique_ptr<net::Connector> connector,
       std::shared_ptr<Stage> s, std::function<void(const CheckResult&)> d)
      : host(h),
        options(std::move(o)),
        stage(std::move(s)),
        done(std::move(d)),
        word(new_word(h)),
        topic(options.topic + "/" + word),
        timer(h.timers(), [this] { timed_out(); }),
        client(h, once(options.client, options.patience, word), std::move(connector)) {
    result.began = host.now();
    timer.arm_after(options.patience);
    client.on_connected([this](const mqtt::ConnectedInfo& info) { connected(info); });
    client.on_lost([this](const mqtt::Client::Lost& lost) { this->lost(lost); });
    client.on_message([this](const mqtt::IncomingMessage& message) { received(message); });
    client.start();
  }

  std::optional<net::Duration>& time(Phase phase) {
    return result.times[static_cast<size_t>(phase)];
  }

  void connected(const mqtt::ConnectedInfo& info) {
    if (over) return;
    time(Phase::name) = info.times.name;
    time(Phase::tcp) = info.times.tcp;
    time(Phase::proxy) = info.times.proxy;
    time(Phase::tls) = info.times.tls;
    time(Phase::websocket) = info.times.websocket;
    time(Phase::connack) = info.connack_took;
    stage->now = Phase::suback;
    began = host.now();
    mqtt::SubscribeRequest request;
    request.filter = topic;
    request.options.qos = options.qos;
    const net::Status status = client.subscribe(
        {request}, [this](const mqtt::SubscribeOutcome& outcome) { subscribed(outcome); });
    if (!status) fail(Phase::suback, status);
  }

  void subscribed(const mqtt::SubscribeOutcome& outcome) {
    if (over) return;
    if (!outcome.status) return fail(Phase::suback, outcome.status);
    if (outcome.reasons.empty() || mqtt::is_error(outcome.reasons[0])) {
      if (!outcome.reasons.empty()) result.reason = outcome.reasons[0];
      return fail(Phase::suback, {Error::refused, "the broker refused the subscription: " +
                                                      std::string(to_string(result.reason))});
    }
    time(Phase::suback) = host.now() - began;
    publish();
  }

  void publish() {
    stage->now = options.qos > 0 ? Phase::puback : Phase::loopback;
    began = host.now();
    mqtt::OutgoingMessage message;
    message.topic = topic;
    message.qos = options.qos;
    message.payload.assign(word.begin(), word.end());
    message.payload.resize(std::max(options.payload, kWord), '.');
    const net::Status status = client.publish(
        std::move(message), [this](const mqtt::PublishOutcome& outcome) { published(outcome); });
    if (!status) fail(Phase::puback, status);
  }

  void published(const mqtt::PublishOutcome& outcome) {
    if (over || options.qos == 0) return;
    if (!outcome.status) return fail(Phase::puback, outcome.status);
    if (mqtt::is_error(outcome.reason)) {
      result.reason = outcome.reason;
      return fail(Phase::puback, {Error::refused, "the broker refused the message: " +
                                                      std::string(to_string(outcome.reason))});
    }
    time(Phase::puback) = host.now() - began;
    stage->now = Phase::loopback;
    complete();
  }

  void received(const mqtt::IncomingMessage& message) {
    if (over || time(Phase::loopback) || message.publish.topic != topic) return;
    const std::string_view payload = net::as_text(message.publish.payload);
    if (payload.substr(0, kWord) != word || payload.size() != std::max(options.payload, kWord))
      return fail(Phase::loopback, {Error::failed, "what came back is not what was published"});
    time(Phase::loopback) = host.now() - began;
    complete();
  }

  void complete() {
    if (!time(Phase::loopback) || (options.qos > 0 && !time(Phase::puback))) return;
    result.ok = true;
    result.total = host.now() - result.began;
    over = true;
    // The result waits for the good-bye, but not for ever: the timer runs on.
    timer.arm_after(options.patience);
    client.stop(mqtt::Reason::success, [this] { timer.arm_after(net::Duration::zero()); });
  }

  void lost(const mqtt::Client::Lost& lost) {
    if (over) return;
    result.reason = lost.reason;
    // "session": it was up, so the phase is what we were waiting for.
    fail(phase_of(lost.phase).value_or(stage->now), lost.status);
  }

  void timed_out() {
    if (over) return finish();
    fail(stage->now, {Error::timed_out, "no answer within the patience"});
  }

  void fail(Phase phase, net::Status status) {
    if (over) return;
    over = true;
    result.failed = phase;
    result.status = std::move(status);
    result.total = host.now() - result.began;
    timer.arm_after(net::Duration::zero());  // told after the client's own callback
  }

  void finish() {
    timer.cancel();
    if (const auto callback = std::exchange(done, {})) callback(CheckResult(result));
  }

  net::Host& host;
  const CheckOptions options;
  std::shared_ptr<Stage> stage;
  std::function<void(const CheckResult&)> done;
  const std::string word, topic;
  CheckResult result;
  net::Time began{0};  // of the phase
  bool over = false;
  net::Timer timer;
  mqtt::Client client;
};

Check::Check(net::Host& host, CheckOptions options, std::unique_ptr<net::Connector> connector,
             std::shared_ptr<Stage> stage, std::function<void(const CheckResult&)> done)
    : impl_(std::make_unique<Impl>(host, std::move(options), std::move(connector), std::move(stage),
                                   std::move(done))) {}
Check::~Check() = default;

}  // namespace culvert::monitor
