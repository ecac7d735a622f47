#include "model/services/http_front.h"

#include "model/http/websocket.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;
using net::Error;

constexpr size_t kHandshakes = 512;                  // ours: at a time; more are closed at once
constexpr net::Duration kHandshakePatience = 10s;    // ours
constexpr uint64_t kLogAll = 1000, kLogEvery = 100;  // failures that every stranger can cause

net::TlsVersions versions_of(const std::string& text) {
  return text == "1.2"   ? net::TlsVersions::v12
         : text == "1.3" ? net::TlsVersions::v13
                         : net::TlsVersions::v12_and_v13;
}

void add_versions(CLI::App& app, std::string& value) {
  app.add_option("--tls-version", value, "any, 1.2 or 1.3")
      ->check(CLI::IsMember({"any", "1.2", "1.3"}))
      ->capture_default_str();
}

std::function<void(std::string_view)> key_logger(net::Host& host, const std::string& service,
                                                 bool wanted) {
  if (!wanted) return {};
  return [&host, service](std::string_view line) {
    host.log().write(service, "key_log", {{"line", line}});
  };
}

}  // namespace

void add_http_listen(CLI::App& app, HttpListen& options) {
  add_endpoint(app, "--listen", options.listen, "answer HTTP here")->required();
  app.add_option("--certificate", options.certificate, "secret with a certificate: TLS");
  app.add_option("--key", options.key, "secret with its key");
  app.add_option("--client-trust", options.clients,
                 "secret with CAs: clients must show a certificate of theirs");
  add_versions(app, options.tls_versions);
  app.add_flag("--key-log", options.key_log, "events with what decrypts the TLS (tests only)");
  app.add_flag("!--no-keep-alive", options.server.keep_alive, "close after each answer");
  app.add_option("--connections", options.server.connections, "at a time; beyond it 503")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--header-bytes", options.server.header_bytes, "beyond it 431")
      ->check(CLI::Range(256, 1 << 20))
      ->capture_default_str();
  app.add_option("--body-bytes", options.server.body_bytes, "beyond it 413")
      ->check(CLI::Range(size_t{0}, size_t{1} << 30))
      ->capture_default_str();
  add_ms(app, "--header-patience-ms", options.server.header_patience, "for a header; then 408");
  add_ms(app, "--idle-patience-ms", options.server.idle_patience, "between two requests");
}

net::Status check(const HttpListen& options) {
  if (options.certificate.empty() != options.key.empty())
    return {Error::invalid, "--certificate and --key come together"};
  if (!options.clients.empty() && options.certificate.empty())
    return {Error::invalid, "--client-trust makes sense with --certificate only"};
  return {};
}

HttpFront::HttpFront(net::Host& host, std::string service, const HttpListen& options,
                     http::Handler handler)
    : host_(host),
      service_(std::move(service)),
      options_(options),
      server_(host, options.server, std::move(handler)) {}

net::Status HttpFront::start() {
  if (!options_.certificate.empty()) {
    net::TlsOptions tls;
    tls.versions = versions_of(options_.tls_versions);
    tls.certificate = options_.certificate;
    tls.key = options_.key;
    tls.trust = options_.clients;
    if (!options_.clients.empty()) tls.peer = net::TlsPeer::required;
    tls.alpn = {"http/1.1"};
    tls.key_log = key_logger(host_, service_, options_.key_log);
    auto context = net::tls_server_context(host_, std::move(tls));
    if (!context) return context.status();
    context_ = std::move(*context);
  }
  net::ListenOptions listen;
  listen.local = options_.listen;
  listen.backlog = 1024;
  auto listener = host_.listen(listen);
  if (!listener) return listener.status();
  listener_ = std::move(*listener);
  listener_->on_readable([this] { accept(); });
  return {};
}

net::Status HttpFront::reload() {
  return context_ ? context_->reload() : net::Status(Error::invalid, "there is no TLS here");
}

void HttpFront::drain(std::function<void()> done) {
  listener_.reset();
  handshakes_.clear();
  server_.drain(std::move(done));
}

void HttpFront::accept() {
  while (auto stream = listener_->accept()) {
    if (!context_)
      server_.attach(std::move(stream));
    else if (handshakes_.size() < kHandshakes)
      greet(std::move(stream));
  }
}

