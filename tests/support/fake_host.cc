#include "tests/support/fake_host.h"

#include <algorithm>
#include <cstring>
#include <deque>

#include "tests/support/fake_stream.h"

namespace culvert::testing {

using net::Error;

namespace {

void put16(net::Buffer& p, size_t at, uint16_t v) {
  p[at] = static_cast<uint8_t>(v >> 8);
  p[at + 1] = static_cast<uint8_t>(v);
}
void put32(net::Buffer& p, size_t at, uint32_t v) {
  put16(p, at, static_cast<uint16_t>(v >> 16));
  put16(p, at + 2, static_cast<uint16_t>(v));
}
uint16_t checksum(const net::Buffer& p, size_t from, size_t to, uint64_t sum = 0) {
  for (size_t i = from; i < to; i += 2) {
    sum += static_cast<uint32_t>(p[i]) << 8 | (i + 1 < to ? p[i + 1] : 0);
  }
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}
net::Buffer ip_header(uint32_t source, uint32_t destination, uint8_t protocol, uint8_t ttl,
                      size_t payload) {
  net::Buffer p(20 + payload, 0);
  p[0] = 0x45;
  put16(p, 2, static_cast<uint16_t>(p.size()));
  p[8] = ttl;
  p[9] = protocol;
  put32(p, 12, source);
  put32(p, 16, destination);
  put16(p, 10, checksum(p, 0, 20));
  return p;
}

}  // namespace

net::Buffer make_udp(uint32_t source, uint16_t source_port, uint32_t destination,
                     uint16_t destination_port, uint8_t ttl, net::Bytes payload) {
  net::Buffer p = ip_header(source, destination, 17, ttl, 8 + payload.size());
  put16(p, 20, source_port);
  put16(p, 22, destination_port);
  put16(p, 24, static_cast<uint16_t>(8 + payload.size()));
  std::copy(payload.begin(), payload.end(), p.begin() + 28);
  const uint64_t pseudo = (source >> 16) + (source & 0xffff) + (destination >> 16) +
                          (destination & 0xffff) + 17 + 8 + payload.size();
  const uint16_t sum = checksum(p, 20, p.size(), pseudo);
  put16(p, 26, sum == 0 ? 0xffff : sum);
  return p;
}

net::Buffer make_icmp_error(uint32_t source, uint32_t destination, uint8_t type, uint8_t code,
                            const net::Buffer& about) {
  const size_t quoted = std::min<size_t>(about.size(), 28);  // RFC 792: header and 64 bits
  net::Buffer p = ip_header(source, destination, 1, 64, 8 + quoted);
  p[20] = type;
  p[21] = code;
  std::copy_n(about.begin(), quoted, p.begin() + 28);
  put16(p, 22, checksum(p, 20, p.size()));
  return p;
}

void decrement_ttl(net::Buffer& packet) {
  --packet[8];
  put16(packet, 10, 0);
  put16(packet, 10, checksum(packet, 0, 20));
}

class FakeSocket : public net::DatagramSocket {
 public:
  FakeSocket(FakeHost& host, const net::Endpoint& local)
      : host_(host), local_(local), alive_(std::make_shared<FakeSocket*>(this)) {
    host_.sockets_.push_back(this);
  }
  ~FakeSocket() override {
    *alive_ = nullptr;
    auto& all = host_.sockets_;
    all.erase(std::remove(all.begin(), all.end(), this), all.end());
  }

  net::Endpoint local() const override { return local_; }

  net::IoResult send(boost::span<const net::DatagramOut> batch) override {
    net::IoResult result;
    for (const net::DatagramOut& out : batch) {
      uint32_t source = local_.ip.is_any() ? host_.world_.nodes_[host_.node_].addresses.front()
                                           : local_.ip.to_v4();
      if (!out.from.is_none()) source = out.from.to_v4();
      const net::Endpoint from{net::IpAddress::v4(source), local_.port};
      ++result.count;
      if (host_.world_.tap && host_.world_.tap(host_.node_, from, out.to, out.data)) continue;
      host_.world_.forward(host_.node_, make_udp(source, local_.port, out.to.ip.to_v4(),
                                                 out.to.port, out.ttl.value_or(64), out.data));
    }
    return result;
  }

