#include "model/services/mqtt_connection.h"

#include "model/http/websocket.h"
#include "model/net/tls/tls.h"

namespace culvert::services {

void add_mqtt_connection(CLI::App& app, MqttConnection& connection) {
  app.option_defaults()->group("The way to the broker");
  add_target(app, "--broker", connection.broker, "the broker, HOST:PORT")->required();
  app.add_option("--mqtt-version", connection.version, "5 or 311")
      ->check(CLI::IsMember({"5", "311"}))
      ->capture_default_str();
  app.add_option("--client-id", connection.client_id, "empty: the broker assigns one");
  app.add_option("--user", connection.user, "user name");
  app.add_option("--password-secret", connection.password_secret,
                 "name of the secret that holds the password");
  app.add_option("--keep-alive-s", connection.keep_alive_s, "0: none")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_flag("--keep-session", connection.keep_session, "ask for a persistent session");
  app.add_option("--session-expiry-s", connection.session_expiry_s, "of a persistent session")
      ->capture_default_str();
  app.add_flag("--tls", connection.tls, "TLS around TCP");
  app.add_option("--tls-version", connection.tls_versions, "any, 1.2 or 1.3")
      ->check(CLI::IsMember({"any", "1.2", "1.3"}))
      ->capture_default_str();
  app.add_flag("--insecure", connection.insecure, "do not verify the broker's certificate");
  app.add_option("--trust", connection.trust, "secret with the CAs; empty: the system's");
  app.add_option("--certificate", connection.certificate, "secret with our own certificate");
  app.add_option("--key", connection.key, "secret with its key");
  app.add_option("--alpn", connection.alpn, "protocols to offer, such as mqtt (for port 443)");
  app.add_flag("--websocket", connection.websocket, "WebSocket around TCP or TLS");
  app.add_option("--websocket-path", connection.path, "of the WebSocket")->capture_default_str();
  add_target(app, "--proxy", connection.proxy, "HTTP proxy to CONNECT through, HOST:PORT");
  app.option_defaults()->group("Options");
}

net::Status check(const MqttConnection& connection) {
  const bool tls_options = connection.insecure || !connection.trust.empty() ||
                           !connection.certificate.empty() || !connection.alpn.empty();
  if (tls_options && !connection.tls)
    return {net::Error::invalid,
            "--insecure, --trust, --certificate and --alpn make sense with --tls only"};
  if (connection.certificate.empty() != connection.key.empty())
    return {net::Error::invalid, "--certificate and --key come together"};
  if (!connection.password_secret.empty() && connection.user.empty() && connection.version == "311")
    return {net::Error::invalid, "MQTT 3.1.1 has no password without --user (section 3.1.2.9)"};
  return {};
}

net::Result<mqtt::ClientOptions> client_options(net::Host& host, const MqttConnection& connection) {
  mqtt::ClientOptions options;
  options.version = connection.version == "311" ? mqtt::Version::v311 : mqtt::Version::v5;
  options.client_id = connection.client_id;
  options.keep_alive_s = connection.keep_alive_s;
  options.clean_start = !connection.keep_session;
  options.session_expiry_s = connection.keep_session ? connection.session_expiry_s : 0;
  options.manual_ack = connection.manual_ack;
  options.request_response_information = true;
  if (!connection.user.empty()) options.user_name = connection.user;
  if (!connection.password_secret.empty()) {
    auto password = host.secret(connection.password_secret);
    if (!password) return password.status();
    while (!password->empty() && (password->back() == '\n' || password->back() == '\r'))
      password->pop_back();  // of the file's last line
    options.password = std::move(*password);
  }
  return options;
}

net::Result<std::unique_ptr<net::Connector>> connector(net::Host& host,
                                                       const MqttConnection& connection) {
  const std::string authority =
      connection.broker.host + ":" + std::to_string(connection.broker.port);
  const bool proxied = !connection.proxy.host.empty();
  const Target& first = proxied ? connection.proxy : connection.broker;
  net::TcpTarget tcp;
  tcp.host = first.host;
  tcp.port = first.port;
  tcp.local = connection.local;
  auto under = net::tcp_connector(host, tcp);
  if (proxied) under = http::http_proxy_connector(host, std::move(under), authority);
  if (connection.tls) {
    net::TlsOptions tls;
    if (connection.tls_versions == "1.2") tls.versions = net::TlsVersions::v12;
    if (connection.tls_versions == "1.3") tls.versions = net::TlsVersions::v13;
    tls.trust = connection.trust;
    tls.certificate = connection.certificate;
    tls.key = connection.key;
    tls.insecure = connection.insecure;
    tls.alpn = connection.alpn;
    auto context = net::tls_client_context(host, std::move(tls));
    if (!context) return context.status();
    under = net::tls_connector(host, std::move(under), *context, connection.broker.host);
  }
  if (connection.websocket) {
    http::WebSocketOptions websocket;
    websocket.path = connection.path;
    under = http::websocket_connector(host, std::move(under), websocket, authority);
  }
  return {std::move(under)};
}

void log_lost(net::Host& host, std::string_view service, const mqtt::Client::Lost& lost) {
  std::vector<net::Field> fields{{"phase", lost.phase}, {"why", lost.status.to_string()}};
  if (lost.reason != mqtt::Reason::success) fields.emplace_back("reason", to_string(lost.reason));
  host.log().write(service, "lost", fields.data(), fields.size());
}

net::Result<std::unique_ptr<mqtt::Client>> make_client(net::Host& host,
                                                       const MqttConnection& connection) {
  auto options = client_options(host, connection);
  if (!options) return options.status();
  auto way = connector(host, connection);
  if (!way) return way.status();
  return std::make_unique<mqtt::Client>(host, std::move(*options), std::move(*way));
}

}  // namespace culvert::services
