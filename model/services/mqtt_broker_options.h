// The options of `mqtt-broker`, as its command line gives them. Only model/services uses it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "model/mqtt/broker/access_list.h"
#include "model/mqtt/broker/bridge.h"
#include "model/mqtt/broker/listener.h"
#include "model/mqtt/broker/options.h"
#include "model/services/mqtt_connection.h"

namespace culvert::services {

struct BridgeLine {  // a bridge's options, collected by its name
  std::string name;
  MqttConnection connection;
  std::vector<mqtt::BridgeTopic> topics;
  std::string state_topic, remote_state_topic;
};

struct MqttBrokerOptions {
  std::vector<net::Endpoint> listen, tls_listen, ws_listen, wss_listen;
  net::Endpoint bind;        // for scenarios: one door, TLS or not by --tls
  std::string tls = "none";  // with --bind
  std::string tls_version = "any";
  std::string certificate, key, trust, ticket_key;
  std::string client_certificates = "none";
  bool key_log = false;
  std::vector<std::string> ws_origins;
  std::string ws_path = "/mqtt";
  size_t handshakes = 2048, backlog = 1024;

  mqtt::AccessListOptions access;
  std::string store, qos2 = "at-publish";
  mqtt::BrokerOptions broker;
  net::Duration sys_interval = std::chrono::seconds(10);
  net::Duration stop_patience = std::chrono::seconds(5);
  net::Endpoint metrics;

  std::vector<std::string> bridge, bridge_topic, bridge_user, bridge_trust, bridge_version,
      bridge_remote_state;
};

void declare(CLI::App& app, MqttBrokerOptions& options);
// invalid: what does not go together, in one sentence. Fills in what follows from the rest.
net::Status settle(MqttBrokerOptions& options);
net::Result<std::vector<BridgeLine>> read_bridges(const MqttBrokerOptions& options);
// The doors in the order of the options.
std::vector<mqtt::ListenerOptions> doors(const MqttBrokerOptions& options);

}  // namespace culvert::services
