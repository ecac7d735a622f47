// vpn: a tunnel between two hosts, whose every packet is sealed (model/tunnel): what of the network
// layer's security costs what (seed 004). One end knows the other's address, the other learns it,
// also when it changes.
#include <deque>

#include "model/services/command_line.h"
#include "model/services/resolver.h"
#include "model/services/table.h"
#include "model/tunnel/session.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

constexpr size_t kBatch = 32;    // ours: packets or datagrams taken at once
constexpr size_t kWaiting = 64;  // ours: packets that wait for the peer; newer ones go
constexpr net::Duration kFirstPause = 250ms, kLongestPause = 5s;  // ours: between two hellos
// Sending and hearing nothing for so long, the end that knows the other's address greets it anew:
// it may have restarted (WireGuard: 15 s).
constexpr net::Duration kSilence = 10s;

struct VpnOptions {
  net::Endpoint bind{net::IpAddress::any_v4(), 51820};  // WireGuard's usual port
  Target peer;
  std::string key, name;
  uint16_t end = 0;
  std::vector<std::string> addresses, routes;
  // 1500 less 40 (IPv6), 8 (UDP) and ours, rounded: the same for both families.
  uint32_t mtu = 1420;
  double keep_alive_s = 25;  // WireGuard's advice for NATs
};

class Vpn : public Service {
 public:
  Vpn(net::Host& host, VpnOptions options)
      : host_(host),
        options_(std::move(options)),
        hello_timer_(host.timers(), [this] { greet(); }),
        alive_timer_(host.timers(), [this] { keep_alive(); }) {}

  ~Vpn() override {
    host_.log().write("vpn", "counters",
                      {{"packets_out", packets_out_},
                       {"packets_in", packets_in_},
                       {"bytes_out", bytes_out_},
                       {"bytes_in", bytes_in_},
                       {"replayed", replayed_},
                       {"forged", forged_},
                       {"dropped", dropped_}});
  }

  net::Status start() override {
    const auto secret = host_.secret(options_.key);
    if (!secret) return secret.status();
    if (secret->size() < 16)
      return {net::Error::invalid, "the secret '" + options_.key + "' is shorter than 16 bytes"};
    session_.emplace(net::key_from(*secret), options_.end == 1,
                     [this](net::MutableBytes out) { host_.secure_random(out); });
    net::TunOptions tun;
    tun.name = options_.name;
    for (const auto& text : options_.addresses) tun.addresses.push_back(*net::Prefix::parse(text));
    for (const auto& text : options_.routes) tun.routes.push_back(*net::Prefix::parse(text));
    tun.mtu = options_.mtu;
    auto device = host_.open_tun(tun);
    if (!device) return device.status();
    tun_ = std::move(*device);
    net::DatagramOptions datagram;
    datagram.local = options_.bind;
    auto socket = host_.open_datagram(datagram);
    if (!socket) return socket.status();
    socket_ = std::move(*socket);
    socket_->on_readable([this] { from_peer(); });
    tun_->on_readable([this] { from_host(); });
    host_.log().write("vpn", "ready", {{"local", socket_->local()}, {"interface", tun_->name()}});
    if (options_.peer.host.empty()) return {};
    lookup_ = find(host_, options_.peer, [this](net::Result<net::Endpoint> to) {
      if (!to) {
        host_.log().write("vpn", "failed", {{"error", to.status().to_string()}});
        return finished(to.status());
      }
      peer_ = *to;
      greet();
    });
    return {};
  }

 private:
  void greet() {
    if (session_->connected() && !silent()) return;
    send(session_->hello(), peer_);
    hello_timer_.arm_after(pause_);
    pause_ = std::min(2 * pause_, kLongestPause);
  }

  bool silent() const { return host_.now() - heard_ > kSilence; }

  void keep_alive() {
    if (options_.keep_alive_s <= 0) return;
    if (quiet_) send(session_->confirm(), peer_);
    quiet_ = true;
    alive_timer_.arm_after(net::from_ms(options_.keep_alive_s * 1000));
  }

  void send(net::Bytes data, const net::Endpoint& to) {
    if (to.is_none()) return;
    net::DatagramOut out;
    out.data = data;
    out.to = to;
    if (socket_->send({&out, 1}).count == 0) ++dropped_;
  }

  void from_host() {
    std::vector<net::PacketIn> batch(kBatch);
    buffers_.resize(kBatch);
    for (size_t i = 0; i < kBatch; ++i) {
      buffers_[i].resize(options_.mtu);
      batch[i].buffer = buffers_[i];
    }
    const auto result = tun_->read(batch);
    for (size_t i = 0; i < result.count; ++i) {
      const net::Bytes packet = batch[i].buffer.first(batch[i].size);
      if (session_->connected()) {
        forward(packet);
      } else if (waiting_.size() < kWaiting) {
        waiting_.emplace_back(packet.begin(), packet.end());
      } else {
        ++dropped_;
      }
    }
  }

