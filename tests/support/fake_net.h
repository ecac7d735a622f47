// A small network in memory, in virtual time: hosts, routers, NATs (model/nat) and links with delay
// and loss, so that whole punches run in microseconds. Real IPv4 packets travel; only ns-3 or Linux
// have real stacks (tests/contract). TCP is a pipe with the delay of its path: nothing of it is
// lost. Stands on model/net and model/nat.
//
//   FakeNet net(seed);
//   auto core = net.router("core");
//   auto nat = net.nat("nat_a", config, {"198.51.100.2"});
//   auto a = net.host("a");
//   net.uplink(nat, "198.51.100.2", core, "198.51.100.1", 10ms);
//   net.uplink(a, "10.1.0.2", nat, "10.1.0.1", 1ms);
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "model/nat/nat.h"
#include "model/net/host.h"
#include "model/net/memory_store.h"
#include "model/net/pipe.h"

namespace culvert::testing {

class FakeHost;
class FakeSocket;

class FakeNet {
 public:
  using Node = size_t;
  using Link = size_t;

  explicit FakeNet(uint64_t seed);
  ~FakeNet();

  Node host(const std::string& name);
  Node router(const std::string& name);
  // The first public address is also the router's own outside.
  Node nat(const std::string& name, const nat::Config& config,
           const std::vector<std::string>& public_addresses);
  // A cable from `child` up to `parent`: the child's default route; the parent routes the child's
  // address back (a NAT's: all of its public addresses), and everything that is below the child if
  // that is a router.
  Link uplink(Node child, const std::string& child_address, Node parent,
              const std::string& parent_address, net::Duration delay, double loss = 0);
  void add_address(Node host, const std::string& address);  // a second one, after its uplink
  void set_loss(Link link, double loss) { links_[link].loss = loss; }
  void set_delay(Link link, net::Duration delay) { links_[link].delay = delay; }

  // Nothing passes this link, streams wait; until mend().
  void cut(Link link) { set_down(link, true); }
  void mend(Link link) { set_down(link, false); }
  // The streams that cross this link fail with reset at both ends, now. The link stays.
  void reset_streams(Link link);

  // Hosts below this NAT cannot reach each other's private addresses (a guest WLAN).
  void isolate(Node nat) { nodes_[nat].isolated = true; }

  net::Host& at(Node node);
  net::MemoryDisk& disk(Node node);  // of a host: what its stores are on, and hooks for tests
  nat::Nat& nat_at(Node node) { return *nodes_[node].nat; }
  void secret(const std::string& name, const std::string& content) { secrets_[name] = content; }

  // What Host::resolve knows besides literal addresses.
  void name(const std::string& name, const std::vector<std::string>& addresses);
  net::Duration offload_delay{0};  // until `done` of Host::offload
  size_t stream_capacity = 65536;  // bytes under way in each direction of a stream

  net::Time now() const { return now_; }
  // Runs until `done` holds or `limit` has passed; says whether it held.
  bool run_until(const std::function<bool()>& done, net::Duration limit);
  void run_for(net::Duration length) {
    run_until([] { return false; }, length);
  }
  void schedule(net::Time when, std::function<void()> task);

  const std::vector<std::string>& log() const { return log_; }
  // Lines of `event` by `node`, oldest first.
  std::vector<std::string> lines(const std::string& node, const std::string& event) const;
  // A packet put on the wire as if it came from outside: forged sources are possible.
  void inject(Node at, const net::Endpoint& from, const net::Endpoint& to, net::Bytes payload,
              uint8_t ttl = 64);
  // Sees every UDP datagram that a host sends; true: it is lost.
  std::function<bool(Node sender, const net::Endpoint& from, const net::Endpoint& to,
                     net::Bytes payload)>
      tap;

  struct NatEvent {
    net::Time when;
    std::string nat;
    bool created = false;  // a mapping; else a packet was refused
    nat::Reason reason = nat::Reason::none;
    net::Endpoint source, destination;  // of the packet; internal and external of the mapping
  };
  const std::vector<NatEvent>& nat_events() const { return nat_events_; }

 private:
  friend class FakeHost;
  friend class FakeSocket;
  friend class FakeListener;
  friend class FakeDial;
  class Watch;
  struct Path {
    Node to;
    net::Duration delay;  // one way
    std::vector<Link> links;
    std::optional<uint32_t> seen_as;  // the address of the last NAT passed outwards
  };
  struct LiveStream {
    std::vector<Link> links;
    std::shared_ptr<net::PipeLine> line;
  };
  struct Route {
    uint32_t address = 0;
    Link link = 0;
  };
  struct Station {
    std::string name;
    std::unique_ptr<FakeHost> host;
    std::unique_ptr<nat::Nat> nat;
    std::unique_ptr<Watch> watch;
    std::vector<uint32_t> addresses;
    std::vector<Route> routes;  // exact addresses
    std::vector<Node> children;
    bool isolated = false;
    long up = -1;  // link of the default route
    std::vector<uint32_t> public_addresses;
  };
  struct Cable {
    Node child, parent;
    uint32_t child_address, parent_address;
    net::Duration delay;
    double loss;
    bool down = false;
  };
  struct Event {
    net::Time when;
    uint64_t order;
    std::function<void()> task;
    bool operator<(const Event& other) const {
      return when != other.when ? when > other.when : order > other.order;
    }
  };

  void add_route(Node node, uint32_t address, Link link);
  void transmit(Node from, Link link, net::Buffer packet);
  void arrive(Node node, Link link, net::Buffer packet);
  void forward(Node node, net::Buffer packet);
  void time_exceeded(Node node, const net::Buffer& packet, uint32_t from);
  void flush_nat(Node node);
  void set_down(Link link, bool down);
  std::shared_ptr<const Path> path(Node from, uint32_t address) const;  // null: no route
  bool is_down(const Path& path) const;
  void add_stream(const Path& path, std::shared_ptr<net::PipeLine> line);

  net::Time now_{0};
  uint64_t seed_, orders_ = 0;
  net::Random random_;
  std::priority_queue<Event> events_;
  std::vector<Station> nodes_;
  std::vector<Cable> links_;
  std::map<std::string, std::string> secrets_;
  std::map<std::string, std::vector<net::IpAddress>> names_;
  std::vector<LiveStream> streams_;
  size_t prune_streams_at_ = 1024;
  std::vector<std::string> log_;
  std::vector<NatEvent> nat_events_;
};

// A network of one host, for what needs a Host and nobody else: virtual time, timers, secrets, a
// log.
//   LoneHost lone;  lone.secret("key", pem);  Thing thing(lone.host);  lone.run_for(1s);
class LoneHost : public FakeNet {
 public:
  explicit LoneHost(uint64_t seed = 1, const std::string& name = "host")
      : FakeNet(seed), node(FakeNet::host(name)), host(at(node)) {}
  const Node node;
  net::Host& host;
};

}  // namespace culvert::testing
