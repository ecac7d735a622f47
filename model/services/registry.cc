#include <CLI/CLI.hpp>
#include <array>

#include "model/services/help.h"
#include "model/services/service.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

struct Row {
  std::string_view name, about;
  std::unique_ptr<Blueprint> (*make)();
  std::string_view example;  // its options; the tests see to it that they pass
  std::string_view statuses = {};
};

constexpr std::string_view kCommandStatuses =
    "0 done; 27 timed out (-W); what the broker refused with: 128 to 162, in MQTT 3.1.1 1 to 5;\n"
    "2 wrong options; 1 anything else (mosquitto's commands: 1 for wrong options, too)";

// Written out, not registered by static objects: what a program has is what stands here, in the
// order in which --list shows it.
constexpr std::array kTable{
    Row{"stun-server", "STUN on two addresses times two ports (RFC 8489, 5780, 3489)",
        stun_server_blueprint, "--bind 203.0.113.10:3478 --alternate 203.0.113.11:3479"},
    Row{"stun-client", "what a STUN server sees, and what kind of NAT is in front (RFC 5780)",
        stun_client_blueprint, "--server stun.example:3478 --behaviour"},
    Row{"stun-lifetime", "how long a NAT keeps a UDP mapping (RFC 5780 section 4.6)",
        stun_lifetime_blueprint, "--server stun.example:3478"},
    Row{"rendezvous", "the mediation server: registers devices and introduces them (seed 002)",
        rendezvous_blueprint, "--bind 203.0.113.10:3478 --devices a=device-a,b=device-b"},
    Row{"punch", "a device: registers, measures its NAT, punches direct paths to its peers",
        punch_blueprint, "--device a --server rendezvous.example:3478 --key device-a"},
    Row{"mqtt-broker", "the MQTT broker: 3.1.1 and 5.0, TCP, TLS, WebSocket, bridges, metrics",
        mqtt_broker_blueprint,
        "--listen 0.0.0.0:1883 --passwords passwords --acl acl --store broker"},
    Row{"mqtt-passwd", "a line for the broker's password file, from a password on stdin",
        mqtt_passwd_blueprint, "alice"},
    Row{"mqtt-pub", "publishes, with mosquitto_pub's options", mqtt_pub_blueprint,
        "-h broker.example -t home/7/valve -m open -q 1", kCommandStatuses},
    Row{"mqtt-sub", "subscribes and prints, with mosquitto_sub's options", mqtt_sub_blueprint,
        "-h broker.example -t home/# -v", kCommandStatuses},
    Row{"mqtt-rr", "asks and prints the answer, with mosquitto_rr's options", mqtt_rr_blueprint,
        "-h broker.example -t home/7/echo -e replies/me -m hello -W 5", kCommandStatuses},
    Row{"echo", "sends back what comes, over UDP and TCP; or asks and measures", echo_blueprint,
        "--listen 0.0.0.0:7777"},
    Row{"tls-echo", "sends back what comes over TLS; or asks and says what each handshake took",
        tls_echo_blueprint, "--to server.example:7777 --trust ca.pem --connections 2"},
    Row{"vpn", "one end of a tunnel between two hosts; every packet in it is sealed", vpn_blueprint,
        "--key shared --end 1 --peer server.example:5000 --address 10.99.0.1/24"},
    Row{"rate", "UDP datagrams at a constant rate; the sink counts loss and delay", rate_blueprint,
        "--to server.example:9000 --per-second 50"},
    Row{"bulk", "a TCP transfer with a hash at both ends", bulk_blueprint,
        "--to server.example:9000 --bytes 100000000"},
    Row{"latency", "what publishing and asking take over MQTT and HTTP, one after the other",
        latency_blueprint,
        "--protocol mqtt5 --operation publish --server broker.example:1883 --qos 1"},
    Row{"latency-peer", "the other end of latency: receives what is published, or answers",
        latency_peer_blueprint, "--server broker.example:1883"},
    Row{"latency-server", "the HTTP server and long-poll relay that latency asks",
        latency_server_blueprint, "--bind 0.0.0.0:8080"},
    Row{"mqtt-monitor", "a synthetic check of a broker: phases, availability, Nagios, Prometheus",
        mqtt_monitor_blueprint, "--broker broker.example:1883 --warning-ms 200 --critical-ms 1000",
        "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN: wrong options, or it could not start"},
    Row{"http-server", "HTTP: an echo, so many bytes, fixed pages, a WebSocket echo",
        http_server_blueprint, "--listen 127.0.0.1:8080"},
    Row{"http-client", "asks a URL, once or again and again, and tells what each phase took",
        http_client_blueprint, "--url http://server.example:8080/echo --data hello"},
    Row{"http-relay", "the long-poll relay: HTTP to devices behind NAT", http_relay_blueprint,
        "--listen 0.0.0.0:8080 --device meter"},
    Row{"http-agent", "a device that the long-poll relay reaches", http_agent_blueprint,
        "--relay http://relay.example:8080 --device meter --secret device-meter"},
    Row{"responder", "answers requests that come over MQTT: an echo, work, many bytes",
        responder_blueprint, "--broker broker.example:1883 --prefix home/7"},
    Row{"requester", "asks over MQTT, with sequence numbers, deadlines and retries",
        requester_blueprint, "--broker broker.example:1883 --topic home/7/echo --body hello"},
    Row{"http-gateway", "HTTP in, MQTT request out: a browser asks a device behind NAT",
        http_gateway_blueprint, "--broker broker.example:1883 --listen 127.0.0.1:8080"},
    Row{"home-device", "seed 004's heater: tells its temperature, takes commands, leaves a will",
        home_device_blueprint, "--broker broker.example:1883 --device heater"},
    Row{"home-monitor", "watches the devices of a home and asks them", home_monitor_blueprint,
        "--broker broker.example:1883"},
};

