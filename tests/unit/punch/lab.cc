#include "tests/unit/punch/lab.h"

#include <algorithm>
#include <stdexcept>

#include "model/nat/presets.h"

namespace culvert::testing {
namespace {

constexpr const char* kServer = "203.0.113.10:3478";
constexpr const char* kAlternate = "203.0.113.11:3479";

net::Buffer secret_of(const std::string& name) {
  const std::string text = "secret of " + name;
  return net::Buffer(text.begin(), text.end());
}

FakeNet::Node add_side(FakeNet& net, const std::string& name, const std::string& preset,
                       FakeNet::Node core, const std::string& network, const std::string& lan,
                       net::Duration up, net::Duration lan_delay, double loss, FakeNet::Node& nat,
                       FakeNet::Link& link) {
  if (preset == "none") {
    const FakeNet::Node host = net.host(name);
    link = net.uplink(host, network + ".2", core, network + ".1", up + lan_delay, loss);
    return host;
  }
  const auto config = nat::from_preset(preset);
  if (!config.ok()) throw std::invalid_argument(config.status().to_string());
  nat = net.nat("nat_" + name, *config, {network + ".2"});
  link = net.uplink(nat, network + ".2", core, network + ".1", up, loss);
  const FakeNet::Node host = net.host(name);
  net.uplink(host, lan + ".2", nat, lan + ".1", lan_delay);
  return host;
}

}  // namespace

std::string field(const std::string& line, const std::string& name) {
  const std::string key = "\"" + name + "\":";
  const size_t at = line.find(key);
  if (at == std::string::npos) return {};
  size_t from = at + key.size();
  if (line[from] == '"') {
    ++from;
    return line.substr(from, line.find('"', from) - from);
  }
  return line.substr(from, line.find_first_of(",}", from) - from);
}

Outcome outcome_of(const FakeNet& net, const std::string& a, const std::string& b,
                   net::Time requested, size_t from_line) {
  Outcome out;
  bool done_a = false, done_b = false;
  double last = 0;
  for (size_t i = from_line; i < net.log().size(); ++i) {
    const std::string& line = net.log()[i];
    if (field(line, "event") != "result") continue;
    const std::string node = field(line, "node");
    const bool direct = field(line, "direct") == "true";
    if (node == a && !done_a) {
      done_a = true;
      out.direct_a = direct;
      out.reason_a = field(line, "reason");
      out.detail_a = field(line, "detail");
      out.path_a = field(line, "path");
    } else if (node == b && !done_b) {
      done_b = true;
      out.direct_b = direct;
      out.reason_b = field(line, "reason");
      out.detail_b = field(line, "detail");
      out.path_b = field(line, "path");
    } else {
      continue;
    }
    last = std::max(last, std::stod(field(line, "time_ms")));
  }
  out.finished = done_a && done_b;
  out.took = net::from_ms(last) - requested;
  return out;
}

rendezvous::ServerOptions server_options(const std::vector<std::string>& devices) {
  rendezvous::ServerOptions options;
  options.bind = *net::Endpoint::parse(kServer);
  options.alternate = *net::Endpoint::parse(kAlternate);
  for (const std::string& device : devices) {
    options.mediator.devices.push_back({device, secret_of(device)});
  }
  return options;
}

std::unique_ptr<punch::Puncher> make_device(FakeNet& net, FakeNet::Node node,
                                            const std::string& name, const LabOptions& options) {
  punch::PuncherOptions device;
  device.device = name;
  device.server = *net::Endpoint::parse(kServer);
  device.secret = secret_of(name);
  device.technique = options.technique;
  device.session.budget = options.budget;
  device.session.keepalive = options.keepalive;
  device.refresh = options.refresh;
  return std::make_unique<punch::Puncher>(net.at(node), device);
}

Lab::Lab(const LabOptions& o) : net(o.seed), options(o) {
  core = net.router("core");
  s = net.host("s");
  link_s = net.uplink(s, "203.0.113.10", core, "203.0.113.1", o.server);
  net.add_address(s, "203.0.113.11");
  a = add_side(net, "a", o.nat_a, core, "198.51.100", "10.1.0", o.up_a, o.lan_a, o.loss, nat_a,
               link_a);
  b = add_side(net, "b", o.nat_b, core, "192.0.2", "10.2.0", o.up_b, o.lan_b, o.loss, nat_b,
               link_b);
}

bool Lab::get_ready() {
  server = std::make_unique<rendezvous::RendezvousServer>(net.at(s), server_options({"a", "b"}));
  const net::Status started = server->start();
  if (!started.ok()) throw std::runtime_error(started.to_string());
  device_a = make_device(net, a, "a", options);
  device_b = make_device(net, b, "b", options);
  if (!device_a->start().ok() || !device_b->start().ok()) return false;
  return net.run_until([&] { return device_a->ready() && device_b->ready(); }, 60s);
}

Outcome punch_between(FakeNet& net, punch::Puncher& initiator, const std::string& name_a,
                      const std::string& name_b, const std::string& peer, net::Duration limit) {
  const size_t from_line = net.log().size();
  const net::Time requested = net.now();
  initiator.connect(peer);
  size_t seen = from_line;
  bool done[2] = {false, false};
  net.run_until(
      [&] {
        for (; seen < net.log().size(); ++seen) {
          const std::string& line = net.log()[seen];
          if (line.find("\"event\":\"result\"") == std::string::npos) continue;
          const std::string node = field(line, "node");
          done[0] |= node == name_a;
          done[1] |= node == name_b;
        }
        return done[0] && done[1];
      },
      limit);
  return outcome_of(net, name_a, name_b, requested, from_line);
}

Outcome Lab::punch(char initiator) {
  const bool from_a = initiator == 'a';
  return punch_between(net, from_a ? *device_a : *device_b, "a", "b", from_a ? "b" : "a",
                       options.budget + 5s);
}

}  // namespace culvert::testing
