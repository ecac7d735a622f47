#include "model/punch/puncher.h"

#include <algorithm>

namespace culvert::punch {
namespace {

using namespace std::chrono_literals;
using net::Duration;
using net::Time;
using rendezvous::Introduction;

constexpr size_t kMaxPeers = 64;        // ours
constexpr Duration kBetweenMoves = 1s;  // ours: from one fresh socket to the next
constexpr size_t kMaxEarly = 16;        // ours: probes that came before their introduction
constexpr Duration kEarlyLife = 1s;

}  // namespace

Puncher::Puncher(net::Host& host, PuncherOptions options)
    : host_(host), options_(std::move(options)) {}

Puncher::~Puncher() = default;

net::Status Puncher::start() {
  const net::Status opened = open_socket(options_.local);
  if (!opened.ok()) return opened;
  rendezvous::ClientOptions client_options;
  client_options.device = options_.device;
  client_options.secret = options_.secret;
  client_options.server = options_.server;
  client_options.refresh = options_.refresh;
  rendezvous::ClientEvents events;
  events.registered = [this](const auto& reply, bool moved) { on_registered(reply, moved); };
  events.measured = [this] { on_server_knows(); };
  events.introduced = [this](const auto& introduction) { on_introduced(introduction); };
  events.refused = [this](uint64_t token, auto why) { on_refused(token, why); };
  events.listed = [this](const auto& listed) { on_listed(listed); };
  events.peer_report = [this](const auto& report) { on_peer_report(report); };
  events.unanswered = [this] {
    host_.log().write("punch", "unanswered", {{"server", options_.server}});
  };
  client_ = std::make_unique<rendezvous::Client>(host_, mux(), client_options, std::move(events));
  host_.log().write("punch", "registering",
                    {{"server", options_.server}, {"local", mux().local()}});
  client_->start();
  return {};
}

net::Status Puncher::open_socket(const net::Endpoint& local) {
  net::DatagramOptions socket_options;
  socket_options.local = local;
  if (local.is_none()) {
    socket_options.local.ip =
        options_.server.ip.is_v4() ? net::IpAddress::any_v4() : net::IpAddress::any_v6();
  }
  auto socket = host_.open_datagram(socket_options);
  if (!socket.ok()) return socket.status();
  Socket opened;
  opened.mux = std::make_shared<net::DatagramMux>(std::move(*socket));
  opened.probes = opened.mux->attach(
      net::kStunBytes,
      [this, mux = opened.mux.get()](const net::DatagramIn& in, net::Bytes data) {
        return receive_stun(*mux, in, data);
      },
      [this](const net::IcmpEvent& event) {
        for (auto& [name, peer] : peers_) {
          if (peer.session) peer.session->on_icmp(event);
        }
      });
  sockets_.push_back(std::move(opened));
  return {};
}

// A punch got nowhere: perhaps a mapping was made too early, or poisoned. The registration and all
// that has no path yet move to a fresh socket; the server introduces us again from there.
void Puncher::on_fresh_socket(const std::string& name, int round, bool quiet) {
  if (discovery_) return;  // measuring needs the socket as it is
  if (host_.now() - moved_at_ >= kBetweenMoves || moved_at_ < 0s) {
    moved_at_ = host_.now();
    if (!open_socket({mux().local().ip, 0}).ok()) return;
    client_->use(mux());
    for (auto& [other, peer] : peers_) {
      if (other != name && peer.session) peer.session->use(sockets_.back().mux, false);
    }
  }
  host_.log().write("punch", "fresh_socket",
                    {{"peer", name}, {"round", round}, {"quiet", quiet}, {"local", mux().local()}});
  peers_.at(name).session->use(sockets_.back().mux, quiet);
  // Sockets that no session has a path on any more.
  sockets_.erase(std::remove_if(sockets_.begin(), sockets_.end() - 1,
                                [](const Socket& socket) { return socket.mux.use_count() == 1; }),
                 sockets_.end() - 1);
}

// --- registering ---------------------------------------------------------------------------------

void Puncher::on_registered(const rendezvous::Registered& reply, bool moved) {
  const bool other_address = moved && reply.observed.ip != registration_.observed.ip;
  const bool first = registration_.observed.is_none();
  registration_ = reply;
  host_.log().write("punch", "registered",
                    {{"observed", reply.observed},
                     {"local", mux().local()},
                     {"rtt_ms", client_->rtt().value_or(reply.rtt)},
                     {"moved", moved}});
  for (auto& [name, peer] : peers_) {  // a restarted NAT has forgotten the paths, too
    if (moved && peer.session) peer.session->check_now();
  }
  // Another public address may mean another NAT; only another port means that it was restarted.
  if (first || other_address) {
    measure();
  } else if (moved && ready_) {
    tell_measured();  // our private addresses have another port now
  }
}

rendezvous::Hosts Puncher::own_hosts() const {
  rendezvous::Hosts hosts;
  for (const net::InterfaceAddress& interface : host_.interfaces()) {
    const net::IpAddress& ip = interface.address.ip;
    if (!ip.is_private() || ip.is_v4() != registration_.observed.ip.is_v4()) continue;
    if (hosts.size() < rendezvous::kMaxHosts) hosts.push_back({ip, mux().local().port});
  }
  return hosts;
}

void Puncher::measure() {
  stun::DiscoveryOptions options;
  options.server = options_.server;
  discovery_ = std::make_unique<stun::Discovery>(host_, mux(), options,
                                                 [this](const stun::NatBehaviour& found) {
                                                   const stun::NatBehaviour behaviour = found;
                                                   discovery_.reset();
                                                   on_behaviour(behaviour);
                                                 });
  if (!discovery_->start().ok()) {  // no helper socket: go on with nothing known
    discovery_.reset();
    on_behaviour({});
  }
}

void Puncher::on_behaviour(const stun::NatBehaviour& behaviour) {
  behaviour_ = behaviour;
  host_.log().write(
      "punch", "nat_measured",
      {{"mapping", stun::to_string(behaviour.mapping)},
       {"filtering", stun::to_string(behaviour.filtering)},
       {"hops", static_cast<int64_t>(behaviour.hops ? *behaviour.hops : -1)},
       {"far_ms", behaviour.far ? net::to_ms(*behaviour.far) : 1e301},  // logged as null
       {"hairpin", stun::to_string(behaviour.hairpin)}});
  tell_measured();
}

void Puncher::tell_measured() {
  rendezvous::Measured measured;
  measured.behaviour = behaviour_;
  const Duration rtt = client_->rtt().value_or(0ns);
  if (measured.behaviour.rtt == 0ns || (rtt > 0ns && rtt < measured.behaviour.rtt)) {
    measured.behaviour.rtt = rtt;
  }
  measured.hosts = own_hosts();
  client_->measured(measured);
}

void Puncher::on_server_knows() {
  if (ready_) return;
  ready_ = true;
  host_.log().write("punch", "ready");
  for (auto& [name, peer] : peers_) {
    if (peer.waiting && peer.token == 0) ask(name, peer);
  }
}

// --- asking and being introduced -----------------------------------------------------------------

Puncher::Peer* Puncher::peer_for(const std::string& name) {
  const auto found = peers_.find(name);
  if (found != peers_.end()) return &found->second;
  if (peers_.size() >= kMaxPeers) return nullptr;
  Peer& peer = peers_[name];
  peer.timer = std::make_unique<net::Timer>(host_.timers(), [this, name] { on_peer_timer(name); });
  return &peer;
}

const Session* Puncher::session(const std::string& name) const {
  const auto found = peers_.find(name);
  return found == peers_.end() ? nullptr : found->second.session.get();
}

net::Status Puncher::connect(const std::string& name) {
  if (name.empty() || name.size() > rendezvous::kMaxName || name == options_.device) {
    return {net::Error::invalid, "'" + name + "' is not the name of a peer"};
  }
  Peer* peer = peer_for(name);
  if (!peer) return {net::Error::exhausted, "too many peers: " + std::to_string(kMaxPeers)};
  peer->requested = host_.now();
  peer->recovering = false;
  peer->retries = 0;
  host_.log().write("punch", "connect_requested",
                    {{"peer", name}, {"technique", rendezvous::to_string(options_.technique)}});
  ask(name, *peer);
  return {};
}

void Puncher::ask(const std::string& name, Peer& peer) {
  if (peer.token != 0) client_->cancel_connect(peer.token);
  ++peer.attempt;
  peer.waiting = true;
  peer.token = ready_ ? client_->connect(name, options_.technique) : 0;
  peer.timer->arm_at(peer.requested + options_.session.budget);
}

void Puncher::on_introduced(const Introduction& introduction) {
  // A server in its right mind says nothing of the kind.
  if (introduction.peer.empty() || introduction.peer == options_.device ||
      introduction.peer_observed.is_none() || introduction.peer_observed.port == 0) {
    return;
  }
  if (std::find(closed_.begin(), closed_.end(), introduction.session) != closed_.end()) return;
  Peer* peer = peer_for(introduction.peer);
  if (!peer) return;
  if (peer->session && peer->session->id() == introduction.session) {
    peer->session->reintroduced(introduction);
    return;
  }
  const bool asked = peer->waiting && introduction.token != 0 && introduction.token == peer->token;
  if (!asked) {
    if (!peer->waiting) ++peer->attempt;
    if (peer->token != 0) client_->cancel_connect(peer->token);
  }
  // The peer has noticed before us that a path was lost.
  if (!asked && !peer->recovering && peer->session && peer->session->established()) {
    peer->recovering = true;
    peer->retries = 0;
    peer->last_heard = peer->session->last_heard();
    host_.log().write("punch", "path_lost",
                      {{"peer", introduction.peer}, {"outage_ms", host_.now() - peer->last_heard}});
  }
  // An introduction that crossed our own request answers that request, too.
  const Time since = peer->waiting ? peer->requested : host_.now();
  peer->waiting = false;
  peer->token = 0;
  peer->timer->cancel();
  host_.log().write("punch", "introduced",
                    {{"peer", introduction.peer},
                     {"session", rendezvous::session_text(introduction.session)},
                     {"role", rendezvous::to_string(introduction.role)},
                     {"peer_observed", introduction.peer_observed},
                     {"peer_kind", introduction.theirs.kind()}});
  SessionEvents events;
  const std::string name = introduction.peer;
  const uint64_t id = introduction.session;
  events.result = [this, name](const SessionResult& result) { on_result(name, result); };
  events.lost = [this, name](Time last_heard) { on_lost(name, last_heard); };
  events.moved = [this, name](Time last_answer) {
    const Duration outage = host_.now() - last_answer;
    host_.log().write("punch", "path_lost", {{"peer", name}, {"outage_ms", outage}});
    host_.log().write("punch", "path_restored", {{"peer", name}, {"outage_ms", outage}});
  };
  events.report = [this, id](const rendezvous::Sighting& s) { client_->report(id, s); };
  events.fresh_socket = [this, name](int round, bool quiet) {
    on_fresh_socket(name, round, quiet);
  };
  events.data = [this, name](const std::string& text) {
    host_.log().write("punch", "data_received", {{"peer", name}, {"text", text}});
  };
  events.closed = [this, name] { host_.log().write("punch", "closed", {{"peer", name}}); };
  peer->session =
      std::make_unique<Session>(host_, sockets_.back().mux, introduction, options_.device,
                                client_->observed(), since, options_.session, std::move(events));
  peer->session->start();
  // The peer may have been introduced, and heard, before us.
  for (const Early& early : early_) {
    if (early.session != id || host_.now() - early.when > kEarlyLife) continue;
    const auto message = stun::Message::parse(early.data);
    net::DatagramIn in;
    in.from = early.from;
    if (message.ok()) peer->session->on_message(*message, in, early.data);
  }
  early_.erase(std::remove_if(early_.begin(), early_.end(),
                              [&](const Early& early) {
                                return early.session == id || host_.now() - early.when > kEarlyLife;
                              }),
               early_.end());
}

bool Puncher::receive_stun(const net::DatagramMux& mux, const net::DatagramIn& in,
                           net::Bytes data) {
  const auto message = stun::Message::parse(data);
  if (!message.ok()) return false;
  const auto session = session_of(*message);
  if (!session) return false;
  for (auto& [name, peer] : peers_) {
    if (peer.session && peer.session->id() == *session) {
      // What comes to a socket that was left behind is too late.
      if (peer.session->uses(mux)) peer.session->on_message(*message, in, data);
      return true;
    }
  }
  if (early_.size() >= kMaxEarly) early_.pop_front();
  early_.push_back({host_.now(), *session, in.from, net::Buffer(data.begin(), data.end())});
  return true;
}

void Puncher::on_refused(uint64_t token, rendezvous::RefusedWhy why) {
  for (auto& [name, peer] : peers_) {
    if (!peer.waiting || peer.token != token) continue;
    peer.waiting = false;
    peer.token = 0;
    peer.timer->cancel();
    SessionResult result;
    result.took = host_.now() - peer.requested;
    if (why == rendezvous::RefusedWhy::peer_unknown) {
      result.why = {Reason::peer_unknown, "the server knows no device '" + name +
                                              "' that we may see and that is registered"};
    } else {
      result.why = {Reason::no_server, "the server has as many introductions under way as it may"};
    }
    log_result(name, peer, result);
    if (peer.recovering) recover_later(peer);
  }
}

void Puncher::on_listed(const rendezvous::Listed& listed) {
  std::string text;
  for (const auto& device : listed.devices) {
    if (!text.empty()) text += ", ";
    text += device.name + " " + device.observed.to_string() + " ";
    text += stun::to_string(device.mapping);
    text += "-";
    text += stun::to_string(device.filtering);
  }
  host_.log().write("punch", "listed",
                    {{"count", static_cast<uint64_t>(listed.devices.size())}, {"devices", text}});
}

void Puncher::on_peer_report(const rendezvous::PeerReport& report) {
  for (auto& [name, peer] : peers_) {
    if (peer.session && peer.session->id() == report.session) {
      peer.session->on_peer_report(report);
    }
  }
}

}  // namespace culvert::punch
