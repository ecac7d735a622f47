// What the contract cases stand on: a fresh World each, addresses by name, and small collectors.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/contract/world.h"

// A difference between the worlds that docs/fidelity.md lists: the case is skipped in the world to
// which it applies, and runs everywhere else.
#define CONTRACT_SKIP(entry, sentence)                                                  \
  do {                                                                                  \
    if (world->differs(entry)) GTEST_SKIP() << "docs/fidelity.md " entry ": " sentence; \
  } while (false)

namespace culvert::contract {

using net::Bytes;
using net::DatagramIn;
using net::DatagramOut;
using net::Endpoint;
using net::Error;
using net::IpAddress;
using net::operator""ms;
using net::operator""s;
using std::chrono_literals::operator""us;
using Family = net::IpAddress::Family;

inline IpAddress ip(const char* text) { return *IpAddress::parse(text); }

// Addresses of the drawing in world.h.
struct Addresses {
  IpAddress a, r_near, r_far, b, b_second, any;  // r_near is r's address towards a
};
inline Addresses addresses(Family family) {
  if (family == Family::v4)
    return {ip("10.1.0.2"), ip("10.1.0.1"), ip("10.2.0.1"),
            ip("10.2.0.2"), ip("10.2.0.3"), IpAddress::any_v4()};
  return {ip("fd01::2"), ip("fd01::1"), ip("fd02::1"),
          ip("fd02::2"), ip("fd02::3"), IpAddress::any_v6()};
}

// Every case has a world of its own.
class Contract : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string obstacle = world_obstacle();
    if (!obstacle.empty()) GTEST_SKIP() << obstacle;
    world = make_world();
  }
  // Waits at most ten seconds of the world's time: only what fails ever takes so long.
  bool until(const std::function<bool()>& done, net::Duration limit = 10s) {
    return world->run_until(done, limit);
  }
  std::unique_ptr<World> world;
};

// For cases that hold for IPv4 and IPv6 alike.
class ContractBothFamilies : public Contract, public ::testing::WithParamInterface<Family> {
 protected:
  Family family() const { return GetParam(); }
  Addresses at() const { return addresses(GetParam()); }
};

#define CONTRACT_BOTH_FAMILIES(fixture)                                                \
  INSTANTIATE_TEST_SUITE_P(                                                            \
      Family, fixture,                                                                 \
      ::testing::Values(culvert::contract::Family::v4, culvert::contract::Family::v6), \
      [](const auto& info) { return info.param == culvert::contract::Family::v4 ? "v4" : "v6"; })

}  // namespace culvert::contract
