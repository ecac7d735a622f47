// The options of every service that is an MQTT client, and the connector that they describe: TCP,
// TLS, WebSocket, HTTP CONNECT proxy, one inside the other. Only model/services uses it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/mqtt/client/client.h"
#include "model/services/command_line.h"

namespace culvert::services {

struct MqttConnection {
  Target broker;
  std::string version = "5";  // or "311"
  std::string client_id, user, password_secret;
  uint16_t keep_alive_s = 60;
  bool keep_session = false;  // a persistent session: not clean, expiry below
  uint32_t session_expiry_s = 3600;
  bool tls = false, insecure = false;
  std::string trust, certificate, key;
  std::string tls_versions = "any";  // or "1.2", "1.3"
  std::vector<std::string> alpn;
  bool websocket = false;
  std::string path = "/mqtt";
  Target proxy;         // host empty: none
  net::Endpoint local;  // none: the Host chooses
  bool manual_ack = false;
};

// Declares --broker, --mqtt-version, --client-id, --user, --password-secret, --keep-alive-s,
// --keep-session, --session-expiry-s, --tls, --tls-version, --insecure, --trust, --certificate,
// --key, --alpn, --websocket, --websocket-path, --proxy, in a group of their own.
void add_mqtt_connection(CLI::App& app, MqttConnection& connection);

// invalid: options that do not go together.
net::Status check(const MqttConnection& connection);

// What the client is told; not_found if a secret is missing.
net::Result<mqtt::ClientOptions> client_options(net::Host& host, const MqttConnection& connection);
net::Result<std::unique_ptr<net::Connector>> connector(net::Host& host,
                                                       const MqttConnection& connection);
// The event `lost`: phase, why, and the broker's reason if it gave one.
void log_lost(net::Host& host, std::string_view service, const mqtt::Client::Lost& lost);
// Both at once.
net::Result<std::unique_ptr<mqtt::Client>> make_client(net::Host& host,
                                                       const MqttConnection& connection);

}  // namespace culvert::services
