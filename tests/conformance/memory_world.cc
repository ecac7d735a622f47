// Our broker on the fake host: pipes, virtual time, a store in memory.
#include <deque>
#include <sstream>

#include "model/mqtt/broker/broker.h"
#include "model/mqtt/topic.h"
#include "model/net/pipe.h"
#include "tests/conformance/world.h"
#include "tests/support/fake_net.h"

namespace culvert::conformance {
namespace {

using namespace std::chrono_literals;
using namespace mqtt;

// What a case's access lines say:
//   login USER PASSWORD      only these may connect
//   method NAME              enhanced authentication: challenge "c1", answer "a1", end "done"
//   deny ACTION FILTER       publish, subscribe or receive: not_authorized
//   later 50ms               every answer takes this long
class TestAccess final : public Access {
 public:
  TestAccess(net::Host& host, const std::vector<std::string>& rules) : host_(host) {
    for (const std::string& rule : rules) {
      std::istringstream in(rule);
      std::string what, first, second;
      in >> what >> first >> second;
      if (what == "login")
        logins_.push_back({first, second});
      else if (what == "method")
        method_ = first;
      else if (what == "deny")
        denials_.push_back({first, second});
      else if (what == "later")
        parse_duration(first, delay_);
      else
        unknown_ = what;
    }
  }
  const std::string& unknown() const { return unknown_; }

  std::optional<LoginAnswer> login(const LoginRequest& request,
                                   std::function<void(LoginAnswer)> later) override {
    return answer_or_later(decide(request), std::move(later));
  }
  std::optional<Reason> may(const AccessRequest& request,
                            std::function<void(Reason)> later) override {
    static constexpr std::string_view kActions[] = {"publish", "subscribe", "receive"};
    Reason reason = Reason::success;
    for (const auto& [action, filter] : denials_)
      if (action == kActions[static_cast<size_t>(request.action)] &&
          (matches(filter, request.topic) || filter == request.topic))
        reason = Reason::not_authorized;
    if (request.action == Action::receive) return reason;
    return answer_or_later(reason, std::move(later));
  }

 private:
  LoginAnswer decide(const LoginRequest& request) const {
    LoginAnswer answer;
    const std::string data(request.data ? net::as_text(*request.data) : std::string_view());
    if (request.method) {
      if (*request.method != method_) return refuse(Reason::bad_authentication_method);
      if (request.step == (request.again ? 1u : 0u)) {  // how an exchange begins
        answer.reason = Reason::continue_authentication;
        answer.data = {'c', '1'};
        return answer;
      }
      if (data != "a1") return refuse(Reason::not_authorized);
      answer.data = {'d', 'o', 'n', 'e'};
      return answer;
    }
    if (request.user_name) answer.user = *request.user_name;
    if (logins_.empty()) return answer;
    for (const auto& [user, password] : logins_)
      if (request.user_name == std::string_view(user) && request.password &&
          net::as_text(*request.password) == password)
        return answer;
    return refuse(Reason::bad_user_name_or_password);
  }
  static LoginAnswer refuse(Reason reason) {
    LoginAnswer answer;
    answer.reason = reason;
    answer.reason_string = "a long explanation of the refusal";
    return answer;
  }
  template <class T>
  std::optional<T> answer_or_later(T answer, std::function<void(T)> later) {
    if (delay_ == net::Duration(0)) return answer;
    auto& timer = timers_.emplace_back(std::make_unique<net::Timer>(
        host_.timers(), [answer, later = std::move(later)] { later(answer); }));
    timer->arm_after(delay_);
    return std::nullopt;
  }

