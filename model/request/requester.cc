#include "model/request/requester.h"

#include <algorithm>
#include <array>

#include "model/mqtt/topic.h"

namespace culvert::request {

struct Requester::Waiter {
  Waiter(net::TimerQueue& timers, std::function<void()> due) : timer(timers, std::move(due)) {}
  Ask ask;
  OutcomeDone done;
  uint32_t number = 0, attempts = 0;
  net::Time asked{0}, deadline{0};
  net::Duration patience{0};
  net::Timer timer;  // the next attempt, or the deadline
};

Requester::Requester(net::Host& host, Inbox& inbox, RequesterOptions options)
    : host_(host), inbox_(inbox), options_(std::move(options)) {
  std::array<uint8_t, 4> random{};
  host_.secure_random(random);
  for (const uint8_t byte : random) epoch_ = epoch_ << 8 | byte;
  inbox_.on_connected([this, alive = std::weak_ptr<bool>(alive_)](const mqtt::ConnectedInfo&) {
    if (!alive.expired() && state_ == State::idle && !waiting_.empty()) listen();
  });
}

Requester::~Requester() = default;

std::string Requester::expand(std::string_view pattern) const {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%' || i + 1 == pattern.size()) {
      out += pattern[i];
      continue;
    }
    ++i;
    if (pattern[i] == 'c')
      out += inbox_.client().client_id();
    else if (pattern[i] == 'r')
      out += inbox_.client().response_information();
    else
      out += pattern[i];
  }
  return out;
}

net::Result<Sequence> Requester::ask(Ask ask, OutcomeDone done) {
  if (!mqtt::valid_topic_name(ask.topic))
    return {net::Error::invalid, "'" + ask.topic + "' is no topic to publish to"};
  if (waiting_.size() >= options_.waiting)
    return {net::Error::exhausted,
            std::to_string(waiting_.size()) + " requests wait for their answers already"};
  const uint32_t number = ++last_number_;
  auto waiter = std::make_unique<Waiter>(host_.timers(), [this, number] { due(number); });
  waiter->number = number;
  waiter->asked = host_.now();
  waiter->deadline =
      waiter->asked + (ask.deadline > net::Duration(0) ? ask.deadline : options_.deadline);
  waiter->patience = options_.patience;
  waiter->ask = std::move(ask);
  waiter->done = std::move(done);
  waiter->timer.arm_at(waiter->deadline);
  ++counters_.asked;
  Waiter& added = *waiter;
  waiting_.emplace(number, std::move(waiter));
  if (state_ == State::ready)
    publish(added);
  else if (state_ == State::idle)
    listen();
  return Sequence{epoch_, number};
}

// The subscription for answers comes first: an answer that overtakes it would be lost.
void Requester::listen() {
  // Without an identifier of our own we must wait for the broker's.
  const bool needs_connection =
      inbox_.client().client_id().empty() || options_.reply_topic.find("%r") != std::string::npos;
  if (needs_connection && !inbox_.client().connected()) return;  // on_connected comes back here
  reply_topic_ = expand(options_.reply_topic);
  state_ = State::asking;
  mqtt::SubscriptionOptions subscription;
  subscription.qos = options_.qos;
  user_ = inbox_.attach(
      reply_topic_, subscription,
      [this](const mqtt::IncomingMessage& message) { receive(message); },
      [this](const mqtt::SubscribeOutcome& outcome) { granted(outcome); });
}

void Requester::granted(const mqtt::SubscribeOutcome& outcome) {
  const bool refused = !outcome.reasons.empty() && mqtt::is_error(outcome.reasons.front());
  if (outcome.status && !refused) {
    state_ = State::ready;
    std::vector<uint32_t> numbers;
    for (const auto& [number, waiter] : waiting_) numbers.push_back(number);
    for (const uint32_t number : numbers) {
      const auto found = waiting_.find(number);
      if (found != waiting_.end()) publish(*found->second);
    }
    return;
  }
  state_ = State::idle;
  net::Status status = outcome.status;
  if (refused)
    status = {net::Error::refused,
              "the broker refused the response topic '" + reply_topic_ +
                  "': " + std::string(mqtt::to_string(outcome.reasons.front()))};
  const std::weak_ptr<bool> alive = alive_;
  std::vector<uint32_t> numbers;
  for (const auto& [number, waiter] : waiting_) numbers.push_back(number);
  for (const uint32_t number : numbers) {
    ++counters_.refused;
    Outcome failed;
    failed.status = status;
    end(number, std::move(failed));
    if (alive.expired()) return;
  }
}

