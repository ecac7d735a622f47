// home-monitor: whoever watches the house of seed 004: sees who is there and what they measure, and
// asks a device on command.
#include <map>

#include "model/request/requester.h"
#include "model/services/mqtt_connection.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

constexpr std::string_view kHomeMonitor = "home-monitor";
constexpr size_t kMostDevices = 10'000;  // ours: names that are remembered

struct HomeMonitorOptions {
  MqttConnection connection;
  std::string home = "home";
  uint32_t qos = 1;
};

class HomeMonitor : public Service {
 public:
  HomeMonitor(net::Host& host, HomeMonitorOptions options)
      : host_(host), options_(std::move(options)) {}

  net::Status start() override {
    auto client = make_client(host_, options_.connection);
    if (!client) return client.status();
    client_ = std::move(*client);
    client_->on_lost(
        [this](const mqtt::Client::Lost& lost) { log_lost(host_, kHomeMonitor, lost); });
    inbox_ = std::make_unique<request::Inbox>(*client_);
    request::RequesterOptions requester;
    requester.version =
        options_.connection.version == "311" ? mqtt::Version::v311 : mqtt::Version::v5;
    requester_ = std::make_unique<request::Requester>(host_, *inbox_, requester);
    mqtt::SubscriptionOptions subscription;
    subscription.qos = static_cast<uint8_t>(options_.qos);
    status_ = inbox_->attach(
        options_.home + "/+/status", subscription,
        [this](const mqtt::IncomingMessage& message) { status(message); },
        [this](const mqtt::SubscribeOutcome& outcome) {
          if (!outcome.status) return finished(outcome.status);
          host_.log().write(kHomeMonitor, "ready", {{"home", options_.home}});
        });
    readings_ = inbox_->attach(options_.home + "/+/temperature", subscription,
                               [this](const mqtt::IncomingMessage& message) { reading(message); });
    client_->start();
    return {};
  }

  void stop(std::function<void()> done) override {
    if (!client_) return done();
    client_->stop(mqtt::Reason::success, std::move(done));
  }

  // ask DEVICE WHAT [BODY]: "ask heater temperature", "ask heater heater/set {"target": 22}".
  net::Status command(std::string_view line) override {
    const auto word = [&line] {
      const size_t space = line.find(' ');
      const std::string_view out = line.substr(0, space);
      line = space == std::string_view::npos ? std::string_view{} : line.substr(space + 1);
      return std::string(out);
    };
    if (word() != "ask") return {net::Error::invalid, "the command is: ask DEVICE WHAT [BODY]"};
    const std::string device = word(), what = word();
    if (device.empty() || what.empty())
      return {net::Error::invalid, "the command is: ask DEVICE WHAT [BODY]"};
    request::Ask ask;
    ask.topic = options_.home + "/" + device + "/ask/" + what;
    ask.body.assign(line.begin(), line.end());
    const auto asked =
        requester_->ask(std::move(ask), [this, device](const request::Outcome& outcome) {
          host_.log().write(kHomeMonitor, "answered",
                            {{"device", device},
                             {"ok", outcome.status.ok()},
                             {"status", outcome.response.status},
                             {"answer", net::as_text(outcome.response.body)},
                             {"why", outcome.status.detail},
                             {"took_ms", outcome.took}});
        });
    if (!asked) return asked.status();
    host_.log().write(kHomeMonitor, "asked", {{"device", device}, {"what", what}});
    return {};
  }

 private:
  std::string device_of(std::string_view topic) const {
    topic.remove_prefix(options_.home.size() + 1);
    return std::string(topic.substr(0, topic.find('/')));
  }

  void status(const mqtt::IncomingMessage& message) {
    const std::string device = device_of(message.publish.topic);
    const bool online = net::as_text(message.publish.payload) == "online";
    if (devices_.size() >= kMostDevices && devices_.count(device) == 0) return;
    const auto [at, fresh] = devices_.emplace(device, online);
    if (!fresh && at->second == online) return;
    at->second = online;
    host_.log().write(kHomeMonitor, online ? "online" : "offline",
                      {{"device", device}, {"retained", message.publish.retain}});
  }

  void reading(const mqtt::IncomingMessage& message) {
    host_.log().write(kHomeMonitor, "reading",
                      {{"device", device_of(message.publish.topic)},
                       {"celsius", net::as_text(message.publish.payload)},
                       {"retained", message.publish.retain}});
  }

  net::Host& host_;
  HomeMonitorOptions options_;
  std::unique_ptr<mqtt::Client> client_;
  std::unique_ptr<request::Inbox> inbox_;
  std::unique_ptr<request::Requester> requester_;
  std::unique_ptr<request::Inbox::User> status_, readings_;
  std::map<std::string, bool> devices_;
};

class HomeMonitorBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_mqtt_connection(app, options_.connection);
    app.add_option("--home", options_.home, "first topic levels")->capture_default_str();
    app.add_option("--qos", options_.qos, "of the subscriptions")
        ->check(CLI::Range(0, 2))
        ->capture_default_str();
    app.footer("Command: ask DEVICE WHAT [BODY], as in: ask heater temperature");
  }
  net::Status check() override { return services::check(options_.connection); }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<HomeMonitor>(host, options_));
  }

 private:
  HomeMonitorOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> home_monitor_blueprint() {
  return std::make_unique<HomeMonitorBlueprint>();
}

}  // namespace culvert::services
