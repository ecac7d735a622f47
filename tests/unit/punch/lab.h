// Two devices, each behind a NAT of its own, and the mediation server, on the fake network:
//
//   a ---(lan_a)--- nat_a ---(up_a)---+
//                                     core ---(server)--- s 203.0.113.10 and .11
//   b ---(lan_b)--- nat_b ---(up_b)---+
#pragma once

#include <memory>
#include <string>

#include "model/punch/puncher.h"
#include "model/rendezvous/server.h"
#include "tests/support/fake_net.h"

namespace culvert::testing {

using namespace std::chrono_literals;

struct LabOptions {
  uint64_t seed = 1;
  std::string nat_a = "eim-apdf", nat_b = "eim-apdf";  // presets; "none": no NAT at all
  rendezvous::Technique technique = rendezvous::Technique::culvert;
  net::Duration lan_a = 1ms, up_a = 10ms, lan_b = 1ms, up_b = 10ms, server = 5ms;
  double loss = 0;  // on the links up
  net::Duration budget = 10s, keepalive = 15s, refresh = 15s;
};

struct Outcome {
  bool finished = false;
  bool direct_a = false, direct_b = false;
  bool direct() const { return direct_a && direct_b; }
  net::Duration took{0};  // from the request to the later of the two confirmations
  std::string reason_a, reason_b, detail_a, detail_b, path_a, path_b;
};

// The value of a field in a line of the log, without quotes; empty if it is not there.
std::string field(const std::string& line, const std::string& name);

// What nodes a and b logged as the first result since `from_line`.
Outcome outcome_of(const FakeNet& net, const std::string& a, const std::string& b,
                   net::Time requested, size_t from_line = 0);

// Runs until both have logged a result for what `initiator` is asked now.
Outcome punch_between(FakeNet& net, punch::Puncher& initiator, const std::string& name_a,
                      const std::string& name_b, const std::string& peer, net::Duration limit);

class Lab {
 public:
  explicit Lab(const LabOptions& options);
  // Starts server and devices and waits until both are ready.
  bool get_ready();
  // One punch; `initiator` 'a' or 'b'.
  Outcome punch(char initiator = 'a');

  FakeNet net;
  LabOptions options;
  FakeNet::Node core, s, a, b, nat_a = ~size_t{0}, nat_b = ~size_t{0};
  FakeNet::Link link_a, link_b, link_s;
  std::unique_ptr<rendezvous::RendezvousServer> server;
  std::unique_ptr<punch::Puncher> device_a, device_b;
};

rendezvous::ServerOptions server_options(const std::vector<std::string>& devices);
std::unique_ptr<punch::Puncher> make_device(FakeNet& net, FakeNet::Node node,
                                            const std::string& name, const LabOptions& options);

}  // namespace culvert::testing
