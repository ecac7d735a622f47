// home-device: the heater of seed 004's house: tells its temperature, answers when asked for it,
// takes a new target, and leaves a will.
#include <cmath>

#include "model/request/schema.h"
#include "model/request/server.h"
#include "model/services/mqtt_connection.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;
using request::Reply;
using request::Request;
using request::Response;

constexpr std::string_view kHomeDevice = "home-device";
constexpr double kAmbient = 12.0;  // degrees Celsius outside; ours
constexpr double kDrift = 0.1;     // share of the way to the target in one reading; ours
constexpr double kNoise = 0.2;     // degrees between two readings of a still room; ours
constexpr double kLeastTarget = 5, kMostTarget = 30;  // what a heater can be set to

struct HomeDeviceOptions {
  MqttConnection connection;
  std::string home = "home", device;
  uint32_t qos = 1;
  net::Duration interval = 10s;
  uint32_t will_delay_s = 0;
};

class HomeDevice : public Service {
 public:
  HomeDevice(net::Host& host, HomeDeviceOptions options)
      : host_(host), options_(std::move(options)), timer_(host.timers(), [this] { reading(); }) {}

  net::Status start() override {
    auto client_options = services::client_options(host_, options_.connection);
    if (!client_options) return client_options.status();
    auto way = connector(host_, options_.connection);
    if (!way) return way.status();
    mqtt::OwnedWill will;
    will.topic = topic("status");
    will.payload = text("offline");
    will.qos = 1;
    will.retain = true;
    will.delay_s = options_.will_delay_s;
    client_options->will = std::move(will);
    client_ = std::make_unique<mqtt::Client>(host_, std::move(*client_options), std::move(*way));
    client_->on_lost(
        [this](const mqtt::Client::Lost& lost) { log_lost(host_, kHomeDevice, lost); });
    inbox_ = std::make_unique<request::Inbox>(*client_);
    inbox_->on_connected([this](const mqtt::ConnectedInfo&) {
      publish("status", "online", 1, true);
      if (!timer_.armed()) timer_.arm_after(0s);
    });
    request::ServerOptions server;
    server.prefix = options_.home + "/" + options_.device + "/ask";
    server_ = std::make_unique<request::Server>(host_, *inbox_, routes(), server);
    server_->start([this](net::Status status) {
      if (!status) return finished(status);
      host_.log().write(kHomeDevice, "ready", {{"device", options_.device}});
    });
    client_->start();
    return {};
  }

  void stop(std::function<void()> done) override {
    if (!client_) return done();
    timer_.cancel();
    // A normal DISCONNECT drops the will, so the device says itself that it goes.
    publish("status", "offline", 1, true);
    server_->drain([this, done = std::move(done)] { client_->stop(mqtt::Reason::success, done); });
  }

 private:
  static net::Buffer text(std::string_view what) { return {what.begin(), what.end()}; }
  std::string topic(std::string_view leaf) const {
    return options_.home + "/" + options_.device + "/" + std::string(leaf);
  }
  std::string degrees() const {
    char out[32];
    std::snprintf(out, sizeof out, "%.1f", temperature_);
    return out;
  }

  void publish(std::string_view leaf, std::string_view what, uint8_t qos, bool retain) {
    mqtt::OutgoingMessage message;
    message.topic = topic(leaf);
    message.payload = text(what);
    message.qos = qos;
    message.retain = retain;
    (void)client_->publish(std::move(message));
  }

  void reading() {
    const double aim = heating_ ? target_ : kAmbient;
    temperature_ += (aim - temperature_) * kDrift + (host_.random().unit() - 0.5) * kNoise;
    ++readings_;
    const std::string value = degrees();
    host_.log().write(kHomeDevice, "reading", {{"number", readings_}, {"celsius", value}});
    publish("temperature", value, static_cast<uint8_t>(options_.qos), true);
    timer_.arm_after(options_.interval);
  }

  request::Router routes() {
    request::Router router;
    (void)router.on("temperature",
                    [this](const Request&, Reply reply) { reply(Response::text(degrees())); });
    request::Router heater;
    request::Schema schema;
    schema.fields.push_back(
        {"target", request::JsonKind::number, true, kLeastTarget, kMostTarget, {}});
    heater.use(request::require(schema));
    (void)heater.on("set", [this](const Request& request, Reply reply) {
      // The schema has seen that it is {"target": NUMBER}.
      const std::string_view body = net::as_text(request.body);
      target_ = std::strtod(std::string(body.substr(body.find(':') + 1)).c_str(), nullptr);
      heating_ = true;
      host_.log().write(kHomeDevice, "target", {{"celsius", target_}});
      reply(Response::json("{\"target\":" + std::to_string(target_) + "}"));
    });
    (void)router.mount("heater", std::move(heater));
    return router;
  }

  net::Host& host_;
  HomeDeviceOptions options_;
  net::Timer timer_;
  std::unique_ptr<mqtt::Client> client_;
  std::unique_ptr<request::Inbox> inbox_;
  std::unique_ptr<request::Server> server_;
  double temperature_ = 19.0, target_ = 21.0;
  bool heating_ = true;
  uint64_t readings_ = 0;
};

class HomeDeviceBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_mqtt_connection(app, options_.connection);
    app.add_option("--home", options_.home, "first topic levels")->capture_default_str();
    app.add_option("--device", options_.device, "its name: a topic level")->required();
    app.add_option("--qos", options_.qos, "of the readings")
        ->check(CLI::Range(0, 2))
        ->capture_default_str();
    add_ms(app, "--interval-ms", options_.interval, "between two readings");
    app.add_option("--will-delay-s", options_.will_delay_s,
                   "how long the broker waits before it says 'offline' (MQTT 5.0)")
        ->capture_default_str();
    app.footer(
        "Publishes HOME/DEVICE/status (online, offline; retained) and HOME/DEVICE/temperature.\n"
        "Answers HOME/DEVICE/ask/temperature and HOME/DEVICE/ask/heater/set {\"target\": 21.5}.");
  }
  net::Status check() override {
    if (options_.device.find_first_of("/+#$") != std::string::npos)
      return {net::Error::invalid, "--device is one topic level without / + # $"};
    if (options_.interval < 1ms) return {net::Error::invalid, "--interval-ms: at least 1"};
    return services::check(options_.connection);
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<HomeDevice>(host, options_));
  }

 private:
  HomeDeviceOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> home_device_blueprint() {
  return std::make_unique<HomeDeviceBlueprint>();
}

}  // namespace culvert::services
