#include "model/ns3/host.h"

#include <sodium.h>

#include <cstring>

#include "model/ns3/convert.h"
#include "model/ns3/datagram.h"
#include "model/ns3/hook.h"
#include "model/ns3/ip_output.h"
#include "model/ns3/loop.h"
#include "model/ns3/ports.h"
#include "model/ns3/stream.h"
#include "model/ns3/tcp_layer.h"
#include "model/ns3/tun.h"
#include "model/ns3/udp_layer.h"
#include "model/packet/selector.h"
#include "ns3/boolean.h"
#include "ns3/config.h"
#include "ns3/global-value.h"
#include "ns3/loopback-net-device.h"
#include "ns3/names.h"
#include "ns3/simulator.h"

namespace culvert::ns3_world {
namespace {

class Ns3Lookup final : public net::Lookup {
 public:
  Ns3Lookup(net::TimerQueue& timers, net::Result<std::vector<net::IpAddress>> answer,
            net::Duration delay, net::Host::Resolved done)
      : timer_(timers, [answer = std::move(answer), done = std::move(done)] { done(answer); }) {
    timer_.arm_after(delay);
  }

 private:
  net::Timer timer_;
};

// A name that could leave a secrets folder on Linux is refused here too.
bool plain_name(const std::string& name) {
  if (name.empty() || name == "." || name == "..") return false;
  for (const char c : name)
    if (c == '/' || c == '\0') return false;
  return true;
}

}  // namespace

void configure_ns3_defaults() {
  ns3::GlobalValue::Bind("ChecksumEnabled", ns3::BooleanValue(true));
}

struct Ns3Host::Parts {
  Parts(ns3::Ptr<ns3::Node> ns3_node, Ns3HostOptions given)
      : options(std::move(given)),
        node(ns3_node),
        loop(ns3_node->GetId()),
        disk(options.commit_delay),
        random(net::derive_seed(options.seed, options.name)),
        log(
            options.name, [this] { return loop.now(); }, options.sink),
        output(ns3_node),
        udp(ns3::CreateObject<UdpLayer>()),
        udp_ports(net::derive_seed(options.seed, options.name + "/udp-ports")),
        tcp(ns3::CreateObject<TcpLayer>()),
        tcp_ports(net::derive_seed(options.seed, options.name + "/tcp-ports")),
        tuns(output),
        hooks(ns3_node) {
    udp->attach(output);
    tcp->attach(output, net::derive_seed(options.seed, options.name + "/tcp-sequences"),
                options.tcp_buffer);
  }
  ~Parts() {
    tcp->detach();
    udp->detach();
  }

  // The endpoint that a socket gets, or why it cannot have it.
  net::Result<net::Endpoint> bind(Ports& ports, net::Endpoint local, bool share,
                                  net::IpAddress::Family family) const;

