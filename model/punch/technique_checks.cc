// Connectivity checks, for `culvert` and `plain`: probes at planned times, an answer to every
// authentic probe at once and from wherever it came, and a check of that address in return.
// In the manner of ICE's triggered checks (RFC 8445 section 7.3.1.4), without its pacing.
#include <algorithm>
#include <vector>

#include "model/punch/technique.h"

namespace culvert::punch {
namespace {

using namespace std::chrono_literals;
using net::Duration;
using net::Time;

constexpr size_t kMaxRemotes = 12;    // ours: told, four hosts, and some that were seen
constexpr Duration kRetrigger = 2ms;  // ours: two probes that came together trigger one check
constexpr int kTail = 3;              // probes after the first success, else it may be one-sided
constexpr Duration kTailGap = 20ms;   // the first gap of the recipe (field note on punching)

struct Remote {
  net::Endpoint to;
  Origin origin = Origin::told;
  Time start{0};
  size_t step = 0;                       // of the offsets
  const std::vector<Duration>* offsets;  // of the plan
  Time last_sent{-1s};
  bool paused = false;
  // Neither the server observed this address nor has it answered: whoever can delay a probe of the
  // peer's may have sent it on from the address of somebody else. 3 x what came, no more.
  bool unproven = false;
  uint32_t received = 0, sent = 0;

  // Each probe that came was answered with 12 bytes more than it had.
  bool may_send() const { return !unproven || 2 * sent + 1 < 3 * received; }
  Time next(Duration slow_gap) const {
    if (paused || !may_send()) return Time::max();
    return step < offsets->size() ? start + (*offsets)[step] : last_sent + slow_gap;
  }
};

class Checks : public Technique {
 public:
  Checks(Wire& wire, const rendezvous::Introduction& introduction, const Plan& plan, bool use_hosts)
      : wire_(wire),
        plan_(plan),
        told_(introduction.peer_observed),
        same_public_(introduction.same_public) {
    if (use_hosts) hosts_ = introduction.hosts;
  }

  void start() override {
    const Time now = wire_.now();
    silent_ = plan_.silent;
    // Private addresses first: if they answer, no NAT is needed.
    for (const net::Endpoint& host : hosts_) add(host, Origin::host);
    add(told_, same_public_ ? Origin::hairpin : Origin::told);
    if (Remote* remote = find(told_)) {
      remote->offsets = &plan_.offsets;
      remote->paused = silent_;
    }
    speak_at_ =
        silent_ && plan_.silence_limit != Duration::max() ? now + plan_.silence_limit : Time::max();
    if (plan_.opener_ttl > 0 && !silent_) wire_.send(told_, ProbeKind::opener, plan_.opener_ttl);
    on_time(now);
  }

  void told(const net::Endpoint& peer) override {
    if (peer == told_) return;
    told_ = peer;
    approach_told();
  }

  void start_afresh(bool quiet, uint8_t opener_ttl) override {
    remotes_.clear();
    silent_ = quiet;
    speak_at_ = Time::max();
    opener_ttl_ = quiet ? opener_ttl : 0;
    approach_told();
  }

  void break_silence() {
    if (!silent_) return;
    silent_ = false;
    if (Remote* remote = find(told_)) {
      remote->paused = false;
      remote->start = wire_.now();
    }
  }

  void on_probe(const Probe& probe, const net::Endpoint& from) override {
    if (probe.confirmed) peer_confirmed_ = true;
    if (wire_.is_confirmed() || probe.kind == ProbeKind::hello) return;
    if (silent_) break_silence();
    Remote* remote = find(from);
    if (!remote) {
      remote = add(from, Origin::seen);
      // Any port of the address that the server observed is as good as the one it told.
      if (remote) remote->unproven = from.ip != told_.ip;
    }
    if (remote) ++remote->received;
    // A peer that has heard us is answering already; otherwise whatever we sent was lost, and now
    // its NAT is open.
    if (remote && remote->may_send() && !(probe.heard && remote->step > 0) &&
        wire_.now() - remote->last_sent >= kRetrigger) {
      check(*remote);
    }
    on_time(wire_.now());
  }

  void on_answer(const Probe& answer, const net::Endpoint& to, const net::Endpoint&) override {
    if (answer.confirmed) peer_confirmed_ = true;
    const Remote* remote = find(to);
    if (!remote || wire_.is_confirmed()) return;
    path_ = to;
    wire_.confirmed(to, remote->origin);
    tail_at_ = wire_.now() + kTailGap;
  }

  void on_time(Time now) override {
    if (wire_.is_confirmed()) {
      if (tail_ >= kTail || peer_confirmed_ || now < tail_at_) return;
      wire_.send(path_, ProbeKind::probe);
      tail_at_ = now + kTailGap * (1 << tail_++);
      return;
    }
    if (silent_ && now >= speak_at_) break_silence();
    for (Remote& remote : remotes_) {
      if (remote.next(plan_.slow_gap) <= now) check(remote);
    }
  }

  Time next() const override {
    if (wire_.is_confirmed()) {
      return tail_ >= kTail || peer_confirmed_ ? Time::max() : tail_at_;
    }
    Time next = silent_ ? speak_at_ : Time::max();
    for (const Remote& remote : remotes_) next = std::min(next, remote.next(plan_.slow_gap));
    return next;
  }

 private:
  void approach_told() {
    Remote* remote = add(told_, same_public_ ? Origin::hairpin : Origin::told);
    if (remote) remote->paused = silent_;
    if (silent_ && opener_ttl_ > 0) wire_.send(told_, ProbeKind::opener, opener_ttl_);
    on_time(wire_.now());
  }

  Remote* find(const net::Endpoint& endpoint) {
    for (Remote& remote : remotes_) {
      if (remote.to == endpoint) return &remote;
    }
    return nullptr;
  }

  Remote* add(const net::Endpoint& to, Origin origin) {
    if (Remote* known = find(to)) return known;
    if (remotes_.size() >= kMaxRemotes || to.port == 0) return nullptr;
    remotes_.push_back({to, origin, wire_.now(), 0, &plan_.learned_offsets});
    return &remotes_.back();
  }

  void check(Remote& remote) {
    const Time now = wire_.now();
    remote.last_sent = now;
    ++remote.sent;
    // A check out of turn takes the place of what is due about now.
    do ++remote.step;
    while (remote.step < remote.offsets->size() &&
           remote.start + (*remote.offsets)[remote.step] <= now);
    wire_.send(remote.to, ProbeKind::probe);
  }

  Wire& wire_;
  const Plan plan_;
  net::Endpoint told_;
  bool same_public_;
  rendezvous::Hosts hosts_;
  std::vector<Remote> remotes_;
  bool silent_ = false;
  uint8_t opener_ttl_ = 0;  // of fresh starts
  Time speak_at_ = Time::max();
  bool peer_confirmed_ = false;
  net::Endpoint path_;
  int tail_ = 0;
  Time tail_at_ = Time::max();
};

}  // namespace

std::string_view to_string(Origin origin) {
  constexpr std::string_view kNames[] = {"server-reflexive", "peer-reflexive", "host", "hairpin"};
  return kNames[static_cast<size_t>(origin)];
}

std::unique_ptr<Technique> make_checks(Wire& wire, const rendezvous::Introduction& introduction,
                                       const Plan& plan, bool use_hosts) {
  return std::make_unique<Checks>(wire, introduction, plan, use_hosts);
}

}  // namespace culvert::punch