  net::Host& host_;
  std::vector<std::pair<std::string, std::string>> logins_, denials_;
  std::string method_, unknown_;
  net::Duration delay_{0};
  std::deque<std::unique_ptr<net::Timer>> timers_;
};

// BrokerOptions by name. False: there is no such option.
bool set_option(BrokerOptions& o, const Field& field) {
  const uint64_t number = std::strtoull(field.value.c_str(), nullptr, 0);
  const auto set = [&](auto& member) {
    member = static_cast<std::decay_t<decltype(member)>>(number);
  };
  const std::string& key = field.key;
  if (key == "receive_maximum")
    set(o.receive_maximum);
  else if (key == "inflight_to_client")
    set(o.inflight_to_client);
  else if (key == "packet_bytes")
    set(o.packet_bytes);
  else if (key == "alias_maximum")
    set(o.topic_alias_maximum);
  else if (key == "queued_messages")
    set(o.queued_messages);
  else if (key == "session_expiry_most_s")
    set(o.session_expiry_most_s);
  else if (key == "session_expiry_v311_s")
    set(o.session_expiry_v311_s);
  else if (key == "keep_alive_most_s")
    set(o.keep_alive_most_s);
  else if (key == "maximum_qos")
    set(o.maximum_qos);
  else if (key == "retain_available")
    set(o.retain_available);
  else if (key == "allow_empty_client_id")
    set(o.allow_empty_client_id);
  else if (key == "topic_levels")
    set(o.topic_levels);
  else if (key == "subscriptions_per_session")
    set(o.subscriptions_per_session);
  else if (key == "connections")
    set(o.connections);
  else if (key == "connect_patience_s")
    o.connect_patience = std::chrono::seconds(number);
  else if (key == "response_prefix")
    o.response_prefix = field.value;
  else
    return false;
  return true;
}

class PipeWire final : public Wire {
 public:
  PipeWire(std::unique_ptr<net::Stream> stream) : stream_(std::move(stream)) {}
  void send(net::Bytes bytes) override {
    unsent_.insert(unsent_.end(), bytes.begin(), bytes.end());
    write();
  }
  bool receive(net::Buffer& into) override {
    uint8_t chunk[4096];
    while (stream_) {
      const net::IoResult got = stream_->read(chunk);
      into.insert(into.end(), chunk, chunk + got.count);
      if (got.error == net::Error::would_block) break;
      if (got.error != net::Error::none) return false;
    }
    return stream_ != nullptr;
  }
  void close() override {
    if (stream_) stream_->shutdown_write();
    stream_.reset();
  }
  void cut() override {
    if (stream_) stream_->reset();
    stream_.reset();
  }

 private:
  void write() {
    while (!unsent_.empty()) {
      const net::IoResult put = stream_->write(unsent_);
      unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<ptrdiff_t>(put.count));
      if (put.error == net::Error::would_block) {
        stream_->on_writable([this] { write(); });
        return;
      }
      if (put.error != net::Error::none) unsent_.clear();
    }
  }
  net::Buffer unsent_;
  std::unique_ptr<net::Stream> stream_;
};

class MemoryWorld final : public World {
 public:
  MemoryWorld(const Case& one, const BrokerKind& kind) : case_(one), kind_(kind) {
    options_.qos2 = kind.at_pubrel ? OnwardQos2::at_pubrel : OnwardQos2::at_publish;
  }
  net::Status prepare() {
    for (const Field& field : case_.options)
      if (!set_option(options_, field)) return {net::Error::invalid, "no option " + field.key};
    if (case_.access.empty()) {
      access_ = allow_all();
    } else {
      auto access = std::make_unique<TestAccess>(lone_.host, case_.access);
      if (!access->unknown().empty())
        return {net::Error::invalid, "no access rule " + access->unknown()};
      access_ = std::move(access);
    }
    return start();
  }
  ~MemoryWorld() override {
    broker_.reset();
    store_.reset();
  }

  std::unique_ptr<Wire> open() override {
    auto [ours, theirs] = net::make_pipe(lone_.host, {});
    Peer peer;
    peer.remote = *net::Endpoint::parse("192.0.2.7:50000");
    broker_->attach(std::move(theirs), peer);
    return std::make_unique<PipeWire>(std::move(ours));
  }
  bool run_until(const std::function<bool()>& done, net::Duration limit) override {
    return lone_.run_until(done, limit);
  }
  void pass(net::Duration length) override { lone_.run_for(length); }
  void settle() override { lone_.run_for(1ms); }
  net::Duration patience() const override { return 500ms; }
  void restart() override {
    broker_.reset();
    store_.reset();
    lone_.run_for(1ms);
    start();
    lone_.run_for(1ms);
  }

 private:
  net::Status start() {
    if (kind_.durable) {
      auto store = lone_.host.open_store("broker");
      if (!store) return store.status();
      store_ = std::move(*store);
    }
    broker_ = std::make_unique<Broker>(lone_.host, options_, *access_, store_.get());
    return broker_->start();
  }
  const Case& case_;
  const BrokerKind kind_;
  testing::LoneHost lone_;
  BrokerOptions options_;
  std::unique_ptr<Access> access_;
  std::unique_ptr<net::Store> store_;
  std::unique_ptr<Broker> broker_;
};

}  // namespace

net::Result<std::unique_ptr<World>> make_memory_world(const Case& one, const BrokerKind& kind) {
  if (one.durable && !kind.durable) return {net::Error::unsupported, "a restart needs a store"};
  auto world = std::make_unique<MemoryWorld>(one, kind);
  if (const net::Status status = world->prepare(); !status) return status;
  return std::unique_ptr<World>(std::move(world));
}

}  // namespace culvert::conformance
