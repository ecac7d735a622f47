#include "model/net/datagram_mux.h"
#include "model/services/command_line.h"
#include "model/services/resolver.h"
#include "model/services/table.h"
#include "model/stun/discovery.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

struct StunClientOptions {
  Target server;
  net::Endpoint bind{net::IpAddress::any_v4(), 0};
  bool behaviour = false, no_hairpin = false, no_hops = false, classic = false;
  std::string user, password_name;
  net::Duration rto = 500ms;  // RFC 8489 section 6.2.1
};

class StunClient : public Service {
 public:
  StunClient(net::Host& host, const StunClientOptions& options) : host_(host), options_(options) {}

  net::Status start() override {
    if (!options_.user.empty()) {
      const auto secret = host_.secret(options_.password_name);
      if (!secret) return secret.status();
      credential_ = stun::Credential{options_.user, std::string(net::as_text(*secret)), true};
    }
    net::DatagramOptions datagram;
    datagram.local = options_.bind;
    auto socket = host_.open_datagram(datagram);
    if (!socket) return socket.status();
    mux_ = std::make_unique<net::DatagramMux>(std::move(*socket));
    host_.log().write("stun", "ready", {{"local", mux_->local()}});
    ask();
    return {};
  }

  net::Status command(std::string_view line) override {
    if (line != "ask") return {net::Error::invalid, "the only command is: ask"};
    ask();
    return {};
  }

 private:
  void ask() {
    discovery_.reset();
    pending_.reset();
    lookup_ = find(host_, options_.server, [this](net::Result<net::Endpoint> server) {
      if (!server) return fail(server.status());
      if (options_.behaviour)
        discover(*server);
      else
        bind(*server);
    });
  }

  void bind(const net::Endpoint& server) {
    stun::Request request;
    request.to = server;
    request.schedule = stun::Schedule::rfc8489(options_.rto);
    request.classic = options_.classic;
    request.credential = credential_;
    stun::Client client(host_, *mux_);
    pending_ = client.ask(request, [this, server](const stun::Outcome& outcome) {
      if (!outcome.ok()) return fail(outcome.status);
      host_.log().write("stun", "result",
                        {{"server", server},
                         {"observed", outcome.mapped},
                         {"local", net::Endpoint{outcome.to.ip, mux_->local().port}},
                         {"rtt_ms", outcome.rtt},
                         {"tries", outcome.tries}});
      finished({});
    });
  }

  void discover(const net::Endpoint& server) {
    stun::DiscoveryOptions options;
    options.server = server;
    options.hairpin = !options_.no_hairpin;
    options.hops = !options_.no_hops;
    discovery_.emplace(host_, *mux_, options, [this, server](const stun::NatBehaviour& found) {
      if (found.blocked)
        return fail({net::Error::timed_out, server.to_string() + " did not answer"});
      host_.log().write("stun", "result",
                        {{"server", server},
                         {"observed", found.observed},
                         {"local", found.local},
                         {"rtt_ms", found.rtt},
                         {"mapping", stun::to_string(found.mapping)},
                         {"filtering", stun::to_string(found.filtering)},
                         {"hairpin", stun::to_string(found.hairpin)},
                         {"hops", found.hops ? int{*found.hops} : -1},
                         {"far_ms", found.far ? net::to_ms(*found.far) : -1.0},
                         {"port_preserved", found.port_preserved()}});
      finished({});
    });
    if (const net::Status status = discovery_->start(); !status) fail(status);
  }

  void fail(const net::Status& status) {
    host_.log().write("stun", "result",
                      {{"error", net::to_string(status.error)}, {"detail", status.detail}});
    finished(status);
  }

  net::Host& host_;
  StunClientOptions options_;
  std::optional<stun::Credential> credential_;
  std::unique_ptr<net::DatagramMux> mux_;
  std::unique_ptr<net::Lookup> lookup_;
  std::unique_ptr<stun::Client::Pending> pending_;
  std::optional<stun::Discovery> discovery_;
};

class StunClientBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_target(app, "--server", options_.server, "the STUN server")->required();
    add_endpoint(app, "--bind", options_.bind, "local address and port");
    app.add_flag("--behaviour", options_.behaviour, "measure the NAT too (RFC 5780)");
    app.add_flag("--no-hairpin", options_.no_hairpin, "leave out the hairpin test");
    app.add_flag("--no-hops", options_.no_hops, "leave out the probes with low TTL");
    app.add_flag("--classic", options_.classic, "ask as RFC 3489 did");
    app.add_option("--user", options_.user, "log in (long-term credential)");
    app.add_option("--password", options_.password_name, "name of the secret with the password");
    add_ms(app, "--rto-ms", options_.rto, "wait before the first repetition");
  }
  net::Status check() override {
    if (options_.user.empty() != options_.password_name.empty())
      return {net::Error::invalid, "--user and --password go together"};
    if (options_.behaviour && (options_.classic || !options_.user.empty()))
      return {net::Error::invalid, "--behaviour goes with neither --classic nor --user"};
    if (options_.rto < 1ms) return {net::Error::invalid, "--rto-ms must be 1 or more"};
    return {};
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<StunClient>(host, options_));
  }

 private:
  StunClientOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> stun_client_blueprint() {
  return std::make_unique<StunClientBlueprint>();
}

}  // namespace culvert::services
