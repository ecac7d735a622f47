#include "model/stun/discovery.h"

#include <algorithm>

namespace culvert::stun {

Discovery::Discovery(net::Host& host, net::DatagramMux& mux, const DiscoveryOptions& options,
                     Done done)
    : host_(host),
      mux_(mux),
      options_(options),
      done_(std::move(done)),
      client_(host, mux),
      hairpin_timer_(host.timers(), [this] { hairpin_step(); }),
      settle_timer_(host.timers(), [this] {
        const Done finished = std::move(done_);
        if (finished) finished(found_);  // may destroy this
      }) {}

Discovery::~Discovery() = default;

net::Status Discovery::start() {
  net::DatagramOptions helper;
  helper.local = {mux_.local().ip, 0};
  auto socket = host_.open_datagram(helper);
  if (!socket) return socket.status();
  helper_ = std::make_unique<net::DatagramMux>(std::move(*socket));
  helper_client_.emplace(host_, *helper_);

  Request request;
  request.to = options_.server;
  request.schedule = Schedule::rfc8489(options_.first_rto);
  request.schedule.requests = options_.first_requests;
  first_ = client_.ask(request, [this](const Outcome& outcome) { first_answer(outcome); });
  return {};
}

Schedule Discovery::silence() const {
  const net::Duration spacing = std::clamp<net::Duration>(found_.rtt / 4, 5ms, 250ms);
  return Schedule::even(options_.tries, spacing, found_.rtt * 3 / 2 + 20ms);
}

void Discovery::first_answer(const Outcome& outcome) {
  if (!outcome.ok()) {
    found_.blocked = true;
    found_.local = mux_.local();
    settle_timer_.arm_after(net::Duration::zero());
    return;
  }
  found_.rtt = outcome.rtt;
  found_.observed = outcome.mapped;
  // A socket bound to any address: the answer says which of the host's addresses it reached.
  found_.local = {mux_.local().ip.is_any() ? outcome.to.ip : mux_.local().ip, mux_.local().port};
  found_.same_as_local = found_.observed == found_.local;
  other_ = outcome.other;
  const bool usable = !other_.is_none() && other_.ip != options_.server.ip &&
                      other_.port != options_.server.port &&
                      other_.ip.family() == options_.server.ip.family();
  if (!usable) other_ = {};  // one address: unknown, not a guess

  if (!other_.is_none()) start_filtering();
  start_mapping();
  if (options_.hops) start_hops();
  settle();
}

void Discovery::start_filtering() {
  filters_open_ = true;
  Request request;
  request.to = options_.server;
  request.schedule = silence();
  request.change_port = true;
  request.answer_from = net::Endpoint{options_.server.ip, other_.port};
  filter_port_ =
      client_.ask(request, [this](const Outcome& outcome) { filtering_answer(false, outcome); });
  request.change_ip = true;
  request.answer_from = other_;
  // Asked second and heard for a little longer, so that silence is settled when this one ends.
  request.schedule.last_wait += 1ms;
  filter_address_ =
      client_.ask(request, [this](const Outcome& outcome) { filtering_answer(true, outcome); });
}

void Discovery::filtering_answer(bool address_changed, const Outcome& outcome) {
  if (outcome.ok()) {
    if (address_changed)
      found_.filtering = Filtering::eif;
    else if (found_.filtering == Filtering::unknown)
      found_.filtering = Filtering::adf;
  }
  // An error response: the server cannot do it after all, and nothing is known.
  const bool cannot = outcome.status.error == net::Error::failed;
  if (address_changed || cannot) {
    if (cannot)
      found_.filtering = Filtering::unknown;
    else if (!outcome.ok() && found_.filtering == Filtering::unknown)
      found_.filtering = Filtering::apdf;
    filters_open_ = false;
    filter_address_.reset();
    filter_port_.reset();
  }
  settle();
}

void Discovery::start_mapping() {
  const net::Endpoint targets[3] = {options_.server, {other_.ip, options_.server.port}, other_};
  const int tests = other_.is_none() ? 1 : 3;
  maps_open_ = tests;
  for (int test = 0; test < tests; ++test) {
    Request request;
    request.to = targets[test];
    request.schedule.rto = std::max<net::Duration>(found_.rtt * 3 / 2, 20ms);
    request.schedule.growth = 1.5;
    request.schedule.requests = options_.tries;
    request.schedule.last_wait = found_.rtt * 2 + 100ms;
    maps_[test] = helper_client_->ask(
        request, [this, test](const Outcome& outcome) { mapping_answer(test, outcome); });
  }
}

void Discovery::mapping_answer(int test, const Outcome& outcome) {
  if (outcome.ok()) {
    mapped_[test] = outcome.mapped;
    if (test == 0) found_.rtt = std::min(found_.rtt, outcome.rtt);
  }
  --maps_open_;
  if (test == 0 && options_.hairpin && outcome.ok() && !found_.same_as_local) start_hairpin();
  const bool all = !mapped_[0].is_none() && !mapped_[1].is_none() && !mapped_[2].is_none();
  if (maps_open_ == 0 && all) {
    if (mapped_[0] == mapped_[1] && mapped_[0] == mapped_[2])
      found_.mapping = Mapping::eim;
    else
      found_.mapping = mapped_[1] == mapped_[2] ? Mapping::adm : Mapping::apdm;
  }
  settle();
}

// A NAT that filters by port lets a hairpinned packet in only when its own side has sent one the
// other way: so both sockets send, and one that arrives anywhere is enough.
void Discovery::start_hairpin() {
  hairpin_open_ = true;
  hairpin_id_ = fresh_id(host_);
  const auto receive = [this](const net::DatagramIn&, net::Bytes data) {
    return hairpin_receive(data);
  };
  hairpin_user_ = mux_.attach(net::kStunBytes, receive);
  hairpin_helper_user_ = helper_->attach(net::kStunBytes, receive);
  hairpin_timer_.arm_after(net::Duration::zero());
}

void Discovery::hairpin_step() {
  const Schedule schedule = silence();
  if (hairpin_sent_ == schedule.requests) {
    found_.hairpin = Hairpin::no;
    hairpin_open_ = false;
    settle();
    return;
  }
  Builder builder(Class::indication, hairpin_id_);
  builder.fingerprint();
  mux_.send_to(mapped_[0], builder.view());
  helper_->send_to(found_.observed, builder.view());
  ++hairpin_sent_;
  hairpin_timer_.arm_after(schedule.gap(hairpin_sent_));
}

bool Discovery::hairpin_receive(net::Bytes data) {
  if (!looks_like_stun(data)) return false;
  const auto message = Message::parse(data);
  if (!message || !message->is(Class::indication) || message->id != hairpin_id_) return false;
  if (hairpin_open_) {
    found_.hairpin = Hairpin::yes;
    hairpin_open_ = false;
    hairpin_timer_.cancel();
    settle();
  }
  return true;
}

void Discovery::start_hops() {
  if (found_.same_as_local) {
    found_.hops = 0;
    found_.far = net::Duration::zero();
    return;
  }
  hops_open_ = true;
  hops_ = std::make_unique<HopProbe>(host_, *helper_, options_.server.ip, found_.rtt,
                                     [this](const HopResult& result) {
                                       found_.hops = result.hops;
                                       found_.far = result.far;
                                       hops_open_ = false;
                                       settle();
                                     });
}

// The end comes from a timer: what called this is still at work on members that `done` destroys.
void Discovery::settle() {
  if (filters_open_ || maps_open_ > 0 || hairpin_open_ || hops_open_) return;
  settle_timer_.arm_after(net::Duration::zero());
}

}  // namespace culvert::stun
