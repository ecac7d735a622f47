#include "model/mqtt/broker/bridge.h"

#include <algorithm>

#include "model/mqtt/broker/echo_guard.h"
#include "model/mqtt/topic.h"

namespace culvert::mqtt {
namespace {

constexpr const char* kService = "mqtt";
using Direction = BridgeTopic::Direction;

std::string_view cut_word(std::string_view& text) {
  const size_t from = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(from);
  const size_t end = std::min(text.find_first_of(" \t"), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word == "\"\"" ? std::string_view() : word;
}

OutgoingMessage copy_of(const Publish& from, std::string topic) {
  OutgoingMessage to;
  to.topic = std::move(topic);
  to.payload.assign(from.payload.begin(), from.payload.end());
  to.qos = from.qos;
  to.retain = from.retain;
  const MessageProperties& p = from.properties;
  to.properties.utf8_payload = p.utf8_payload;
  to.properties.expiry_s = p.expiry_s;
  to.properties.content_type = p.content_type;
  if (p.response_topic) to.properties.response_topic = std::string(*p.response_topic);
  if (p.correlation_data)
    to.properties.correlation_data =
        net::Buffer(p.correlation_data->begin(), p.correlation_data->end());
  for (const UserProperty& one : p.user)
    to.properties.user.emplace_back(std::string(one.name), std::string(one.value));
  return to;
}

uint64_t seed_of(net::Host& host) {
  uint64_t seed = 0;
  host.secure_random({reinterpret_cast<uint8_t*>(&seed), sizeof seed});
  return seed;
}

}  // namespace

net::Result<BridgeTopic> parse_bridge_topic(std::string_view text) {
  BridgeTopic topic;
  std::string_view rest = text;
  topic.pattern = cut_word(rest);
  const std::string_view direction = cut_word(rest);
  if (direction == "in")
    topic.direction = Direction::in;
  else if (direction == "both")
    topic.direction = Direction::both;
  else if (!direction.empty() && direction != "out")
    return {net::Error::invalid,
            "'" + std::string(direction) + "' is no direction: there are out, in and both"};
  const std::string_view qos = cut_word(rest);
  if (qos.size() > 1 || (!qos.empty() && (qos[0] < '0' || qos[0] > '2')))
    return {net::Error::invalid, "'" + std::string(qos) + "' is no QoS: there are 0, 1 and 2"};
  if (!qos.empty()) topic.qos = static_cast<uint8_t>(qos[0] - '0');
  topic.local_prefix = cut_word(rest);
  topic.remote_prefix = cut_word(rest);
  if (!cut_word(rest).empty())
    return {net::Error::invalid, "'" + std::string(text) + "' has more than five words"};
  for (const std::string* prefix : {&topic.local_prefix, &topic.remote_prefix}) {
    if (!valid_topic_filter(*prefix + topic.pattern) ||
        !(prefix->empty() || valid_topic_name(*prefix)))
      return {net::Error::invalid, "'" + *prefix + topic.pattern + "' is no topic filter"};
  }
  return topic;
}

struct Bridge::Impl {
  Impl(net::Host& h, BridgeOptions o, std::unique_ptr<net::Connector> remote_way, Local l)
      : host(h), options(std::move(o)), local_broker(std::move(l)), guard(seed_of(h)) {
    if (options.state_topic.empty())
      options.state_topic = "$SYS/broker/connection/" + options.name + "/state";
    ClientOptions here;
    here.client_id = "bridge-" + options.name;
    here.clean_start = false;
    here.session_expiry_s = options.session_expiry_s;
    here.keep_alive_s = 0;
    here.receive_maximum = options.in_flight;
    here.manual_ack = true;
    here.queued_messages = queue();
    here.backoff_most = std::chrono::seconds(1);  // it is in this process
    local = std::make_unique<Client>(host, here, pipe_connector(host, local_broker.attach));

    ClientOptions there = options.remote;
    if (there.client_id.empty()) there.client_id = host.name() + "-" + options.name;
    there.clean_start = false;
    there.session_expiry_s = options.session_expiry_s;
    there.receive_maximum = options.in_flight;
    there.manual_ack = true;
    there.queued_messages = queue();
    if (!options.remote_state_topic.empty()) there.will = state(false);
    no_local = there.version == Version::v5;
    remote = std::make_unique<Client>(host, there, std::move(remote_way));

    local->on_message([this](const IncomingMessage& message) { outward(message); });
    remote->on_message([this](const IncomingMessage& message) { inward(message); });
    remote->on_connected([this](const ConnectedInfo& info) { up(info); });
    remote->on_lost([this](const Client::Lost& lost) { down(lost); });
  }

  // What the other side has in flight fits, and as much of QoS 0 again.
  size_t queue() const { return size_t{options.in_flight} * 2; }

  OwnedWill state(bool up) const {
    OwnedWill message;
    message.topic = options.remote_state_topic;
    message.payload = {static_cast<uint8_t>(up ? '1' : '0')};
    message.qos = 1;
    message.retain = true;
    return message;
  }
  void tell_state(bool up) {
    Publish message;
    message.topic = options.state_topic;
    message.payload = net::as_bytes(up ? "1" : "0");
    message.retain = true;
    local_broker.publish(message);
  }

