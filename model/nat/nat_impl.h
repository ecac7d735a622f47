// The inside of Nat: core + packet translation. Private to this room; nat.cc is the frame,
// translate.cc handles TCP, UDP and echo, errors.cc ICMP errors and what is refused.
#pragma once

#include <vector>

#include "model/nat/core.h"
#include "model/nat/fragments.h"
#include "model/nat/icmp.h"
#include "model/nat/nat.h"
#include "model/nat/replies.h"
#include "model/packet/rewrite.h"

namespace culvert::nat {

class Nat::Impl {
 public:
  Impl(const Config& config, std::vector<net::IpAddress> addresses, uint64_t seed);

  Outcome run(int64_t now, net::MutableBytes packet, size_t total_length, Side side);
  void emit(net::Buffer packet, Side to);
  void answer_held(int64_t now);
  void forget_packets();
  uint32_t ask_for_index(net::Bytes packet, Side arrived) const;

  net::Endpoint endpoint_of(Point point, uint8_t tag) const;
  MappingInfo info(uint32_t mapping) const;

  const Config config_;
  std::vector<net::IpAddress> addresses_;
  mutable Core core_;
  Fragments fragments_;
  HeldSyns held_;
  std::vector<Emitted> emitted_;
  Observer* observer_ = nullptr;
  bool wants_packets_ = false;
  Counters counters_;

 private:
  struct Packet;  // one packet under way

  // translate.cc
  Outcome translate(int64_t now, Packet& p);
  Outcome outbound(int64_t now, Packet& p);
  Outcome hairpin(int64_t now, Packet& p);
  Outcome inbound(int64_t now, Packet& p);
  Outcome later_fragment(int64_t now, Packet& p);
  void remember_fragment(int64_t now, const Packet& p, const Fragments::Path& path);
  Outcome open(const Packet& p) const;
  // errors.cc
  Outcome icmp_error(int64_t now, Packet& p);
  static Outcome refuse(Reason reason);
  // `from`: the sender as the addressee would have seen it.
  Outcome refuse_unsolicited(int64_t now, const Packet& p, Reason reason, Point from);
  void hold_addresses(const Key& key) {  // of IPv6: they keep their numbers meanwhile
    if (!(key.tag & kTagV6)) return;
    core_.table().book().hold(key.near.ip);
    core_.table().book().hold(key.far.ip);
  }
  Outcome refuse_outbound(const Packet& p, Reason reason);
  static Tuple tuple_of(const Packet& p);
  static Tuple tuple_of(net::Bytes packet, const cv_packet& parsed);

  void count(const Outcome& outcome);
};

struct Nat::Impl::Packet {
  net::MutableBytes bytes;
  Side side = Side::inside;
  bool identity = false;  // firewall
  uint8_t tag = 0;
  cv_packet parsed;
  Point source,
      destination;  // as they came; ports as the tables want them (echo: see translate.cc)

  uint8_t* data() const { return bytes.data(); }
  uint8_t* end() const { return bytes.data() + bytes.size(); }
  bool echo_request() const { return (parsed.flags & CV_ECHO_REQUEST) != 0; }
  uint32_t v4_source() const { return cv_swap32(cv_load32(data() + 12)); }
  uint32_t v4_destination() const { return cv_swap32(cv_load32(data() + 16)); }
};

// Only a hint: whatever is odd about the packet shows later. Inlined by force here and below it,
// because GCC takes a function that only prefetches for one without effect and drops the call.
__attribute__((always_inline)) inline uint32_t Nat::Impl::ask_for_index(net::Bytes packet,
                                                                        Side arrived) const {
  const uint8_t* const p = packet.data();
  if (packet.size() < 28 || p[0] != 0x45) return 0;
  const bool out = arrived == Side::inside;
  const Point source{cv_swap32(cv_load32(p + 12)), cv_swap16(cv_load16(p + 20))};
  const Point destination{cv_swap32(cv_load32(p + 16)), cv_swap16(cv_load16(p + 22))};
  const Key key{out ? source : destination, out ? destination : source, p[9]};
  const Table& table = core_.table();
  const uint32_t hash = table.hash(key);
  table.prefetch_index(hash, out);
  return hash;
}

}  // namespace culvert::nat
