#include "model/mqtt/broker/core.h"

#include <algorithm>

#include "model/mqtt/broker/broker.h"
#include "model/net/pipe.h"

namespace culvert::mqtt {
namespace {

// Ours: one read takes at most this much of one client before the others have their turn.
constexpr size_t kReadBuffer = 64 * 1024;
// Ours: buffers kept for those who have something to write, and how large one may have grown.
constexpr size_t kSpareBuffers = 256, kSpareCapacity = 128 * 1024;
// Ours: connections above the limit that are heard until their CONNECT, to say why they must go.
constexpr size_t kTurnedAway = 64;

uint64_t secure_seed(net::Host& host) {
  uint8_t bytes[8];
  host.secure_random(bytes);
  uint64_t seed = 0;
  for (const uint8_t byte : bytes) seed = seed << 8 | byte;
  return seed;
}

// Ours: what a record takes beside the packet that is in it.
constexpr size_t kRecordRest = 1'048'576;

BrokerOptions settled(BrokerOptions options, bool durable) {
  if (durable) {
    options.packet_bytes =
        std::min(options.packet_bytes, static_cast<uint32_t>(net::kStoreValueMost - kRecordRest));
  }
  return options;
}

}  // namespace

size_t Core::IdHash::operator()(std::string_view text) const {
  uint64_t h = seed ^ text.size();
  for (const char c : text) {
    h = (h ^ static_cast<uint8_t>(c)) * 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
    h ^= h >> 29;
  }
  return h;
}

Core::Core(net::Host& host, BrokerOptions options, Access& access, net::Store* store)
    : host_(host),
      options_(settled(std::move(options), store != nullptr)),
      access_(access),
      commits_(*this, store),
      now_(host.now()),
      by_id_(0, IdHash{secure_seed(host)}),
      tree_(secure_seed(host)),
      retained_(options_.retained_messages, options_.retained_bytes),
      read_buffer_(kReadBuffer),
      wheel_(host.timers(), [this](Wheel::Place& place) { on_deadline(place); }),
      due_timer_(host.timers(), [this] { run_due(); }),
      sweep_timer_(host.timers(), [this] { sweep(); }),
      stop_timer_(host.timers(), [this] {
        if (stopped_) std::exchange(stopped_, nullptr)();
      }) {}

Core::~Core() { *alive_ = false; }

void Core::log(std::string_view event, std::initializer_list<net::Field> fields) {
  host_.log().write("mqtt", event, fields);
}

void Core::attach(std::unique_ptr<net::Stream> stream, Peer peer) {
  note_time();
  Reason turned_away = Reason::success;
  if (stopping_) {
    turned_away = Reason::server_shutting_down;
  } else if (counters_.connections >= options_.connections) {
    turned_away = Reason::quota_exceeded;
  } else if (options_.new_connections_per_s > 0) {
    // A bucket of one second's worth, filled as time goes.
    const auto per_s = static_cast<int64_t>(options_.new_connections_per_s);
    const net::Duration each = net::Duration(1'000'000'000 / per_s);
    new_connections_until_ = std::max(new_connections_until_, now_ - net::Duration(1'000'000'000));
    if (new_connections_until_ + each > now_) {
      turned_away = Reason::connection_rate_exceeded;
    } else {
      new_connections_until_ += each;
    }
  }
  if (turned_away != Reason::success) {
    ++counters_.refused;
    if (turned_away_ >= kTurnedAway) {
      stream->reset();
      return;
    }
    ++turned_away_;
  }
  uint32_t slot = 0;
  if (free_connections_.empty()) {
    slot = static_cast<uint32_t>(connections_.size());
    connections_.emplace_back();
  } else {
    slot = free_connections_.back();
    free_connections_.pop_back();
  }
  auto made = std::make_unique<Connection>(*this, std::move(stream), std::move(peer), slot,
                                           ++connection_serials_);
  Connection& c = *made;
  c.turned_away = turned_away;
  c.last_in = now_;
  connections_[slot] = std::move(made);
  ++counters_.connections;
  counters_.connections_most = std::max(counters_.connections_most, counters_.connections);
  wheel_.set(c, now_ + options_.connect_patience);
}

std::unique_ptr<net::Stream> Core::attach_local(const std::string& user) {
  auto [ours, theirs] = net::make_pipe(host_);
  Peer peer;
  peer.transport = "local";
  peer.user = user;
  attach(std::move(ours), std::move(peer));
  return std::move(theirs);
}

void Core::publish(const Publish& message) {
  note_time();
  publish_message(Message::make(message, now_), nullptr);
}

bool Core::disconnect(std::string_view client_id, Reason reason) {
  Session* s = find_session(client_id);
  if (s == nullptr || s->connection == nullptr) return false;
  doom(*s->connection, reason, true, "an operator ended it");
  return true;
}

size_t Core::disconnect_user(std::string_view user, Reason reason) {
  size_t count = 0;
  for (const auto& s : sessions_) {
    if (!s || s->user != user || s->connection == nullptr) continue;
    doom(*s->connection, reason, true, "the user's login is no longer valid");
    ++count;
  }
  return count;
}

net::Buffer Core::spare_buffer() {
  if (spare_buffers_.empty()) {
    net::Buffer fresh;
    fresh.reserve(4096);
    return fresh;
  }
  net::Buffer buffer = std::move(spare_buffers_.back());
  spare_buffers_.pop_back();
  return buffer;
}

void Core::spare(net::Buffer buffer) {
  if (spare_buffers_.size() >= kSpareBuffers || buffer.capacity() > kSpareCapacity) return;
  buffer.clear();
  spare_buffers_.push_back(std::move(buffer));
}

Handled Core::handle(Connection& c, Bytes packet) {
  ++counters_.packets_in;
  const auto type = static_cast<Type>(packet[0] >> 4);
  if (type == Type::publish && c.state == Connection::State::up) return handle_publish(c, packet);
  // The short form of an acknowledgement (3.4.2.1): an identifier and nothing else.
  if (packet.size() == 4 && type >= Type::puback && type <= Type::pubcomp &&
      c.state == Connection::State::up) {
    const auto id = static_cast<uint16_t>(packet[2] << 8 | packet[3]);
    if (id != 0) {
      handle_ack(c, type, id, Reason::success);
      return Handled::done;
    }
  }
  if (c.state == Connection::State::waiting) {
    if (type != Type::connect) {
      fault(c, {Reason::protocol_error, "the first packet is not CONNECT", "MQTT-3.1.0-1"});
      return Handled::done;
    }
    note_version(c, packet);
  } else if (type == Type::connect) {  // well formed or not
    fault(c, {Reason::protocol_error, "a second CONNECT", "MQTT-3.1.0-2"});
    return Handled::done;
  }
  const auto decoded = decode(packet, c.version, Side::client);
  if (const auto* bad = std::get_if<Fault>(&decoded)) {
    fault(c, *bad);
    return Handled::done;
  }
  const Packet& p = std::get<Packet>(decoded);
  if (c.state == Connection::State::authenticating && type != Type::auth &&
      type != Type::disconnect) {
    fault(c, {Reason::protocol_error, "only AUTH or DISCONNECT may come during authentication",
              "MQTT-3.1.2-30"});
    return Handled::done;
  }
  switch (type) {
    case Type::connect:
      return handle_connect(c, std::get<Connect>(p), packet);
    case Type::puback:
    case Type::pubrec:
    case Type::pubrel:
    case Type::pubcomp: {
      const Ack& ack = std::get<Ack>(p);
      handle_ack(c, ack.type, ack.packet_id, ack.reason);
      return Handled::done;
    }
    case Type::subscribe:
      return handle_subscribe(c, std::get<Subscribe>(p));
    case Type::unsubscribe:
      return handle_unsubscribe(c, std::get<Unsubscribe>(p));
    case Type::pingreq:
      c.send(Ping{Type::pingresp});
      return Handled::done;
    case Type::disconnect:
      handle_disconnect(c, std::get<Disconnect>(p));
      return Handled::done;
    case Type::auth:
      return handle_auth(c, std::get<Auth>(p));
    default:  // next_frame let it through, and a client may not send it
      fault(c, {Reason::protocol_error, "this packet may not come from a client", ""});
      return Handled::done;
  }
}

// The protocol version that a CONNECT names (3.1.2.2), even if the rest of it is wrong, so that the
// refusal can be said in the client's own words.
void Core::note_version(Connection& c, Bytes packet) {
  size_t at = 1;
  while (at < packet.size() && (packet[at] & 128) != 0) ++at;
  ++at;
  if (at + 2 > packet.size()) return;
  const size_t name = static_cast<size_t>(packet[at] << 8 | packet[at + 1]);
  at += 2 + name;
  if (at >= packet.size() || (name != 4 && name != 6)) return;  // "MQTT", "MQIsdp"
  c.version_known = true;
  // mosquitto's bridges set bit 7, and come back without it when 3.1.1's return code refuses them.
  c.version = packet[at] >= 5 && packet[at] < 0x80 ? Version::v5 : Version::v311;
}

void Core::fault(Connection& c, const Fault& fault) {
  ++counters_.faults;
  if (logs()) {
    log("fault", {{"client", c.session ? std::string_view(c.session->client_id) : ""},
                  {"from", c.peer.remote},
                  {"reason", to_string(fault.reason)},
                  {"why", fault.why},
                  {"statement", fault.statement}});
  }
  doom(c, fault.reason, true, fault.why);
}

}  // namespace culvert::mqtt
