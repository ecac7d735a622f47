#include "tests/unit/mqtt_broker/world.h"

#include <stdexcept>

namespace culvert::mqtt::testing {
namespace {

void add(std::string& out, const MessageProperties& p) {
  if (p.utf8_payload) out += " utf8";
  if (p.expiry_s) out += " expiry=" + std::to_string(*p.expiry_s);
  if (!p.content_type.empty()) out += " type=" + std::string(p.content_type);
  if (p.response_topic) out += " response=" + std::string(*p.response_topic);
  if (p.correlation_data) out += " correlation=" + std::string(net::as_text(*p.correlation_data));
  for (const UserProperty& u : p.user) {
    out += " " + std::string(u.name) + ":" + std::string(u.value);
  }
}

std::string reason_words(Reason reason) {
  return reason == Reason::success ? "" : " " + std::string(to_string(reason));
}

struct Teller {
  std::string operator()(const ConnAck& p) const {
    std::string out = "CONNACK" + reason_words(p.reason);
    if (p.session_present) out += " present";
    if (p.assigned_client_id) out += " assigned";
    if (p.server_keep_alive_s) out += " keep_alive=" + std::to_string(*p.server_keep_alive_s);
    if (p.session_expiry_s) out += " expiry=" + std::to_string(*p.session_expiry_s);
    if (p.response_information) out += " response=" + std::string(*p.response_information);
    if (p.authentication_method) out += " method=" + std::string(*p.authentication_method);
    return out;
  }
  std::string operator()(const Publish& p) const {
    std::string out = "PUBLISH " + std::string(p.topic.empty() ? "-" : p.topic) + " " +
                      std::string(p.payload.size() > 40 ? "(long)" : net::as_text(p.payload));
    if (p.qos > 0) out += " q" + std::to_string(p.qos) + " #" + std::to_string(p.packet_id);
    if (p.dup) out += " dup";
    if (p.retain) out += " retain";
    if (p.topic_alias > 0) out += " alias=" + std::to_string(p.topic_alias);
    for (const uint32_t id : p.subscription_ids) out += " id=" + std::to_string(id);
    add(out, p.properties);
    return out;
  }
  std::string operator()(const Ack& p) const {
    return std::string(to_string(p.type)) + " #" + std::to_string(p.packet_id) +
           reason_words(p.reason);
  }
  std::string operator()(const SubAck& p) const {
    std::string out = std::string(to_string(p.type)) + " #" + std::to_string(p.packet_id);
    for (const Reason r : p.reasons) {
      out += is_error(r) ? reason_words(r) : " " + std::to_string(static_cast<int>(r));
    }
    return out;
  }
  std::string operator()(const Ping& p) const { return std::string(to_string(p.type)); }
  std::string operator()(const Disconnect& p) const {
    return "DISCONNECT" + reason_words(p.reason);
  }
  std::string operator()(const Auth& p) const {
    return "AUTH" + reason_words(p.reason) + " " +
           std::string(p.authentication_data ? net::as_text(*p.authentication_data) : "");
  }
  template <class P>
  std::string operator()(const P&) const {
    return "a packet that only clients send";
  }
};

}  // namespace

std::string words(const Packet& packet, Version) { return std::visit(Teller{}, packet); }

TestClient::TestClient(World& world, Version v, Peer peer) : version(v), world_(world) {
  auto [ours, theirs] = net::make_pipe(world.lone.host, world.pipe);
  stream_ = std::move(ours);
  world.broker->attach(std::move(theirs), std::move(peer));
  stream_->on_readable([this] { collect(); });
}
TestClient::~TestClient() = default;

void TestClient::collect() {
  if (!stream_ || !reading_) return;
  uint8_t buffer[4096];
  for (;;) {
    const net::IoResult got = stream_->read(buffer);
    in_.insert(in_.end(), buffer, buffer + got.count);
    if (got.count > 0) continue;
    if (got.error != net::Error::would_block) stream_.reset();
    break;
  }
  size_t used = 0;
  for (;;) {
    const net::Bytes rest(in_.data() + used, in_.size() - used);
    const auto frame = next_frame(rest, 0xFFFFFFF, Side::server);
    if (std::holds_alternative<Fault>(frame)) throw std::runtime_error("the broker sent rubbish");
    const size_t size = std::get<Frame>(frame).size;
    if (size == 0 || size > rest.size()) break;
    const auto packet = decode(rest.first(size), version, Side::server);
    if (const auto* fault = std::get_if<Fault>(&packet)) {
      throw std::runtime_error("the broker sent rubbish: " + std::string(fault->why));
    }
    got_.push_back(words(std::get<Packet>(packet), version));
    used += size;
  }
  in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(used));
  if (!stream_) got_.push_back("closed");
}

