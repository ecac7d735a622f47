// The little network in which every contract case runs, and what a case may do to it. Each back end
// (tests/contract/linux, tests/contract/ns3) implements World and links the same files in cases/.
//
//     a ------------------ r ------------------ b
//     10.1.0.2/24   .1 10.1.0.1   10.2.0.1   .2 10.2.0.2/24 and 10.2.0.3/24
//     fd01::2/64           fd01::1   fd02::1      fd02::2/64 and fd02::3/64
//
// r forwards and takes one off the TTL; a and b have default routes to it. All three are Hosts, and
// b resolves as "b.test" everywhere. Duplicate address detection and start-up are over when
// make_world returns: the first packet of a case can go at once (neighbours may be unresolved).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/net/host.h"

namespace culvert::contract {

enum class Machine { a, r, b };

// What r does with packets that it would forward to b (both families; not with those for r).
enum class Fate {
  forward,
  drop,         // silently
  unreachable,  // answered with ICMP host unreachable, in IPv6 with no route or address unreachable
};

struct WorldOptions {
  uint64_t seed = 1;  // of every Host's random()
};

class World {
 public:
  virtual ~World() = default;

  // All three Hosts run on the thread of the test: their handles may be used in the test's body.
  virtual net::Host& host(Machine machine) = 0;
  net::Host& a() { return host(Machine::a); }
  net::Host& r() { return host(Machine::r); }
  net::Host& b() { return host(Machine::b); }

  virtual net::Time now() const = 0;  // the world's clock, which the Hosts' clocks follow

  // Runs the world until `done` holds, looking after every event, or until `limit` has passed; says
  // whether it held. `done` is looked at before anything runs, too.
  virtual bool run_until(const std::function<bool()>& done, net::Duration limit) = 0;
  void run_for(net::Duration length) {
    run_until([] { return false; }, length);
  }
  // Runs until whatever was under way has surely arrived: for "and nothing more came". Longer than
  // any delay of this network, shorter than any retransmission (50 ms on Linux).
  virtual void settle() = 0;

  virtual void set_fate_towards_b(Fate fate) = 0;
  // The MTU of the link r–b on both its ends, in bytes of IP packet; 1500 at first. At least 1280.
  virtual void set_far_mtu(uint32_t mtu) = 0;

  // What a machine's event log holds so far, a line without newline each.
  virtual std::vector<std::string> log_lines(Machine machine) const = 0;

  // Whether the difference of this name in docs/fidelity.md ("F-03") applies to this world: what
  // CONTRACT_SKIP asks.
  virtual bool differs(const std::string& fidelity_entry) const = 0;
};

// Defined once in each back end.
std::unique_ptr<World> make_world(const WorldOptions& options = {});
// Why no world can be made here, in a sentence for the reader; empty if it can. Cases then skip.
std::string world_obstacle();

// The one secret that host a has: its name and its content.
constexpr const char* kSecretName = "contract-key";
constexpr const char* kSecretContent = "only a holds this";

// Ports that a case may bind are 1024–32767; the back ends keep nothing there.
constexpr uint16_t kClosedPort = 9;  // nobody listens on it anywhere

}  // namespace culvert::contract
