#include "model/mqtt/presence/device.h"

#include <algorithm>

namespace culvert::mqtt {
namespace {

constexpr const char* kEpochKey = "presence/epoch";

std::string topic_of(const PresenceOptions& options) {
  return options.prefix + "/" + options.device;
}
uint32_t seconds_up(net::Duration duration) {
  const auto s = std::chrono::duration_cast<std::chrono::seconds>(duration);
  return static_cast<uint32_t>(std::max<int64_t>(1, s.count() + (s < duration ? 1 : 0)));
}

void fill(OutgoingMessage& message, const PresenceOptions& options, const PresenceRecord& record) {
  const std::string json = to_json(record);
  message.topic = topic_of(options);
  message.payload.assign(json.begin(), json.end());
  message.qos = 1;
  message.retain = true;
  message.properties.utf8_payload = true;
  message.properties.content_type = "application/json";
  // The broker forgets an "online" that nobody refreshes.
  message.properties.expiry_s = record.online ? seconds_up(options.lease) : options.offline_kept_s;
}

}  // namespace

void next_epoch(net::Store& store, std::function<void(net::Result<uint64_t>)> done) {
  uint64_t epoch = 0;
  const auto last = store.get(kEpochKey);
  if (last) {
    for (size_t i = 0; i < last->size() && i < 8; ++i) epoch = epoch << 8 | (*last)[i];
  } else if (last.error() != net::Error::not_found) {
    return done(last.status());
  }
  ++epoch;
  net::StoreBatch batch;
  batch.changes.emplace_back();
  batch.changes[0].key = kEpochKey;
  for (int shift = 56; shift >= 0; shift -= 8)
    batch.changes[0].value.push_back(static_cast<uint8_t>(epoch >> shift));
  store.commit(std::move(batch), [epoch, done = std::move(done)](net::Status status) {
    if (status)
      done(epoch);
    else
      done(status);
  });
}

OwnedWill presence_will(const PresenceOptions& options) {
  OwnedWill will;
  PresenceRecord record;
  record.epoch = options.epoch;
  fill(will, options, record);
  return will;
}

struct DevicePresence::Impl {
  Impl(net::Host& h, Client& c, PresenceOptions o)
      : client(c), options(std::move(o)), timer(h.timers(), [this] { tell(); }) {}

  void tell() {
    OutgoingMessage message;
    PresenceRecord record;
    record.epoch = options.epoch;
    record.online = true;
    record.lease = options.lease;
    record.refresh = said++;
    fill(message, options, record);
    client.publish(std::move(message));
    timer.arm_after(options.lease / std::max(1u, options.refreshes));
  }

  Client& client;
  PresenceOptions options;
  uint64_t said = 0;
  net::Timer timer;
};

DevicePresence::DevicePresence(net::Host& host, Client& client, PresenceOptions options)
    : impl_(std::make_unique<Impl>(host, client, std::move(options))) {}
DevicePresence::~DevicePresence() = default;

void DevicePresence::connected() { impl_->tell(); }
void DevicePresence::lost() { impl_->timer.cancel(); }

void DevicePresence::leave(std::function<void()> done) {
  impl_->timer.cancel();
  if (!impl_->client.connected()) return done();
  OutgoingMessage message;
  PresenceRecord record;
  record.epoch = impl_->options.epoch;
  fill(message, impl_->options, record);
  const net::Status status =
      impl_->client.publish(std::move(message), [done](const PublishOutcome&) { done(); });
  if (!status) done();
}

}  // namespace culvert::mqtt
