#include <array>
#include <cmath>

#include "model/net/datagram_mux.h"
#include "model/services/command_line.h"
#include "model/services/table.h"
#include "model/stun/server.h"

namespace culvert::services {
namespace {

// A log that every stranger can lengthen is bounded: all of the first, then every hundredth.
constexpr uint64_t kStunLogAll = 1000, kStunLogEvery = 100;

struct StunServerOptions {
  net::Endpoint bind, alternate;
  double per_second = stun::SourceLimitOptions{}.per_second;
};

class StunServer : public Service {
 public:
  StunServer(net::Host& host, const StunServerOptions& options) : host_(host), options_(options) {}

  net::Status start() override {
    const net::Endpoint &one = options_.bind, &two = options_.alternate;
    stun::ServerOptions options;
    options.limit.per_second = options_.per_second;
    options.limit.burst = std::max(4 * options_.per_second, options.limit.burst);
    options.endpoints[0] = one;
    if (!two.is_none()) {
      options.endpoints[1] = {one.ip, two.port};
      options.endpoints[2] = {two.ip, one.port};
      options.endpoints[3] = two;
    }
    for (uint8_t i = 0; i < 4; ++i) {
      if (options.endpoints[i].is_none()) continue;
      net::DatagramOptions datagram;
      datagram.local = options.endpoints[i];
      auto socket = host_.open_datagram(datagram);
      if (!socket) {
        for (Socket& opened : sockets_) opened = {};
        return socket.status();
      }
      options.endpoints[i] = (*socket)->local();  // port 0: the Host chose
      sockets_[i].mux = std::make_unique<net::DatagramMux>(std::move(*socket));
      sockets_[i].user = sockets_[i].mux->attach(
          net::kStunBytes,
          [this, i](const net::DatagramIn& in, net::Bytes data) { return receive(i, in, data); });
    }
    uint64_t seed = 0;
    host_.secure_random({reinterpret_cast<uint8_t*>(&seed), sizeof seed});
    server_.emplace(options, seed);
    if (two.is_none())
      host_.log().write("stun", "listening", {{"primary", options.endpoints[0]}});
    else
      host_.log().write("stun", "listening",
                        {{"primary", options.endpoints[0]}, {"alternate", options.endpoints[3]}});
    host_.log().write("stun", "ready");
    return {};
  }

 private:
  struct Socket {
    std::unique_ptr<net::DatagramMux> mux;
    std::unique_ptr<net::DatagramMux::User> user;
  };

  bool receive(uint8_t index, const net::DatagramIn& in, net::Bytes data) {
    const stun::Answer answer = server_->handle(host_.now(), {index}, in.from, data);
    if (answer.send) sockets_[answer.from.value].mux->send_to(answer.to, answer.data);
    const bool refused = answer.refusal != stun::Refusal::none;
    uint64_t& count = refused ? refused_ : answered_;
    if (++count > kStunLogAll && count % kStunLogEvery != 0) return true;
    if (refused)
      host_.log().write("stun", "refused",
                        {{"from", in.from}, {"why", stun::to_string(answer.refusal)}});
    else
      host_.log().write("stun", "answered", {{"from", in.from}, {"changed", answer.changed}});
    return true;
  }

  net::Host& host_;
  StunServerOptions options_;
  std::array<Socket, 4> sockets_;
  std::optional<stun::Server> server_;
  uint64_t answered_ = 0, refused_ = 0;
};

class StunServerBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_endpoint(app, "--bind", options_.bind, "first address and port")->required();
    add_endpoint(app, "--alternate", options_.alternate,
                 "second address and port; both different, else no RFC 5780 tests are offered");
    app.add_option("--rate", options_.per_second, "requests a second from one source; 0: no limit")
        ->check(CLI::Range(0.0, 1e6))
        ->capture_default_str();
  }
  net::Status check() override {
    const net::Endpoint &one = options_.bind, &two = options_.alternate;
    if (!std::isfinite(options_.per_second))  // which no range excludes
      return {net::Error::invalid, "--rate must be a number"};
    if (two.is_none()) return {};
    if (one.ip == two.ip || one.port == two.port || two.ip.is_any() || one.ip.is_any() ||
        one.port == 0 || two.port == 0)
      return {net::Error::invalid,
              "--alternate needs another address and another port than --bind, all of them named"};
    if (one.ip.family() != two.ip.family())
      return {net::Error::invalid, "--bind and --alternate must be of one address family"};
    return {};
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<StunServer>(host, options_));
  }

 private:
  StunServerOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> stun_server_blueprint() {
  return std::make_unique<StunServerBlueprint>();
}

}  // namespace culvert::services
