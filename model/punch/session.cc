#include "model/punch/session.h"

#include <algorithm>

namespace culvert::punch {
namespace {

using namespace std::chrono_literals;
using net::Duration;
using net::Time;
using rendezvous::Role;

constexpr size_t kMaxSent = 64;          // ours: requests whose answers still count
constexpr uint32_t kForgedLogged = 100;  // ours: then they are only counted
constexpr size_t kMaxText = 1000;        // bytes of text in one datagram; fits every path MTU
// If nothing worked: once more from fresh sockets, first the initiator leading, then the responder.
constexpr int kRounds = 2;
constexpr double kRoundAt[kRounds] = {0.4, 0.65};    // of the budget; ours
constexpr int kReports = 2;                          // the second in case that the first was lost
constexpr double kReportAt[kReports] = {0.75, 0.9};  // of the budget; ours
// A keepalive unanswered is repeated at 1.5, 3, 6 round trips, as RFC 8489 section 6.2.1 doubles.
constexpr int kKeepaliveTries = 4;
constexpr Duration kMinKeepaliveWait = 20ms;

std::string initiator_of(const rendezvous::Introduction& i, const std::string& self) {
  return i.role == Role::initiator ? self : i.peer;
}
std::string responder_of(const rendezvous::Introduction& i, const std::string& self) {
  return i.role == Role::initiator ? i.peer : self;
}

}  // namespace

Session::Session(net::Host& host, std::shared_ptr<net::DatagramMux> mux,
                 const rendezvous::Introduction& introduction, const std::string& self,
                 const net::Endpoint& self_observed, Time since, const SessionOptions& options,
                 SessionEvents events)
    : host_(host),
      mux_(std::move(mux)),
      introduction_(introduction),
      self_(self),
      self_observed_(self_observed),
      since_(since),
      options_(options),
      events_(std::move(events)),
      keys_(probe_keys(introduction.key, introduction.session, initiator_of(introduction, self),
                       responder_of(introduction, self))),
      timer_(host.timers(), [this] { on_timer(); }) {
  Wire& wire = *this;
  switch (introduction_.technique) {
    case rendezvous::Technique::seed002:
      technique_ = make_seed002(wire, introduction_, options_.hello_interval);
      // A smaller budget would cut the seed's five hellos short and judge another technique.
      options_.budget = std::max(options_.budget, options_.hello_interval * kHellos);
      break;
    case rendezvous::Technique::plain:
      plan_ = plan_plain(introduction_.mine, introduction_.theirs);
      technique_ = make_checks(wire, introduction_, plan_, false);
      break;
    case rendezvous::Technique::culvert:
      plan_ = plan(introduction_.mine, introduction_.theirs, introduction_.role,
                   introduction_.same_public);
      plan_.silence_limit = options_.budget / 2;
      technique_ = make_checks(wire, introduction_, plan_, true);
      break;
  }
}

void Session::start() {
  started_ = true;
  const size_t hosts =
      introduction_.technique == rendezvous::Technique::culvert ? introduction_.hosts.size() : 0;
  host_.log().write("punch", "planned",
                    {{"peer", introduction_.peer},
                     {"lead", plan_.lead},
                     {"silent", plan_.silent},
                     {"opener_ttl", static_cast<int>(plan_.opener_ttl)},
                     {"delay_ms", plan_.delay},
                     {"candidates", static_cast<uint64_t>(1 + hosts)}});
  technique_->start();
  arm();
}

void Session::reintroduced(const rendezvous::Introduction& introduction) {
  if (confirmed_ || over_ || introduction.peer_observed == introduction_.peer_observed) return;
  introduction_.peer_observed = introduction.peer_observed;
  sighting_.seen_from = {};
  technique_->told(introduction.peer_observed);
  arm();
}

void Session::use(std::shared_ptr<net::DatagramMux> mux, bool quiet) {
  if (confirmed_ || over_) return;
  mux_ = std::move(mux);
  // An endpoint-dependent mapping would be spoilt by an opener, and EIF needs none.
  const bool open = introduction_.mine.mapping == stun::Mapping::eim && introduction_.mine.hops;
  technique_->start_afresh(quiet,
                           open ? static_cast<uint8_t>(*introduction_.mine.hops + 1) : uint8_t{0});
  arm();
}

// When fresh sockets are due: not before a few round trips were given a chance, and only if the
// two could become direct at all.
Time Session::next_round() const {
  if (confirmed_ || peer_confirmed_ || rounds_ >= kRounds || introduction_.same_public ||
      introduction_.technique != rendezvous::Technique::culvert || !events_.fresh_socket ||
      !could_be_direct(introduction_.mine, introduction_.theirs)) {
    return Time::max();
  }
  const auto share = Duration(
      static_cast<int64_t>(static_cast<double>(options_.budget.count()) * kRoundAt[rounds_]));
  const Duration trips = (introduction_.mine.rtt + introduction_.theirs.rtt) * 4;
  return since_ + std::max(share, trips * (rounds_ + 1));
}

Probe Session::make(stun::Class cls, ProbeKind kind) {
  Probe probe;
  probe.cls = cls;
  probe.id = stun::random_id(host_.random());
  probe.session = introduction_.session;
  probe.kind = kind;
  probe.sender = introduction_.role;
  probe.heard = sighting_.received > 0;
  probe.confirmed = confirmed_;
  probe.echo = sighting_.received;
  return probe;
}

void Session::transmit(const net::Endpoint& to, const Probe& unnumbered,
                       std::optional<uint8_t> ttl) {
  Probe probe = unnumbered;
  probe.number = ++number_;
  const net::Buffer datagram = encode(probe, keys_);
  mux_->send_to(to, datagram, ttl);
  const size_t headers = to.ip.is_v4() ? 28 : 48;  // IP and UDP
  host_.log().write("punch", "probe_sent",
                    {{"to", to},
                     {"kind", to_string(probe.kind)},
                     {"ttl", static_cast<int>(ttl.value_or(64))},  // RFC 1700's default
                     {"packet", net::payload_mark(datagram)},
                     {"bytes", static_cast<uint64_t>(datagram.size() + headers)},
                     {"peer", introduction_.peer}});
}

void Session::send(const net::Endpoint& to, ProbeKind kind, std::optional<uint8_t> ttl) {
  const bool hello = kind == ProbeKind::hello;
  const Probe probe = make(hello ? stun::Class::indication : stun::Class::request, kind);
  if (!hello) {
    sent_.push_back({probe.id, to, kind, host_.now()});
    if (sent_.size() > kMaxSent) sent_.pop_front();
  }
  ++sighting_.sent;
  transmit(to, probe, ttl);
}

void Session::on_message(const stun::Message& message, const net::DatagramIn& in, net::Bytes data) {
  if (over_) return;
  const auto probe = open_probe(message, keys_, introduction_.role);
  const bool fresh = probe && window_.accept(probe->number);
  if (!fresh) {
    if (++forged_ <= kForgedLogged) {
      host_.log().write("punch", "probe_received",
                        {{"from", in.from},
                         {"kind", probe ? to_string(probe->kind) : std::string_view("unknown")},
                         {"packet", net::payload_mark(data)},
                         {"authentic", false},
                         {"why", probe ? "replayed" : "forged"}});
    }
    return;
  }
  host_.log().write("punch", "probe_received",
                    {{"from", in.from},
                     {"kind", to_string(probe->kind)},
                     {"packet", net::payload_mark(data)},
                     {"authentic", true},
                     {"peer", introduction_.peer}});
  heard(in.from);
  peer_confirmed_ |= probe->confirmed;
  if (probe->cls == stun::Class::request) {
    Probe answer = make(stun::Class::success, ProbeKind::answer);
    answer.id = probe->id;
    answer.mapped = in.from;
    transmit(in.from, answer, {});
  }
  switch (probe->kind) {
    case ProbeKind::answer:
      on_answer(*probe, in.from);
      break;
    case ProbeKind::data:
      on_data(*probe);
      break;
    case ProbeKind::bye:
      over_ = true;
      timer_.cancel();
      if (events_.closed) events_.closed();
      return;
    case ProbeKind::keepalive:
      if (confirmed_ && in.from != path_) other_path_ = in.from;
      [[fallthrough]];
    default:
      technique_->on_probe(*probe, in.from);
  }
  arm();
}

void Session::heard(const net::Endpoint& from) {
  ++sighting_.received;
  if (sighting_.seen_from.is_none() || from != introduction_.peer_observed) {
    sighting_.seen_from = from;
  }
  last_heard_ = host_.now();
}

void Session::on_answer(const Probe& answer, const net::Endpoint& from) {
  const auto found = std::find_if(sent_.begin(), sent_.end(),
                                  [&](const Sent& sent) { return sent.id == answer.id; });
  if (found == sent_.end()) return;
  const Sent sent = *found;
  sent_.erase(found);
  const Duration rtt = host_.now() - sent.when;
  path_rtt_ = path_rtt_ == 0ns ? rtt : std::min(path_rtt_, rtt);
  if (sent.kind == ProbeKind::keepalive) {
    if (sent.to != path_) {  // the peer moved, and answers where it is now
      path_ = sent.to;
      host_.log().write("punch", "path_verified",
                        {{"remote", path_}, {"took_ms", rtt}, {"peer", introduction_.peer}});
      if (events_.moved) events_.moved(last_answer_);
    }
    last_answer_ = host_.now();
    keepalive_tries_ = 0;
    keepalive_at_ = host_.now() + options_.keepalive;
    return;
  }
  technique_->on_answer(answer, sent.to, from);
}

void Session::confirmed(const net::Endpoint& remote, Origin origin) {
  if (confirmed_ || over_) return;
  confirmed_ = true;
  sighting_.confirmed = true;
  path_ = remote;
  last_answer_ = host_.now();
  keepalive_at_ = host_.now() + options_.keepalive;
  const Duration took = host_.now() - since_;
  host_.log().write("punch", "path_verified",
                    {{"remote", remote}, {"took_ms", took}, {"peer", introduction_.peer}});
  SessionResult result;
  result.direct = true;
  result.took = took;
  result.remote = remote;
  result.origin = origin;
  if (events_.result) events_.result(result);
}

void Session::on_icmp(const net::IcmpEvent& event) {
  // RFC 1812 section 5.2.7.1: destination unreachable, codes 9, 10, 13: administratively.
  if (event.type == 3 && (event.code == 9 || event.code == 10 || event.code == 13)) ++prohibited_;
}

void Session::on_peer_report(const rendezvous::PeerReport& report) {
  server_answered_ = true;
  peer_acknowledged_ |= report.acknowledged;
  if (report.reported) peer_sighting_ = report.sighting;
}

net::Status Session::send_text(std::string_view text) {
  if (!established()) return {net::Error::closed, "no path to '" + introduction_.peer + "'"};
  if (text.size() > kMaxText) {
    return {net::Error::too_big, "at most " + std::to_string(kMaxText) + " bytes at a time"};
  }
  Probe probe = make(stun::Class::indication, ProbeKind::data);
  std::array<uint8_t, net::kSealNonce> nonce;
  host_.secure_random({nonce.data(), nonce.size()});
  const uint8_t associated[] = {static_cast<uint8_t>(introduction_.role)};
  const net::Buffer sealed = net::seal(keys_.data, nonce, associated, net::as_bytes(text));
  probe.sealed.assign(nonce.begin(), nonce.end());
  probe.sealed.insert(probe.sealed.end(), sealed.begin(), sealed.end());
  transmit(path_, probe, {});
  return {};
}

void Session::on_data(const Probe& probe) {
  if (probe.sealed.size() < net::kSealNonce + net::kSealOverhead) return;
  std::array<uint8_t, net::kSealNonce> nonce;
  std::copy_n(probe.sealed.begin(), nonce.size(), nonce.begin());
  const uint8_t associated[] = {static_cast<uint8_t>(probe.sender)};
  const auto text =
      net::open(keys_.data, nonce, associated, net::Bytes(probe.sealed).subspan(net::kSealNonce));
  if (text.ok() && events_.data) events_.data(std::string(net::as_text(*text)));
}

void Session::close() {
  if (over_) return;
  if (confirmed_) {
    for (int i = 0; i < 2; ++i) {  // twice, as nothing answers it
      transmit(path_, make(stun::Class::indication, ProbeKind::bye), {});
    }
  }
  over_ = true;
  timer_.cancel();
}

void Session::check_now() {
  if (!established() || keepalive_tries_ > 0) return;
  keepalive_at_ = host_.now();
  arm();
}

void Session::keep_alive() {
  if (keepalive_tries_ >= kKeepaliveTries) {
    over_ = true;
    timer_.cancel();
    if (events_.lost) events_.lost(last_heard_);
    return;
  }
  send(path_, ProbeKind::keepalive, {});
  if (keepalive_tries_ > 0 && !other_path_.is_none() && other_path_ != path_) {
    send(other_path_, ProbeKind::keepalive, {});
  }
  const Duration first = std::max(kMinKeepaliveWait, path_rtt_ * 3 / 2);
  keepalive_at_ = host_.now() + first * (1 << keepalive_tries_);
  ++keepalive_tries_;
}

void Session::fail() {
  over_ = true;
  timer_.cancel();
  Evidence evidence;
  evidence.self = self_;
  evidence.peer = introduction_.peer;
  evidence.me = introduction_.mine;
  evidence.them = introduction_.theirs;
  evidence.same_public = introduction_.same_public;
  evidence.answers_seen_address = introduction_.technique != rendezvous::Technique::seed002;
  evidence.told = introduction_.peer_observed;
  evidence.my_told = self_observed_;
  evidence.mine = sighting_;
  evidence.theirs = peer_sighting_;
  evidence.peer_acknowledged = peer_acknowledged_;
  evidence.server_answered = server_answered_;
  evidence.moved_ourselves = rounds_ > 0;
  evidence.prohibited = prohibited_;
  SessionResult result;
  result.took = host_.now() - since_;
  result.remote = introduction_.peer_observed;
  result.why = conclude(evidence);
  if (events_.result) events_.result(result);
}

void Session::on_timer() {
  const Time now = host_.now();
  if (!confirmed_ && now >= since_ + options_.budget) {
    fail();
    return;
  }
  if (!confirmed_ && reports_ < kReports) {
    const auto at =
        since_ + Duration(static_cast<int64_t>(static_cast<double>(options_.budget.count()) *
                                               kReportAt[reports_]));
    if (now >= at) {
      ++reports_;
      if (events_.report) events_.report(sighting_);
    }
  }
  if (now >= next_round()) {
    ++rounds_;
    const bool quiet = (introduction_.role == Role::responder) == (rounds_ == 1);
    events_.fresh_socket(rounds_, quiet);
  }
  technique_->on_time(now);
  if (confirmed_ && now >= keepalive_at_) keep_alive();
  if (!over_) arm();
}

void Session::arm() {
  if (over_ || !started_) return;
  Time next = technique_->next();
  if (confirmed_) {
    next = std::min(next, keepalive_at_);
  } else {
    next = std::min({next, since_ + options_.budget, next_round()});
    if (reports_ < kReports) {
      next = std::min(
          next, since_ + Duration(static_cast<int64_t>(
                             static_cast<double>(options_.budget.count()) * kReportAt[reports_])));
    }
  }
  timer_.arm_at(next);
}

}  // namespace culvert::punch
