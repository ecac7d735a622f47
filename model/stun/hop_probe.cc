#include "model/stun/hop_probe.h"

#include <algorithm>

#include "model/stun/client.h"

namespace culvert::stun {

HopProbe::HopProbe(net::Host& host, net::DatagramMux& mux, const net::IpAddress& server,
                   net::Duration rtt, Done done)
    : host_(host),
      mux_(mux),
      server_(server),
      // A router on the way answers within the server's round trip; the slack is for its own load.
      spacing_(std::clamp<net::Duration>(rtt / 2, 10ms, 250ms)),
      wait_(rtt + 30ms),
      done_(std::move(done)),
      timer_(host.timers(), [this] { step(); }) {
  user_ = mux_.attach(
      net::kStunBytes, [](const net::DatagramIn&, net::Bytes) { return false; },
      [this](const net::IcmpEvent& event) { icmp(event); });
  timer_.arm_after(net::Duration::zero());
}

void HopProbe::probe(int ttl) {
  Hop& hop = hops_[ttl];
  const int index = (ttl - 1) * kTries + hop.tries;
  hop.sent[hop.tries++] = host_.now();
  Builder builder(Class::indication, fresh_id(host_));  // an indication wants no answer
  builder.fingerprint();
  mux_.send_to({server_, static_cast<uint16_t>(kFirstPort + index)}, builder.view(),
               static_cast<uint8_t>(ttl));
}

// Whether the first router outside is known and so are all before it.
bool HopProbe::settled() const {
  for (int ttl = 1; ttl <= window_; ++ttl) {
    if (!hops_[ttl].reported) return false;
    if (hops_[ttl].outside) return true;
  }
  return false;
}

void HopProbe::step() {
  if (settled()) return finish();
  bool sent = false;
  for (int ttl = 1; ttl <= window_; ++ttl) {
    if (hops_[ttl].reported || hops_[ttl].tries == kTries) continue;
    probe(ttl);
    sent = true;
  }
  if (sent) {
    waiting_ = false;
    timer_.arm_after(spacing_);
    return;
  }
  if (!waiting_) {
    waiting_ = true;
    timer_.arm_after(wait_);
    return;
  }
  // Silence beyond a hop that is known to be outside, or nothing outside yet: look further once.
  const bool outside = std::any_of(hops_.begin(), hops_.begin() + window_ + 1,
                                   [](const Hop& hop) { return hop.outside; });
  if (!outside && window_ < kMostHops) {
    window_ = kMostHops;
    timer_.arm_after(net::Duration::zero());
    return;
  }
  finish();
}

void HopProbe::icmp(const net::IcmpEvent& event) {
  if (event.to.ip != server_ || event.to.port < kFirstPort) return;
  const int index = event.to.port - kFirstPort, ttl = index / kTries + 1, attempt = index % kTries;
  if (ttl > kMostHops) return;
  Hop& hop = hops_[ttl];
  if (attempt >= hop.tries) return;
  const bool ended = event.error == net::Error::ttl_exceeded;
  // Port unreachable: the datagram got as far as the server.
  const bool arrived = event.error == net::Error::refused;
  if (!ended && !arrived) return;
  const net::Duration rtt = host_.now() - hop.sent[attempt];
  if (!hop.reported || rtt < hop.rtt) hop.rtt = rtt;
  hop.reported = true;
  hop.outside = arrived || (!event.reporter.is_none() && !event.reporter.is_private());
  if (ended && !hop.outside && window_ < kMostHops && ttl == window_) {
    window_ = std::min(window_ + 3, kMostHops);  // still inside where we looked last
    timer_.arm_after(net::Duration::zero());
  } else if (settled()) {
    timer_.arm_after(net::Duration::zero());
  }
}

void HopProbe::finish() {
  HopResult result;
  for (int ttl = 1; ttl <= kMostHops; ++ttl) {
    if (!hops_[ttl].outside) continue;
    // A silent router between the last inside and the first outside counts as inside: an opener
    // that goes one router too far still dies long before the peer.
    if (ttl > 1) {
      result.hops = static_cast<uint8_t>(ttl - 1);
      if (hops_[ttl - 1].reported) result.far = hops_[ttl - 1].rtt / 2;
    }
    break;
  }
  const Done done = std::move(done_);
  user_.reset();
  timer_.cancel();
  done(result);  // may destroy this
}

}  // namespace culvert::stun