net::Result<const Row*> find(std::string_view name) {
  for (const Row& row : kTable)
    if (row.name == name) return &row;
  return {net::Error::not_found, "there is no service '" + std::string(name) + "'"};
}

// The blueprint with its options filled in.
net::Result<std::unique_ptr<Blueprint>> parse(const std::vector<std::string>& argv) {
  if (argv.empty()) return {net::Error::invalid, "a service's name is missing"};
  const auto row = find(argv[0]);
  if (!row) return row.status();
  auto blueprint = (*row)->make();
  CLI::App app{std::string((*row)->about), argv[0]};
  app.set_help_flag();  // help is a question of its own: help()
  blueprint->options(app);
  std::vector<std::string> reversed(argv.rbegin(), argv.rend() - 1);  // as CLI11 wants them
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::Error& error) {
    return {net::Error::invalid, argv[0] + ": " + sentence_of(app, error)};
  }
  if (const net::Status status = blueprint->check(); !status)
    return {status.error, argv[0] + ": " + status.detail};
  return {std::move(blueprint)};
}

}  // namespace

net::Status Service::command(std::string_view) {
  return {net::Error::invalid, "this service takes no commands"};
}

void Service::finished(net::Status status) {
  const auto callback = std::move(finished_);
  finished_ = {};
  if (callback) callback(std::move(status));
}

net::Result<std::unique_ptr<Service>> make(net::Host& host, const std::vector<std::string>& argv) {
  auto blueprint = parse(argv);
  if (!blueprint) return blueprint.status();
  return (*blueprint)->build(host);
}

net::Status check(const std::vector<std::string>& argv) { return parse(argv).status(); }

std::vector<Info> list() {
  std::vector<Info> infos;
  for (const Row& row : kTable) infos.push_back({row.name, row.about});
  return infos;
}

net::Result<std::string> help(std::string_view name) {
  const auto row = find(name);
  if (!row) return row.status();
  const auto blueprint = (*row)->make();
  CLI::App app{std::string((*row)->about), std::string(name)};
  app.set_help_flag("--help", "this");  // -h is mosquitto's for the host
  app.option_defaults()->always_capture_default();
  blueprint->options(app);
  return help_text(app, std::string(name) + " " + std::string((*row)->example), (*row)->statuses);
}

}  // namespace culvert::services