  void forward(net::Bytes packet) {
    const auto sealed = session_->seal(packet);
    if (!sealed) return;
    ++packets_out_;
    bytes_out_ += packet.size();
    quiet_ = false;
    send(*sealed, peer_);
    if (!options_.peer.host.empty() && silent() && !hello_timer_.armed()) greet();
  }

  void from_peer() {
    std::vector<net::DatagramIn> batch(kBatch);
    incoming_.resize(kBatch);
    for (size_t i = 0; i < kBatch; ++i) {
      incoming_[i].resize(options_.mtu + tunnel::kOverhead + 64);
      batch[i].buffer = incoming_[i];
    }
    const auto result = socket_->receive(batch);
    for (size_t i = 0; i < result.count; ++i) take(batch[i]);
  }

  void take(const net::DatagramIn& in) {
    const tunnel::Incoming what = session_->open(in.buffer.first(in.size), opened_);
    switch (what) {
      case tunnel::Incoming::packet: {
        follow(in.from);
        ++packets_in_;
        bytes_in_ += opened_.size();
        net::PacketOut out;
        out.data = opened_;
        if (tun_->write({&out, 1}).count == 0) ++dropped_;
        return;
      }
      case tunnel::Incoming::connected:
        peer_ = in.from;
        heard_ = host_.now();
        host_.log().write("vpn", "connected", {{"peer", peer_}});
        hello_timer_.cancel();
        pause_ = kFirstPause;
        if (!opened_.empty()) send(opened_, peer_);
        for (const net::Buffer& packet : std::exchange(waiting_, {})) forward(packet);
        quiet_ = false;
        keep_alive();
        return;
      case tunnel::Incoming::answer:
        return send(opened_, in.from);
      case tunnel::Incoming::alive:
        return follow(in.from);
      case tunnel::Incoming::replayed:
        ++replayed_;
        return;
      case tunnel::Incoming::forged:
        ++forged_;
        return;
    }
  }

  // The peer's address may change: a NAT rebooted, a device moved.
  void follow(const net::Endpoint& from) {
    heard_ = host_.now();
    if (from == peer_) return;
    peer_ = from;
    host_.log().write("vpn", "moved", {{"peer", peer_}});
  }

  net::Host& host_;
  VpnOptions options_;
  net::Timer hello_timer_, alive_timer_;
  std::optional<tunnel::Session> session_;
  std::unique_ptr<net::TunDevice> tun_;
  std::unique_ptr<net::DatagramSocket> socket_;
  std::unique_ptr<net::Lookup> lookup_;
  net::Endpoint peer_;
  net::Duration pause_ = kFirstPause;
  bool quiet_ = true;
  net::Time heard_{0};  // from the peer, and it was the peer
  std::deque<net::Buffer> waiting_;
  std::vector<net::Buffer> buffers_, incoming_;
  net::Buffer opened_;
  uint64_t packets_out_ = 0, packets_in_ = 0, bytes_out_ = 0, bytes_in_ = 0;
  uint64_t replayed_ = 0, forged_ = 0, dropped_ = 0;
};

class VpnBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    VpnOptions& o = options_;
    add_endpoint(app, "--bind", o.bind, "UDP, local");
    add_target(app, "--peer", o.peer, "the other end, HOST:PORT; without it the other end begins");
    app.add_option("--key", o.key, "secret that both ends share")->required();
    app.add_option("--end", o.end, "1 or 2: which end this is; the other is the other")
        ->check(CLI::Range(1, 2))
        ->required();
    const auto prefix = [](const std::string& text) {
      return net::Prefix::parse(text) ? std::string() : "'" + text + "' is no address/length";
    };
    app.add_option("--address", o.addresses, "of the tunnel's interface, ADDRESS/LENGTH")
        ->check(prefix)
        ->required();
    app.add_option("--route", o.routes, "sent into the tunnel, ADDRESS/LENGTH")->check(prefix);
    app.add_option("--interface", o.name, "its name; empty: the host chooses");
    app.add_option("--mtu", o.mtu, "bytes of IP packet in the tunnel")
        ->check(CLI::Range(576, 9000))
        ->capture_default_str();
    app.add_option("--keep-alive-s", o.keep_alive_s, "against NATs that forget; 0: none")
        ->check(CLI::Range(0.0, 86400.0))
        ->capture_default_str();
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<Vpn>(host, options_));
  }

 private:
  VpnOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> vpn_blueprint() { return std::make_unique<VpnBlueprint>(); }

}  // namespace culvert::services
