#include "model/services/mqtt_broker_options.h"

#include <algorithm>
#include <charconv>

namespace culvert::services {
namespace {

constexpr size_t kMany = 100'000'000;

void count(CLI::App& app, const std::string& name, size_t& value, const std::string& about,
           size_t least = 1) {
  app.add_option(name, value, about)->check(CLI::Range(least, kMany))->capture_default_str();
}

void declare_doors(CLI::App& app, MqttBrokerOptions& o) {
  app.option_defaults()->group("Doors");
  add_endpoints(app, "--listen", o.listen, "MQTT over TCP here; may be given several times");
  add_endpoints(app, "--tls-listen", o.tls_listen, "MQTT over TLS here");
  add_endpoints(app, "--ws-listen", o.ws_listen, "MQTT over WebSocket here");
  add_endpoints(app, "--wss-listen", o.wss_listen, "MQTT over WebSocket over TLS here");
  add_endpoint(app, "--bind", o.bind, "one door more, whose kind --tls says (for scenarios)");
  app.add_option("--tls", o.tls, "of --bind: none, any, 1.2, 1.3 or resumed (as any)")
      ->check(CLI::IsMember({"none", "any", "1.2", "1.3", "resumed"}))
      ->capture_default_str();
  app.add_option("--certificate", o.certificate, "secret with the server's certificates (PEM)");
  app.add_option("--key", o.key, "secret with its key (PEM)");
  app.add_option("--trust", o.trust, "secret with the CAs of clients' certificates (PEM)");
  app.add_option("--client-certificates", o.client_certificates,
                 "none, optional or required, at the TLS doors")
      ->check(CLI::IsMember({"none", "optional", "required"}))
      ->capture_default_str();
  app.add_option("--tls-version", o.tls_version, "any, 1.2 or 1.3")
      ->check(CLI::IsMember({"any", "1.2", "1.3"}))
      ->capture_default_str();
  app.add_option("--ticket-key", o.ticket_key,
                 "secret with 32 bytes or more: TLS sessions are resumed across restarts");
  app.add_flag("--key-log", o.key_log, "events with what decrypts the TLS (tests only)");
  app.add_option("--ws-path", o.ws_path, "of the WebSocket doors")->capture_default_str();
  app.add_option("--ws-origin", o.ws_origins,
                 "an origin whose pages are let in, or *; by default the Host's own");
  count(app, "--handshakes", o.handshakes, "TLS and WebSocket handshakes under way at a time");
  count(app, "--backlog", o.backlog, "connections that wait to be accepted");
  add_ms(app, "--connect-patience-ms", o.broker.connect_patience, "until CONNECT has come");
}

void declare_access(CLI::App& app, MqttBrokerOptions& o) {
  app.option_defaults()->group("Access");
  app.add_flag("--anonymous", o.access.anonymous, "whoever gives no user name is let in");
  app.add_option("--passwords", o.access.passwords,
                 "secret with lines user:hash, from mqtt-passwd or mosquitto_passwd");
  app.add_option("--acl", o.access.acl, "secret in the language of mosquitto's acl_file");
  app.add_flag("--certificate-is-user", o.access.certificate_is_user,
               "a client certificate's common name is the user");
  count(app, "--password-checks", o.access.checks_at_once, "hashes under way at a time");
  app.add_flag("!--free-client-ids", o.broker.bind_client_id_to_user,
               "a session may be taken over by another user");
  app.add_flag("!--no-empty-client-id", o.broker.allow_empty_client_id,
               "clients must bring an identifier");
  app.add_option("--response-prefix", o.broker.response_prefix,
                 "response topics must begin so; %u user, %c client identifier");
}

void declare_delivery(CLI::App& app, MqttBrokerOptions& o) {
  app.option_defaults()->group("Delivery");
  app.add_option("--store", o.store, "keep sessions and messages in this store: durable");
  app.add_option("--qos2", o.qos2, "hand QoS 2 messages on at-publish or at-pubrel")
      ->check(CLI::IsMember({"at-publish", "at-pubrel"}))
      ->capture_default_str();
  app.add_flag("!--no-deduplicate", o.broker.deduplicate,
               "break QoS 2 on purpose, for tests that must then fail");
  app.add_option("--maximum-qos", o.broker.maximum_qos, "0, 1 or 2")
      ->check(CLI::Range(0, 2))
      ->capture_default_str();
  app.add_flag("!--no-retain", o.broker.retain_available, "no retained messages");
}

void declare_limits(CLI::App& app, MqttBrokerOptions& o) {
  app.option_defaults()->group("Limits");
  mqtt::BrokerOptions& b = o.broker;
  count(app, "--max-connections", b.connections, "at a time");
  count(app, "--max-sessions", b.sessions, "connected or not");
  count(app, "--connections-per-s", b.new_connections_per_s, "new ones; 0: no limit", 0);
  app.add_option("--max-packet-bytes", b.packet_bytes, "MQTT packet")
      ->check(CLI::Range(1024u, 268'435'460u))
      ->capture_default_str();
  app.add_option("--receive-maximum", b.receive_maximum, "QoS 1 and 2 messages from a client")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  app.add_option("--max-inflight", b.inflight_to_client, "QoS 1 and 2 messages to a client")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  app.add_option("--topic-alias-maximum", b.topic_alias_maximum, "each way; 0: none")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  count(app, "--max-queued-messages", b.queued_messages, "a session", 0);
  count(app, "--max-queued-bytes", b.queued_bytes, "a session", 0);
  app.add_option("--max-queued-bytes-in-all", b.queued_bytes_in_all, "all sessions")
      ->capture_default_str();
  count(app, "--max-subscriptions", b.subscriptions_per_session, "a session");
  count(app, "--max-retained", b.retained_messages, "messages", 0);
  app.add_option("--max-retained-bytes", b.retained_bytes, "of retained messages")
      ->capture_default_str();
  app.add_option("--session-expiry-most-s", b.session_expiry_most_s,
                 "what clients may ask for; 4294967295: for ever")
      ->capture_default_str();
  app.add_option("--session-expiry-311-s", b.session_expiry_v311_s,
                 "of persistent sessions of MQTT 3.1.1")
      ->capture_default_str();
  app.add_option("--keep-alive-most-s", b.keep_alive_most_s, "0: what the client wants")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
}

void declare_rest(CLI::App& app, MqttBrokerOptions& o) {
  app.option_defaults()->group("Looking in");
  add_ms(app, "--sys-interval-ms", o.sys_interval, "between $SYS messages; 0: none");
  add_endpoint(app, "--metrics", o.metrics, "HTTP here: /metrics for Prometheus, /healthz");
  add_ms(app, "--stop-patience-ms", o.stop_patience, "at the end, for what is queued to go out");
  app.option_defaults()->group("Bridges (each option may be given several times)");
  app.add_option("--bridge", o.bridge, "NAME=HOST:PORT: a bridge to another broker");
  app.add_option("--bridge-topic", o.bridge_topic,
                 "NAME=PATTERN [out|in|both [QOS [LOCAL_PREFIX [REMOTE_PREFIX]]]]");
  app.add_option("--bridge-user", o.bridge_user, "NAME=USER or NAME=USER:SECRET (its password)");
  app.add_option("--bridge-trust", o.bridge_trust, "NAME=SECRET with CAs: TLS");
  app.add_option("--bridge-version", o.bridge_version, "NAME=5 or NAME=311");
  app.add_option("--bridge-remote-state", o.bridge_remote_state,
                 "NAME=TOPIC: 1 or 0 is retained there, at the other broker");
}

mqtt::ListenerOptions door(const MqttBrokerOptions& o, mqtt::Transport transport,
                           const net::Endpoint& local) {
  mqtt::ListenerOptions d;
  d.transport = transport;
  d.local = local;
  d.backlog = o.backlog;
  d.handshakes = o.handshakes;
  d.handshake_patience = o.broker.connect_patience;
  d.tls.versions = o.tls_version == "1.2"   ? net::TlsVersions::v12
                   : o.tls_version == "1.3" ? net::TlsVersions::v13
                                            : net::TlsVersions::v12_and_v13;
  d.tls.certificate = o.certificate;
  d.tls.key = o.key;
  d.tls.trust = o.trust;
  d.tls.ticket_key = o.ticket_key;
  d.tls.peer = o.client_certificates == "required"   ? net::TlsPeer::required
               : o.client_certificates == "optional" ? net::TlsPeer::optional
                                                     : net::TlsPeer::none;
  d.websocket.path = o.ws_path;
  d.websocket.origins = o.ws_origins;
  // A frame may hold the largest packet and what stands around it.
  d.websocket.frame_bytes = size_t{o.broker.packet_bytes} + 64 * 1024;
  return d;
}

// "NAME=VALUE", of a bridge that there is.
net::Result<BridgeLine*> of_bridge(std::vector<BridgeLine>& bridges, const char* option,
                                   const std::string& text, std::string& value) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return {net::Error::invalid, std::string(option) + ": '" + text + "' is not NAME=…"};
  value = text.substr(equals + 1);
  const std::string name = text.substr(0, equals);
  for (BridgeLine& bridge : bridges)
    if (bridge.name == name) return &bridge;
  return {net::Error::invalid, std::string(option) + ": there is no --bridge '" + name + "'"};
}

}  // namespace

