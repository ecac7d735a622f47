// http-relay: the long-poll relay (model/http/poll_relay.h) on a socket.
#include "model/http/poll_relay.h"
#include "model/http/poll_wire.h"
#include "model/services/http_front.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

constexpr std::string_view kHttpRelay = "http-relay";
constexpr uint64_t kRelayLogAll = 100000,
                   kRelayLogEvery = 100;  // ours: a log that strangers lengthen

struct HttpRelayOptions {
  HttpListen listen;
  std::vector<std::string> devices;  // NAME or NAME=SECRET
  std::string requesters;
  http::PollRelayOptions relay;
};

class HttpRelay : public Service {
 public:
  HttpRelay(net::Host& host, HttpRelayOptions options)
      : host_(host), options_(std::move(options)) {}

  net::Status start() override {
    for (const std::string& text : options_.devices) {
      const size_t equals = text.find('=');
      const std::string name = text.substr(0, equals);
      auto token =
          token_in(equals == std::string::npos ? "device-" + name : text.substr(equals + 1));
      if (!token) return token.status();
      options_.relay.devices.emplace_back(name, std::move(*token));
    }
    if (!options_.requesters.empty()) {
      auto token = token_in(options_.requesters);
      if (!token) return token.status();
      options_.relay.requester_token = std::move(*token);
    }
    relay_ = std::make_unique<http::PollRelay>(host_, options_.relay);
    relay_->on_event([this](const http::PollRelayEvent& event) { note(event); });
    front_ = std::make_unique<HttpFront>(
        host_, std::string(kHttpRelay), options_.listen,
        [this](http::Request request, std::shared_ptr<http::Responder> responder) {
          relay_->handle(std::move(request), std::move(responder));
        });
    if (const net::Status status = front_->start(); !status) return status;
    host_.log().write(kHttpRelay, "ready", {{"local", front_->local()}, {"tls", front_->secure()}});
    return {};
  }

  void stop(std::function<void()> done) override {
    if (!front_) return done();
    front_->drain(std::move(done));
    // Whoever waits is told: a poll would last until its patience is over.
    relay_ = std::make_unique<http::PollRelay>(host_, http::PollRelayOptions{});
  }

 private:
  // An empty one would let everybody ask, and no device poll.
  net::Result<std::string> token_in(const std::string& name) {
    const auto secret = host_.secret(name);
    if (!secret) return secret.status();
    std::string token = http::token_of(*secret);
    if (token.empty()) return {net::Error::invalid, "the secret '" + name + "' is empty"};
    return token;
  }

  void note(const http::PollRelayEvent& event) {
    if (++events_ > kRelayLogAll && events_ % kRelayLogEvery != 0) return;
    std::vector<net::Field> fields{{"device", event.device}};
    if (!event.id.empty()) fields.emplace_back("id", event.id);
    if (event.status != 0) fields.emplace_back("status", event.status);
    if (event.took > net::Duration::zero()) fields.emplace_back("took_ms", event.took);
    host_.log().write(kHttpRelay, event.what, fields.data(), fields.size());
  }

  net::Host& host_;
  HttpRelayOptions options_;
  std::unique_ptr<HttpFront> front_;
  std::unique_ptr<http::PollRelay> relay_;
  uint64_t events_ = 0;
};

class HttpRelayBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_http_listen(app, options_.listen);
    app.add_option("--device", options_.devices,
                   "NAME or NAME=SECRET: may poll with that secret (device-NAME)")
        ->required();
    app.add_option("--requesters", options_.requesters,
                   "secret that whoever asks must show; none: anybody may");
    app.add_option("--polls", options_.relay.polls, "outstanding per device")
        ->check(CLI::Range(1, 1024))
        ->capture_default_str();
    app.add_option("--queue", options_.relay.queue, "requests waiting per device; beyond it 503")
        ->check(CLI::Range(0, 1000000))
        ->capture_default_str();
    add_ms(app, "--deadline-ms", options_.relay.deadline, "of a request; then 504");
    add_ms(app, "--poll-ms", options_.relay.poll_patience, "then a poll is answered with 204");
  }
  net::Status check() override {
    for (const std::string& device : options_.devices)
      if (!http::is_device_name(device.substr(0, device.find('='))))
        return {net::Error::invalid, "--device: '" + device + "' is no name"};
    return services::check(options_.listen);
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<HttpRelay>(host, options_));
  }

 private:
  HttpRelayOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> http_relay_blueprint() { return std::make_unique<HttpRelayBlueprint>(); }

}  // namespace culvert::services
