#include "model/mqtt/broker/metrics.h"

#include <cstdio>

#include "model/http/server.h"

namespace culvert::mqtt {
namespace {

using Value = uint64_t (*)(const BrokerCounters&);
struct Row {
  const char *name, *labels, *type, *help;  // help: null for a further row of the same name
  Value value;
};
#define COUNT(member) [](const BrokerCounters& c) -> uint64_t { return c.member; }
constexpr Row kRows[] = {
    {"connections", "", "gauge", "Clients that are connected", COUNT(connections)},
    {"connections_most", "", "gauge", "Most clients that were connected at a time",
     COUNT(connections_most)},
    {"connections_total", "", "counter", "Clients that have connected", COUNT(connected_ever)},
    {"connections_refused_total", "", "counter", "Connections refused by CONNACK or limit",
     COUNT(refused)},
    {"sessions", "", "gauge", "Sessions, connected or not", COUNT(sessions)},
    {"subscriptions", "", "gauge", "Subscriptions of all sessions", COUNT(subscriptions)},
    {"retained_messages", "", "gauge", "Retained messages", COUNT(retained)},
    {"packets_received_total", "", "counter", "MQTT packets from clients", COUNT(packets_in)},
    {"packets_sent_total", "", "counter", "MQTT packets to clients", COUNT(packets_out)},
    {"bytes_received_total", "", "counter", "Bytes from clients", COUNT(bytes_in)},
    {"bytes_sent_total", "", "counter", "Bytes to clients", COUNT(bytes_out)},
    {"published_total", "qos=\"0\"", "counter", "PUBLISH packets from clients",
     COUNT(published_in[0])},
    {"published_total", "qos=\"1\"", "counter", nullptr, COUNT(published_in[1])},
    {"published_total", "qos=\"2\"", "counter", nullptr, COUNT(published_in[2])},
    {"delivered_total", "qos=\"0\"", "counter", "PUBLISH packets to clients", COUNT(delivered[0])},
    {"delivered_total", "qos=\"1\"", "counter", nullptr, COUNT(delivered[1])},
    {"delivered_total", "qos=\"2\"", "counter", nullptr, COUNT(delivered[2])},
    {"duplicates_total", "", "counter", "QoS 2 PUBLISH packets recognised as already there",
     COUNT(duplicates)},
    {"dropped_total", "why=\"queue_full\"", "counter", "Messages that a subscriber did not get",
     COUNT(dropped_queue_full)},
    {"dropped_total", "why=\"expired\"", "counter", nullptr, COUNT(dropped_expired)},
    {"dropped_total", "why=\"too_big\"", "counter", nullptr, COUNT(dropped_too_big)},
    {"dropped_total", "why=\"qos0\"", "counter", nullptr, COUNT(dropped_qos0)},
    {"publishes_refused_total", "", "counter", "PUBLISH packets refused by access rules or quota",
     COUNT(refused_publishes)},
    {"queued_messages", "", "gauge", "Messages in the queues of sessions", COUNT(queued)},
    {"queued_bytes", "", "gauge", "Their topics and payloads", COUNT(queued_bytes)},
    {"faults_total", "", "counter", "Malformed packets and protocol errors", COUNT(faults)},
    {"commits_total", "", "counter", "Batches given to the store", COUNT(commits)},
    {"commit_failures_total", "", "counter", "Batches that the store could not keep",
     COUNT(commit_failures)},
};
#undef COUNT

struct DoorRow {
  const char *name, *type, *help;
  uint64_t (*value)(const DoorCounters&);
};
constexpr DoorRow kDoorRows[] = {
    {"accepted_total", "counter", "Connections accepted",
     [](const DoorCounters& d) { return d.accepted; }},
    {"handshakes_refused_total", "counter", "Closed because too many handshakes were under way",
     [](const DoorCounters& d) { return d.refused; }},
    {"handshakes_failed_total", "counter", "TLS handshakes that failed",
     [](const DoorCounters& d) { return d.failed; }},
    {"handshakes", "gauge", "TLS handshakes and HTTP upgrades under way",
     [](const DoorCounters& d) { return static_cast<uint64_t>(d.half_done); }},
};

void head(std::string& out, const std::string& name, const char* type, const char* help) {
  out += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
}
void line(std::string& out, const std::string& name, const std::string& labels,
          const std::string& value) {
  out += name;
  if (!labels.empty()) out += "{" + labels + "}";
  out += " " + value + "\n";
}

}  // namespace

std::string metrics_text(const BrokerCounters& counters, const std::vector<DoorCounters>& doors,
                         net::Duration uptime) {
  std::string out;
  head(out, "mqtt_broker_uptime_seconds", "gauge", "Since the broker started");
  char seconds[40];
  std::snprintf(seconds, sizeof seconds, "%.3f", net::to_ms(uptime) / 1000);
  line(out, "mqtt_broker_uptime_seconds", "", seconds);
  for (const Row& row : kRows) {
    const std::string name = std::string("mqtt_broker_") + row.name;
    if (row.help) head(out, name, row.type, row.help);
    line(out, name, row.labels, std::to_string(row.value(counters)));
  }
  for (const DoorRow& row : kDoorRows) {
    if (doors.empty()) break;
    const std::string name = std::string("mqtt_broker_listener_") + row.name;
    head(out, name, row.type, row.help);
    for (const DoorCounters& door : doors)
      line(out, name,
           "transport=\"" + std::string(door.transport) + "\",local=\"" + door.local.to_string() +
               "\"",
           std::to_string(row.value(door)));
  }
  return out;
}

struct MetricsServer::Impl {
  Impl(net::Host& h, net::Endpoint l, std::function<std::string()> m, std::function<Health()> g)
      : host(h),
        local(l),
        metrics(std::move(m)),
        health(std::move(g)),
        server(h, options(), [this](http::Request request, auto responder) {
          responder->respond(answer(request));
        }) {}

