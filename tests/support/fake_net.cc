#include "tests/support/fake_net.h"

#include <algorithm>
#include <stdexcept>

#include "tests/support/fake_host.h"

namespace culvert::testing {
namespace {

uint32_t ip(const std::string& text) {
  const auto address = net::IpAddress::parse(text);
  if (!address || !address->is_v4()) throw std::invalid_argument("not an IPv4 address: " + text);
  return address->to_v4();
}

}  // namespace

class FakeNet::Watch : public nat::Observer {
 public:
  Watch(FakeNet& world, std::string name) : world_(world), name_(std::move(name)) {}
  void mapping_created(net::Time when, const nat::MappingInfo& info) override {
    world_.nat_events_.push_back(
        {when, name_, true, nat::Reason::none, info.internal, info.external});
  }
  void refused(net::Time when, nat::Side, const nat::Tuple& tuple,
               const nat::Outcome& outcome) override {
    world_.nat_events_.push_back(
        {when, name_, false, outcome.reason, tuple.source, tuple.destination});
  }

 private:
  FakeNet& world_;
  std::string name_;
};

FakeNet::FakeNet(uint64_t seed) : seed_(seed), random_(net::derive_seed(seed, "links")) {}
FakeNet::~FakeNet() {
  // Tasks that never ran may hold streams, which need their Hosts to close.
  { const auto never_ran = std::exchange(events_, {}); }
}

FakeNet::Node FakeNet::router(const std::string& name) {
  nodes_.emplace_back();
  nodes_.back().name = name;
  return nodes_.size() - 1;
}

FakeNet::Node FakeNet::host(const std::string& name) {
  const Node node = router(name);
  nodes_[node].host = std::make_unique<FakeHost>(*this, node, name, seed_);
  return node;
}

FakeNet::Node FakeNet::nat(const std::string& name, const nat::Config& config,
                           const std::vector<std::string>& public_addresses) {
  const Node node = router(name);
  std::vector<net::IpAddress> addresses;
  for (const std::string& text : public_addresses) {
    nodes_[node].public_addresses.push_back(ip(text));
    addresses.push_back(net::IpAddress::v4(ip(text)));
  }
  nodes_[node].nat =
      std::make_unique<nat::Nat>(config, addresses, net::derive_seed(seed_, name + " ports"));
  nodes_[node].watch = std::make_unique<Watch>(*this, name);
  nodes_[node].nat->set_observer(nodes_[node].watch.get());
  return node;
}

void FakeNet::add_route(Node node, uint32_t address, Link link) {
  nodes_[node].routes.push_back({address, link});
  // What is above learns it too, unless a NAT hides it.
  if (nodes_[node].up >= 0 && !nodes_[node].nat) {
    const Link up = static_cast<Link>(nodes_[node].up);
    add_route(links_[up].parent, address, up);
  }
}

FakeNet::Link FakeNet::uplink(Node child, const std::string& child_address, Node parent,
                              const std::string& parent_address, net::Duration delay, double loss) {
  const Link link = links_.size();
  links_.push_back({child, parent, ip(child_address), ip(parent_address), delay, loss});
  nodes_[child].up = static_cast<long>(link);
  nodes_[child].addresses.push_back(ip(child_address));
  nodes_[parent].addresses.push_back(ip(parent_address));
  add_route(parent, ip(child_address), link);
  for (const uint32_t address : nodes_[child].public_addresses) {
    if (address != ip(child_address)) add_route(parent, address, link);
  }
  if (!nodes_[child].nat) {
    for (const Route& below : std::vector<Route>(nodes_[child].routes)) {
      add_route(parent, below.address, link);
    }
  }
  return link;
}

void FakeNet::add_address(Node host, const std::string& address) {
  nodes_[host].addresses.push_back(ip(address));
  const Link up = static_cast<Link>(nodes_[host].up);
  add_route(links_[up].parent, ip(address), up);
}

net::MemoryDisk& FakeNet::disk(Node node) { return nodes_[node].host->disk(); }
net::Host& FakeNet::at(Node node) { return *nodes_[node].host; }

void FakeNet::schedule(net::Time when, std::function<void()> task) {
  events_.push({std::max(when, now_), orders_++, std::move(task)});
}

bool FakeNet::run_until(const std::function<bool()>& done, net::Duration limit) {
  const net::Time end = now_ + limit;
  while (!done()) {
    if (events_.empty() || events_.top().when > end) {
      now_ = end;
      return done();
    }
    // The queue's order does not look at the task: it may be moved away.
    Event event = std::move(const_cast<Event&>(events_.top()));
    events_.pop();
    now_ = event.when;
    event.task();
  }
  return true;
}

std::vector<std::string> FakeNet::lines(const std::string& node, const std::string& event) const {
  std::vector<std::string> found;
  for (const std::string& line : log_) {
    if (line.find("\"node\":\"" + node + "\"") != std::string::npos &&
        line.find("\"event\":\"" + event + "\"") != std::string::npos) {
      found.push_back(line);
    }
  }
  return found;
}

void FakeNet::inject(Node at, const net::Endpoint& from, const net::Endpoint& to,
                     net::Bytes payload, uint8_t ttl) {
  forward(at, make_udp(from.ip.to_v4(), from.port, to.ip.to_v4(), to.port, ttl, payload));
}

void FakeNet::transmit(Node from, Link index, net::Buffer packet) {
  const Cable& link = links_[index];
  if (link.down) return;
  if (link.loss > 0 && random_.unit() < link.loss) return;
  const Node to = link.child == from ? link.parent : link.child;
  schedule(now_ + link.delay, [this, to, index, packet = std::move(packet)]() mutable {
    arrive(to, index, std::move(packet));
  });
}

// Sends a packet that is this node's own or that it has decided to forward.
void FakeNet::forward(Node node, net::Buffer packet) {
  const uint32_t destination = read32(packet, 16);
  const Station& station = nodes_[node];
  for (const Route& route : station.routes) {
    if (route.address == destination) return transmit(node, route.link, std::move(packet));
  }
  if (station.up >= 0) transmit(node, static_cast<Link>(station.up), std::move(packet));
}

void FakeNet::time_exceeded(Node node, const net::Buffer& packet, uint32_t from) {
  if (packet[9] == 1) return;  // RFC 1122 section 3.2.2: never about ICMP errors
  forward(node, make_icmp_error(from, read32(packet, 12), 11, 0, packet));
}

void FakeNet::arrive(Node node, Link link, net::Buffer packet) {
  Station& station = nodes_[node];
  const uint32_t destination = read32(packet, 16);
  const auto& own = station.addresses;
  const bool mine = std::find(own.begin(), own.end(), destination) != own.end();
  if (station.host) {
    if (mine) station.host->deliver(packet);
    return;
  }
  const Cable& cable = links_[link];
  const bool from_outside = static_cast<long>(link) == station.up;
  const uint32_t here = from_outside ? cable.child_address : cable.parent_address;
  const auto& outside = station.public_addresses;
  const bool is_public = std::find(outside.begin(), outside.end(), destination) != outside.end();
  if (mine && !(station.nat && is_public)) return;  // routers serve nothing
  if (packet[8] <= 1) return time_exceeded(node, packet, here);
  // From inside to another address inside nothing is translated.
  const bool stays_inside =
      !from_outside && station.nat && !is_public &&
      std::any_of(station.routes.begin(), station.routes.end(),
                  [&](const Route& route) { return route.address == destination; });
  if (stays_inside && station.isolated) return;
  if (station.nat && !stays_inside) {
    const nat::Outcome outcome =
        from_outside ? station.nat->inbound(now_, packet) : station.nat->outbound(now_, packet);
    flush_nat(node);
    if (outcome.action != nat::Action::forward_out && outcome.action != nat::Action::forward_in &&
        outcome.action != nat::Action::hairpin) {
      return;
    }
  }
  decrement_ttl(packet);
  forward(node, std::move(packet));
}

void FakeNet::name(const std::string& name, const std::vector<std::string>& addresses) {
  for (const std::string& text : addresses) names_[name].push_back(net::IpAddress::v4(ip(text)));
}

std::shared_ptr<const FakeNet::Path> FakeNet::path(Node from, uint32_t address) const {
  auto out = std::make_shared<Path>();
  out->to = from;
  out->delay = net::Duration::zero();
  if (address >> 24 == 127) return out;
  const auto holds = [address](const std::vector<uint32_t>& all) {
    return std::find(all.begin(), all.end(), address) != all.end();
  };
  for (size_t hop = 0; hop <= nodes_.size(); ++hop) {
    const Station& here = nodes_[out->to];
    if (holds(here.addresses) || holds(here.public_addresses)) return out;
    long next = here.up;
    for (const Route& route : here.routes) {
      if (route.address == address) next = static_cast<long>(route.link);
    }
    if (next < 0) return nullptr;
    if (here.nat && next == here.up) out->seen_as = here.public_addresses.front();
    const Cable& link = links_[static_cast<size_t>(next)];
    out->links.push_back(static_cast<Link>(next));
    out->delay += link.delay;
    out->to = link.child == out->to ? link.parent : link.child;
  }
  return nullptr;
}

bool FakeNet::is_down(const Path& path) const {
  return std::any_of(path.links.begin(), path.links.end(),
                     [this](Link link) { return links_[link].down; });
}

void FakeNet::add_stream(const Path& path, std::shared_ptr<net::PipeLine> line) {
  if (streams_.size() >= prune_streams_at_) {
    streams_.erase(std::remove_if(streams_.begin(), streams_.end(),
                                  [](const LiveStream& s) { return !s.line->alive(); }),
                   streams_.end());
    prune_streams_at_ = std::max<size_t>(1024, streams_.size() * 2);
  }
  streams_.push_back({path.links, std::move(line)});
}

void FakeNet::set_down(Link link, bool down) {
  links_[link].down = down;
  for (const LiveStream& stream : streams_) {
    stream.line->hold(std::any_of(stream.links.begin(), stream.links.end(),
                                  [this](Link l) { return links_[l].down; }));
  }
}

void FakeNet::reset_streams(Link link) {
  for (const LiveStream& stream : streams_) {
    if (std::find(stream.links.begin(), stream.links.end(), link) != stream.links.end())
      stream.line->cut(net::Error::reset);
  }
}

void FakeNet::flush_nat(Node node) {
  if (!nodes_[node].nat->has_emitted()) return;
  for (nat::Emitted& emitted : nodes_[node].nat->take_emitted()) {
    forward(node, std::move(emitted.packet));
  }
}

}  // namespace culvert::testing