  Ns3HostOptions options;
  ns3::Ptr<ns3::Node> node;
  Loop loop;
  net::MemoryDisk disk;
  net::Random random;
  uint64_t secure_draws = 0;
  net::EventLog log;
  IpOutput output;
  ns3::Ptr<UdpLayer> udp;
  Ports udp_ports;
  ns3::Ptr<TcpLayer> tcp;
  Ports tcp_ports;
  TunPool tuns;
  HookChain hooks;
};

net::Result<net::Endpoint> Ns3Host::Parts::bind(Ports& ports, net::Endpoint local, bool share,
                                                net::IpAddress::Family family) const {
  if (local.ip.is_none())
    local.ip =
        family == net::IpAddress::Family::v6 ? net::IpAddress::any_v6() : net::IpAddress::any_v4();
  if (!output.has(local.ip.family()))
    return {net::Error::unsupported, options.name + " has no IP stack for " + local.ip.to_string()};
  if (!local.ip.is_any() && !local.ip.is_multicast() && !output.is_local(local.ip))
    return {net::Error::not_available, local.ip.to_string() + " is no address of " + options.name};
  if (local.port == 0) {
    local.port = ports.choose(local.ip);
    if (local.port == 0) return {net::Error::exhausted, "no free port on " + local.ip.to_string()};
  } else if (!ports.free(local, share)) {
    return {net::Error::in_use, local.to_string() + " is taken on " + options.name};
  }
  return local;
}

Ns3Host::Ns3Host(ns3::Ptr<ns3::Node> node, Ns3HostOptions options)
    : parts_(std::make_unique<Parts>(node, std::move(options))) {}
Ns3Host::~Ns3Host() = default;

const std::string& Ns3Host::name() const { return parts_->options.name; }
net::Time Ns3Host::now() const { return parts_->loop.now(); }
net::TimerQueue& Ns3Host::timers() { return parts_->loop.timers(); }
net::Random& Ns3Host::random() { return parts_->random; }
net::EventLog& Ns3Host::log() { return parts_->log; }
ns3::Ptr<ns3::Node> Ns3Host::node() const { return parts_->node; }
void Ns3Host::post(std::function<void()> task) { parts_->loop.post(std::move(task)); }

void Ns3Host::secure_random(net::MutableBytes out) {
  if (out.empty()) return;
  // A seed of its own for every draw: 64 bits of stream from the run's seed, 64 of count.
  uint8_t seed[randombytes_SEEDBYTES] = {};
  const uint64_t stream = net::derive_seed(parts_->options.seed, parts_->options.name + "/secure");
  const uint64_t draw = parts_->secure_draws++;
  std::memcpy(seed, &stream, sizeof stream);
  std::memcpy(seed + sizeof stream, &draw, sizeof draw);
  randombytes_buf_deterministic(out.data(), out.size(), seed);
}

void Ns3Host::offload(std::function<void()> work, std::function<void()> done) {
  work();
  parts_->loop.after(parts_->options.offload_delay, std::move(done));
}

net::Result<std::unique_ptr<net::DatagramSocket>> Ns3Host::open_datagram(
    const net::DatagramOptions& options) {
  const auto local =
      parts_->bind(parts_->udp_ports, options.local, options.share_port, options.local.ip.family());
  if (!local) return local.status();
  return std::unique_ptr<net::DatagramSocket>(std::make_unique<Ns3Datagram>(
      parts_->loop, parts_->output, *parts_->udp, parts_->udp_ports, *local, options));
}

net::Result<std::unique_ptr<net::Listener>> Ns3Host::listen(const net::ListenOptions& options) {
  const auto local =
      parts_->bind(parts_->tcp_ports, options.local, options.share_port, options.local.ip.family());
  if (!local) return local.status();
  return std::unique_ptr<net::Listener>(std::make_unique<Ns3Listener>(
      parts_->loop, *parts_->tcp, PortLease(parts_->tcp_ports, *local, options.share_port), *local,
      options));
}

constexpr int kPortTries = 64;  // ours: until then half of all ports would have to be ending

net::Result<std::unique_ptr<net::Dial>> Ns3Host::dial(const net::DialOptions& options,
                                                      net::DialDone done) {
  const net::IpAddress& to = options.remote.ip;
  if (to.is_none() || to.is_any() || to.is_multicast() || options.remote.port == 0)
    return {net::Error::invalid, options.remote.to_string() + " cannot be dialled"};
  if (!options.local.ip.is_none() && options.local.ip.family() != to.family())
    return {net::Error::invalid, options.local.to_string() + " and " + options.remote.to_string() +
                                     " are of different families"};
  if (options.ttl && *options.ttl == 0) return {net::Error::invalid, "a TTL of 0 reaches nobody"};
  // What is wrong from here on comes through `done`, as it does on Linux.
  net::Endpoint wanted = options.local;
  net::Status refusal;
  const auto route = parts_->output.route(to);
  if (!route) refusal = {net::Error::unreachable, "no route to " + to.to_string()};
  if (route && (wanted.ip.is_none() || wanted.ip.is_any())) wanted.ip = route->source;
  PortLease lease;
  if (refusal.ok()) {
    auto local = parts_->bind(parts_->tcp_ports, wanted, options.share_port, to.family());
    // As on Linux: a port whose last connection to there still ends, with nobody holding it, is
    // passed over.
    for (int tries = 0; tries < kPortTries && wanted.port == 0 && local &&
                        parts_->tcp->find(*local, options.remote) != nullptr;
         ++tries)
      local = parts_->bind(parts_->tcp_ports, wanted, options.share_port, to.family());
    if (local) {
      wanted = *local;
      lease = PortLease(parts_->tcp_ports, wanted, options.share_port);
    } else {
      refusal = local.status();
    }
  }
  return std::unique_ptr<net::Dial>(std::make_unique<Ns3Dial>(parts_->loop, *parts_->tcp,
                                                              std::move(lease), wanted, options,
                                                              std::move(refusal), std::move(done)));
}

net::Result<std::unique_ptr<net::TunDevice>> Ns3Host::open_tun(const net::TunOptions& options) {
  const net::Status sense = TunPool::check(options);
  if (!sense.ok()) return sense;
  return std::unique_ptr<net::TunDevice>(
      std::make_unique<Ns3Tun>(parts_->loop, parts_->tuns, parts_->tuns.open(options)));
}

net::Result<std::unique_ptr<net::PacketHook>> Ns3Host::add_hook(const net::Selector& selector,
                                                                net::HookFunction function) {
  const net::Status sense = packet::check(selector);
  if (!sense.ok()) return sense;
  return std::unique_ptr<net::PacketHook>(
      std::make_unique<Ns3Hook>(parts_->hooks, parts_->hooks.add(selector, std::move(function))));
}

net::Result<std::unique_ptr<net::FlowTable>> Ns3Host::open_flow_table(size_t limit) {
  const uint64_t seed = net::derive_seed(parts_->options.seed, parts_->options.name + "/flows");
  return std::unique_ptr<net::FlowTable>(
      std::make_unique<Ns3FlowTable>(parts_->output, parts_->loop, limit, seed));
}

net::Result<std::unique_ptr<net::Store>> Ns3Host::open_store(const std::string& name) {
  return parts_->disk.open(*this, name);
}

net::MemoryDisk& Ns3Host::disk() { return parts_->disk; }

std::unique_ptr<net::Lookup> Ns3Host::resolve(const std::string& name, Resolved done) {
  net::Result<std::vector<net::IpAddress>> answer(net::Error::not_found,
                                                  "no host is called " + name);
  const auto found = parts_->options.names.find(name);
  if (const auto literal = net::IpAddress::parse(name))
    answer = std::vector<net::IpAddress>{*literal};
  else if (found != parts_->options.names.end())
    answer = found->second;
  return std::make_unique<Ns3Lookup>(parts_->loop.timers(), std::move(answer),
                                     parts_->options.lookup_delay, std::move(done));
}

std::vector<net::InterfaceAddress> Ns3Host::interfaces() const {
  std::vector<net::InterfaceAddress> out;
  const auto add = [&](ns3::Ptr<ns3::NetDevice> device, const net::IpAddress& ip, uint8_t length) {
    net::InterfaceAddress entry;
    const bool loopback = ns3::DynamicCast<ns3::LoopbackNetDevice>(device) != nullptr;
    entry.interface = parts_->tuns.name_of(*device);
    if (entry.interface.empty()) entry.interface = ns3::Names::FindName(device);
    if (entry.interface.empty())
      entry.interface = loopback ? "lo" : "if" + std::to_string(device->GetIfIndex());
    entry.address = {ip, length};
    entry.mtu = device->GetMtu();
    out.push_back(std::move(entry));
  };
  if (const auto ipv4 = parts_->output.v4())
    for (uint32_t i = 0; i < ipv4->GetNInterfaces(); ++i)
      for (uint32_t k = 0; ipv4->IsUp(i) && k < ipv4->GetNAddresses(i); ++k) {
        const ns3::Ipv4InterfaceAddress address = ipv4->GetAddress(i, k);
        add(ipv4->GetNetDevice(i), from_ns3(address.GetLocal()),
            static_cast<uint8_t>(address.GetMask().GetPrefixLength()));
      }
  if (const auto ipv6 = parts_->output.v6())
    for (uint32_t i = 0; i < ipv6->GetNInterfaces(); ++i)
      for (uint32_t k = 0; ipv6->IsUp(i) && k < ipv6->GetNAddresses(i); ++k) {
        const ns3::Ipv6InterfaceAddress address = ipv6->GetAddress(i, k);
        add(ipv6->GetNetDevice(i), from_ns3(address.GetAddress()),
            address.GetPrefix().GetPrefixLength());
      }
  return out;
}

net::Result<net::Buffer> Ns3Host::secret(const std::string& name) {
  if (!plain_name(name)) return {net::Error::invalid, "\"" + name + "\" is no name of a secret"};
  const auto found = parts_->options.secrets.find(name);
  if (found == parts_->options.secrets.end())
    return {net::Error::not_found, "no secret is called " + name};
  return found->second;
}

}  // namespace culvert::ns3_world
