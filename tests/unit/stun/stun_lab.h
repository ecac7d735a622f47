// A STUN server on four sockets in the fake network, and a client behind what a test puts there.
//
//   a --lan 1 ms-- nat --up 10 ms-- core --5 ms-- s (203.0.113.10 and .11)
#pragma once

#include <array>
#include <memory>
#include <string>

#include "model/nat/presets.h"
#include "model/net/datagram_mux.h"
#include "model/stun/server.h"
#include "tests/support/fake_net.h"

namespace culvert::testing {

using namespace std::chrono_literals;

class StunSockets {
 public:
  StunSockets(net::Host& host, bool two_addresses, double per_second = 0) {
    stun::ServerOptions options;
    options.limit.per_second = per_second;
    const auto endpoint = [](const char* text) { return *net::Endpoint::parse(text); };
    options.endpoints[0] = endpoint("203.0.113.10:3478");
    if (two_addresses) {
      options.endpoints[1] = endpoint("203.0.113.10:3479");
      options.endpoints[2] = endpoint("203.0.113.11:3478");
      options.endpoints[3] = endpoint("203.0.113.11:3479");
    }
    server_ = std::make_unique<stun::Server>(options);
    for (uint8_t i = 0; i < 4; ++i) {
      if (options.endpoints[i].is_none()) continue;
      net::DatagramOptions datagram;
      datagram.local = options.endpoints[i];
      muxes_[i] = std::make_unique<net::DatagramMux>(std::move(*host.open_datagram(datagram)));
      users_[i] = muxes_[i]->attach(
          net::kStunBytes, [this, &host, i](const net::DatagramIn& in, net::Bytes data) {
            const auto answer = server_->handle(host.now(), {i}, in.from, data);
            if (answer.send) muxes_[answer.from.value]->send_to(answer.to, answer.data);
            return true;
          });
    }
  }

 private:
  std::unique_ptr<stun::Server> server_;
  std::array<std::unique_ptr<net::DatagramMux>, 4> muxes_;
  std::array<std::unique_ptr<net::DatagramMux::User>, 4> users_;
};

struct StunLab {
  // `preset` "" puts the client on the public network; `carrier` adds a NAT above the first.
  explicit StunLab(const std::string& preset, bool two_addresses = true, uint64_t seed = 1,
                   double loss = 0, const std::string& carrier = "")
      : net(seed) {
    const auto core = net.router("core");
    const auto s = net.host("s");
    net.uplink(s, "203.0.113.10", core, "203.0.113.1", 5ms);
    net.add_address(s, "203.0.113.11");
    a = net.host("a");
    auto above = core;
    std::string own = "198.51.100.2", gateway = "198.51.100.1";
    if (!carrier.empty()) {
      const auto nat = net.nat("carrier", *nat::from_preset(carrier), {own});
      net.uplink(nat, own, core, gateway, 10ms, loss);
      above = nat;
      own = "100.64.0.2";
      gateway = "100.64.0.1";
    }
    if (preset.empty()) {
      net.uplink(a, own, above, gateway, 10ms, loss);
    } else {
      const auto nat = net.nat("nat", *nat::from_preset(preset), {own});
      net.uplink(nat, own, above, gateway, 10ms, carrier.empty() ? loss : 0);
      net.uplink(a, "10.1.0.2", nat, "10.1.0.1", 1ms);
    }
    server = std::make_unique<StunSockets>(net.at(s), two_addresses);
    net::DatagramOptions any;
    any.local = {net::IpAddress::any_v4(), 0};
    mux = std::make_unique<net::DatagramMux>(std::move(*net.at(a).open_datagram(any)));
  }

  FakeNet net;
  FakeNet::Node a = 0;
  std::unique_ptr<StunSockets> server;
  std::unique_ptr<net::DatagramMux> mux;
  const net::Endpoint primary = *net::Endpoint::parse("203.0.113.10:3478");
};

}  // namespace culvert::testing
