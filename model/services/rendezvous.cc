// The mediation server of seed 002 as a service: `rendezvous`.
#include "model/rendezvous/server.h"
#include "model/services/command_line.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

struct RendezvousOptions {
  net::Endpoint bind, alternate;
  std::string devices, groups;
  uint32_t lifetime_s = 60;
  uint32_t max_sessions = 4096;
};

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> parts;
  for (size_t from = 0; from <= text.size() && !text.empty();) {
    const size_t to = std::min(text.find(by, from), text.size());
    parts.push_back(text.substr(from, to - from));
    from = to + 1;
  }
  return parts;
}

struct Named {
  std::string name, value;
};

// "a=key-a,b=key-b": every part a name, an equals sign and something.
net::Result<std::vector<Named>> read_pairs(const std::string& text, char by, const char* option) {
  std::vector<Named> pairs;
  for (const std::string& part : split(text, by)) {
    const size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == part.size()) {
      return {net::Error::invalid,
              std::string(option) + ": '" + part + "' is not of the form name=value"};
    }
    pairs.push_back({part.substr(0, equals), part.substr(equals + 1)});
  }
  return pairs;
}

class Rendezvous : public Service {
 public:
  Rendezvous(net::Host& host, rendezvous::ServerOptions options, std::vector<Named> devices)
      : host_(host), options_(std::move(options)), devices_(std::move(devices)) {}

  net::Status start() override {
    options_.mediator.devices.clear();
    for (const Named& device : devices_) {
      const auto secret = host_.secret(device.value);
      if (!secret.ok()) return secret.status();
      options_.mediator.devices.push_back({device.name, *secret});
    }
    server_ = std::make_unique<rendezvous::RendezvousServer>(host_, options_);
    return server_->start();
  }

 private:
  net::Host& host_;
  rendezvous::ServerOptions options_;
  std::vector<Named> devices_;
  std::unique_ptr<rendezvous::RendezvousServer> server_;
};

class RendezvousBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_endpoint(app, "--bind", options_.bind, "first address and port")->required();
    add_endpoint(app, "--alternate", options_.alternate,
                 "second address and port, both different: makes RFC 5780 tests possible");
    app.add_option("--devices", options_.devices, "name=secret,...: who may register, by which key")
        ->required();
    app.add_option("--groups", options_.groups,
                   "group=name,name;...: who may see whom (default: everybody)");
    app.add_option("--lifetime-s", options_.lifetime_s, "of a registration that is not refreshed")
        ->check(CLI::Range(5, 86400));
    app.add_option("--max-sessions", options_.max_sessions, "introductions at a time")
        ->check(CLI::Range(1, 1000000));
  }

  net::Status check() override { return read().status(); }

  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    auto devices = read();
    if (!devices.ok()) return devices.status();
    return std::unique_ptr<Service>(
        std::make_unique<Rendezvous>(host, server_options_, std::move(*devices)));
  }

 private:
  net::Result<std::vector<Named>> read() {
    auto devices = read_pairs(options_.devices, ',', "--devices");
    if (!devices.ok()) return devices;
    const auto groups = read_pairs(options_.groups, ';', "--groups");
    if (!groups.ok()) return groups;
    server_options_ = {};
    server_options_.bind = options_.bind;
    server_options_.alternate = options_.alternate;
    server_options_.mediator.lifetime = options_.lifetime_s * 1s;
    server_options_.mediator.max_sessions = options_.max_sessions;
    for (const Named& device : *devices) {
      server_options_.mediator.devices.push_back({device.name, {}});
    }
    for (const Named& group : *groups) {
      server_options_.mediator.groups.push_back(split(group.value, ','));
    }
    const net::Status status = rendezvous::Mediator::check(server_options_.mediator);
    if (!status.ok()) return status;
    const net::Endpoint &a = options_.bind, &b = options_.alternate;
    if (!b.is_none() && (a.ip == b.ip || a.port == b.port)) {
      return {net::Error::invalid, "--alternate must differ from --bind in address and in port"};
    }
    return devices;
  }

  RendezvousOptions options_;
  rendezvous::ServerOptions server_options_;
};

}  // namespace

std::unique_ptr<Blueprint> rendezvous_blueprint() {
  return std::make_unique<RendezvousBlueprint>();
}

}  // namespace culvert::services
