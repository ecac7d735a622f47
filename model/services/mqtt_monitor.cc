// mqtt-monitor: a synthetic check of an MQTT broker, once as a Nagios plugin or again and again
// with Prometheus' text over HTTP (model/monitor).
#include <cmath>

#include "model/http/websocket.h"
#include "model/monitor/monitor.h"
#include "model/monitor/text.h"
#include "model/services/http_front.h"
#include "model/services/mqtt_connection.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;
using monitor::Phase;

constexpr std::string_view kMqttMonitor = "mqtt-monitor";

struct MqttMonitorOptions {
  MqttConnection connection;
  monitor::MonitorOptions monitor;
  net::Endpoint metrics;
  uint32_t qos = 1;
  bool resume = false, quiet = false, wait = false;
  net::Duration window = 3600s;
};

class MqttMonitor : public Service {
 public:
  MqttMonitor(net::Host& host, MqttMonitorOptions options)
      : host_(host), options_(std::move(options)) {}

  bool prints() const override { return !options_.quiet; }
  bool is_tool() const override {
    return prints() && !options_.wait && options_.monitor.interval == net::Duration::zero();
  }
  // A Nagios plugin's: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
  std::optional<int> exit_status() const override {
    return static_cast<int>(monitor_ ? monitor_->state() : monitor::State::unknown);
  }

  net::Status start() override {
    auto client = client_options(host_, options_.connection);
    if (!client) return client.status();
    client->request_response_information = false;
    options_.monitor.check.client = std::move(*client);
    if (const net::Status status = make_tls(); !status) return status;
    if (!options_.metrics.is_none()) {
      HttpListen listen;
      listen.listen = options_.metrics;
      front_ = std::make_unique<HttpFront>(
          host_, std::string(kMqttMonitor), listen,
          [this](http::Request request, std::shared_ptr<http::Responder> responder) {
            responder->respond(metrics(request));
          });
      if (const net::Status status = front_->start(); !status) return status;
    }
    target_ = (*make_connector(std::make_shared<monitor::Stage>()))->describe();
    monitor_ = std::make_unique<monitor::Monitor>(
        host_, options_.monitor,
        [this](std::shared_ptr<monitor::Stage> stage) { return make_connector(std::move(stage)); });
    monitor_->on_result([this](const monitor::CheckResult& result, monitor::State state,
                               monitor::State before) { note(result, state, before); });
    monitor_->on_end([this] { end(); });
    if (front_)
      host_.log().write(kMqttMonitor, "ready", {{"target", target_}, {"metrics", front_->local()}});
    else
      host_.log().write(kMqttMonitor, "ready", {{"target", target_}});
    if (!options_.wait) monitor_->start();
    return {};
  }

  net::Status command(std::string_view line) override {
    if (line != "check") return {net::Error::invalid, "the only command is: check"};
    if (!monitor_->check()) return {net::Error::in_use, "a check is under way"};
    return {};
  }

  void stop(std::function<void()> done) override {
    monitor_.reset();
    if (!front_) return done();
    front_->drain(std::move(done));
  }

 private:
  net::Status make_tls() {
    const MqttConnection& c = options_.connection;
    if (!c.tls) return {};
    net::TlsOptions tls;
    if (c.tls_versions == "1.2") tls.versions = net::TlsVersions::v12;
    if (c.tls_versions == "1.3") tls.versions = net::TlsVersions::v13;
    tls.trust = c.trust;
    tls.certificate = c.certificate;
    tls.key = c.key;
    tls.insecure = c.insecure;
    tls.alpn = c.alpn;
    tls.resumption = options_.resume;  // a user's first visit is what is measured
    auto context = net::tls_client_context(host_, std::move(tls));
    if (!context) return context.status();
    tls_ = std::move(*context);
    return {};
  }

