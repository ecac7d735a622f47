#include "model/mqtt/broker/sys.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

namespace culvert::mqtt {
namespace {

using Value = uint64_t (*)(const BrokerCounters&);
uint64_t sum(const uint64_t (&by_qos)[3]) { return by_qos[0] + by_qos[1] + by_qos[2]; }
uint64_t dropped(const BrokerCounters& c) {
  return c.dropped_queue_full + c.dropped_expired + c.dropped_too_big + c.dropped_qos0;
}
uint64_t connected(const BrokerCounters& c) { return c.connections; }
uint64_t disconnected(const BrokerCounters& c) {
  return c.sessions > c.connections ? c.sessions - c.connections : 0;
}
uint64_t packets_in(const BrokerCounters& c) { return c.packets_in; }
uint64_t packets_out(const BrokerCounters& c) { return c.packets_out; }
uint64_t bytes_in(const BrokerCounters& c) { return c.bytes_in; }
uint64_t bytes_out(const BrokerCounters& c) { return c.bytes_out; }
uint64_t published_in(const BrokerCounters& c) { return sum(c.published_in); }
uint64_t published_out(const BrokerCounters& c) { return sum(c.delivered); }
uint64_t connected_ever(const BrokerCounters& c) { return c.connected_ever; }

struct Gauge {
  const char* topic;  // below $SYS/broker/
  Value value;
};
constexpr Gauge kGauges[] = {
    {"clients/connected", connected},
    {"clients/active", connected},  // mosquitto keeps the old names too
    {"clients/disconnected", disconnected},
    {"clients/inactive", disconnected},
    {"clients/total", [](const BrokerCounters& c) { return c.connections + disconnected(c); }},
    {"clients/maximum", [](const BrokerCounters& c) { return c.connections_most; }},
    {"messages/received", packets_in},
    {"messages/sent", packets_out},
    {"bytes/received", bytes_in},
    {"bytes/sent", bytes_out},
    {"publish/messages/received", published_in},
    {"publish/messages/sent", published_out},
    {"publish/messages/dropped", dropped},
    {"retained messages/count", [](const BrokerCounters& c) { return c.retained; }},
    {"messages/stored", [](const BrokerCounters& c) { return c.queued + c.retained; }},
    {"store/messages/count", [](const BrokerCounters& c) { return c.queued + c.retained; }},
    {"store/messages/bytes", [](const BrokerCounters& c) { return c.queued_bytes; }},
    {"subscriptions/count", [](const BrokerCounters& c) { return c.subscriptions; }},
    // Ours.
    {"sessions/count", [](const BrokerCounters& c) { return c.sessions; }},
    {"qos2/duplicates", [](const BrokerCounters& c) { return c.duplicates; }},
    {"connections/refused", [](const BrokerCounters& c) { return c.refused; }},
    {"faults", [](const BrokerCounters& c) { return c.faults; }},
    {"store/commits", [](const BrokerCounters& c) { return c.commits; }},
    {"store/commit failures", [](const BrokerCounters& c) { return c.commit_failures; }},
};

// Averages of what happens in a minute, over one, five and fifteen, as mosquitto has them.
constexpr Gauge kLoads[] = {
    {"load/messages/received", packets_in},  {"load/messages/sent", packets_out},
    {"load/publish/received", published_in}, {"load/publish/sent", published_out},
    {"load/publish/dropped", dropped},       {"load/bytes/received", bytes_in},
    {"load/bytes/sent", bytes_out},          {"load/connections", connected_ever},
};
constexpr int kMinutes[] = {1, 5, 15};

}  // namespace

struct SysTopics::Impl {
  Impl(net::Host& h, net::Duration i, std::string v, Counters c, Publisher p)
      : host(h),
        interval(i),
        version(std::move(v)),
        counters(std::move(c)),
        publish(std::move(p)),
        timer(h.timers(), [this] { look(); }) {}

  // Publishes if it is not what was published last.
  void tell(std::string& last, const std::string& topic, std::string now) {
    if (last == now) return;
    last = std::move(now);
    topic_ = "$SYS/broker/" + topic;
    mqtt::Publish message;
    message.topic = topic_;
    message.payload = net::as_bytes(last);
    message.retain = true;
    publish(message);
  }

  void look() {
    timer.arm_after(interval);
    // A copy: publishing counts too.
    const BrokerCounters now = counters();
    tell(last_version, "version", version);
    const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(host.now() - started);
    tell(last_uptime, "uptime", std::to_string(uptime.count()) + " seconds");
    for (size_t i = 0; i < std::size(kGauges); ++i)
      tell(last_gauges[i], kGauges[i].topic, std::to_string(kGauges[i].value(now)));
    const double seconds = net::to_ms(interval) / 1000;
    for (size_t i = 0; i < std::size(kLoads); ++i) {
      const double total = static_cast<double>(kLoads[i].value(now));
      const double per_minute = (total - totals[i]) * 60 / seconds;
      totals[i] = total;
      for (size_t k = 0; k < std::size(kMinutes); ++k) {
        const double keep = std::exp(-seconds / (60.0 * kMinutes[k]));
        double& average = loads[i][k];
        average = per_minute + keep * (average - per_minute);
        char text[32];
        std::snprintf(text, sizeof text, "%.2f", average);
        tell(last_loads[i][k],
             std::string(kLoads[i].topic) + "/" + std::to_string(kMinutes[k]) + "min", text);
      }
    }
  }

  net::Host& host;
  const net::Duration interval;
  const std::string version;
  Counters counters;
  Publisher publish;
  net::Time started{0};
  std::string topic_, last_version, last_uptime;
  std::array<std::string, std::size(kGauges)> last_gauges;
  std::array<double, std::size(kLoads)> totals{};
  std::array<std::array<double, std::size(kMinutes)>, std::size(kLoads)> loads{};
  std::array<std::array<std::string, std::size(kMinutes)>, std::size(kLoads)> last_loads;
  net::Timer timer;
};

SysTopics::SysTopics(net::Host& host, net::Duration interval, std::string version,
                     Counters counters, Publisher publish)
    : impl_(std::make_unique<Impl>(host, interval, std::move(version), std::move(counters),
                                   std::move(publish))) {}
SysTopics::~SysTopics() = default;

void SysTopics::start() {
  impl_->started = impl_->host.now();
  impl_->look();
}

}  // namespace culvert::mqtt