  net::IoResult receive(boost::span<net::DatagramIn> batch) override {
    net::IoResult result;
    for (net::DatagramIn& in : batch) {
      if (queue_.empty()) {
        result.error = Error::would_block;
        break;
      }
      const Waiting& waiting = queue_.front();
      in.size = std::min(waiting.data.size(), in.buffer.size());
      in.truncated = in.size < waiting.data.size();
      std::copy_n(waiting.data.begin(), in.size, in.buffer.begin());
      in.from = waiting.from;
      in.to = waiting.to;
      in.ttl = waiting.ttl;
      in.traffic_class = 0;
      in.segment_size = 0;
      queue_.pop_front();
      ++result.count;
    }
    if (!queue_.empty()) wake();
    return result;
  }

  void on_readable(std::function<void()> callback) override {
    readable_ = std::move(callback);
    if (!queue_.empty()) wake();
  }
  void on_writable(std::function<void()>) override {}
  void on_icmp(std::function<void(const net::IcmpEvent&)> callback) override {
    icmp_ = std::move(callback);
  }
  net::Status set_dont_fragment(bool) override { return {}; }
  net::Result<uint32_t> path_mtu(const net::Endpoint&) const override { return 1500u; }
  net::Status join(const net::IpAddress&, const net::IpAddress&) override {
    return Error::unsupported;
  }
  net::Status leave(const net::IpAddress&, const net::IpAddress&) override {
    return Error::unsupported;
  }
  net::Status set_multicast(const net::IpAddress&, uint8_t, bool) override {
    return Error::unsupported;
  }

  struct Waiting {
    net::Endpoint from, to;
    uint8_t ttl;
    net::Buffer data;
  };
  void take(Waiting waiting) {
    queue_.push_back(std::move(waiting));
    // The network calls from its own event, never from inside a call of the socket's owner.
    if (readable_) readable_();
  }
  void take(const net::IcmpEvent& event) {
    if (icmp_) icmp_(event);
  }
  bool matches(uint32_t address, uint16_t port) const {
    return local_.port == port && (local_.ip.is_any() || local_.ip.to_v4() == address);
  }

 private:
  void wake() {
    host_.post([alive = alive_] {
      FakeSocket* self = *alive;
      if (self && !self->queue_.empty() && self->readable_) self->readable_();
    });
  }

