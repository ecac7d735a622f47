// The MQTT broker as a service: `mqtt-broker`. Commands: reload, disconnect CLIENT, stats.
#include <algorithm>

#include "model/mqtt/broker/broker.h"
#include "model/mqtt/broker/metrics.h"
#include "model/mqtt/broker/sys.h"
#include "model/services/mqtt_broker_options.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

constexpr const char* kMqttBroker = "mqtt-broker";

class MqttBroker : public Service {
 public:
  MqttBroker(net::Host& host, MqttBrokerOptions options, std::vector<BridgeLine> bridges)
      : host_(host),
        options_(std::move(options)),
        bridge_lines_(std::move(bridges)),
        access_(host, options_.access) {}

  net::Status start() override {
    if (!options_.store.empty()) {
      auto store = host_.open_store(options_.store);
      if (!store) return {store.error(), "--store: " + store.status().detail};
      store_ = std::move(*store);
    }
    if (const net::Status status = access_.load(); !status) return status;
    broker_ = std::make_unique<mqtt::Broker>(host_, options_.broker, access_, store_.get());
    if (const net::Status status = broker_->start(); !status) return status;
    started_ = host_.now();
    for (mqtt::ListenerOptions& door : doors(options_)) {
      if (options_.key_log)
        door.tls.key_log = [this](std::string_view line) {
          host_.log().write(kMqttBroker, "key_log", {{"line", line}});
        };
      doors_.push_back(std::make_unique<mqtt::Listener>(
          host_, door, [this](std::unique_ptr<net::Stream> stream, mqtt::Peer peer) {
            broker_->attach(std::move(stream), std::move(peer));
          }));
      if (const net::Status status = doors_.back()->start(); !status)
        return {status.error, door.local.to_string() + ": " + status.detail};
    }
    if (const net::Status status = start_bridges(); !status) return status;
    if (options_.sys_interval > net::Duration(0)) {
      sys_ = std::make_unique<mqtt::SysTopics>(
          host_, options_.sys_interval, "culvert",
          [this]() -> const mqtt::BrokerCounters& { return broker_->counters(); },
          [this](const mqtt::Publish& message) { broker_->publish(message); });
      sys_->start();
    }
    if (!options_.metrics.is_none()) {
      metrics_ = std::make_unique<mqtt::MetricsServer>(
          host_, options_.metrics, [this] { return metrics(); }, [this] { return health(); });
      if (const net::Status status = metrics_->start(); !status)
        return {status.error, "--metrics: " + status.detail};
    }
    host_.log().write(kMqttBroker, "ready",
                      {{"doors", static_cast<uint64_t>(doors_.size())},
                       {"local", doors_.front()->local()},
                       {"durable", store_ != nullptr},
                       {"sessions", broker_->counters().sessions}});
    return {};
  }

  bool reloads() const override { return true; }
  net::Status command(std::string_view line) override {
    const size_t space = std::min(line.find(' '), line.size());
    const std::string_view what = line.substr(0, space);
    const std::string_view rest = line.substr(std::min(space + 1, line.size()));
    if (what == "reload" && rest.empty()) return reload();
    if (what == "stats" && rest.empty()) return tell_stats();
    if (what == "disconnect" && !rest.empty()) {
      if (broker_->disconnect(rest, mqtt::Reason::administrative_action)) return {};
      return {net::Error::not_found, "client '" + std::string(rest) + "' is not connected"};
    }
    return {net::Error::invalid, "there are reload, disconnect CLIENT and stats"};
  }

  void stop(std::function<void()> done) override {
    if (!broker_ || stopping_) return done();
    stopping_ = true;
    host_.log().write(kMqttBroker, "stopping", {{"connections", broker_->counters().connections}});
    doors_.clear();
    sys_.reset();
    // Bridges first: they acknowledge here what the other side has acknowledged.
    auto left = std::make_shared<size_t>(bridges_.size());
    const auto then = [this, done = std::move(done)] {
      broker_->stop(options_.stop_patience, [this, done] {
        host_.log().write(kMqttBroker, "stopped");
        done();
      });
    };
    if (bridges_.empty()) return then();
    for (auto& bridge : bridges_)
      bridge->stop([left, then] {
        if (--*left == 0) then();
      });
  }

 private:
  net::Status start_bridges() {
    for (const BridgeLine& line : bridge_lines_) {
      auto remote = client_options(host_, line.connection);
      if (!remote) return remote.status();
      auto way = connector(host_, line.connection);
      if (!way) return way.status();
      mqtt::BridgeOptions options;
      options.name = line.name;
      options.topics = line.topics;
      options.remote = std::move(*remote);
      options.remote_state_topic = line.remote_state_topic;
      mqtt::Bridge::Local local;
      local.attach = [this, name = line.name] { return broker_->attach_local("bridge-" + name); };
      local.publish = [this](const mqtt::Publish& message) { broker_->publish(message); };
      bridges_.push_back(std::make_unique<mqtt::Bridge>(host_, std::move(options), std::move(*way),
                                                        std::move(local)));
      bridges_.back()->start();
    }
    return {};
  }

