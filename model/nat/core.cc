#include "model/nat/core.h"

#include <algorithm>

#include "model/nat/tcp_state.h"
#include "model/nat/timeouts.h"

namespace culvert::nat {
namespace {

// Ours: mappings that share an external port are searched this far, newest first, when the filter
// belongs to internal endpoints; and this many sessions are looked at to word a refusal.
constexpr int kChainSearch = 64;
constexpr int kWhySearch = 256;
constexpr int kLifeSearch = 256;  // ours: and this many for how long a mapping lives

}  // namespace

Core::Core(const Config& config, std::vector<uint32_t> public_ips, uint64_t seed)
    : config_(config),
      public_ips_(std::move(public_ips)),
      random_(net::derive_seed(seed, "nat.random")),
      allocator_(config_, public_ips_.size(), random_),
      table_(config_, net::derive_seed(seed, "nat.hash")) {
  table_.on_end = [this](uint32_t i, int64_t ended, Reason reason) {
    const MappingRecord& m = table_.mappings()[i];
    const uint16_t address = address_index(m.external_ip);
    if (!(m.tag & kTagV6) && address != Subscriber::kNoAddress &&
        table_.find_external(m.external(), m.tag) == kNoRecord)
      allocator_.set_taken(address, m.tag, m.external_port, false);
    if (on_ended) on_ended(i, ended, reason);
  };
  table_.on_subscriber_gone = [this](Subscriber& s) { allocator_.release_blocks(s); };
  note_range();
}

void Core::note_range() {
  const auto [low, high] = std::minmax_element(public_ips_.begin(), public_ips_.end());
  first_public_ = public_ips_.empty() ? 1 : *low;
  last_public_ = public_ips_.empty() ? 0 : *high;
  std::vector<uint32_t> sorted = public_ips_;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  public_is_range_ = sorted.size() == last_public_ - first_public_ + 1u;
}

uint16_t Core::address_index(uint32_t ip) const {
  for (size_t i = 0; i < public_ips_.size(); ++i)
    if (public_ips_[i] == ip) return static_cast<uint16_t>(i);
  return Subscriber::kNoAddress;
}

uint32_t Core::session_out(int64_t now, const Key& key) const {
  const uint32_t i = table_.find_out(key);
  return i != kNoRecord && table_.sessions()[i].expires > now ? i : kNoRecord;
}

uint32_t Core::session_in(int64_t now, const Key& key) const {
  const uint32_t i = table_.find_in(key);
  if (i == kNoRecord || table_.sessions()[i].expires <= now) return kNoRecord;
  return table_.sessions()[i].flags & kPoison ? kNoRecord : i;
}

// The inside host sends to this remote for the first time: the filter opens.
void Core::mark_sent(uint32_t i) {
  Session& s = table_.sessions()[i];
  s.flags |= kSentOut;
  if (permits_needed() && !(s.flags & kPermits)) table_.permit(i);
}

PortAllocator::Usable Core::usable_for(int64_t now, const Flow& flow) {
  return [this, now, &flow](uint16_t address, uint16_t port) {
    const Point external{public_ips_[address], port};
    if (!config_.overloading && allocator_.taken(address, flow.key.tag, port)) {
      const uint32_t m = table_.find_external(external, flow.key.tag);
      if (m != kNoRecord && table_.alive(m, now)) return false;
    }
    if (!config_.overloading && table_.poison_count() == 0) return true;
    const uint32_t s = table_.find_in({external, flow.key.far, flow.key.tag});
    return s == kNoRecord || table_.sessions()[s].expires <= now;
  };
}

Reason Core::make_mapping(int64_t now, const Flow& flow, bool keyed, uint32_t* mapping) {
  if (table_.mappings().size() >= config_.max_mappings) table_.sweep(now);
  if (table_.mappings().size() >= config_.max_mappings) return Reason::mapping_limit;
  const Point internal = flow.key.near;
  // Held while we look, so that expiry on the way cannot take it from under us.
  const uint32_t subscriber = table_.intern_subscriber(internal.ip, flow.key.tag);
  Subscriber& sub = table_.subscribers()[subscriber];
  ++sub.mappings;
  const auto let_go = [&] {
    --sub.mappings;
    table_.forget_subscriber_if_idle(subscriber);
  };
  const uint32_t limit = config_.max_mappings_per_subscriber;
  if (limit != 0 && sub.mappings > limit) table_.sweep(now);
  if (limit != 0 && sub.mappings > limit) {
    let_go();
    return Reason::subscriber_limit;
  }
  Point external = internal;
  uint16_t address = Subscriber::kNoAddress;
  if (!flow.identity) {
    const auto usable = usable_for(now, flow);
    auto choice = allocator_.choose(flow.key.tag, internal.port, sub, usable);
    if (choice.reason != Reason::none) {
      table_.sweep(now);  // ports of mappings that have expired come free
      choice = allocator_.choose(flow.key.tag, internal.port, sub, usable);
    }
    if (choice.reason != Reason::none) {
      let_go();
      return choice.reason;
    }
    address = choice.address;
    external = {public_ips_[address], choice.port};
    // What usable_for passed over because it has expired.
    const uint32_t s = table_.find_in({external, flow.key.far, flow.key.tag});
    if (s != kNoRecord) table_.end_session(s, Reason::expired);
  }
  const Depends on = flow.identity ? Depends::on_nothing : depends(config_.mapping);
  *mapping =
      table_.add_mapping({internal, blank(flow.key.far, on), flow.key.tag}, external, keyed, now);
  if (!flow.identity) allocator_.set_taken(address, flow.key.tag, external.port, true);
  --sub.mappings;  // add_mapping has counted it
  return Reason::none;
}

Reason Core::room_for_session(int64_t now, uint32_t mapping) {
  const bool full = table_.sessions().size() >= config_.max_sessions;
  const bool mapping_full = mapping != kNoRecord &&
                            table_.mappings()[mapping].sessions >= config_.max_sessions_per_mapping;
  if (!full && !mapping_full) return Reason::none;
  table_.sweep(now);
  if (table_.sessions().size() >= config_.max_sessions) return Reason::session_limit;
  if (mapping != kNoRecord &&
      table_.mappings()[mapping].sessions >= config_.max_sessions_per_mapping)
    return Reason::session_limit;
  return Reason::none;
}

Decision Core::outbound_new(int64_t now, const Flow& flow) {
  Decision d;
  if (flow.key.tag == CV_TCP || flow.key.tag == (CV_TCP | kTagV6)) {
    const bool opens = (flow.tcp_flags & CV_SYN) != 0;
    if ((flow.tcp_flags & CV_RST) || (!opens && !config_.tcp_loose)) {
      d.reason = Reason::tcp_out_of_state;
      return d;
    }
  }
  const Depends on = flow.identity ? Depends::on_nothing : depends(config_.mapping);
  uint32_t m = table_.find_mapping({flow.key.near, blank(flow.key.far, on), flow.key.tag});
  if (m != kNoRecord && !table_.alive(m, now)) m = kNoRecord;
  bool keyed = m == kNoRecord;
  if (m != kNoRecord) {
    const Key in{table_.mappings()[m].external(), flow.key.far, flow.key.tag};
    const uint32_t other = table_.find_in(in);
    if (other != kNoRecord && table_.sessions()[other].expires <= now) {
      // The mapping stays: other is not its last session, or alive() would have ended it.
      table_.end_session(other, Reason::expired);
    } else if (other != kNoRecord && table_.sessions()[other].mapping == m) {
      // Came in while packets to this remote still left by another mapping.
      table_.index_out(other);
      mark_sent(other);
      touch(now, other, true, flow.tcp_flags, false);
      return {Reason::none, false, m, other, table_.sessions()[other].external()};
    } else if (other != kNoRecord) {
      m = kNoRecord;  // the port is shared or poisoned toward this remote: another one, only here
    }
  }
  d.reason = room_for_session(now, m);
  if (!d.ok()) return d;
  if (m == kNoRecord) {
    d.reason = make_mapping(now, flow, keyed, &m);
    if (!d.ok()) return d;
    d.created = true;
  }
  d.session = table_.add_session(m, flow.key.far, kSentOut);
  table_.index_out(d.session);
  mark_sent(d.session);
  touch(now, d.session, true, flow.tcp_flags, true);
  table_.schedule(d.session);
  d.mapping = m;
  d.translated = table_.mappings()[m].external();
  if (d.created && on_created) on_created(m);
  return d;
}

// The mapping whose filter lets this packet in, or kNoRecord and why not.
uint32_t Core::admitting_mapping(int64_t now, const Flow& flow, Reason* why) {
  const Point external = flow.key.near, remote = flow.key.far;
  const uint8_t tag = flow.key.tag;
  // The walk below must not meet a mapping that ends under it.
  if (config_.filter_state == FilterState::per_endpoint) table_.sweep(now);
  uint32_t newest = table_.find_external(external, tag);
  while (newest != kNoRecord && !table_.alive(newest, now))
    newest = table_.find_external(external, tag);
  if (newest == kNoRecord) {
    *why = Reason::no_mapping;
    return kNoRecord;
  }
  if (config_.filtering == Filtering::eif) return newest;
  const Point asked = blank(remote, depends(config_.filtering));
  if (config_.filter_state == FilterState::per_endpoint) {
    int looked = 0;
    for (uint32_t m = newest; m != kNoRecord && looked < kChainSearch; ++looked) {
      const Point internal = table_.mappings()[m].internal();
      const uint32_t next = table_.mappings()[m].chain_next;
      if (table_.first_live_permit({internal, asked, tag}, now) != kNoRecord) return m;
      m = next;
    }
  } else if (config_.filtering == Filtering::adf) {
    const uint32_t s = table_.first_live_permit({external, asked, tag}, now);
    if (s != kNoRecord) return table_.sessions()[s].mapping;
  }
  // Address-and-port-dependent, per mapping: the session itself is the permission; it was not
  // found.
  newest = table_.find_external(external, tag);
  *why = newest == kNoRecord ? Reason::no_mapping : why_filtered(now, flow, newest);
  return kNoRecord;
}

Reason Core::why_filtered(int64_t now, const Flow& flow, uint32_t newest) {
  if (config_.filtering == Filtering::adf) return Reason::filtered_address;
  int looked = 0;
  for (uint32_t m = newest; m != kNoRecord; m = table_.mappings()[m].chain_next) {
    for (uint32_t i = table_.mappings()[m].first_session; i != kNoRecord;
         i = table_.sessions()[i].next) {
      if (++looked > kWhySearch) return Reason::filtered_address;
      const Session& s = table_.sessions()[i];
      if (s.remote_ip == flow.key.far.ip && (s.flags & kSentOut) && s.expires > now)
        return Reason::filtered_port;
    }
  }
  return Reason::filtered_address;
}

// When the mapping ends if nothing more comes; too early if it has more sessions than are looked
// at.
int64_t Core::life_of(uint32_t mapping) const {
  int64_t life = 0;
  int looked = 0;
  for (uint32_t i = table_.mappings()[mapping].first_session;
       i != kNoRecord && looked < kLifeSearch; i = table_.sessions()[i].next, ++looked)
    life = std::max(life, table_.sessions()[i].expires);
  return life;
}

Decision Core::inbound_new(int64_t now, const Flow& flow) {
  Decision d;
  const uint8_t protocol = flow.key.tag & ~kTagV6;
  const bool query = protocol == CV_TCP || protocol == CV_UDP;
  d.mapping = kNoRecord;
  if (query)
    d.mapping = admitting_mapping(now, flow, &d.reason);
  else
    d.reason = Reason::no_mapping;  // an echo reply that nobody asked for
  if (d.mapping == kNoRecord) {
    if (config_.poisoning && !flow.identity && query) poison(now, flow);
    return d;
  }
  if (protocol == CV_TCP) {
    const bool opens = (flow.tcp_flags & CV_SYN) != 0;
    if ((flow.tcp_flags & CV_RST) || (!opens && !config_.tcp_loose)) {
      d.reason = Reason::tcp_out_of_state;
      d.mapping = kNoRecord;
      return d;
    }
  }
  const MappingRecord& m = table_.mappings()[d.mapping];
  d.translated = m.internal();
  // Without room it is let in all the same, but leaves no trace: nothing outside can make state
  // grow without bound, and nothing inside is refused for it.
  if (!config_.binding || m.sessions_from_outside >= config_.max_inbound_sessions_per_mapping ||
      m.sessions >= config_.max_sessions_per_mapping ||
      table_.sessions().size() >= config_.max_sessions)
    return d;
  const uint32_t poisoned = table_.find_in(flow.key);
  if (poisoned != kNoRecord) return d;
  // Where inbound packets do not refresh (RFC 4787 REQ-6), another stranger does not either.
  const bool prolongs = refreshes(refresh_of(config_, flow.key.tag), false);
  const int64_t until = prolongs ? INT64_MAX : life_of(d.mapping);
  if (until <= now) return d;
  const Key out{d.translated, flow.key.far, flow.key.tag};
  const uint32_t other = table_.find_out(out);
  const bool other_lives = other != kNoRecord && table_.sessions()[other].expires > now;
  // Not the mapping's last session: alive() has found a live one.
  if (other != kNoRecord && !other_lives) table_.end_session(other, Reason::expired);
  d.session = table_.add_session(d.mapping, flow.key.far, kFromOutside);
  if (!other_lives) table_.index_out(d.session);
  touch(now, d.session, false, flow.tcp_flags, true);
  Session& s = table_.sessions()[d.session];
  s.expires = std::min(s.expires, until);
  table_.schedule(d.session);
  return d;
}

// Linux conntrack confirms an entry for whatever its INPUT chain accepts, and a later mapping whose
// tuple would clash takes another port (field note on punching).
void Core::poison(int64_t now, const Flow& flow) {
  uint32_t i = table_.find_in(flow.key);
  const bool known = i != kNoRecord;
  if (!known) {
    if (table_.poison_count() >= config_.max_poison ||
        table_.sessions().size() >= config_.max_sessions)
      return;
    i = table_.add_poison(flow.key.near, flow.key.far, flow.key.tag);
  }
  Session& s = table_.sessions()[i];
  if (!(s.flags & kPoison)) return;
  const Timeouts& t = config_.timeouts;
  s.expires = now + (flow.key.tag == CV_TCP ? t.tcp_reset : t.udp_new).count();
  if (!known) table_.schedule(i);
}

void Core::reboot(int64_t now, Reason reason) {
  table_.sweep(now);
  if (on_ended)
    for (uint32_t i = 0; i < table_.mappings().end(); ++i)
      if (table_.mappings()[i].first_session != kNoRecord) on_ended(i, now, reason);
  table_.clear(now);
  allocator_.reset(public_ips_.size());
}

void Core::change_addresses(int64_t now, std::vector<uint32_t> public_ips) {
  reboot(now, Reason::address_changed);
  public_ips_ = std::move(public_ips);
  note_range();
  allocator_.reset(public_ips_.size());
}

void Core::rebind(int64_t now, const std::function<void(uint32_t, Point)>& moved) {
  table_.sweep(now);
  for (uint32_t i = 0; i < table_.mappings().end(); ++i) {
    const MappingRecord& m = table_.mappings()[i];
    const uint16_t old_address = address_index(m.external_ip);
    if (m.first_session == kNoRecord || (m.tag & kTagV6) || old_address == Subscriber::kNoAddress)
      continue;
    const Point old = m.external();
    // A port whose remotes clash with none of this mapping's.
    const PortAllocator::Usable usable = [&](uint16_t address, uint16_t port) {
      const Point external{public_ips_[address], port};
      if (!config_.overloading && table_.find_external(external, m.tag) != kNoRecord) return false;
      if (!config_.overloading && table_.poison_count() == 0) return true;
      for (uint32_t s = m.first_session; s != kNoRecord; s = table_.sessions()[s].next)
        if (table_.find_in({external, table_.sessions()[s].remote(), m.tag}) != kNoRecord)
          return false;
      return true;
    };
    const auto choice = allocator_.choose(m.tag, m.internal_port,
                                          table_.subscribers()[m.subscriber], usable, old.port);
    if (choice.reason != Reason::none) continue;  // no other port: it keeps this one
    table_.move_mapping(i, {public_ips_[choice.address], choice.port});
    if (table_.find_external(old, m.tag) == kNoRecord)
      allocator_.set_taken(old_address, m.tag, old.port, false);
    allocator_.set_taken(choice.address, m.tag, choice.port, true);
    moved(i, old);
  }
}

}  // namespace culvert::nat
