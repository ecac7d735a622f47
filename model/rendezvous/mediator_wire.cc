// The mediator's cookies, replies and log lines.
#include <algorithm>

#include "model/rendezvous/mediator.h"
#include "model/rendezvous/wire.h"

namespace culvert::rendezvous {
namespace {

using net::Duration;
using net::Time;

constexpr Duration kCookieLife = std::chrono::seconds(10);  // ours: answered within a round trip
constexpr uint64_t kRefusalsLogged = 1000;  // then every hundredth, as events.md has it for NATs

}  // namespace

// A cookie proves that whoever shows it receives what is sent to `from`, and carries the time at
// which it left: the server keeps nothing, and still measures the round trip.
Cookie Mediator::make_cookie(Time now, const net::Endpoint& from, const std::string& name,
                             uint64_t boot) const {
  Writer w;
  w.u64(static_cast<uint64_t>(now.count()));
  w.endpoint(from);
  w.text(name);
  w.u64(boot);
  w.u64(epoch_);
  const auto mac = net::hmac_sha256(cookie_key_, w.view());
  Cookie cookie{};
  std::copy_n(w.view().begin(), 8, cookie.begin());
  std::copy_n(mac.begin(), 16, cookie.begin() + 8);
  return cookie;
}

std::optional<Time> Mediator::check_cookie(const Cookie& cookie, Time now,
                                           const net::Endpoint& from, const std::string& name,
                                           uint64_t boot) const {
  Reader r(cookie);
  const Time issued(static_cast<int64_t>(r.u64()));
  if (issued > now || issued < Time(0) || now - issued > kCookieLife) return {};
  if (!net::equal_in_constant_time(make_cookie(issued, from, name, boot), cookie)) return {};
  return issued;
}

void Mediator::answer(const Context& c, const Reply& reply) {
  send(c.device, c.header.number, reply, c.from, c.header.boot, c.out);
}

void Mediator::answer_registered(const Context& c) {
  Registered reply;
  reply.observed = c.from;
  reply.endpoints = options_.endpoints;
  reply.lifetime_s = static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(options_.lifetime).count());
  reply.rtt = devices_[c.device].rtt.value_or(Duration(0));
  answer(c, reply);
}

void Mediator::send(size_t index, uint64_t answers, const Reply& reply, const net::Endpoint& to,
                    uint64_t boot, std::vector<Outgoing>& out) {
  Device& device = devices_[index];
  Nonce nonce;
  random_({nonce.data(), nonce.size()});
  const ReplyHeader header{epoch_, boot, ++device.replies, answers};
  out.push_back({to, encode(header, reply, device.name, device.keys, nonce)});
}

void Mediator::log_registered(const Device& device) {
  if (!log_) return;
  log_->write("rendezvous", "registered",
              {{"device", device.name},
               {"observed", device.observed},
               {"kind", device.behaviour.kind()},
               {"rtt_ms", device.rtt.value_or(Duration(0))}});
}

void Mediator::refuse(const net::Endpoint& from, const std::string& device, const char* why) {
  if (++refusals_ > kRefusalsLogged && refusals_ % 100 != 0) return;
  if (log_) {
    log_->write("rendezvous", "refused", {{"from", from}, {"device", device}, {"why", why}});
  }
}

uint64_t Mediator::random_u64() {
  std::array<uint8_t, 8> raw;
  random_({raw.data(), raw.size()});
  return Reader(raw).u64();
}

}  // namespace culvert::rendezvous
