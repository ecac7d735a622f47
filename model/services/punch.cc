// A device that punches as a service: `punch`.
#include "model/punch/puncher.h"
#include "model/services/command_line.h"
#include "model/services/resolver.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

struct PunchOptions {
  Target server;
  std::string key;
  std::string technique = "culvert";
  punch::PuncherOptions device;
};

constexpr const char* kCommands =
    "the commands are: connect PEER, list, close PEER, send PEER TEXT";

class Punch : public Service {
 public:
  Punch(net::Host& host, PunchOptions options) : host_(host), options_(std::move(options)) {}

  net::Status start() override {
    const auto secret = host_.secret(options_.key);
    if (!secret.ok()) return secret.status();
    options_.device.secret = *secret;
    // An address needs no look-up: what can go wrong with it goes wrong here.
    if (const auto ip = net::IpAddress::parse(options_.server.host)) {
      return begin({*ip, options_.server.port});
    }
    lookup_ = find(host_, options_.server, [this](net::Result<net::Endpoint> server) {
      const net::Status status = server.ok() ? begin(*server) : server.status();
      if (status.ok()) return;
      host_.log().write("punch", "failed", {{"detail", status.to_string()}});
      finished(status);
    });
    return {};
  }

  net::Status command(std::string_view line) override {
    if (!puncher_) return {net::Error::would_block, "the server's name is still being looked up"};
    const size_t space = line.find(' ');
    const std::string_view verb = line.substr(0, space);
    const std::string_view rest = space == line.npos ? std::string_view() : line.substr(space + 1);
    if (verb == "list" && rest.empty()) {
      puncher_->list();
      return {};
    }
    if (verb == "connect" && !rest.empty()) return puncher_->connect(std::string(rest));
    if (verb == "close" && !rest.empty()) return puncher_->close(std::string(rest));
    const size_t next = rest.find(' ');
    if (verb == "send" && next != rest.npos) {
      return puncher_->send_text(std::string(rest.substr(0, next)), rest.substr(next + 1));
    }
    return {net::Error::invalid, kCommands};
  }

 private:
  net::Status begin(const net::Endpoint& server) {
    options_.device.server = server;
    puncher_ = std::make_unique<punch::Puncher>(host_, options_.device);
    const net::Status status = puncher_->start();
    if (!status.ok()) puncher_.reset();
    return status;
  }

  net::Host& host_;
  PunchOptions options_;
  std::unique_ptr<net::Lookup> lookup_;
  std::unique_ptr<punch::Puncher> puncher_;
};

class PunchBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    punch::PuncherOptions& device = options_.device;
    app.add_option("--device", device.device, "this device's name")->required();
    add_target(app, "--server", options_.server, "the rendezvous")->required();
    app.add_option("--key", options_.key, "name of the secret that is this device's key")
        ->required();
    add_endpoint(app, "--local", device.local, "local address and port");
    app.add_option("--technique", options_.technique, "culvert, plain or seed002");
    add_ms(app, "--budget-ms", device.session.budget,
           "how long a punch may take; seed002 takes its five hellos' time at least");
    add_ms(app, "--hello-ms", device.session.hello_interval, "seed002: between two hellos");
    add_ms(app, "--keepalive-ms", device.session.keepalive, "of a direct path");
    add_ms(app, "--refresh-ms", device.refresh, "of the registration, and of the mapping to it");
  }

  net::Status check() override {
    const punch::PuncherOptions& device = options_.device;
    if (device.device.empty() || device.device.size() > rendezvous::kMaxName) {
      return {net::Error::invalid, "--device has 1 to 32 bytes"};
    }
    const auto technique = rendezvous::technique_from(options_.technique);
    if (!technique) {
      return {net::Error::invalid,
              "--technique is culvert, plain or seed002, not '" + options_.technique + "'"};
    }
    options_.device.technique = *technique;
    if (device.session.budget < 100ms || device.session.keepalive < 10ms ||
        device.session.hello_interval < 10ms || device.refresh < 10ms) {
      return {net::Error::invalid,
              "--budget-ms must be 100 or more, the other intervals 10 or more"};
    }
    return {};
  }

  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<Punch>(host, options_));
  }

 private:
  PunchOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> punch_blueprint() { return std::make_unique<PunchBlueprint>(); }

}  // namespace culvert::services
