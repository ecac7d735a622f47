// Measures the NAT in front of a socket: RFC 5780 sections 4.3 to 4.5, paced by the round trip.
// Stands on model/stun/client.h, hop_probe.h.
//
//   round trip 1   I: binding request to A1:P1, from the socket that will punch
//   then at once   F2, F3: CHANGE-REQUEST from A2:P2 and A1:P2, on that same socket, which never
//                  contacts A2, before or after
//                  I', II', III': the mapping tests, from a helper socket: an answer that a NAT let
//                  in by test F2 may bind its source to the mapping (field note nat.md), and
//                  the mapping test from the same socket would then see one mapping where there are
//                  two hop probes, from the helper
//   after I'       hairpin: both sockets to each other's mapping at the same time
//
// What silence decides is asked `tries` times: with 5 % loss each way, six tries fail one in a
// million.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "model/net/datagram_mux.h"
#include "model/net/host.h"
#include "model/stun/behaviour.h"
#include "model/stun/client.h"
#include "model/stun/hop_probe.h"

namespace culvert::stun {

struct DiscoveryOptions {
  net::Endpoint server;              // A1:P1
  bool hairpin = true, hops = true;  // measure them too
  net::Duration first_rto = 100ms;   // ours: before the round trip is known; it doubles
  int first_requests = 6;            // ours: "blocked" after 4.7 s
  int tries = 6;                     // evenly spaced, where silence means something
};

class Discovery {
 public:
  using Done = std::function<void(const NatBehaviour&)>;
  // `mux` holds the socket that will punch and must outlive this. `done` runs once.
  Discovery(net::Host& host, net::DatagramMux& mux, const DiscoveryOptions& options, Done done);
  ~Discovery();
  // An error means that nothing was begun: no helper socket.
  net::Status start();

 private:
  void first_answer(const Outcome& outcome);
  void start_filtering();
  void start_mapping();
  void start_hairpin();
  void start_hops();
  void mapping_answer(int test, const Outcome& outcome);
  void filtering_answer(bool address_changed, const Outcome& outcome);
  void hairpin_step();
  bool hairpin_receive(net::Bytes data);
  void settle();
  Schedule silence() const;  // paced by the round trip

  net::Host& host_;
  net::DatagramMux& mux_;
  DiscoveryOptions options_;
  Done done_;
  NatBehaviour found_;
  net::Endpoint other_;  // A2:P2; none: the server has one address

  std::unique_ptr<net::DatagramMux> helper_;
  Client client_;
  std::optional<Client> helper_client_;
  std::unique_ptr<Client::Pending> first_, filter_address_, filter_port_, maps_[3];
  net::Endpoint mapped_[3];
  int maps_open_ = 0;
  bool filters_open_ = false;

  TransactionId hairpin_id_{};
  int hairpin_sent_ = 0;
  bool hairpin_open_ = false;
  net::Timer hairpin_timer_;
  std::unique_ptr<net::DatagramMux::User> hairpin_user_, hairpin_helper_user_;

  std::unique_ptr<HopProbe> hops_;
  bool hops_open_ = false;
  net::Timer settle_timer_;
};

}  // namespace culvert::stun