  // As services::connector, with a stage between the layers, so that each failure has its phase.
  net::Result<std::unique_ptr<net::Connector>> make_connector(
      std::shared_ptr<monitor::Stage> stage) {
    const MqttConnection& c = options_.connection;
    const bool proxied = !c.proxy.host.empty();
    const std::string authority = c.broker.host + ":" + std::to_string(c.broker.port);
    const Phase last = Phase::connack;
    const Phase after_tls = c.websocket ? Phase::websocket : last;
    const Phase after_proxy = c.tls ? Phase::tls : after_tls;
    const Target& first = proxied ? c.proxy : c.broker;
    net::TcpTarget tcp;
    tcp.host = first.host;
    tcp.port = first.port;
    tcp.timeout = options_.monitor.check.patience * 9 / 10;  // it knows name from TCP, we do not
    auto way = monitor::staged(net::tcp_connector(host_, tcp), stage, Phase::tcp,
                               proxied ? Phase::proxy : after_proxy);
    if (proxied)
      way = monitor::staged(http::http_proxy_connector(host_, std::move(way), authority), stage,
                            Phase::tcp, after_proxy);
    if (c.tls)
      way = monitor::staged(net::tls_connector(host_, std::move(way), tls_, c.broker.host), stage,
                            Phase::tcp, after_tls);
    if (c.websocket) {
      http::WebSocketOptions websocket;
      websocket.path = c.path;
      way = monitor::staged(http::websocket_connector(host_, std::move(way), websocket, authority),
                            stage, Phase::tcp, last);
    }
    return {std::move(way)};
  }

  void note(const monitor::CheckResult& result, monitor::State state, monitor::State before) {
    static constexpr std::string_view kFields[monitor::kPhases] = {
        "name_ms",    "tcp_ms",    "proxy_ms",  "tls_ms",     "websocket_ms",
        "connack_ms", "suback_ms", "puback_ms", "loopback_ms"};
    std::vector<net::Field> fields{
        {"ok", result.ok}, {"state", monitor::to_string(state)}, {"total_ms", result.total}};
    for (size_t i = 0; i < monitor::kPhases; ++i)
      if (result.times[i]) fields.emplace_back(kFields[i], *result.times[i]);
    if (!result.ok) {
      fields.emplace_back("phase", monitor::to_string(result.failed));
      fields.emplace_back("error", net::to_string(result.status.error));
      fields.emplace_back("detail", result.status.detail);
      if (result.reason != mqtt::Reason::success)
        fields.emplace_back("reason", mqtt::to_string(result.reason));
    }
    fields.emplace_back("availability", monitor_->history().availability(host_.now()));
    host_.log().write(kMqttMonitor, "checked", fields.data(), fields.size());
    if (state != before)
      host_.log().write(kMqttMonitor, "state_changed",
                        {{"from", monitor::to_string(before)}, {"to", monitor::to_string(state)}});
    if (options_.quiet) return;
    print(net::as_bytes(
        monitor::nagios_line(monitor_->history(), options_.monitor.thresholds, host_.now()) +
        "\n"));
  }

  void end() {
    const monitor::History& history = monitor_->history();
    host_.log().write(kMqttMonitor, "result",
                      {{"checks", history.good() + history.bad()},
                       {"failed", history.bad()},
                       {"availability", history.availability(host_.now())},
                       {"median_ms", history.quantile(0.5)},
                       {"state", monitor::to_string(monitor_->state())}});
    const monitor::CheckResult& last = history.checks().back();
    finished(last.ok ? net::Status{} : last.status);
  }

