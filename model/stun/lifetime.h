// How long a NAT keeps a UDP mapping that nothing refreshes: RFC 5780 section 4.6. For each waiting
// time a fresh socket X makes a mapping; after the wait a socket Y asks the server to answer to X's
// port (RESPONSE-PORT): if the answer reaches X, the mapping lived. Stands on model/stun/client.h.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "model/net/datagram_mux.h"
#include "model/net/host.h"
#include "model/stun/client.h"

namespace culvert::stun {

struct LifetimeOptions {
  net::Endpoint server;
  net::IpAddress local = net::IpAddress::any_v4();
  net::Duration low = 1s;         // believed alive
  net::Duration high = 600s;      // where the search ends: RFC 4787 wants 2 minutes at least
  net::Duration resolution = 1s;  // stop when low and high are that close
  int parallel = 1;               // 1: binary search; n: n waits at once, an (n+1)-ary search
};

struct Lifetime {
  net::Status status;
  net::Duration alive{0};  // it lived this long
  net::Duration dead{0};   // and no longer after this; 0: it outlived the search
};

class LifetimeProbe {
 public:
  using Probed = std::function<void(net::Duration wait, bool alive)>;
  using Done = std::function<void(const Lifetime&)>;
  LifetimeProbe(net::Host& host, const LifetimeOptions& options, Probed probed, Done done);
  ~LifetimeProbe();
  net::Status start();

 private:
  struct Trial;
  net::Status round();
  void trial_ended(Trial& trial, bool alive);
  void fail(net::Status status);

  net::Host& host_;
  LifetimeOptions options_;
  Probed probed_;
  Done done_;
  net::Duration low_, high_;
  bool tried_high_ = false;
  std::vector<std::unique_ptr<Trial>> trials_;
  net::Timer next_;
  Lifetime result_;
  bool over_ = false;
};

}  // namespace culvert::stun
