#include "model/rendezvous/mediator.h"

#include <algorithm>
#include <tuple>

namespace culvert::rendezvous {
namespace {

using namespace std::chrono_literals;
using net::Duration;
using net::Time;

constexpr Duration kSessionLife = 60s;  // ours: longer than any budget for a punch
constexpr Duration kMergeWindow = 2s;   // ours: crossing requests of a pair make one session
constexpr int kTries = 7;               // of an introduction, as STUN's Rc (RFC 8489 section 6.2.1)
constexpr Duration kFirstWait = 500ms;  // RTO before anything was measured (same section)
constexpr Duration kMinWait = 10ms;     // ours: below it a timer measures scheduling, not networks
constexpr Duration kMaxWait = 4s;       // ours

}  // namespace

net::Status Mediator::check(const MediatorOptions& options) {
  std::set<std::string> names;
  for (const auto& device : options.devices) {
    if (device.name.empty() || device.name.size() > kMaxName) {
      return {net::Error::invalid, "a device's name has 1 to 32 bytes: '" + device.name + "'"};
    }
    if (!names.insert(device.name).second) {
      return {net::Error::invalid, "device '" + device.name + "' is named twice"};
    }
  }
  for (const auto& group : options.groups) {
    for (const auto& member : group) {
      if (!names.count(member)) {
        return {net::Error::invalid, "a group names '" + member + "', which is no device"};
      }
    }
  }
  return {};
}

Mediator::Mediator(const MediatorOptions& options, SecureRandom random, net::EventLog* log)
    : options_(options),
      random_(std::move(random)),
      log_(log),
      limit_(options.limit, random_u64()),
      home_limit_(options.limit, random_u64()) {
  random_({cookie_key_.data(), cookie_key_.size()});
  while (epoch_ == 0) epoch_ = random_u64();
  for (const auto& configured : options_.devices) {
    Device device;
    device.name = configured.name;
    device.keys = device_keys(configured.secret, configured.name);
    by_name_[device.name] = devices_.size();
    devices_.push_back(std::move(device));
  }
  for (size_t i = 0; i < devices_.size() && options_.groups.empty(); ++i) {
    for (size_t k = 0; k < devices_.size(); ++k) {
      if (k != i) devices_[i].visible.insert(k);
    }
  }
  for (const auto& group : options_.groups) {
    for (const auto& a : group) {
      for (const auto& b : group) {
        if (a != b) devices_[by_name_[a]].visible.insert(by_name_[b]);
      }
    }
  }
}

std::vector<Outgoing> Mediator::handle(Time now, const net::Endpoint& from, net::Bytes datagram) {
  std::vector<Outgoing> out;
  const auto envelope = open_envelope(datagram);
  if (!envelope.ok() || !from_device(envelope->type)) {
    refuse(from, "", "malformed");
    return out;
  }
  const auto found = by_name_.find(envelope->name);
  // What seems to come from where a device is registered is opened first and counted after: a flood
  // from a forged source must not keep the device itself out.
  const bool seems_home = found != by_name_.end() && devices_[found->second].registered &&
                          devices_[found->second].observed == from;
  if (!seems_home && !limit_.allow(now, from.ip)) {
    refuse(from, envelope->name, "limit");
    return out;
  }
  if (found == by_name_.end()) {
    refuse(from, envelope->name, "unknown_device");
    return out;
  }
  Device& device = devices_[found->second];
  const auto decoded = decode_request(*envelope, device.keys);
  if (!decoded.ok()) {
    refuse(from, device.name,
           decoded.error() == net::Error::not_permitted ? "bad_seal" : "malformed");
    return out;
  }
  const RequestHeader& header = decoded->header;
  const Context c{now, found->second, header, from, out};
  const bool registering = std::holds_alternative<Register>(decoded->request);
  const auto issued = registering && header.epoch == epoch_
                          ? check_cookie(header.cookie, now, from, device.name, header.boot)
                          : std::nullopt;
  // A boot begins with a cookie younger than the one before began with: an old boot's frames,
  // replayed while their cookie still lives, do not bring it back.
  const bool known_boot = device.boot == header.boot && device.cookie_issued >= Time(0);
  if (!known_boot && !(issued && *issued > device.cookie_issued)) {
    answer(c, Challenge{make_cookie(now, from, device.name, header.boot)});
    return out;
  }
  if (!known_boot) {
    device.boot = header.boot;
    device.cookie_issued = *issued;
    device.window.reset();
    device.rtt.reset();
    device.behaviour = {};
    device.hosts.clear();
  }
  if (!device.window.accept(header.number)) {
    refuse(from, device.name, "replayed");
    return out;
  }
  if (seems_home && !home_limit_.allow(now, from.ip)) {
    refuse(from, device.name, "limit");
    return out;
  }
  const bool at_home = device.registered && device.observed == from && header.epoch == epoch_;
  if (!at_home && !issued) {
    answer(c, Challenge{make_cookie(now, from, device.name, header.boot)});
    return out;
  }
  if (registering) {
    on_register(c, issued.has_value(), issued.value_or(now));
  } else if (const auto* measured = std::get_if<Measured>(&decoded->request)) {
    on_measured(c, *measured);
  } else if (std::holds_alternative<Unregister>(decoded->request)) {
    drop_registration(c.device);
    if (log_) log_->write("rendezvous", "unregistered", {{"device", device.name}});
    answer(c, Gone{});
  } else if (std::holds_alternative<List>(decoded->request)) {
    send_list(c);
  } else if (const auto* connect = std::get_if<Connect>(&decoded->request)) {
    on_connect(c, *connect);
  } else if (const auto* acknowledge = std::get_if<Acknowledge>(&decoded->request)) {
    on_acknowledge(c, acknowledge->session);
  } else if (const auto* report = std::get_if<Report>(&decoded->request)) {
    on_report(c, *report);
  }
  return out;
}

void Mediator::on_register(const Context& c, bool proven, Time issued) {
  Device& device = devices_[c.device];
  const bool fresh = !device.registered;
  const bool moved = !fresh && device.observed != c.from;
  if (proven) {
    const Duration rtt = c.now - issued;
    device.rtt = device.rtt && !moved ? std::min(*device.rtt, rtt) : rtt;
  }
  device.registered = true;
  device.observed = c.from;
  due_.erase({device.expires, c.device, 3});
  device.expires = c.now + options_.lifetime;
  due_.insert({device.expires, c.device, 3});
  if (fresh || moved) {
    log_registered(device);
  } else if (log_) {
    log_->write("rendezvous", "refreshed", {{"device", device.name}});
  }
  answer_registered(c);
  if (moved) reintroduce(c.now, c.device, c.out);
}

void Mediator::on_measured(const Context& c, const Measured& m) {
  Device& device = devices_[c.device];
  const std::string before = device.behaviour.kind();
  device.behaviour = m.behaviour;
  device.hosts.clear();
  for (const net::Endpoint& host : m.hosts) {
    if (host.ip.is_private() && host.port != 0) device.hosts.push_back(host);
  }
  // The device has more exchanges to choose the smallest from; it can only mislead itself.
  if (m.behaviour.rtt > Duration(0)) {
    device.rtt = device.rtt ? std::min(*device.rtt, m.behaviour.rtt) : m.behaviour.rtt;
  }
  if (device.behaviour.kind() != before) log_registered(device);
  answer_registered(c);
}

void Mediator::send_list(const Context& c) {
  Listed reply;
  for (const size_t other : devices_[c.device].visible) {
    const Device& device = devices_[other];
    if (!device.registered || reply.devices.size() == kMaxListed) continue;
    reply.devices.push_back(
        {device.name, device.observed, device.behaviour.mapping, device.behaviour.filtering});
  }
  answer(c, reply);
}

int Mediator::side_of(const Session& session, size_t device) const {
  return session.sides[0].device == device ? 0 : session.sides[1].device == device ? 1 : -1;
}

void Mediator::on_connect(const Context& c, const Connect& connect) {
  const Device& device = devices_[c.device];
  const auto found = by_name_.find(connect.peer);
  if (found == by_name_.end() || !device.visible.count(found->second)) {
    refuse(c.from, device.name, "not_visible");
    answer(c, Refused{connect.token, RefusedWhy::peer_unknown});
    return;
  }
  const size_t peer = found->second;
  if (!devices_[peer].registered) {
    refuse(c.from, device.name, "peer_not_registered");
    answer(c, Refused{connect.token, RefusedWhy::peer_unknown});
    return;
  }
  // A retransmission: the same session once more. Crossing requests of both: the session that is
  // under way, so that both hold one key and one pair of roles.
  for (const auto& pair : {std::pair{c.device, peer}, std::pair{peer, c.device}}) {
    const auto live = by_pair_.find(pair);
    if (live == by_pair_.end()) continue;
    Session& session = sessions_.at(live->second);
    const int mine = side_of(session, c.device);
    if (mine < 0) continue;  // by_pair_ names its members; a stale entry must not index
    const bool repeated = session.sides[mine].token == connect.token;
    const bool crossing = mine == 1 && c.now - session.created < kMergeWindow &&
                          session.sides[1].token == 0 && !session.sides[1].reported;
    if (!repeated && !crossing) continue;
    session.sides[mine].token = connect.token;
    introduce(c.now, session, mine, c.out);
    return;
  }
  if (sessions_.size() >= options_.max_sessions) {
    refuse(c.from, device.name, "limit");
    answer(c, Refused{connect.token, RefusedWhy::busy});
    return;
  }
  Session session;
  do session.id = random_u64();
  while (session.id == 0 || sessions_.count(session.id));
  session.technique = connect.technique;
  random_({session.key.data(), session.key.size()});
  session.created = c.now;
  session.sides[0].device = c.device;
  session.sides[0].token = connect.token;
  session.sides[1].device = peer;
  Session& stored = sessions_[session.id] = session;
  const auto older = by_pair_.find({c.device, peer});
  if (older != by_pair_.end()) forget_session(older->second);
  by_pair_[{c.device, peer}] = stored.id;
  due_.insert({c.now + kSessionLife, stored.id, 2});
  if (log_) {
    log_->write("rendezvous", "introduced",
                {{"initiator", device.name},
                 {"responder", devices_[peer].name},
                 {"session", session_text(stored.id)}});
  }
  introduce(c.now, stored, 1, c.out);  // both leave at the same moment
  introduce(c.now, stored, 0, c.out);
}

void Mediator::introduce(Time now, Session& session, int side, std::vector<Outgoing>& out) {
  Side& mine = session.sides[side];
  const Side& theirs = session.sides[1 - side];
  const Device& me = devices_[mine.device];
  const Device& peer = devices_[theirs.device];
  if (!me.registered || !peer.registered) return;  // nobody there, or nobody to be told of
  Introduction i;
  i.session = session.id;
  i.token = mine.token;
  i.role = side == 0 ? Role::initiator : Role::responder;
  i.technique = session.technique;
  i.peer = peer.name;
  i.peer_observed = peer.observed;
  i.mine = me.behaviour;
  i.mine.rtt = me.rtt.value_or(Duration(0));
  i.theirs = peer.behaviour;
  i.theirs.rtt = peer.rtt.value_or(Duration(0));
  i.same_public = me.observed.ip == peer.observed.ip;
  if (i.same_public) i.hosts = peer.hosts;
  i.key = session.key;
  send(mine.device, 0, i, me.observed, me.boot, out);
  if (mine.acknowledged) return;
  // Retransmitted on a schedule that follows this device's own round trip.
  mine.wait = mine.tries == 0 ? (me.rtt ? std::max(kMinWait, *me.rtt * 3 / 2) : kFirstWait)
                              : std::min(mine.wait * 2, kMaxWait);
  ++mine.tries;
  set_due(session, side, mine.tries < kTries ? now + mine.wait : Time::max());
}

void Mediator::reintroduce(Time now, size_t device, std::vector<Outgoing>& out) {
  for (auto& [id, session] : sessions_) {
    const int side = side_of(session, device);
    if (side < 0 || now - session.created > kSessionLife / 2) continue;
    for (const int both : {side, 1 - side}) {
      session.sides[both].acknowledged = false;
      session.sides[both].tries = 0;
      introduce(now, session, both, out);
    }
  }
}

void Mediator::on_acknowledge(const Context& c, uint64_t id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  const int side = side_of(found->second, c.device);
  if (side < 0) return;
  found->second.sides[side].acknowledged = true;
  set_due(found->second, side, Time::max());
}

void Mediator::on_report(const Context& c, const Report& report) {
  const auto found = sessions_.find(report.session);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  const int side = side_of(session, c.device);
  if (side < 0) return;
  Side& mine = session.sides[side];
  const Side& theirs = session.sides[1 - side];
  mine.sighting = report.sighting;
  mine.reported = mine.acknowledged = true;
  set_due(session, side, Time::max());
  answer(c, PeerReport{session.id, theirs.acknowledged, theirs.reported, theirs.sighting});
  const Device& peer = devices_[theirs.device];
  if (peer.registered) {
    send(theirs.device, 0, PeerReport{session.id, true, true, mine.sighting}, peer.observed,
         peer.boot, c.out);
  }
}

std::vector<Outgoing> Mediator::on_time(Time now) {
  std::vector<Outgoing> out;
  while (!due_.empty() && std::get<0>(*due_.begin()) <= now) {
    const auto [when, id, what] = *due_.begin();
    due_.erase(due_.begin());
    if (what == 3) {
      Device& device = devices_[id];
      if (!device.registered || device.expires != when) continue;
      drop_registration(id);
      if (log_) log_->write("rendezvous", "expired", {{"device", device.name}});
      continue;
    }
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) continue;
    if (what == 2) {
      forget_session(id);
    } else {
      found->second.sides[what].due = Time::max();
      introduce(now, found->second, what, out);
    }
  }
  return out;
}

Time Mediator::next_deadline() const {
  return due_.empty() ? Time::max() : std::get<0>(*due_.begin());
}

size_t Mediator::registered_count() const {
  return static_cast<size_t>(std::count_if(devices_.begin(), devices_.end(),
                                           [](const Device& d) { return d.registered; }));
}

void Mediator::set_due(Session& session, int side, Time due) {
  Side& mine = session.sides[side];
  if (mine.due != Time::max()) due_.erase({mine.due, session.id, side});
  mine.due = due;
  if (due != Time::max()) due_.insert({due, session.id, side});
}

void Mediator::forget_session(uint64_t id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  set_due(session, 0, Time::max());
  set_due(session, 1, Time::max());
  due_.erase({session.created + kSessionLife, id, 2});
  const auto pair = by_pair_.find({session.sides[0].device, session.sides[1].device});
  if (pair != by_pair_.end() && pair->second == id) by_pair_.erase(pair);
  sessions_.erase(found);
}

void Mediator::drop_registration(size_t index) {
  Device& device = devices_[index];
  device.registered = false;
  device.observed = {};
  device.rtt.reset();
}

}  // namespace culvert::rendezvous