void HttpFront::greet(std::unique_ptr<net::Stream> stream) {
  const net::Endpoint from = stream->remote();
  handshakes_.push_back(nullptr);
  const auto at = std::prev(handshakes_.end());
  *at = net::tls_accept(host_, context_, std::move(stream), kHandshakePatience,
                        [this, at, from](net::Result<std::unique_ptr<net::TlsStream>> secure) {
                          const auto over = std::move(*at);  // this callback is in it
                          handshakes_.erase(at);
                          if (secure) return server_.attach(std::move(*secure));
                          if (++tls_failures_ > kLogAll && tls_failures_ % kLogEvery != 0) return;
                          host_.log().write(service_, "tls_failed",
                                            {{"from", from}, {"why", secure.status().to_string()}});
                        });
}

void add_http_reach(CLI::App& app, HttpReach& options) {
  app.add_flag("-k,--insecure", options.insecure, "do not verify the server's certificate");
  app.add_option("--trust", options.trust, "secret with the CAs; empty: the system's");
  app.add_option("--client-certificate", options.certificate, "secret with our own certificate");
  app.add_option("--client-key", options.key, "secret with its key");
  add_versions(app, options.tls_versions);
  app.add_flag("--no-tls-resumption", options.no_resumption, "a full handshake every time");
  app.add_option("--early-data", options.early_data,
                 "bytes sent before the handshake is done; with safe methods only");
  app.add_flag("--tls-key-log", options.key_log, "events with what decrypts the TLS (tests only)");
  add_target(app, "--proxy", options.proxy, "HTTP proxy to CONNECT through");
  app.add_option("--proxy-user", options.proxy_user, "log in there (Basic)");
  app.add_option("--proxy-password", options.proxy_password, "secret with its password");
  add_ms(app, "--connect-timeout-ms", options.timeout, "for name and TCP");
}

net::Status check(const HttpReach& options) {
  if (options.certificate.empty() != options.key.empty())
    return {Error::invalid, "--client-certificate and --client-key come together"};
  if (options.proxy_user.empty() != options.proxy_password.empty())
    return {Error::invalid, "--proxy-user and --proxy-password come together"};
  if (!options.proxy_user.empty() && options.proxy.host.empty())
    return {Error::invalid, "--proxy-user makes sense with --proxy only"};
  if (options.timeout < 1ms) return {Error::invalid, "--connect-timeout-ms must be 1 or more"};
  return {};
}

net::Result<std::unique_ptr<net::Connector>> http_connector(net::Host& host,
                                                            const std::string& service,
                                                            const http::Url& url,
                                                            const HttpReach& options) {
  const bool proxied = !options.proxy.host.empty();
  net::TcpTarget tcp;
  tcp.host = proxied ? options.proxy.host : url.host;
  tcp.port = proxied ? options.proxy.port : url.port;
  tcp.timeout = options.timeout;
  auto way = net::tcp_connector(host, tcp);
  if (proxied) {
    std::string authorization;
    if (!options.proxy_user.empty()) {
      auto password = host.secret(options.proxy_password);
      if (!password) return password.status();
      std::string text = options.proxy_user + ":" + std::string(net::as_text(*password));
      while (text.back() == '\n' || text.back() == '\r') text.pop_back();
      authorization = "Basic " + http::base64(net::as_bytes(text));  // RFC 7617
    }
    const std::string name =
        url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]";
    way = http::http_proxy_connector(host, std::move(way), name + ":" + std::to_string(url.port),
                                     std::move(authorization));
  }
  if (!url.secure()) return {std::move(way)};
  net::TlsOptions tls;
  tls.versions = versions_of(options.tls_versions);
  tls.trust = options.trust;
  tls.certificate = options.certificate;
  tls.key = options.key;
  tls.insecure = options.insecure;
  tls.alpn = {"http/1.1"};
  tls.resumption = !options.no_resumption;
  tls.early_data = options.early_data;
  tls.key_log = key_logger(host, service, options.key_log);
  auto context = net::tls_client_context(host, std::move(tls));
  if (!context) return context.status();
  return net::tls_connector(host, std::move(way), *context, url.host);
}

net::Status add_field(http::Headers& headers, const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos || !http::is_token(text.substr(0, colon)) ||
      !http::is_field_value(text))
    return {Error::invalid, "'" + text + "' is not \"Name: value\""};
  headers.add(text.substr(0, colon),
              std::string(http::trim(std::string_view(text).substr(colon + 1))));
  return {};
}

}  // namespace culvert::services
