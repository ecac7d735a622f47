// The application's side of a client: what it publishes, wishes for and acknowledges.
#include <algorithm>

#include "model/mqtt/client/impl.h"
#include "model/mqtt/text.h"
#include "model/mqtt/topic.h"

namespace culvert::mqtt {
namespace {

constexpr uint32_t kLargestSubscriptionId = 268'435'455;  // 3.8.2.1.2

PublishOutcome failed(net::Error error, const char* sentence, Reason reason = Reason::success) {
  PublishOutcome outcome;
  outcome.status = {error, sentence};
  outcome.reason = reason;
  return outcome;
}

// A broker ends the connection over text that is none (1.5.4), and a message that is kept would be
// sent again on the next one, and so on.
bool texts_are_text(const MessageProperties& properties) {
  return scan_text(properties.content_type).ok() &&
         std::all_of(properties.user.begin(), properties.user.end(), [](const UserProperty& user) {
           return scan_text(user.name).ok() && scan_text(user.value).ok();
         });
}

net::Time expiry_of(const Publish& message, net::Time now) {
  if (!message.properties.expiry_s) return net::Time::max();
  return now + std::chrono::seconds(*message.properties.expiry_s);
}

}  // namespace

std::optional<PublishOutcome> Client::Impl::unfit(uint8_t qos, bool retain, size_t bytes) const {
  if (phase_ != Phase::up) return {};
  if (qos > limits_.maximum_qos)
    return failed(net::Error::unsupported, "the broker does not take messages of this QoS",
                  Reason::qos_not_supported);
  if (retain && !limits_.retain)
    return failed(net::Error::unsupported, "the broker does not retain messages",
                  Reason::retain_not_supported);
  if (bytes > limits_.packet_bytes)
    return failed(net::Error::too_big, "larger than the packets that the broker takes",
                  Reason::packet_too_large);
  return {};
}

net::Status Client::Impl::publish(const Publish& message, PublishDone done, net::StoreBatch also) {
  if (!unreadable_) return unreadable_;
  if (!valid_topic_name(message.topic))
    return {net::Error::invalid, "a topic is 1 to 65,535 bytes of UTF-8 without + and #"};
  if (message.qos > 2) return {net::Error::invalid, "there is no QoS above 2"};
  if (message.topic_alias != 0)
    return {net::Error::invalid, "topic aliases are the client's own business"};
  if (message.properties.response_topic && !valid_topic_name(*message.properties.response_topic))
    return {net::Error::invalid, "a response topic is a topic's name, without + and #"};
  if (!texts_are_text(message.properties))
    return {net::Error::invalid, "a content type or user property is not UTF-8, or holds a NUL"};
  if (stopping_ || phase_ == Phase::over) {
    later(std::move(done), failed(net::Error::closed, "the client was stopped"));
    return {};
  }

  // Straight into the buffer, where nothing stands before it.
  if (message.qos == 0 && may_send() && outbox_.nothing_unsent() && !crowded()) {
    const size_t before = out_.size();
    const net::Status status = aliases_out_ ? (send_publish(message, false), net::Status())
                                            : encode(message, version_, out_);
    if (!status) return status;
    if (out_.size() == before) return {net::Error::too_big, "longer than MQTT can say"};
    if (auto outcome = unfit(0, message.retain, out_.size() - before)) {
      out_.resize(before);
      later(std::move(done), std::move(*outcome));
      return {};
    }
    if (done) to_tell_.push({written_ + (out_.size() - out_at_), std::move(done)});
    wake();
    return {};
  }
  if (message.qos == 0 && !may_send() && !options_.queue_qos0_offline) {
    later(std::move(done), failed(net::Error::closed, "not connected: QoS 0 is not kept"));
    return {};
  }

  const size_t size = encoded_size(message, version_);
  if (size == 0) return {net::Error::too_big, "longer than MQTT can say"};
  if (auto outcome = unfit(message.qos, message.retain, size)) {
    later(std::move(done), std::move(*outcome));
    return {};
  }
  if (outbox_.messages() >= options_.queued_messages ||
      outbox_.bytes() + size > options_.queued_bytes) {
    later(std::move(done),
          failed(net::Error::exhausted, "too many messages wait already", Reason::quota_exceeded));
    return {};
  }

  const uint64_t sequence = outbox_.next_sequence();
  Outbox::Entry entry;
  entry.qos = message.qos;
  entry.done = std::move(done);
  entry.expires = expiry_of(message, host_.now());
  entry.packet.reserve(size);
  if (message.qos > 0) {
    Publish numbered = message;
    numbered.packet_id = Outbox::id_of(sequence);
    numbered.dup = false;
    if (const net::Status status = encode(numbered, version_, entry.packet); !status) return status;
  } else if (const net::Status status = encode(message, version_, entry.packet); !status) {
    return status;
  }
  if (message.qos > 0 && journal_.on()) {
    // Sent as soon as it is durable, most likely: the mark goes in the same commit.
    if (phase_ == Phase::up && outbox_.nothing_unsent() && outbox_.quota() > 0)
      journal_.mark(sequence + 1);
    journal_.message(sequence, entry.packet);
    journal_.also(std::move(also));
    entry.barrier = journal_.barrier();
  }
  outbox_.push(std::move(entry));
  wake();
  return {};
}

std::optional<net::Status> Client::Impl::unfit(const Wishes::Wish& wish) const {
  if (phase_ != Phase::up || wish.away) return {};
  if (wish.subscription_id && !limits_.subscription_ids)
    return net::Status{net::Error::unsupported, "the broker has no subscription identifiers"};
  for (const SubscribeRequest& request : wish.filters) {
    if (!limits_.shared && shared(request.filter))
      return net::Status{net::Error::unsupported, "the broker has no shared subscriptions"};
    if (!limits_.wildcards && request.filter.find_first_of("+#") != std::string::npos)
      return net::Status{net::Error::unsupported, "the broker has no wildcards"};
  }
  return {};
}

net::Status Client::Impl::wish(Wishes::Wish wish) {
  if (wish.filters.empty()) return {net::Error::invalid, "no topic filter"};
  for (const SubscribeRequest& request : wish.filters) {
    if (!valid_topic_filter(request.filter))
      return {net::Error::invalid, "'" + request.filter + "' is not a topic filter"};
    if (wish.away) continue;
    if (request.options.qos > 2 || request.options.retain_handling > 2)
      return {net::Error::invalid, "QoS and retain handling are 0, 1 or 2"};
    if (request.options.no_local && shared(request.filter))  // 3.8.3-4
      return {net::Error::invalid, "a shared subscription cannot be no-local"};
  }
  if (wish.subscription_id &&
      (*wish.subscription_id == 0 || *wish.subscription_id > kLargestSubscriptionId))
    return {net::Error::invalid, "a subscription identifier is 1 to 268,435,455"};
  if (stopping_ || phase_ == Phase::over) {
    later(std::move(wish.done), {{net::Error::closed, "the client was stopped"}, {}, {}});
    return {};
  }
  wishes_.add(std::move(wish));
  wake();
  return {};
}

bool Client::Impl::acknowledge(uint64_t token, Reason reason, net::StoreBatch also) {
  if (token == 0) return false;
  if (version_ == Version::v311) reason = Reason::success;  // it has no words for a refusal
  const Inbox::Acknowledged result = inbox_.acknowledge(token, reason);
  if (!result.valid) return false;
  journal_.also(std::move(also));
  if (result.note) journal_.incoming(result.id, {});
  if (result.erase) journal_.forget_incoming(result.id);
  inbox_.committed(token, journal_.all());
  wake();
  return true;
}

}  // namespace culvert::mqtt