void declare(CLI::App& app, MqttBrokerOptions& options) {
  declare_doors(app, options);
  declare_access(app, options);
  declare_delivery(app, options);
  declare_limits(app, options);
  declare_rest(app, options);
}

net::Result<std::vector<BridgeLine>> read_bridges(const MqttBrokerOptions& options) {
  std::vector<BridgeLine> bridges;
  for (const std::string& text : options.bridge) {
    const size_t equals = text.find('='), colon = text.rfind(':');
    uint16_t port = 0;
    if (colon != std::string::npos && equals < colon) {
      const char* end = text.data() + text.size();
      const auto read = std::from_chars(text.data() + colon + 1, end, port);
      if (read.ec != std::errc() || read.ptr != end) port = 0;
    }
    if (equals == std::string::npos || equals == 0 || port == 0 || colon == equals + 1)
      return {net::Error::invalid, "--bridge: '" + text + "' is not NAME=HOST:PORT"};
    BridgeLine bridge;
    bridge.name = text.substr(0, equals);
    bridge.connection.broker = {text.substr(equals + 1, colon - equals - 1), port};
    for (const BridgeLine& other : bridges)
      if (other.name == bridge.name)
        return {net::Error::invalid, "--bridge: there are two called '" + bridge.name + "'"};
    bridges.push_back(std::move(bridge));
  }
  std::string value;
  for (const std::string& text : options.bridge_topic) {
    auto bridge = of_bridge(bridges, "--bridge-topic", text, value);
    if (!bridge) return bridge.status();
    auto topic = mqtt::parse_bridge_topic(value);
    if (!topic) return {topic.error(), "--bridge-topic: " + topic.status().detail};
    (*bridge)->topics.push_back(std::move(*topic));
  }
  for (const std::string& text : options.bridge_user) {
    auto bridge = of_bridge(bridges, "--bridge-user", text, value);
    if (!bridge) return bridge.status();
    const size_t colon = value.find(':');
    (*bridge)->connection.user = value.substr(0, colon);
    if (colon != std::string::npos) (*bridge)->connection.password_secret = value.substr(colon + 1);
  }
  for (const std::string& text : options.bridge_trust) {
    auto bridge = of_bridge(bridges, "--bridge-trust", text, value);
    if (!bridge) return bridge.status();
    (*bridge)->connection.tls = true;
    (*bridge)->connection.trust = value;
  }
  for (const std::string& text : options.bridge_version) {
    auto bridge = of_bridge(bridges, "--bridge-version", text, value);
    if (!bridge) return bridge.status();
    if (value != "5" && value != "311")
      return {net::Error::invalid, "--bridge-version: '" + value + "' is neither 5 nor 311"};
    (*bridge)->connection.version = value;
  }
  for (const std::string& text : options.bridge_remote_state) {
    auto bridge = of_bridge(bridges, "--bridge-remote-state", text, value);
    if (!bridge) return bridge.status();
    (*bridge)->remote_state_topic = value;
  }
  for (const BridgeLine& bridge : bridges) {
    mqtt::BridgeOptions check;
    check.name = bridge.name;
    check.topics = bridge.topics;
    if (const net::Status status = mqtt::Bridge::check(check); !status) return status;
  }
  return bridges;
}