void TestClient::read_again() {
  reading_ = true;
  collect();
}

std::vector<std::string> TestClient::connect(std::string_view id,
                                             const std::function<void(Connect&)>& adjust) {
  Connect p;
  p.version = version;
  p.client_id = id;
  if (adjust) adjust(p);
  send(p);
  return got();
}

void TestClient::send(const Packet& packet) {
  net::Buffer bytes;
  if (!encode(packet, version, bytes)) throw std::runtime_error("the test's packet is wrong");
  send_bytes(bytes);
}

void TestClient::send_bytes(const net::Buffer& bytes) {
  unsent_.insert(unsent_.end(), bytes.begin(), bytes.end());
  while (stream_ && !unsent_.empty()) {
    const net::IoResult put = stream_->write(unsent_);
    unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<ptrdiff_t>(put.count));
    if (unsent_.empty()) break;
    if (put.error != net::Error::would_block) {
      unsent_.clear();
      break;
    }
    world_.settle();
  }
}

std::vector<std::string> TestClient::subscribe(std::string_view filter, uint8_t qos,
                                               const std::function<void(Subscribe&)>& adjust) {
  Subscribe p;
  p.packet_id = next_id++;
  SubscriptionOptions o;
  o.qos = qos;
  p.entries.push_back({filter, o});
  if (adjust) adjust(p);
  send(p);
  return got();
}

void TestClient::publish(std::string_view topic, std::string_view payload, uint8_t qos,
                         const std::function<void(Publish&)>& adjust) {
  Publish p;
  p.topic = topic;
  p.payload = net::as_bytes(payload);
  p.qos = qos;
  if (qos > 0) p.packet_id = next_id++;
  if (adjust) adjust(p);
  send(p);
}

void TestClient::ack(Type type, uint16_t id, Reason reason) {
  Ack p;
  p.type = type;
  p.packet_id = id;
  p.reason = reason;
  send(p);
}

std::vector<std::string> TestClient::got() {
  world_.settle();
  std::vector<std::string> out;
  out.swap(got_);
  return out;
}

std::string TestClient::got_text() {
  std::string out;
  for (const std::string& one : got()) out += (out.empty() ? "" : "; ") + one;
  return out;
}

void TestClient::cut() {
  if (stream_) stream_->reset();
  stream_.reset();
  world_.settle();
}

World::World(BrokerOptions o, bool durable, uint64_t seed)
    : lone(seed, "broker"), options(std::move(o)), access(allow_all()), durable_(durable) {
  start();
}

World::~World() {
  broker.reset();
  store.reset();
}

void World::start() {
  if (durable_) store = std::move(*lone.host.open_store("broker"));
  broker = std::make_unique<Broker>(lone.host, options, *access, store.get());
  const net::Status started = broker->start();
  if (!started) throw std::runtime_error(started.to_string());
}

void World::crash() {
  broker.reset();
  store.reset();
  start();
}

void World::use(std::unique_ptr<Access> other) {
  broker.reset();
  store.reset();
  access = std::move(other);
  start();
}

std::string World::last_event(const std::string& name) const {
  const auto lines = lone.lines("broker", name);
  return lines.empty() ? "" : lines.back();
}

size_t World::events(const std::string& name) const { return lone.lines("broker", name).size(); }

}  // namespace culvert::mqtt::testing