  FakeHost& host_;
  net::Endpoint local_;
  std::shared_ptr<FakeSocket*> alive_;
  std::deque<Waiting> queue_;
  std::function<void()> readable_;
  std::function<void(const net::IcmpEvent&)> icmp_;
};

FakeHost::FakeHost(FakeNet& world, FakeNet::Node node, const std::string& name, uint64_t seed)
    : world_(world),
      node_(node),
      name_(name),
      timers_([&world] { return world.now_; },
              [this](net::Time when) {
                if (when == net::Time::max()) return;
                world_.schedule(when, [this] { timers_.run_due(); });
              }),
      random_(net::derive_seed(seed, name)),
      secure_(net::derive_seed(seed, name + " secure")),
      log_(
          name, [&world] { return world.now_; },
          [&world](std::string_view line) { world.log_.emplace_back(line); }) {}

FakeHost::~FakeHost() = default;

void FakeHost::secure_random(net::MutableBytes out) {
  for (uint8_t& b : out) b = static_cast<uint8_t>(secure_.next());
}
void FakeHost::post(std::function<void()> task) { world_.schedule(world_.now_, std::move(task)); }
void FakeHost::offload(std::function<void()> work, std::function<void()> done) {
  work();
  world_.schedule(world_.now_ + world_.offload_delay, std::move(done));
}

net::Result<std::unique_ptr<net::DatagramSocket>> FakeHost::open_datagram(
    const net::DatagramOptions& options) {
  net::Endpoint local = options.local;
  if (local.ip.is_none()) local.ip = net::IpAddress::any_v4();
  if (local.port == 0) local.port = next_port_++;
  for (const FakeSocket* socket : sockets_) {
    if (socket->local() == local) return {Error::in_use, local.to_string()};
  }
  return std::unique_ptr<net::DatagramSocket>(std::make_unique<FakeSocket>(*this, local));
}

FakeListener* FakeHost::listener_at(const net::Endpoint& to) const {
  for (FakeListener* listener : listeners_) {
    if (listener->matches(to)) return listener;
  }
  return nullptr;
}
net::IpAddress FakeHost::first_address() const {
  const auto& own = world_.nodes_[node_].addresses;
  return net::IpAddress::v4(own.empty() ? 0x7f000001 : own.front());
}

net::Result<std::unique_ptr<net::Listener>> FakeHost::listen(const net::ListenOptions& options) {
  net::Endpoint local = options.local;
  if (local.ip.is_none()) local.ip = net::IpAddress::any_v4();
  if (!local.ip.is_v4()) return {Error::unsupported, "the fake network is IPv4 only"};
  if (local.port == 0) local.port = next_port_++;
  for (const FakeListener* listener : listeners_) {
    if (listener->local().port == local.port &&
        (listener->local().ip == local.ip || local.ip.is_any() || listener->local().ip.is_any())) {
      return {Error::in_use, local.to_string()};
    }
  }
  return std::unique_ptr<net::Listener>(
      std::make_unique<FakeListener>(*this, local, options.backlog));
}
net::Result<std::unique_ptr<net::Dial>> FakeHost::dial(const net::DialOptions& options,
                                                       net::DialDone done) {
  if (options.remote.port == 0 || !options.remote.ip.is_v4())
    return {Error::invalid, "a dial on the fake network needs an IPv4 address and a port"};
  return std::unique_ptr<net::Dial>(std::make_unique<FakeDial>(*this, options, std::move(done)));
}
net::Result<std::unique_ptr<net::TunDevice>> FakeHost::open_tun(const net::TunOptions&) {
  return {Error::unsupported};
}
net::Result<std::unique_ptr<net::PacketHook>> FakeHost::add_hook(const net::Selector&,
                                                                 net::HookFunction) {
  return {Error::unsupported};
}
net::Result<std::unique_ptr<net::FlowTable>> FakeHost::open_flow_table(size_t) {
  return {Error::unsupported};
}
net::Result<std::unique_ptr<net::Store>> FakeHost::open_store(const std::string& name) {
  return disk_.open(*this, name);
}
namespace {
struct FakeLookup : net::Lookup {
  explicit FakeLookup(net::Host::Resolved d)
      : done(std::make_shared<net::Host::Resolved>(std::move(d))) {}
  ~FakeLookup() override { *done = {}; }
  std::shared_ptr<net::Host::Resolved> done;
};
}  // namespace

// Literal addresses, and what FakeNet::name was told.
std::unique_ptr<net::Lookup> FakeHost::resolve(const std::string& name, Resolved done) {
  auto lookup = std::make_unique<FakeLookup>(std::move(done));
  post([name, &world = world_, done = lookup->done] {
    const auto callback = std::move(*done);
    *done = {};
    if (!callback) return;
    const auto known = world.names_.find(name);
    if (const auto address = net::IpAddress::parse(name))
      callback(std::vector<net::IpAddress>{*address});
    else if (known != world.names_.end())
      callback(known->second);
    else
      callback(net::Status(Error::not_found, "the fake network has no name '" + name + "'"));
  });
  return lookup;
}

std::vector<net::InterfaceAddress> FakeHost::interfaces() const {
  std::vector<net::InterfaceAddress> out;
  for (const uint32_t address : world_.nodes_[node_].addresses) {
    out.push_back({name_ + "-eth0", {net::IpAddress::v4(address), 24}, 1500});
  }
  return out;
}

net::Result<net::Buffer> FakeHost::secret(const std::string& name) {
  const auto found = world_.secrets_.find(name);
  if (found == world_.secrets_.end()) return {Error::not_found, "no secret '" + name + "'"};
  return net::Buffer(found->second.begin(), found->second.end());
}

void FakeHost::deliver(const net::Buffer& packet) {
  const uint32_t source = read32(packet, 12), destination = read32(packet, 16);
  const auto find = [&](uint32_t address, uint16_t port) -> FakeSocket* {
    for (FakeSocket* socket : sockets_) {
      if (socket->matches(address, port)) return socket;
    }
    return nullptr;
  };
  if (packet[9] == 17) {
    const uint16_t port = read16(packet, 22);
    FakeSocket* socket = find(destination, port);
    if (!socket) {
      world_.forward(node_, make_icmp_error(destination, source, 3, 3, packet));
      return;
    }
    socket->take({{net::IpAddress::v4(source), read16(packet, 20)},
                  {net::IpAddress::v4(destination), port},
                  packet[8],
                  net::Buffer(packet.begin() + 28, packet.end())});
  } else if (packet[9] == 1 && packet.size() >= 56 && packet[37] == 17) {
    FakeSocket* socket = find(read32(packet, 40), read16(packet, 48));
    if (!socket) return;
    net::IcmpEvent event;
    event.type = packet[20];
    event.code = packet[21];
    event.error = event.type == 11  ? Error::ttl_exceeded
                  : event.code == 3 ? Error::refused
                                    : Error::unreachable;
    event.to = {net::IpAddress::v4(read32(packet, 44)), read16(packet, 50)};
    event.reporter = net::IpAddress::v4(source);
    socket->take(event);
  }
}

}  // namespace culvert::testing
