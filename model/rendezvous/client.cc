#include "model/rendezvous/client.h"

#include <algorithm>

namespace culvert::rendezvous {
namespace {

using namespace std::chrono_literals;
using net::Duration;
using net::Time;

constexpr Duration kFirstWait = 500ms;  // RTO while nothing was measured (RFC 8489 section 6.2.1)
constexpr Duration kMinWait = 10ms;     // ours: below it a timer measures scheduling, not networks
constexpr Duration kMaxWait = 4s;       // ours: how long a server that came back goes unnoticed
constexpr int kTries = 7;               // Rc of RFC 8489 section 6.2.1; then `unanswered`
constexpr size_t kMaxPending = 32;      // ours: requests under way

}  // namespace

Client::Client(net::Host& host, net::DatagramMux& mux, ClientOptions options, ClientEvents events)
    : host_(host),
      mux_(&mux),
      options_(std::move(options)),
      events_(std::move(events)),
      keys_(device_keys(options_.secret, options_.device)),
      timer_(host.timers(), [this] { on_timer(); }) {
  while (boot_ == 0) {
    std::array<uint8_t, 8> raw;
    host_.secure_random({raw.data(), raw.size()});
    for (const uint8_t b : raw) boot_ = boot_ << 8 | b;
  }
  attach();
}

void Client::use(net::DatagramMux& mux) {
  mux_ = &mux;
  attach();
  if (wanted_) begin(Register{});
}

void Client::attach() {
  user_ = mux_->attach(
      net::kRendezvousBytes,
      [this](const net::DatagramIn& in, net::Bytes data) { return receive(in, data); },
      [this](const net::IcmpEvent& event) {
        if (event.to == options_.server && event.error == net::Error::refused) {
          port_unreachable_ = true;
        }
      });
}

void Client::start() {
  wanted_ = true;
  begin(Register{});
}

void Client::refresh_now() {
  if (wanted_ && !pending_register()) begin(Register{});
}

void Client::measured(const Measured& what) {
  last_measured_ = what;
  measured_epoch_ = epoch_;
  begin(what);
}
void Client::list() { begin(List{}); }

uint64_t Client::connect(const std::string& peer, Technique technique) {
  Connect connect;
  connect.peer = peer;
  connect.technique = technique;
  while (connect.token == 0) connect.token = host_.random().next();
  const uint64_t token = connect.token;
  begin(connect);
  return token;
}

void Client::cancel_connect(uint64_t token) {
  pending_.remove_if([&](const Pending& p) {
    const auto* connect = std::get_if<Connect>(&p.request);
    return connect && connect->token == token;
  });
}

void Client::report(uint64_t session, const Sighting& sighting) {
  transmit(Report{session, sighting});  // whoever reports repeats it himself
}

void Client::unregister() {
  wanted_ = false;
  pending_.clear();
  refresh_at_ = Time::max();
  begin(Unregister{});
}

void Client::begin(Request request) {
  if (!std::holds_alternative<Connect>(request)) {
    pending_.remove_if([&](const Pending& p) { return p.request.index() == request.index(); });
  }
  if (pending_.size() >= kMaxPending) pending_.pop_front();
  pending_.push_back({std::move(request), 0, {}, {}, {}});
  // Before the registration only the registration can be answered; the rest follows it.
  if (registered_ || std::holds_alternative<Register>(pending_.back().request)) {
    transmit(pending_.back());
  } else {
    pending_.back().due = Time::max();
  }
  arm();
}

uint64_t Client::transmit(const Request& request) {
  Nonce nonce;
  host_.secure_random({nonce.data(), nonce.size()});
  RequestHeader header{boot_, ++number_, epoch_, {}};
  if (std::holds_alternative<Register>(request)) header.cookie = cookie_;
  const net::Buffer frame = encode(header, request, options_.device, keys_, nonce);
  mux_->send_to(options_.server, frame);
  return header.number;
}

void Client::transmit(Pending& pending) {
  pending.sent.push_back({transmit(pending.request), host_.now()});
  if (pending.sent.size() > 8) pending.sent.pop_front();
  const Duration first = rtt_ ? std::max(kMinWait, *rtt_ * 3 / 2) : kFirstWait;
  pending.wait = pending.tries == 0 ? first : std::min(pending.wait * 2, kMaxWait);
  ++pending.tries;
  pending.due = host_.now() + pending.wait;
}

Client::Pending* Client::pending_for(uint64_t number) {
  for (Pending& pending : pending_) {
    for (const auto& [sent, when] : pending.sent) {
      if (sent == number) return &pending;
    }
  }
  return nullptr;
}

Client::Pending* Client::pending_register() {
  for (Pending& pending : pending_) {
    if (std::holds_alternative<Register>(pending.request)) return &pending;
  }
  return nullptr;
}

void Client::finish(const Pending* pending) {
  pending_.remove_if([&](const Pending& p) { return &p == pending; });
}

bool Client::receive(const net::DatagramIn& in, net::Bytes data) {
  if (in.from != options_.server) return false;
  const auto envelope = open_envelope(data);
  if (!envelope.ok() || envelope->name != options_.device) return true;
  const auto decoded = decode_reply(*envelope, keys_);
  if (decoded.ok() && decoded->header.boot == boot_) on_reply(*decoded);
  arm();
  return true;
}

void Client::on_reply(const DecodedReply& decoded) {
  const ReplyHeader& header = decoded.header;
  Pending* pending = nullptr;
  if (header.answers != 0) {
    pending = pending_for(header.answers);
    const bool report = std::holds_alternative<PeerReport>(decoded.reply);
    if (!pending && !report) return;  // an answer to nothing, or the second one
    if (pending && header.epoch != epoch_) {
      epoch_ = header.epoch;
      window_.reset();
    }
    if (header.epoch != epoch_) return;
    if (pending) {
      for (const auto& [number, when] : pending->sent) {
        if (number != header.answers) continue;
        const Duration rtt = host_.now() - when;
        rtt_ = rtt_ ? std::min(*rtt_, rtt) : rtt;
      }
    }
  } else if (header.epoch != epoch_ || !window_.accept(header.number)) {
    return;
  } else if (!std::holds_alternative<Introduction>(decoded.reply) &&
             !std::holds_alternative<PeerReport>(decoded.reply)) {
    return;  // everything else is an answer
  }
  ever_answered_ = true;
  port_unreachable_ = false;
  if (const auto* challenge = std::get_if<Challenge>(&decoded.reply)) {
    on_challenge(*challenge, pending);
  } else if (const auto* registered = std::get_if<Registered>(&decoded.reply)) {
    on_registered(*registered, pending);
  } else if (const auto* introduction = std::get_if<Introduction>(&decoded.reply)) {
    on_introduction(*introduction);
  } else if (const auto* refused = std::get_if<Refused>(&decoded.reply)) {
    cancel_connect(refused->token);
    if (events_.refused) events_.refused(refused->token, refused->why);
  } else if (const auto* listed = std::get_if<Listed>(&decoded.reply)) {
    finish(pending);
    if (events_.listed) events_.listed(*listed);
  } else if (const auto* report = std::get_if<PeerReport>(&decoded.reply)) {
    if (events_.peer_report) events_.peer_report(*report);
  } else {
    finish(pending);
    registered_ = false;
    if (events_.gone) events_.gone();
  }
}

// The server wants proof of our address: it restarted, or our address changed, or we are new.
void Client::on_challenge(const Challenge& challenge, Pending* pending) {
  if (!pending || !wanted_) {
    finish(pending);
    return;
  }
  cookie_ = challenge.cookie;
  if (!std::holds_alternative<Register>(pending->request)) {
    pending->due = Time::max();  // follows the registration
    if (pending_register()) return;
    pending_.push_back({Register{}, 0, {}, {}, {}});
    pending = &pending_.back();
  }
  pending->tries = 0;
  transmit(*pending);
}

void Client::on_registered(const Registered& reply, Pending* pending) {
  const bool was_register = std::holds_alternative<Register>(pending->request);
  finish(pending);
  if (!was_register) {
    if (events_.measured) events_.measured();
    return;
  }
  cookie_ = {};
  const bool first = !registered_;
  const bool moved = observed_ != reply.observed && !observed_.is_none();
  registered_ = true;
  // Another address may be another network: the smallest round trip seen there says nothing here.
  if (moved && observed_.ip != reply.observed.ip) rtt_ = reply.rtt;
  observed_ = reply.observed;
  const Duration third = std::chrono::seconds(std::max<uint32_t>(reply.lifetime_s, 3)) / 3;
  refresh_at_ = host_.now() + std::min(options_.refresh, third);
  if (last_measured_ && measured_epoch_ != epoch_) {  // a server that restarted has forgotten it
    measured_epoch_ = epoch_;
    begin(*last_measured_);
  }
  for (Pending& waiting : pending_) {
    if (waiting.due == Time::max()) {
      waiting.tries = 0;
      transmit(waiting);
    }
  }
  if ((first || moved) && events_.registered) events_.registered(reply, moved);
}

void Client::on_introduction(const Introduction& introduction) {
  if (introduction.token != 0) cancel_connect(introduction.token);
  // The owner's first probe leaves before the acknowledgement does: nothing may delay it.
  const uint64_t session = introduction.session;
  if (events_.introduced) events_.introduced(introduction);
  transmit(Acknowledge{session});
}

void Client::on_timer() {
  const Time now = host_.now();
  bool unanswered = false;
  if (now >= refresh_at_) {
    refresh_at_ = Time::max();
    if (!pending_register()) pending_.push_back({Register{}, 0, {}, now, {}});
  }
  for (Pending& pending : pending_) {
    if (pending.due > now) continue;
    if (pending.tries == kTries) unanswered = true;
    transmit(pending);
  }
  if (!wanted_) {
    pending_.remove_if([](const Pending& p) { return p.tries > kTries; });
  }
  arm();
  if (unanswered && events_.unanswered) events_.unanswered();
}

void Client::arm() {
  Time next = refresh_at_;
  for (const Pending& pending : pending_) next = std::min(next, pending.due);
  if (next == Time::max()) {
    timer_.cancel();
  } else {
    timer_.arm_at(next);
  }
}

}  // namespace culvert::rendezvous
