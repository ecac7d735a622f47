// TCP, UDP and ICMP echo through the NAT, hairpin and fragments included.
#include "model/nat/nat_impl.h"

namespace culvert::nat {
namespace {

// Only one endpoint changes, so the rewrite is built with its constant parts known to the compiler.
template <uint8_t kWhat>
void set_endpoint(const net::MutableBytes& bytes, const cv_packet& parsed, Point to) {
  cv_rewrite rewrite = {};
  rewrite.what = kWhat;
  constexpr bool kSource = (kWhat & CV_SET_SOURCE) != 0;
  cv_store32(kSource ? rewrite.source : rewrite.destination, cv_swap32(to.ip));
  rewrite.source_port = rewrite.destination_port = to.port;
  cv_rewrite_packet(bytes.data(), bytes.data() + bytes.size(), &parsed, &rewrite);
}

constexpr uint8_t kSource = CV_SET_SOURCE | CV_SET_SOURCE_PORT;
constexpr uint8_t kDestination = CV_SET_DESTINATION | CV_SET_DESTINATION_PORT;

Fragments::Key fragment_key(net::Bytes bytes, const cv_packet& parsed, Side side) {
  Fragments::Key key;
  const bool v4 = parsed.version == 4;
  std::memcpy(key.addresses.data(), bytes.data() + (v4 ? 12 : 8), v4 ? 8 : 32);
  key.id = parsed.fragment_id;
  // Of IPv6 the next header of later fragments may name an extension: RFC 8200 identifies without.
  key.protocol = v4 ? parsed.protocol : 0;
  key.version = parsed.version;
  key.side = side;
  return key;
}

}  // namespace

Outcome Nat::Impl::open(const Packet& p) const {
  Outcome outcome;
  outcome.action = p.side == Side::inside ? Action::forward_out : Action::forward_in;
  return outcome;
}

Outcome Nat::Impl::translate(int64_t now, Packet& p) {
  if (config_.kind == Kind::open) return open(p);
  const bool v6 = p.parsed.version == 6;
  if (v6 && config_.kind == Kind::nat && config_.ipv6 != Ipv6::firewall) {
    if (config_.ipv6 == Ipv6::open) return open(p);
    return refuse(Reason::unsupported);
  }
  p.identity = v6 || config_.kind == Kind::firewall;
  p.tag = static_cast<uint8_t>(p.parsed.protocol | (v6 ? kTagV6 : 0));
  if (p.parsed.flags & CV_LATER) return later_fragment(now, p);
  if (p.parsed.flags & CV_ICMP_ERROR) return icmp_error(now, p);
  if (!(p.parsed.flags & CV_PORTS)) return refuse(Reason::unsupported);

  // An echo's identifier is the port of the inside host; the remote has none.
  const bool echo = (p.parsed.flags & (CV_ECHO_REQUEST | CV_ECHO_REPLY)) != 0;
  const bool from_inside = p.side == Side::inside;
  p.source.port = echo && !from_inside ? 0 : p.parsed.source_port;
  p.destination.port = echo && from_inside ? 0 : p.parsed.destination_port;
  if (!v6) {
    p.source.ip = p.v4_source();
    p.destination.ip = p.v4_destination();
    const Outcome outcome = from_inside ? outbound(now, p) : inbound(now, p);
    // What begins at the router itself ends there.
    if (outcome.action == Action::deliver_local && (p.parsed.flags & CV_FRAGMENT))
      remember_fragment(now, p, {Action::deliver_local, 0, 0, 0, outcome.reason});
    return outcome;
  }
  AddressBook& book = core_.table().book();
  AddressBook::Address source, destination;
  std::memcpy(source.data(), p.data() + 8, 16);
  std::memcpy(destination.data(), p.data() + 24, 16);
  p.source.ip = book.intern(source);
  book.hold(p.source.ip);
  p.destination.ip = book.intern(destination);
  book.hold(p.destination.ip);
  const Outcome outcome = from_inside ? outbound(now, p) : inbound(now, p);
  book.release(p.source.ip);
  book.release(p.destination.ip);
  return outcome;
}

Outcome Nat::Impl::outbound(int64_t now, Packet& p) {
  if (!p.identity && core_.is_public(p.destination.ip)) return hairpin(now, p);
  // An echo reply answers a request that was let in; none is.
  if (p.parsed.flags & CV_ECHO_REPLY) return refuse_outbound(p, Reason::no_mapping);
  const Decision d =
      core_.outbound(now, {{p.source, p.destination, p.tag}, p.parsed.tcp_flags, p.identity});
  if (!d.ok()) return refuse_outbound(p, d.reason);
  if (!p.identity) set_endpoint<kSource>(p.bytes, p.parsed, d.translated);
  if (p.parsed.flags & CV_FRAGMENT)
    remember_fragment(now, p,
                      {Action::forward_out, d.mapping + 1, p.identity ? 0 : d.translated.ip, 0});
  return {Action::forward_out, Reason::none, d.created, d.mapping + 1};
}

Outcome Nat::Impl::inbound(int64_t now, Packet& p) {
  if (p.echo_request()) {
    const bool ours = !p.identity && core_.is_public(p.destination.ip);
    return refuse_unsolicited(now, p, ours || p.identity ? Reason::no_mapping : Reason::not_public,
                              p.source);
  }
  if (!p.identity && !core_.is_public(p.destination.ip)) return refuse(Reason::not_public);
  const Decision d =
      core_.inbound(now, {{p.destination, p.source, p.tag}, p.parsed.tcp_flags, p.identity});
  if (!d.ok()) return refuse_unsolicited(now, p, d.reason, p.source);
  if (!p.identity) set_endpoint<kDestination>(p.bytes, p.parsed, d.translated);
  if (p.parsed.flags & CV_FRAGMENT)
    remember_fragment(now, p,
                      {Action::forward_in, d.mapping + 1, 0, p.identity ? 0 : d.translated.ip});
  return {Action::forward_in, Reason::none, d.created, d.mapping + 1};
}

// Out by the sender's mapping and in by the other's, filter included. With internal_source only the
// source stays as it was.
Outcome Nat::Impl::hairpin(int64_t now, Packet& p) {
  if (p.parsed.flags & (CV_ECHO_REQUEST | CV_ECHO_REPLY))
    return refuse_unsolicited(now, p, Reason::no_mapping, p.source);
  if (config_.hairpin == Hairpin::none) {
    Outcome outcome = refuse(Reason::hairpin_off);
    if (config_.local_delivery == LocalDelivery::all) outcome.action = Action::deliver_local;
    return outcome;
  }
  const uint8_t flags = p.parsed.tcp_flags;
  const Decision out = core_.outbound(now, {{p.source, p.destination, p.tag}, flags, false});
  if (!out.ok()) return refuse_outbound(p, out.reason);
  const Decision in = core_.inbound(now, {{p.destination, out.translated, p.tag}, flags, false});
  if (!in.ok()) {
    Outcome outcome = refuse_unsolicited(now, p, in.reason, out.translated);
    outcome.created = out.created;
    return outcome;
  }
  const bool external = config_.hairpin == Hairpin::external_source;
  if (external) set_endpoint<kSource>(p.bytes, p.parsed, out.translated);
  set_endpoint<kDestination>(p.bytes, p.parsed, in.translated);
  if (p.parsed.flags & CV_FRAGMENT)
    remember_fragment(
        now, p,
        {Action::hairpin, in.mapping + 1, external ? out.translated.ip : 0, in.translated.ip});
  return {Action::hairpin, Reason::none, out.created, in.mapping + 1};
}

void Nat::Impl::remember_fragment(int64_t now, const Packet& p, const Fragments::Path& path) {
  // Keyed by what later fragments will look like as they come in: before this one was rewritten.
  Fragments::Key key = fragment_key(p.bytes, p.parsed, p.side);
  if (!p.identity) {
    cv_store32(key.addresses.data(), cv_swap32(p.source.ip));
    cv_store32(key.addresses.data() + 4, cv_swap32(p.destination.ip));
  }
  fragments_.remember(now, config_.timeouts.fragment, key, path);
}

Outcome Nat::Impl::later_fragment(int64_t now, Packet& p) {
  const Fragments::Path* path = fragments_.find(now, fragment_key(p.bytes, p.parsed, p.side));
  if (!path) return refuse(Reason::fragment_early);
  if (path->source) set_endpoint<CV_SET_SOURCE>(p.bytes, p.parsed, {path->source, 0});
  if (path->destination)
    set_endpoint<CV_SET_DESTINATION>(p.bytes, p.parsed, {path->destination, 0});
  return {path->action, path->reason, false, path->mapping};
}

}  // namespace culvert::nat
