#include "model/mqtt/broker/broker.h"

#include <utility>

#include "model/mqtt/broker/core.h"

namespace culvert::mqtt {

struct Broker::Impl {
  Core core;
};

Broker::Broker(net::Host& host, BrokerOptions options, Access& access, net::Store* store)
    : impl_(new Impl{Core(host, std::move(options), access, store)}) {}
Broker::~Broker() = default;

net::Status Broker::start() { return impl_->core.load(); }
void Broker::stop(net::Duration patience, std::function<void()> done) {
  impl_->core.stop(patience, std::move(done));
}
void Broker::attach(std::unique_ptr<net::Stream> stream, Peer peer) {
  impl_->core.attach(std::move(stream), std::move(peer));
}
std::unique_ptr<net::Stream> Broker::attach_local(const std::string& user) {
  return impl_->core.attach_local(user);
}
void Broker::publish(const Publish& message) { impl_->core.publish(message); }
bool Broker::disconnect(std::string_view client_id, Reason reason) {
  return impl_->core.disconnect(client_id, reason);
}
void Broker::access_changed(std::string_view user) { impl_->core.access_changed(user); }
void Broker::access_changed_of_all() { impl_->core.access_changed_of_all(); }
size_t Broker::disconnect_user(std::string_view user, Reason reason) {
  return impl_->core.disconnect_user(user, reason);
}
const BrokerCounters& Broker::counters() const { return impl_->core.counters(); }
void Broker::on_event(std::function<void(const BrokerEvent&)> callback) {
  impl_->core.on_event = std::move(callback);
}

}  // namespace culvert::mqtt
