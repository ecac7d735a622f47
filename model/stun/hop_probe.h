// How far away the outermost own NAT is: datagrams with low TTL, and who reports that they ended.
// Reporters in private address space stand inside; the first public one, or the server itself,
// stands outside. Stands on model/net.
#pragma once

#include <array>
#include <functional>
#include <optional>

#include "model/net/datagram_mux.h"
#include "model/net/host.h"

namespace culvert::stun {

struct HopResult {
  std::optional<uint8_t> hops;       // routers up to and with the outermost NAT
  std::optional<net::Duration> far;  // one way to it
};

class HopProbe {
 public:
  using Done = std::function<void(const HopResult&)>;
  // Sends to ports of `server` from kFirstPort on, one for each TTL and try, as traceroute does: an
  // ICMP report names the port, and so which datagram it was. `rtt` to the server sets the pace.
  HopProbe(net::Host& host, net::DatagramMux& mux, const net::IpAddress& server, net::Duration rtt,
           Done done);

  static constexpr uint16_t kFirstPort = 33434;  // IANA: traceroute
  static constexpr int kMostHops = 8;            // ours: five NATs on top of each other, and slack
  static constexpr int kTries = 4;               // ours: 5 % loss on both ways fails one in 10,000;
                                                 // Linux reports six at once, then one a second
 private:
  struct Hop {
    bool reported = false, outside = false;
    net::Duration rtt{0};
    std::array<net::Time, kTries> sent{};
    int tries = 0;
  };
  void step();
  void probe(int ttl);
  void icmp(const net::IcmpEvent& event);
  bool settled() const;
  void finish();

  net::Host& host_;
  net::DatagramMux& mux_;
  net::IpAddress server_;
  net::Duration spacing_, wait_;
  Done done_;
  std::array<Hop, kMostHops + 1> hops_{};  // by TTL; 0 is not used
  int window_ = 3;                         // TTLs that are being probed
  bool waiting_ = false;
  net::Timer timer_;
  std::unique_ptr<net::DatagramMux::User> user_;
};

}  // namespace culvert::stun