std::vector<mqtt::ListenerOptions> doors(const MqttBrokerOptions& o) {
  std::vector<mqtt::ListenerOptions> all;
  for (const auto& at : o.listen) all.push_back(door(o, mqtt::Transport::tcp, at));
  for (const auto& at : o.tls_listen) all.push_back(door(o, mqtt::Transport::tls, at));
  for (const auto& at : o.ws_listen) all.push_back(door(o, mqtt::Transport::websocket, at));
  for (const auto& at : o.wss_listen) all.push_back(door(o, mqtt::Transport::wss, at));
  if (!o.bind.is_none())
    all.push_back(door(o, o.tls == "none" ? mqtt::Transport::tcp : mqtt::Transport::tls, o.bind));
  return all;
}

net::Status settle(MqttBrokerOptions& o) {
  const auto wrong = [](const char* sentence) {
    return net::Status(net::Error::invalid, sentence);
  };
  if (o.tls == "1.2" || o.tls == "1.3") o.tls_version = o.tls;
  const std::vector<mqtt::ListenerOptions> all = doors(o);
  if (all.empty())
    return wrong("nobody could come in: give --listen, --tls-listen, --ws-listen or --wss-listen");
  const bool tls = std::any_of(all.begin(), all.end(), [](const mqtt::ListenerOptions& d) {
    return d.transport == mqtt::Transport::tls || d.transport == mqtt::Transport::wss;
  });
  if (tls && (o.certificate.empty() || o.key.empty()))
    return wrong("TLS needs --certificate and --key");
  // A scenario's --bind has a certificate whichever kind of door it draws.
  if (!tls && o.bind.is_none() && !o.certificate.empty())
    return wrong("--certificate without TLS: give --tls-listen or --wss-listen");
  if (o.client_certificates != "none" && o.trust.empty())
    return wrong("--client-certificates needs --trust");
  if (o.access.certificate_is_user && o.client_certificates == "none")
    return wrong("--certificate-is-user needs --client-certificates optional or required");
  if (o.ws_path.empty() || o.ws_path[0] != '/') return wrong("--ws-path does not begin with '/'");
  if (o.broker.response_prefix.find_first_of("+#") != std::string::npos)
    return wrong("--response-prefix has a wildcard");
  if (!o.access.anonymous && o.access.passwords.empty() && !o.access.certificate_is_user)
    return wrong("nobody would be let in: give --passwords, --certificate-is-user or --anonymous");
  if (o.qos2 == "at-pubrel") o.broker.qos2 = mqtt::OnwardQos2::at_pubrel;
  if (!o.broker.deduplicate && o.broker.qos2 == mqtt::OnwardQos2::at_pubrel)
    return wrong("--no-deduplicate breaks nothing with --qos2 at-pubrel");
  return read_bridges(o).status();
}

}  // namespace culvert::services