  static http::ServerOptions options() {
    http::ServerOptions options;
    options.connections = 64;  // ours: scrapers and health checks are few
    options.body_bytes = 0;
    return options;
  }

  http::Response answer(const http::Request& request) {
    http::Response response;
    const auto say = [&](int status, const char* type, std::string_view body) {
      response.status = status;
      response.headers.add("Content-Type", type);
      response.headers.add("Cache-Control", "no-store");
      response.body.assign(body.begin(), body.end());
    };
    const std::string_view target =
        std::string_view(request.target).substr(0, request.target.find('?'));
    if (request.method != "GET" && request.method != "HEAD") {
      say(405, "text/plain; charset=utf-8", "only GET and HEAD\n");
      response.headers.add("Allow", "GET, HEAD");
    } else if (target == "/metrics") {
      say(200, "text/plain; version=0.0.4; charset=utf-8", metrics());
    } else if (target == "/healthz") {
      const Health now = health();
      say(now.well ? 200 : 503, "text/plain; charset=utf-8", now.detail + "\n");
    } else {
      say(404, "text/plain; charset=utf-8", "there are /metrics and /healthz\n");
    }
    return response;
  }

  net::Host& host;
  net::Endpoint local;
  std::function<std::string()> metrics;
  std::function<Health()> health;
  http::Server server;
  std::unique_ptr<net::Listener> listener;
};

MetricsServer::MetricsServer(net::Host& host, net::Endpoint local,
                             std::function<std::string()> metrics, std::function<Health()> health)
    : impl_(std::make_unique<Impl>(host, local, std::move(metrics), std::move(health))) {}
MetricsServer::~MetricsServer() = default;

net::Status MetricsServer::start() {
  net::ListenOptions options;
  options.local = impl_->local;
  auto made = impl_->host.listen(options);
  if (!made) return made.status();
  impl_->listener = std::move(*made);
  impl_->listener->on_readable([impl = impl_.get()] {
    while (auto stream = impl->listener->accept()) impl->server.attach(std::move(stream));
  });
  return {};
}

net::Endpoint MetricsServer::local() const {
  return impl_->listener ? impl_->listener->local() : impl_->local;
}

}  // namespace culvert::mqtt
