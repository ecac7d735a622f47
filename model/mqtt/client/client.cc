#include "model/mqtt/client/client.h"

#include "model/mqtt/client/impl.h"

namespace culvert::mqtt {

Client::Impl::Impl(net::Host& host, ClientOptions options,
                   std::unique_ptr<net::Connector> connector)
    : host_(host),
      options_(std::move(options)),
      connector_(std::move(connector)),
      version_(options_.version),
      timer_(host.timers(), [this] { turn([this] { on_timer(); }); }),
      journal_(options_.store, options_.client_id) {
  static_assert(sizeof(Impl) < 2048, "a load generator keeps thousands of clients in a process");
  if (options_.receive_maximum == 0) options_.receive_maximum = 1;  // 3.1.2.11.3: 0 is an error
  if (options_.send_maximum == 0) options_.send_maximum = 1;        // else nothing would ever go
  options_.topic_alias_maximum = std::min(options_.topic_alias_maximum, kMostAliasesIn);
  inbox_.configure({options_.qos2_early, options_.deduplicate, options_.manual_ack});
  if (journal_.on()) {
    const auto loaded = journal_.load(outbox_, [this](uint16_t id, net::Buffer packet) {
      inbox_.restore(id, std::move(packet));
    });
    if (options_.client_id.empty()) options_.client_id = loaded.client_id;
    unreadable_ = loaded.status;
  } else if (!options_.clean_start) {
    // The broker may hold identifiers of an earlier life that we know nothing of: begin elsewhere.
    outbox_.begin_at(host_.random().below(65535));
  }
}

Client::Impl::~Impl() {
  if (gone_) *gone_ = true;
}

void Client::Impl::set(std::function<void(Callbacks&)> change) {
  // A copy: a callback that is running now stays until it has returned.
  auto changed = std::make_shared<Callbacks>(*callbacks_);
  change(*changed);
  callbacks_ = std::move(changed);
}

void Client::Impl::wake() {
  if (turns_ > 0 || posted_) return;
  posted_ = true;
  host_.post([this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    posted_ = false;
    turn([] {});
  });
}

void Client::Impl::later(PublishDone done, PublishOutcome outcome) {
  if (!done) return;
  told_.emplace_back(std::move(done), std::move(outcome));
  wake();
}

void Client::Impl::later(SubscribeDone done, SubscribeOutcome outcome) {
  if (!done) return;
  told_wishes_.emplace_back(std::move(done), std::move(outcome));
  wake();
}

void Client::Impl::ended(Outbox::Ended&& message) {
  if (message.entry.qos > 0) journal_.forget(message.sequence);
  if (message.entry.restored) {
    if (callbacks_->recovered) recovered_.push_back(std::move(message));
    return;
  }
  later(std::move(message.entry.done), std::move(message.outcome));
}

bool Client::Impl::finish_turn() {
  // Once over: what these callbacks bring about is told in the next turn, so that a client that
  // publishes from its callbacks lets others run.
  if (!told_.empty()) {
    auto told = std::move(told_);
    told_.clear();
    for (auto& [done, outcome] : told)
      if (!survives([&done = done, &outcome = outcome] { done(outcome); })) return false;
    told.clear();
    if (told_.empty()) told_.swap(told);  // keeps its memory
  }
  if (!told_wishes_.empty()) {
    auto told = std::move(told_wishes_);
    told_wishes_.clear();
    for (auto& [done, outcome] : told)
      if (!survives([&done = done, &outcome = outcome] { done(outcome); })) return false;
  }
  if (!recovered_.empty()) {
    auto recovered = std::move(recovered_);
    recovered_.clear();
    for (const Outbox::Ended& message : recovered) {
      Publish publish;
      Fault fault;
      if (!message.entry.packet.empty())
        decode_publish(message.entry.packet, version_, publish, fault, Side::client);
      const auto callbacks = callbacks_;
      if (!callbacks->recovered) continue;
      if (!survives([&] { callbacks->recovered(publish, message.outcome); })) return false;
    }
  }
  pump();
  if (!store_failed_ && !journal_.idle())
    journal_.flush([this, alive = std::weak_ptr<bool>(alive_)](net::Status status) {
      if (alive.expired()) return;
      turn([&] { committed(status); });
    });
  const bool alive = survives([&] {
    write_out();
    // The last word, when nothing else is to be said before it.
    if (stopping_ && phase_ != Phase::leaving && (phase_ != Phase::up || journal_.idle()) &&
        out_at_ == out_.size())
      depart();
  });
  if (!alive) return false;
  if (phase_ == Phase::over && stopped_ && told_.empty() && told_wishes_.empty()) {
    const auto stopped = std::move(stopped_);
    stopped_ = nullptr;
    if (!survives(stopped)) return false;
  }
  if (!told_.empty() || !told_wishes_.empty() || !recovered_.empty()) {
    const uint32_t turns = turns_;
    turns_ = 0;
    wake();
    turns_ = turns;
  }
  return true;
}

Client::Client(net::Host& host, ClientOptions options, std::unique_ptr<net::Connector> connector)
    : impl_(std::make_unique<Impl>(host, std::move(options), std::move(connector))) {}
Client::~Client() = default;

void Client::start() { impl_->start(); }
void Client::stop(Reason reason, std::function<void()> done) {
  impl_->stop(reason, std::move(done));
}

net::Status Client::publish(OutgoingMessage message, PublishDone done) {
  return publish(std::move(message), std::move(done), {});
}
net::Status Client::publish(OutgoingMessage message, PublishDone done, net::StoreBatch also) {
  Publish view;
  view.topic = message.topic;
  view.payload = message.payload;
  view.qos = message.qos;
  view.retain = message.retain;
  MessageProperties& to = view.properties;
  const OwnedProperties& from = message.properties;
  to.utf8_payload = from.utf8_payload;
  to.expiry_s = from.expiry_s;
  to.content_type = from.content_type;
  if (from.response_topic) to.response_topic = *from.response_topic;
  if (from.correlation_data) to.correlation_data = *from.correlation_data;
  for (const auto& [name, value] : from.user) to.user.push_back({name, value});
  return impl_->publish(view, std::move(done), std::move(also));
}
net::Status Client::publish_view(const Publish& message, PublishDone done) {
  return impl_->publish(message, std::move(done), {});
}

net::Status Client::subscribe(std::vector<SubscribeRequest> filters, SubscribeDone done,
                              std::optional<uint32_t> subscription_id) {
  Wishes::Wish wish;
  wish.filters = std::move(filters);
  wish.done = std::move(done);
  wish.subscription_id = subscription_id;
  return impl_->wish(std::move(wish));
}
net::Status Client::unsubscribe(std::vector<std::string> filters, SubscribeDone done) {
  Wishes::Wish wish;
  for (std::string& filter : filters) wish.filters.push_back({std::move(filter), {}});
  wish.done = std::move(done);
  wish.away = true;
  return impl_->wish(std::move(wish));
}
bool Client::acknowledge(uint64_t token, Reason reason, net::StoreBatch also) {
  return impl_->acknowledge(token, reason, std::move(also));
}

void Client::on_message(std::function<void(const IncomingMessage&)> callback) {
  impl_->set([&](Impl::Callbacks& all) { all.message = std::move(callback); });
}
void Client::on_connected(std::function<void(const ConnectedInfo&)> callback) {
  impl_->set([&](Impl::Callbacks& all) { all.connected = std::move(callback); });
}
void Client::on_lost(std::function<void(const Lost&)> callback) {
  impl_->set([&](Impl::Callbacks& all) { all.lost = std::move(callback); });
}
void Client::on_auth(std::function<net::Buffer(const Auth&)> callback, std::string method,
                     net::Buffer first) {
  impl_->set([&](Impl::Callbacks& all) {
    all.auth = std::move(callback);
    all.auth_method = std::move(method);
    all.auth_first = std::move(first);
  });
}
void Client::on_recovered(std::function<void(const Publish&, const PublishOutcome&)> callback) {
  impl_->set([&](Impl::Callbacks& all) { all.recovered = std::move(callback); });
}

net::Status Client::reauthenticate(net::Buffer first) {
  Impl& me = *impl_;
  if (me.version_ != Version::v5 || me.callbacks_->auth_method.empty())
    return {net::Error::invalid, "re-authentication needs MQTT 5.0 and a method (on_auth)"};
  if (me.phase_ != Impl::Phase::up || me.authenticating_)
    return {net::Error::failed, "not connected, or an authentication is under way"};
  me.authenticating_ = true;
  Auth auth;
  auth.reason = Reason::reauthenticate;
  auth.authentication_method = me.callbacks_->auth_method;
  auth.authentication_data = Bytes(first);
  me.send(auth);
  me.wake();
  return {};
}

bool Client::connected() const { return impl_->phase_ == Impl::Phase::up; }
const std::string& Client::client_id() const { return impl_->options_.client_id; }
size_t Client::unacknowledged() const { return impl_->outbox_.messages(); }
std::string_view Client::response_information() const { return impl_->response_information_; }

}  // namespace culvert::mqtt