  // Files first, then certificates; whatever is wrong, the rest stays as it was.
  net::Status reload() {
    if (const net::Status status = access_.load(); !status) return status;
    const mqtt::AccessList::Changes& changes = access_.changes();
    if (changes.rights_of_all)
      broker_->access_changed_of_all();
    else
      for (const std::string& user : changes.rights) broker_->access_changed(user);
    size_t ended = 0;
    for (const std::string& user : changes.logins)
      ended += broker_->disconnect_user(user, mqtt::Reason::not_authorized);
    for (auto& door : doors_)
      if (const net::Status status = door->reload(); !status) return status;
    host_.log().write(kMqttBroker, "reloaded", {{"disconnected", static_cast<uint64_t>(ended)}});
    return {};
  }

  net::Status tell_stats() {
    const mqtt::BrokerCounters& c = broker_->counters();
    const net::Field fields[] = {{"connections", c.connections},
                                 {"connections_most", c.connections_most},
                                 {"connected_ever", c.connected_ever},
                                 {"refused", c.refused},
                                 {"sessions", c.sessions},
                                 {"subscriptions", c.subscriptions},
                                 {"retained", c.retained},
                                 {"packets_in", c.packets_in},
                                 {"packets_out", c.packets_out},
                                 {"bytes_in", c.bytes_in},
                                 {"bytes_out", c.bytes_out},
                                 {"published_qos0", c.published_in[0]},
                                 {"published_qos1", c.published_in[1]},
                                 {"published_qos2", c.published_in[2]},
                                 {"delivered_qos0", c.delivered[0]},
                                 {"delivered_qos1", c.delivered[1]},
                                 {"delivered_qos2", c.delivered[2]},
                                 {"duplicates", c.duplicates},
                                 {"dropped_queue_full", c.dropped_queue_full},
                                 {"dropped_expired", c.dropped_expired},
                                 {"dropped_too_big", c.dropped_too_big},
                                 {"dropped_qos0", c.dropped_qos0},
                                 {"queued", c.queued},
                                 {"queued_bytes", c.queued_bytes},
                                 {"faults", c.faults},
                                 {"commits", c.commits},
                                 {"commit_failures", c.commit_failures}};
    host_.log().write(kMqttBroker, "stats", fields, std::size(fields));
    for (size_t i = 0; i < bridges_.size(); ++i) {
      const mqtt::Bridge::Counters& b = bridges_[i]->counters();
      host_.log().write(kMqttBroker, "bridge_stats",
                        {{"bridge", bridge_lines_[i].name},
                         {"connected", bridges_[i]->connected()},
                         {"out", b.out},
                         {"in", b.in},
                         {"echoes", b.echoes},
                         {"dropped", b.dropped}});
    }
    return {};
  }

  std::string metrics() const {
    std::vector<mqtt::DoorCounters> rows;
    for (const auto& door : doors_) {
      const mqtt::Listener::Counters c = door->counters();
      rows.push_back({mqtt::to_string(door->transport()), door->local(), c.accepted, c.refused,
                      c.failed, c.half_done});
    }
    return mqtt::metrics_text(broker_->counters(), rows, host_.now() - started_);
  }
  mqtt::MetricsServer::Health health() {
    const uint64_t failures = broker_->counters().commit_failures;
    const uint64_t fresh = failures - std::exchange(failures_told_, failures);
    if (fresh > 0) return {false, "the store could not keep " + std::to_string(fresh) + " batches"};
    if (stopping_) return {false, "stopping"};
    return {true, "well"};
  }

  net::Host& host_;
  MqttBrokerOptions options_;
  std::vector<BridgeLine> bridge_lines_;
  std::unique_ptr<net::Store> store_;
  mqtt::AccessList access_;
  std::unique_ptr<mqtt::Broker> broker_;
  std::vector<std::unique_ptr<mqtt::Bridge>> bridges_;
  std::vector<std::unique_ptr<mqtt::Listener>> doors_;
  std::unique_ptr<mqtt::SysTopics> sys_;
  std::unique_ptr<mqtt::MetricsServer> metrics_;
  net::Time started_{0};
  uint64_t failures_told_ = 0;
  bool stopping_ = false;
};

class MqttBrokerBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override { declare(app, options_); }
  net::Status check() override { return settle(options_); }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    auto bridges = read_bridges(options_);
    if (!bridges) return bridges.status();
    return std::unique_ptr<Service>(
        std::make_unique<MqttBroker>(host, options_, std::move(*bridges)));
  }

 private:
  MqttBrokerOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> mqtt_broker_blueprint() {
  return std::make_unique<MqttBrokerBlueprint>();
}

}  // namespace culvert::services