  void subscribe(Client& client, bool here) {
    std::vector<SubscribeRequest> filters;
    for (const BridgeTopic& topic : options.topics) {
      if (topic.direction == (here ? Direction::in : Direction::out)) continue;
      SubscribeRequest request;
      request.filter = (here ? topic.local_prefix : topic.remote_prefix) + topic.pattern;
      request.options.qos = topic.qos;
      request.options.no_local = here || no_local;
      request.options.retain_as_published = here || no_local;
      filters.push_back(std::move(request));
    }
    if (filters.empty()) return;
    const size_t count = filters.size();
    client.subscribe(std::move(filters), [this, here, count](const SubscribeOutcome& outcome) {
      const auto refused = std::count_if(outcome.reasons.begin(), outcome.reasons.end(), is_error);
      if (!outcome.status || refused > 0)
        host.log().write(kService, "bridge_subscription_refused",
                         {{"bridge", options.name},
                          {"where", here ? "local" : "remote"},
                          {"refused", static_cast<uint64_t>(refused)},
                          {"of", static_cast<uint64_t>(count)},
                          {"why", outcome.status.to_string()}});
    });
  }

  // The topic on the other side, of the first rule that says so; empty: none does.
  std::string remap(std::string_view topic, bool out, uint8_t& qos) const {
    for (const BridgeTopic& rule : options.topics) {
      if (rule.direction == (out ? Direction::in : Direction::out)) continue;
      const std::string& from = out ? rule.local_prefix : rule.remote_prefix;
      const std::string& to = out ? rule.remote_prefix : rule.local_prefix;
      if (!matches(from + rule.pattern, topic)) continue;
      qos = std::min(qos, rule.qos);
      return to + std::string(topic.substr(from.size()));
    }
    return {};
  }

  void outward(const IncomingMessage& message) {
    hand_over(message, true, *local, *remote, counters.out);
  }
  void inward(const IncomingMessage& message) {
    const Publish& publish = message.publish;
    if (!no_local && guard.is_echo(publish.topic, publish.payload, host.now())) {
      ++counters.echoes;
      if (message.token != 0) remote->acknowledge(message.token);
      return;
    }
    hand_over(message, false, *remote, *local, counters.in);
  }

  void hand_over(const IncomingMessage& message, bool out, Client& from, Client& to,
                 uint64_t& count) {
    const uint64_t token = message.token;
    uint8_t qos = message.publish.qos;
    std::string topic = remap(message.publish.topic, out, qos);
    if (topic.empty() || (qos == 0 && !to.connected())) {
      ++counters.dropped;
      if (token != 0) from.acknowledge(token);
      return;
    }
    if (out && !no_local && comes_back(topic))
      guard.sent(topic, message.publish.payload, host.now());
    OutgoingMessage copy = copy_of(message.publish, std::move(topic));
    copy.qos = qos;
    const net::Status status =
        to.publish(std::move(copy), [this, &from, &count, token](const PublishOutcome& outcome) {
          // Stopped: the session keeps it, and it is handed over in the next life.
          if (outcome.status.error == net::Error::closed) return;
          if (!outcome.status || is_error(outcome.reason))
            refused(outcome.status ? std::string(to_string(outcome.reason))
                                   : outcome.status.to_string());
          else
            ++count;
          if (token != 0) from.acknowledge(token);
        });
    if (status) return;
    refused(status.to_string());
    if (token != 0) from.acknowledge(token);
  }
  bool comes_back(std::string_view remote_topic) const {
    return std::any_of(options.topics.begin(), options.topics.end(), [&](const BridgeTopic& rule) {
      return rule.direction != Direction::out &&
             matches(rule.remote_prefix + rule.pattern, remote_topic);
    });
  }
  void refused(const std::string& why) {
    ++counters.dropped;
    host.log().write(kService, "bridge_refused", {{"bridge", options.name}, {"why", why}});
  }

  void up(const ConnectedInfo& info) {
    host.log().write(kService, "bridge_connected",
                     {{"bridge", options.name}, {"resumed", info.connack.session_present}});
    tell_state(true);
    if (!options.remote_state_topic.empty()) remote->publish(state(true));
  }
  void down(const Client::Lost& lost) {
    host.log().write(kService, "bridge_lost",
                     {{"bridge", options.name},
                      {"phase", lost.phase},
                      {"why", lost.status.to_string()},
                      {"reason", to_string(lost.reason)}});
    tell_state(false);
  }

  net::Host& host;
  BridgeOptions options;
  Local local_broker;
  EchoGuard guard;
  Counters counters;
  bool no_local = true;
  std::unique_ptr<Client> local, remote;
};

Bridge::Bridge(net::Host& host, BridgeOptions options, std::unique_ptr<net::Connector> remote,
               Local local)
    : impl_(std::make_unique<Impl>(host, std::move(options), std::move(remote), std::move(local))) {
}
Bridge::~Bridge() = default;

net::Status Bridge::check(const BridgeOptions& options) {
  if (options.name.empty() || !valid_topic_name(options.name) ||
      options.name.find('/') != std::string::npos)
    return {net::Error::invalid, "a bridge's name is one level of a topic"};
  if (options.topics.empty())
    return {net::Error::invalid, "bridge '" + options.name + "' has no topics"};
  return {};
}

void Bridge::start() {
  impl_->tell_state(false);
  impl_->subscribe(*impl_->local, true);
  impl_->subscribe(*impl_->remote, false);
  impl_->local->start();
  impl_->remote->start();
}

void Bridge::stop(std::function<void()> done) {
  auto left = std::make_shared<int>(2);
  const auto one = [left, done = std::move(done)] {
    if (--*left == 0) done();
  };
  if (!impl_->options.remote_state_topic.empty() && impl_->remote->connected())
    impl_->remote->publish(impl_->state(false));
  impl_->remote->stop(Reason::success, one);
  impl_->local->stop(Reason::success, one);
}

bool Bridge::connected() const { return impl_->remote->connected(); }
const Bridge::Counters& Bridge::counters() const { return impl_->counters; }

}  // namespace culvert::mqtt
