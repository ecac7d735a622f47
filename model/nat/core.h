// The decisions of a NAT, over flows without packets: which mapping an outbound flow gets, which
// inbound flow is let in, how long anything lives. Stands on table.h and port_allocator.h. Time is
// an argument, in nanoseconds. nat.h wraps it for packets.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "model/nat/config.h"
#include "model/nat/port_allocator.h"
#include "model/nat/table.h"
#include "model/nat/tcp_state.h"
#include "model/nat/timeouts.h"
#include "model/net/random.h"

namespace culvert::nat {

// A packet, as far as the decision needs it.
struct Flow {
  Key key;                // outbound: near = internal; inbound: near = external. far = remote
  uint8_t tcp_flags = 0;  // CV_SYN ...; of TCP
  bool identity = false;  // firewall: the external endpoint is the internal one
};

struct Decision {
  Reason reason = Reason::none;
  bool created = false;
  uint32_t mapping = kNoRecord;
  uint32_t session = kNoRecord;
  Point translated;  // outbound: external endpoint; inbound: internal endpoint
  bool ok() const { return reason == Reason::none; }
};

class Core {
 public:
  Core(const Config& config, std::vector<uint32_t> public_ips, uint64_t seed);

  // A packet from inside: finds or makes its mapping and session.
  Decision outbound(int64_t now, const Flow& flow);
  // A packet from outside: the filter. `reason` of a refusal tells no_mapping, filtered_address and
  // filtered_port apart.
  Decision inbound(int64_t now, const Flow& flow);
  // For ICMP errors: the live session between these two endpoints; changes nothing.
  uint32_t session_out(int64_t now, const Key& internal_remote) const;
  uint32_t session_in(int64_t now, const Key& external_remote) const;

  void advance(int64_t now) { table_.advance(now); }
  void sweep(int64_t now) { table_.sweep(now); }
  void reboot(int64_t now, Reason reason = Reason::rebooted);
  // Every live mapping to another port; `moved` is told of each, with its old endpoint.
  void rebind(int64_t now, const std::function<void(uint32_t mapping, Point old)>& moved);
  void change_addresses(int64_t now, std::vector<uint32_t> public_ips);

  std::function<void(uint32_t mapping)> on_created;
  std::function<void(uint32_t mapping, int64_t ended, Reason)> on_ended;

  Table& table() { return table_; }
  const Table& table() const { return table_; }
  const std::vector<uint32_t>& public_ips() const { return public_ips_; }
  bool is_public(uint32_t ip) const {
    if (ip < first_public_ || ip > last_public_) return false;
    if (public_is_range_) return true;
    for (const uint32_t p : public_ips_)
      if (p == ip) return true;
    return false;
  }
  size_t memory_bytes() const { return table_.memory_bytes() + allocator_.memory_bytes(); }

 private:
  Decision outbound_new(int64_t now, const Flow& flow);
  Decision inbound_new(int64_t now, const Flow& flow);
  int64_t life_of(uint32_t mapping) const;
  Reason make_mapping(int64_t now, const Flow& flow, bool keyed, uint32_t* mapping);
  Reason room_for_session(int64_t now, uint32_t mapping);
  uint32_t admitting_mapping(int64_t now, const Flow& flow, Reason* why);
  Reason why_filtered(int64_t now, const Flow& flow, uint32_t newest);
  void poison(int64_t now, const Flow& flow);
  void touch(int64_t now, uint32_t session, bool outbound, uint8_t tcp_flags, bool fresh);
  void mark_sent(uint32_t session);
  void note_range();
  uint16_t address_index(uint32_t ip) const;
  PortAllocator::Usable usable_for(int64_t now, const Flow& flow);
  bool permits_needed() const {
    return config_.filtering != Filtering::eif &&
           !(config_.filtering == Filtering::apdf &&
             config_.filter_state == FilterState::per_mapping);
  }

  const Config& config_;
  std::vector<uint32_t> public_ips_;  // host order
  uint32_t first_public_ = 1, last_public_ = 0;
  bool public_is_range_ = false;
  net::Random random_;
  PortAllocator allocator_;
  Table table_;
};

// What every packet of a known session takes.

// Sets when the session expires, if this packet prolongs it or changes its state.
inline void Core::touch(int64_t now, uint32_t i, bool outbound, uint8_t tcp_flags, bool fresh) {
  Session& s = table_.sessions()[i];
  s.flags |= outbound ? kSentOut : kSeenIn;
  bool set = fresh || refreshes(refresh_of(config_, s.tag), outbound);
  if ((s.tag & ~kTagV6) == CV_TCP) {
    const TcpState before = tcp_state(s.tcp);
    s.tcp = tcp_after(s.tcp, outbound, tcp_flags);
    set = set || tcp_state(s.tcp) != before;
  }
  if (!set) return;
  int64_t expires = now + timeout_of(config_, s).count();
  if (config_.timeouts.lifetime.count() > 0)
    expires =
        std::min(expires, table_.mappings()[s.mapping].created + config_.timeouts.lifetime.count());
  const bool earlier = expires < s.expires;
  s.expires = expires;
  if (earlier && !fresh) table_.expires_earlier(i);
}

inline Decision Core::outbound(int64_t now, const Flow& flow) {
  const uint32_t i = table_.find_out(flow.key);
  if (i != kNoRecord) {
    const Session& s = table_.sessions()[i];
    if (s.expires > now) {
      if (!(s.flags & kSentOut)) mark_sent(i);
      touch(now, i, true, flow.tcp_flags, false);
      return {Reason::none, false, s.mapping, i, s.external()};
    }
    table_.end_session(i, Reason::expired);
  }
  return outbound_new(now, flow);
}

inline Decision Core::inbound(int64_t now, const Flow& flow) {
  const uint32_t i = table_.find_in(flow.key);
  if (i != kNoRecord) {
    const Session& s = table_.sessions()[i];
    if (s.expires > now && !(s.flags & kPoison)) {
      touch(now, i, false, flow.tcp_flags, false);
      return {Reason::none, false, s.mapping, i, s.internal()};
    }
    if (s.expires <= now) table_.end_session(i, Reason::expired);
  }
  return inbound_new(now, flow);
}

}  // namespace culvert::nat