  http::Response metrics(const http::Request& request) {
    http::Response response;
    const std::string path = request.target.substr(0, request.target.find('?'));
    std::string text;
    if (request.method != "GET" && request.method != "HEAD") {
      response.status = 405;
      response.headers.add("Allow", "GET, HEAD");
    } else if (path == "/metrics" && monitor_) {
      response.headers.add("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
      text = monitor::prometheus_text(monitor_->history(), options_.monitor.thresholds, host_.now(),
                                      target_);
    } else if (path == "/" && monitor_) {
      const bool well = monitor_->state() == monitor::State::ok;
      response.status = well ? 200 : 503;  // for those who only look at the status
      response.headers.add("Content-Type", "text/plain; charset=utf-8");
      text = monitor::nagios_line(monitor_->history(), options_.monitor.thresholds, host_.now()) +
             "\n";
    } else {
      response.status = 404;
    }
    response.body.assign(text.begin(), text.end());
    return response;
  }

  net::Host& host_;
  MqttMonitorOptions options_;
  std::shared_ptr<net::TlsContext> tls_;
  std::string target_;
  std::unique_ptr<HttpFront> front_;
  std::unique_ptr<monitor::Monitor> monitor_;
};

class MqttMonitorBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    auto& m = options_.monitor;
    add_mqtt_connection(app, options_.connection);
    app.add_option("--topic", m.check.topic, "published below it")->capture_default_str();
    app.add_option("--qos", options_.qos, "of the message and the subscription")
        ->check(CLI::Range(0, 2))
        ->capture_default_str();
    app.add_option("--payload", m.check.payload, "bytes")
        ->check(CLI::Range(16, 1 << 20))
        ->capture_default_str();
    add_ms(app, "--patience-ms", m.check.patience, "for a whole check");
    add_ms(app, "--interval-ms", m.interval, "from check to check; 0: one check, then the end");
    app.add_option("--checks", m.checks, "with --interval-ms: then the end; 0: without end");
    add_ms(app, "--warning-ms", m.thresholds.warning, "a check longer than that is a WARNING");
    add_ms(app, "--critical-ms", m.thresholds.critical, "and longer than that CRITICAL");
    app.add_option("--availability-warning", m.thresholds.availability_warning,
                   "below it a WARNING (0 to 1)")
        ->check(CLI::Range(0.0, 1.0));
    app.add_option("--availability-critical", m.thresholds.availability_critical,
                   "below it CRITICAL (0 to 1)")
        ->check(CLI::Range(0.0, 1.0));
    add_ms(app, "--window-ms", options_.window, "over which availability is counted");
    app.add_option("--history", m.history.checks, "checks remembered")
        ->check(CLI::Range(1, 1000000))
        ->capture_default_str();
    add_endpoint(app, "--metrics", options_.metrics,
                 "Prometheus' text at /metrics, a health check at /");
    app.add_flag("--resume", options_.resume, "TLS sessions are resumed from check to check");
    app.add_flag("-q,--quiet", options_.quiet, "print no line per check");
    app.add_flag("--wait", options_.wait, "check when told to: check");
  }
  net::Status check() override {
    const auto& t = options_.monitor.thresholds;
    if (t.warning > net::Duration::zero() && t.critical > net::Duration::zero() &&
        t.warning > t.critical)
      return {net::Error::invalid, "--warning-ms is above --critical-ms"};
    if (std::isnan(t.availability_warning) || std::isnan(t.availability_critical))
      return {net::Error::invalid, "an availability must be a number"};
    if (options_.monitor.check.patience < 1ms)
      return {net::Error::invalid, "--patience-ms must be 1 or more"};
    if (options_.monitor.check.topic.find_first_of("+#") != std::string::npos)
      return {net::Error::invalid, "--topic has a wildcard"};
    return services::check(options_.connection);
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    MqttMonitorOptions options = options_;
    options.monitor.check.qos = static_cast<uint8_t>(options.qos);
    options.monitor.history.window = options.window;
    if (options.monitor.interval == net::Duration::zero() && !options.wait)
      options.monitor.checks = 1;
    return std::unique_ptr<Service>(std::make_unique<MqttMonitor>(host, std::move(options)));
  }

 private:
  MqttMonitorOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> mqtt_monitor_blueprint() {
  return std::make_unique<MqttMonitorBlueprint>();
}

}  // namespace culvert::services
