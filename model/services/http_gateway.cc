// http-gateway: an unmodified HTTP client asks a device behind NAT (model/request/gateway.h).
#include "model/http/server.h"
#include "model/request/gateway.h"
#include "model/services/mqtt_connection.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kHttpGateway = "http-gateway";

struct HttpGatewayOptions {
  MqttConnection connection;
  request::GatewayOptions gateway;
  request::RequesterOptions requester;
  net::Endpoint listen;
  uint32_t qos = 1;
  net::Duration deadline = 10s, patience = 2s;
};

class HttpGateway : public Service {
 public:
  HttpGateway(net::Host& host, HttpGatewayOptions options)
      : host_(host), options_(std::move(options)) {}

  net::Status start() override {
    auto client = make_client(host_, options_.connection);
    if (!client) return client.status();
    net::ListenOptions listen;
    listen.local = options_.listen;
    auto listener = host_.listen(listen);
    if (!listener) return listener.status();
    listener_ = std::move(*listener);
    client_ = std::move(*client);
    client_->on_lost(
        [this](const mqtt::Client::Lost& lost) { log_lost(host_, kHttpGateway, lost); });
    inbox_ = std::make_unique<request::Inbox>(*client_);
    inbox_->on_connected([this](const mqtt::ConnectedInfo&) {
      host_.log().write(kHttpGateway, "ready", {{"local", listener_->local()}});
    });
    requester_ = std::make_unique<request::Requester>(host_, *inbox_, options_.requester);
    auto handler = request::gateway(*requester_, options_.gateway);
    server_ = std::make_unique<http::Server>(
        host_, http::ServerOptions{},
        [this, handler = std::move(handler)](http::Request request,
                                             std::shared_ptr<http::Responder> responder) {
          host_.log().write(kHttpGateway, "request",
                            {{"method", request.method}, {"target", request.target}});
          handler(std::move(request), std::move(responder));
        });
    listener_->on_readable([this] {
      while (auto stream = listener_->accept()) server_->attach(std::move(stream));
    });
    client_->start();
    host_.log().write(kHttpGateway, "listening", {{"local", listener_->local()}});
    return {};
  }

  void stop(std::function<void()> done) override {
    if (!server_) return done();
    listener_.reset();
    server_->drain([this, done = std::move(done)] { client_->stop(mqtt::Reason::success, done); });
  }

 private:
  net::Host& host_;
  HttpGatewayOptions options_;
  std::unique_ptr<net::Listener> listener_;
  std::unique_ptr<mqtt::Client> client_;
  std::unique_ptr<request::Inbox> inbox_;
  std::unique_ptr<request::Requester> requester_;
  std::unique_ptr<http::Server> server_;
};

class HttpGatewayBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_mqtt_connection(app, options_.connection);
    add_endpoint(app, "--listen", options_.listen, "answer HTTP here")->required();
    app.add_option("--path", options_.gateway.path, "requests below it")->capture_default_str();
    app.add_option("--topic-prefix", options_.gateway.topic_prefix,
                   "put in front of the topic, with its slash: home/");
    app.add_option("--allow", options_.gateway.allowed, "topic filters that may be asked")
        ->capture_default_str();
    app.add_option("--allow-origin", options_.gateway.allow_origin,
                   "Access-Control-Allow-Origin of the answers");
    app.add_option("--qos", options_.qos, "of requests and answers")
        ->check(CLI::Range(0, 2))
        ->capture_default_str();
    add_ms(app, "--deadline-ms", options_.deadline, "then 504");
    add_ms(app, "--patience-ms", options_.patience, "then the request is sent again");
  }
  net::Status check() override { return services::check(options_.connection); }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    options_.requester.version =
        options_.connection.version == "311" ? mqtt::Version::v311 : mqtt::Version::v5;
    options_.requester.qos = static_cast<uint8_t>(options_.qos);
    options_.requester.deadline = options_.gateway.deadline = options_.deadline;
    options_.requester.patience = options_.patience;
    return std::unique_ptr<Service>(std::make_unique<HttpGateway>(host, options_));
  }

 private:
  HttpGatewayOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> http_gateway_blueprint() {
  return std::make_unique<HttpGatewayBlueprint>();
}

}  // namespace culvert::services
