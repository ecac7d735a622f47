// latency-server: what HTTP has in a broker's place. POST /publish is taken, POST /ask is answered
// with what it brought, and what is asked of /to/peer goes through the long-poll relay to a peer
// behind NAT (model/http/poll_relay.h).
#include <map>

#include "model/http/poll_relay.h"
#include "model/net/tls/tls.h"
#include "model/services/latency_operation.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kLatencyServer = "latency";
constexpr net::Duration kHandshake = 10s;

struct ServerOptions {
  net::Endpoint bind;
  bool tls = false;
  std::string certificate, key;
};

class LatencyServer : public Service {
 public:
  LatencyServer(net::Host& host, ServerOptions options)
      : host_(host), options_(std::move(options)) {}

  net::Status start() override {
    if (options_.tls) {
      net::TlsOptions tls;
      tls.certificate = options_.certificate;
      tls.key = options_.key;
      auto context = net::tls_server_context(host_, tls);
      if (!context) return context.status();
      context_ = std::move(*context);
    }
    http::PollRelayOptions relay;
    relay.devices.emplace_back(kPeer, kPeerToken);
    relay_ = std::make_unique<http::PollRelay>(host_, relay);
    http::ServerOptions http;
    http.idle_patience = 3600s;
    http.keep_alive = true;
    server_ = std::make_unique<http::Server>(
        host_, http, [this](http::Request request, std::shared_ptr<http::Responder> responder) {
          handle(std::move(request), std::move(responder));
        });
    net::ListenOptions listen;
    listen.local = options_.bind;
    auto listener = host_.listen(listen);
    if (!listener) return listener.status();
    listener_ = std::move(*listener);
    listener_->on_readable([this] { accept(); });
    host_.log().write(kLatencyServer, "serving", {{"local", listener_->local()}});
    return {};
  }

 private:
  void accept() {
    while (std::unique_ptr<net::Stream> stream = listener_->accept()) {
      if (!context_) {
        server_->attach(std::move(stream));
        continue;
      }
      const uint64_t key = ++handshakes_made_;
      handshakes_[key] =
          net::tls_accept(host_, context_, std::move(stream), kHandshake,
                          [this, key](net::Result<std::unique_ptr<net::TlsStream>> done) {
                            if (done) server_->attach(std::move(*done));
                            host_.post([this, key] { handshakes_.erase(key); });
                          });
    }
  }

  void handle(http::Request request, std::shared_ptr<http::Responder> responder) {
    http::Response response;
    if (request.target == "/ready" || request.target == "/publish") {
      response.status = 204;
    } else if (request.target == "/ask") {
      response.body = std::move(request.body);
    } else {
      return relay_->handle(std::move(request), std::move(responder));
    }
    responder->respond(std::move(response));
  }

  net::Host& host_;
  ServerOptions options_;
  std::shared_ptr<net::TlsContext> context_;
  std::unique_ptr<http::PollRelay> relay_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<net::Listener> listener_;
  std::map<uint64_t, std::unique_ptr<net::TlsHandshake>> handshakes_;
  uint64_t handshakes_made_ = 0;
};

class ServerBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_endpoint(app, "--bind", options_.bind, "serve here")->required();
    app.add_option("--tls", tls_, "none, or any version that a client wants")
        ->check(CLI::IsMember({"none", "1.2", "1.3", "resumed"}))
        ->capture_default_str();
    app.add_option("--certificate", options_.certificate, "TLS: a secret");
    app.add_option("--key", options_.key, "TLS: a secret");
  }
  net::Status check() override {
    options_.tls = tls_ != "none";
    if (options_.tls && (options_.certificate.empty() || options_.key.empty()))
      return {net::Error::invalid, "--tls needs --certificate and --key"};
    return {};
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<LatencyServer>(host, options_));
  }

 private:
  ServerOptions options_;
  std::string tls_ = "none";
};

}  // namespace

std::unique_ptr<Blueprint> latency_server_blueprint() {
  return std::make_unique<ServerBlueprint>();
}

}  // namespace culvert::services
