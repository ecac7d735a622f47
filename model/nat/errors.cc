// ICMP errors through the NAT (RFC 5508 section 4), and what happens to packets that go nowhere.
#include <algorithm>

#include "model/nat/nat_impl.h"
#include "model/packet/glance.h"

namespace culvert::nat {
namespace {

// Whether an address can be that of one host: not unspecified, loopback, multicast or broadcast.
bool is_one_host(const uint8_t* p, uint8_t version) {
  if (version == 4) return p[0] != 0 && p[0] != 127 && p[0] < 224;
  const bool zeros = std::all_of(p, p + 15, [](uint8_t byte) { return byte == 0; });
  return p[0] != 0xff && !(zeros && p[15] <= 1);
}

}  // namespace

Outcome Nat::Impl::icmp_error(int64_t now, Packet& p) {
  InnerPacket inner;
  if (!read_inner(p.bytes, p.parsed, &inner)) return refuse(Reason::malformed);
  const bool from_inside = p.side == Side::inside, v6 = p.parsed.version == 6;
  const uint8_t* ip = p.data() + inner.at;
  // Of the packet that the error is about: near is our side's endpoint, far the remote's. An error
  // from inside is about a packet that went in, so its destination is ours.
  Point source{0, inner.source_port}, destination{0, inner.destination_port};
  if (v6) {
    AddressBook::Address a, b;
    std::memcpy(a.data(), ip + 8, 16);
    std::memcpy(b.data(), ip + 24, 16);
    source.ip = core_.table().book().find(a);
    destination.ip = core_.table().book().find(b);
  } else {
    source.ip = cv_swap32(cv_load32(ip + 12));
    destination.ip = cv_swap32(cv_load32(ip + 16));
  }
  Key key;
  key.tag = static_cast<uint8_t>(inner.protocol | (v6 ? kTagV6 : 0));
  key.near = from_inside ? destination : source;
  key.far = from_inside ? source : destination;
  if (inner.protocol == CV_ICMP || inner.protocol == CV_ICMPV6) key.far.port = 0;
  const uint32_t i = from_inside ? core_.session_out(now, key) : core_.session_in(now, key);
  if (i == kNoRecord) {
    Outcome outcome = refuse(Reason::unmatched_icmp);
    const bool ours = !p.identity && !from_inside && core_.is_public(p.v4_destination());
    if (ours && config_.local_delivery == LocalDelivery::all)
      outcome.action = Action::deliver_local;  // perhaps about a packet of the router's own
    return outcome;
  }
  const Session s = core_.table().sessions()[i];
  Outcome outcome;
  outcome.action = from_inside ? Action::forward_out : Action::forward_in;
  outcome.mapping = s.mapping + 1;
  if (p.identity) return outcome;
  InnerRewrite rewrite;
  if (!from_inside) {
    if (p.v4_destination() != s.external_ip) return refuse(Reason::unmatched_icmp);
    rewrite.inner_ip = s.internal_ip;
    rewrite.inner_port = s.internal_port;
    rewrite.set_outer_destination = true;
    rewrite.outer_destination = s.internal_ip;
    rewrite_inner(p.bytes, p.parsed, inner, rewrite);
    return outcome;
  }
  // Whoever inside reports it, host or router: its address means nothing outside (RFC 5508 REQ-5).
  rewrite.inner_source = false;
  rewrite.inner_ip = s.external_ip;
  rewrite.inner_port = s.external_port;
  rewrite.set_outer_source = true;
  rewrite.outer_source = s.external_ip;
  if (core_.is_public(p.v4_destination())) {  // hairpin: in again, to who sent the inner packet
    Key back{s.remote(), s.external(), key.tag};
    const uint32_t k = core_.session_in(now, back);
    if (k == kNoRecord || p.v4_destination() != s.remote_ip) return refuse(Reason::unmatched_icmp);
    const Session& t = core_.table().sessions()[k];
    rewrite_inner(p.bytes, p.parsed, inner, rewrite);
    InnerRewrite second;
    second.inner_ip = t.internal_ip;
    second.inner_port = t.internal_port;
    second.set_outer_destination = true;
    second.outer_destination = t.internal_ip;
    rewrite_inner(p.bytes, p.parsed, inner, second);
    outcome.action = Action::hairpin;
    return outcome;
  }
  rewrite_inner(p.bytes, p.parsed, inner, rewrite);
  return outcome;
}

Outcome Nat::Impl::refuse(Reason reason) { return {Action::drop, reason, false, 0}; }

// A packet for a port where nobody waits, or past a filter: RFC 5382 REQ-4 and the axes.
Outcome Nat::Impl::refuse_unsolicited(int64_t now, const Packet& p, Reason reason, Point from) {
  const Side reply_to = p.side;
  Outcome outcome{Action::drop, reason, false, 0};
  const bool unmatched = reason == Reason::no_mapping || reason == Reason::filtered_address ||
                         reason == Reason::filtered_port;
  if (!unmatched) return outcome;
  if (!p.identity) {
    const bool local = config_.local_delivery == LocalDelivery::all ||
                       (config_.local_delivery == LocalDelivery::ping && p.echo_request());
    if (local) {
      outcome.action = Action::deliver_local;
      return outcome;
    }
  }
  // Nobody answers about multicast or broadcast, nor to it (RFC 1122 section 3.2.2, RFC 4443
  // section 2.4).
  const bool v4 = p.parsed.version == 4;
  if (!is_one_host(p.data() + (v4 ? 16 : 24), p.parsed.version) ||
      !is_one_host(p.data() + (v4 ? 12 : 8), p.parsed.version))
    return outcome;
  net::IpAddress reporter;
  if (p.identity && !addresses_.empty()) reporter = addresses_.front();
  const auto reply = [&](net::Buffer packet) {
    emit(std::move(packet), reply_to);
    outcome.action = Action::reply;
  };
  if (p.parsed.protocol == CV_UDP && config_.unsolicited_udp == UdpReaction::icmp)
    reply(make_unreachable(p.bytes, p.parsed, Unreachable::port, reporter));
  const uint8_t flags = p.parsed.tcp_flags;
  if (p.parsed.protocol != CV_TCP || !(flags & CV_SYN) || (flags & (CV_ACK | CV_RST)))
    return outcome;
  switch (config_.unsolicited_tcp) {
    case TcpReaction::drop:
      break;
    case TcpReaction::rst:
      reply(make_rst(p.bytes, p.parsed));
      break;
    case TcpReaction::icmp:
      reply(make_unreachable(p.bytes, p.parsed, Unreachable::port, reporter));
      break;
    case TcpReaction::hold: {
      const Key key{p.destination, from, p.tag};
      if (held_.holds(key)) {
        outcome.action = Action::reply;
      } else if (!held_.full()) {
        outcome.action = Action::reply;
        hold_addresses(key);
        held_.hold({now + config_.tcp_hold.count(), key,
                    make_unreachable(p.bytes, p.parsed, Unreachable::port, reporter), reply_to});
      }
      break;
    }
  }
  return outcome;
}

Outcome Nat::Impl::refuse_outbound(const Packet& p, Reason reason) {
  Outcome outcome{Action::drop, reason, false, 0};
  const bool exhausted = reason >= Reason::ports_exhausted && reason <= Reason::session_limit;
  if (!exhausted || config_.refusal != Refusal::icmp) return outcome;
  const net::IpAddress reporter = addresses_.empty() ? net::IpAddress() : addresses_.front();
  emit(make_unreachable(p.bytes, p.parsed, Unreachable::prohibited, reporter), Side::inside);
  outcome.action = Action::reply;
  return outcome;
}

Tuple Nat::Impl::tuple_of(const Packet& p) { return tuple_of(p.bytes, p.parsed); }

Tuple Nat::Impl::tuple_of(net::Bytes bytes, const cv_packet& parsed) {
  Tuple t;
  if (parsed.version == 0) return t;  // could not be read
  const uint8_t* ip = bytes.data();
  const uint8_t* l4 = ip + parsed.l4;
  t.protocol = parsed.protocol;
  bool ports = (parsed.flags & CV_PORTS) != 0;
  InnerPacket inner;
  if ((parsed.flags & CV_ICMP_ERROR) && read_inner(bytes, parsed, &inner)) {
    t.icmp_error = true;
    t.protocol = inner.protocol;
    ip += inner.at;
    l4 = ip + inner.l4;
    ports = true;
  }
  const size_t at = parsed.version == 4 ? 12 : 8, size = parsed.version == 4 ? 4 : 16;
  t.source.ip = packet::address_at(ip + at, parsed.version);
  t.destination.ip = packet::address_at(ip + at + size, parsed.version);
  if (!ports) return t;
  if (t.protocol == CV_ICMP || t.protocol == CV_ICMPV6) {
    const bool request = l4[0] == 8 || l4[0] == 128;
    (request ? t.source : t.destination).port = cv_swap16(cv_load16(l4 + 4));
  } else {
    t.source.port = cv_swap16(cv_load16(l4));
    t.destination.port = cv_swap16(cv_load16(l4 + 2));
  }
  return t;
}

}  // namespace culvert::nat
