#include "model/services/command_line.h"
#include "model/services/resolver.h"
#include "model/services/table.h"
#include "model/stun/lifetime.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

struct StunLifetimeOptions {
  Target server;
  stun::LifetimeOptions probe;
};

class StunLifetime : public Service {
 public:
  StunLifetime(net::Host& host, const StunLifetimeOptions& options)
      : host_(host), options_(options) {}

  net::Status start() override {
    host_.log().write("stun", "ready");
    lookup_ = find(host_, options_.server, [this](net::Result<net::Endpoint> server) {
      if (!server) return result({server.status()});
      options_.probe.server = *server;
      if (server->ip.is_v6()) options_.probe.local = net::IpAddress::any_v6();
      probe_.emplace(
          host_, options_.probe,
          [this](net::Duration wait, bool alive) {
            host_.log().write("stun", "lifetime_probed", {{"wait_ms", wait}, {"alive", alive}});
          },
          [this](const stun::Lifetime& lifetime) { result(lifetime); });
      if (const net::Status status = probe_->start(); !status) result({status});
    });
    return {};
  }

 private:
  void result(const stun::Lifetime& lifetime) {
    if (!lifetime.status)
      host_.log().write(
          "stun", "result",
          {{"error", net::to_string(lifetime.status.error)}, {"detail", lifetime.status.detail}});
    else if (lifetime.dead == net::Duration::zero())
      host_.log().write("stun", "result", {{"alive_ms", lifetime.alive}});
    else
      host_.log().write("stun", "result",
                        {{"alive_ms", lifetime.alive}, {"dead_ms", lifetime.dead}});
    finished(lifetime.status);
  }

  net::Host& host_;
  StunLifetimeOptions options_;
  std::unique_ptr<net::Lookup> lookup_;
  std::optional<stun::LifetimeProbe> probe_;
};

class StunLifetimeBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_target(app, "--server", options_.server, "a STUN server that obeys RESPONSE-PORT")
        ->required();
    add_ms(app, "--low-ms", options_.probe.low, "a mapping surely lives that long");
    add_ms(app, "--high-ms", options_.probe.high, "do not search beyond");
    add_ms(app, "--resolution-ms", options_.probe.resolution, "stop at this precision");
    app.add_option("--parallel", options_.probe.parallel, "waiting times tried at once")
        ->check(CLI::Range(1, 32))
        ->capture_default_str();
  }
  net::Status check() override {
    if (options_.probe.low >= options_.probe.high)
      return {net::Error::invalid, "--low-ms must be below --high-ms"};
    if (options_.probe.resolution < 1ms)
      return {net::Error::invalid, "--resolution-ms must be 1 or more"};
    return {};
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<StunLifetime>(host, options_));
  }

 private:
  StunLifetimeOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> stun_lifetime_blueprint() {
  return std::make_unique<StunLifetimeBlueprint>();
}

}  // namespace culvert::services
