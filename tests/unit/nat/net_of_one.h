// One NAT with inside hosts and outside servers as plain endpoints, for tests that read as
// sentences: out(a, x) is the external endpoint that x sees, or none.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "model/nat/nat.h"
#include "tests/unit/nat/packets.h"

namespace culvert::nat::testing_ {

using namespace culvert::testing;
using namespace std::chrono_literals;

struct NetOfOne {
  explicit NetOfOne(const std::string& spec, std::vector<std::string> addresses = {"203.0.113.1"},
                    uint64_t seed = 1) {
    const auto config = from_preset(spec);
    EXPECT_TRUE(config.ok()) << config.status().to_string();
    std::vector<IpAddress> publics;
    for (const auto& a : addresses) publics.push_back(*IpAddress::parse(a));
    nat = std::make_unique<Nat>(*config, publics, seed);
  }

  Endpoint out(const Endpoint& from, const Endpoint& to) { return out_packet(udp(from, to)); }
  Endpoint out_packet(Buffer p) {
    last = nat->outbound(now, p);
    packet = p;
    if (last.action != Action::forward_out) return {};
    EXPECT_TRUE(checksums_right(p));
    return source_of(p);
  }
  // Where the packet ends up inside, or none.
  Endpoint in(const Endpoint& from, const Endpoint& to) { return in_packet(udp(from, to)); }
  Endpoint in_packet(Buffer p) {
    last = nat->inbound(now, p);
    packet = p;
    if (last.action != Action::forward_in) return {};
    EXPECT_TRUE(checksums_right(p));
    return destination_of(p);
  }
  // Sends a packet from inside to a public address.
  bool hairpin(Buffer p) {
    last = nat->outbound(now, p);
    packet = p;
    EXPECT_TRUE(last.action != Action::hairpin || checksums_right(p));
    return last.action == Action::hairpin;
  }
  Endpoint out_tcp(const Endpoint& from, const Endpoint& to, uint8_t flags) {
    return out_packet(tcp(from, to, flags));
  }
  Endpoint in_tcp(const Endpoint& from, const Endpoint& to, uint8_t flags) {
    return in_packet(tcp(from, to, flags));
  }
  void wait(Time t) { now += t; }

  std::unique_ptr<Nat> nat;
  Time now{0};
  Outcome last;
  Buffer packet;  // as the NAT left it
};

const Endpoint kA = at("10.0.0.2:5000"), kA2 = at("10.0.0.2:5001"), kB = at("10.0.0.3:5000");
const Endpoint kX = at("198.51.100.1:7000"), kX2 = at("198.51.100.1:7001"),
               kY = at("198.51.100.2:7000");
const Endpoint kNone;

}  // namespace culvert::nat::testing_