void Requester::publish(Waiter& waiter) {
  const net::Time now = host_.now();
  const net::Duration left = waiter.deadline - now;
  RequestFrame frame;
  frame.sequence = {epoch_, waiter.number};
  frame.method = waiter.ask.method;
  frame.reply_to = reply_topic_;
  frame.attempt = static_cast<uint8_t>(std::min<uint32_t>(++waiter.attempts, 255));
  frame.content_type = waiter.ask.content_type;
  frame.body = waiter.ask.body;
  // Rounded up: 0 would mean that there is none.
  frame.deadline_ms = static_cast<uint32_t>(
      std::clamp<int64_t>((left.count() + 999'999) / 1'000'000, 1, 0xFFFFFFFF));
  const uint32_t number = waiter.number;
  const bool last = waiter.attempts >= options_.attempts;
  waiter.timer.arm_at(last ? waiter.deadline : std::min(waiter.deadline, now + waiter.patience));
  waiter.patience *= 2;
  auto message = to_message(frame, options_.version, waiter.ask.topic, options_.qos);
  net::Status status = message.status();
  if (message) {
    status = inbox_.client().publish(
        std::move(*message),
        [this, number, alive = std::weak_ptr<bool>(alive_)](const mqtt::PublishOutcome& outcome) {
          if (!alive.expired()) published(number, outcome);
        });
  }
  if (status) return;
  host_.post([this, number, status, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    Outcome failed;
    failed.status = status;
    end(number, std::move(failed));
  });
}

void Requester::published(uint32_t number, const mqtt::PublishOutcome& outcome) {
  if (options_.qos == 0 && outcome.status) return;
  Outcome failed;
  if (outcome.reason == mqtt::Reason::no_matching_subscribers)
    failed.status = {net::Error::not_found, "nobody is subscribed to that topic"};
  else if (mqtt::is_error(outcome.reason))
    failed.status = {net::Error::refused, "the broker refused the request: " +
                                              std::string(mqtt::to_string(outcome.reason))};
  else if (!outcome.status && !outcome.in_doubt && outcome.status.error != net::Error::closed)
    failed.status = outcome.status;
  else
    return;  // it is out, or nobody knows: the answer, the next attempt or the deadline will tell
  if (waiting_.count(number) == 0) return;
  ++counters_.refused;
  end(number, std::move(failed));
}

void Requester::receive(const mqtt::IncomingMessage& message) {
  if (message.token != 0) inbox_.client().acknowledge(message.token);
  const auto frame = read_response(message.publish);
  if (!frame) {
    ++counters_.malformed;
    return;
  }
  auto found = waiting_.end();
  if (!options_.match_sequence) {
    found = waiting_.begin();
  } else if (frame->sequence.epoch != epoch_) {
    ++counters_.stale;
    return;
  } else {
    found = waiting_.find(frame->sequence.number);
  }
  if (found == waiting_.end()) {
    ++counters_.late;
    return;
  }
  ++counters_.answered;
  Outcome outcome;
  outcome.response.status = frame->status;
  outcome.response.content_type = frame->content_type;
  outcome.response.body.assign(frame->body.begin(), frame->body.end());
  outcome.answer_sequence = frame->sequence;
  end(found->first, std::move(outcome));
}

void Requester::due(uint32_t number) {
  const auto found = waiting_.find(number);
  if (found == waiting_.end()) return;
  Waiter& waiter = *found->second;
  if (host_.now() < waiter.deadline && state_ == State::ready) {
    ++counters_.retried;
    return publish(waiter);
  }
  ++counters_.timed_out;
  Outcome outcome;
  outcome.status = {net::Error::timed_out, "no answer within the deadline"};
  end(number, std::move(outcome));
}

void Requester::end(uint32_t number, Outcome outcome) {
  const auto found = waiting_.find(number);
  if (found == waiting_.end()) return;
  const auto waiter = std::move(found->second);
  waiting_.erase(found);
  outcome.took = host_.now() - waiter->asked;
  outcome.attempts = waiter->attempts;
  outcome.sequence = {epoch_, number};
  if (waiter->done) waiter->done(outcome);
}

void Requester::cancel(const Sequence& sequence) {
  if (sequence.epoch == epoch_) waiting_.erase(sequence.number);
}

}  // namespace culvert::request
