// A NAT for one router: decides (core.h) and translates IP packets in place (model/packet).
// RFC 4787 (UDP), 5382 (TCP), 5508 (ICMP). It never reads a clock: time is an argument, and must
// not go backwards. Random choices come from the seed. It sends nothing: what it wants sent itself
// (RST, ICMP) waits in take_emitted().
//
// What the router does:
//  - A packet that arrived inside and is to leave (or is for a public address: hairpin) goes
//  through
//    outbound(); one that arrived outside goes through inbound() first. Packets to addresses of the
//    router's own that are not public addresses of the NAT never come here, nor do the router's
//    own.
//  - Packets that the router would not forward must not come here, above all those whose TTL has
//  run
//    out (TTL <= 1 on arrival): they would create state. The NAT itself never touches the TTL.
//  - Then do what Outcome::action says. The packet was rewritten in place and keeps its length; on
//    drop, reply, deliver_local it is as it came.
//  - After each call, if has_emitted(): send take_emitted() by the usual routes, not through the
//  NAT.
//  - Arm a timer for next_deadline() and call expire() then: held SYNs are answered and expired
//    mappings reported on time. Correct translation does not depend on it: expiry is checked
//    exactly at each look-up.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/nat/config.h"
#include "model/nat/presets.h"
#include "model/nat/reason.h"
#include "model/net/address.h"
#include "model/net/bytes.h"
#include "model/net/time.h"

namespace culvert::nat {

enum class Action : uint8_t {
  drop,           // forget it; Outcome::reason says why
  forward_out,    // rewritten: route it toward its destination, outside
  forward_in,     // rewritten: route it toward its destination, inside
  hairpin,        // rewritten: back inside, to its new destination
  deliver_local,  // not for anybody inside: the router's own stack may have it
  reply,          // dropped, and an answer (RST, ICMP) is in take_emitted(), now or later (hold)
};
std::string_view to_string(Action action);

enum class Side : uint8_t { inside, outside };

struct Outcome {
  Action action = Action::drop;
  Reason reason = Reason::none;  // of a drop, reply or deliver_local
  bool created = false;          // this packet made a mapping
  uint32_t mapping = 0;          // its id, or 0: none. Ids are reused after the mapping ended
};

// What the NAT looks at of a packet. Ports are 0 where there are none (later fragments, others);
// for ICMP echo source.port (of a request) or destination.port (of a reply) is the identifier; an
// ICMP error shows the flow it is about, as it came from the wire, with `icmp_error` set.
struct Tuple {
  uint8_t protocol = 0;
  net::Endpoint source, destination;
  bool icmp_error = false;
};

struct MappingInfo {
  uint32_t id = 0;
  uint8_t protocol = 0;
  net::Endpoint internal, external;
  net::Endpoint remote;  // port or all of it none, as far as the mapping does not depend on it
  Time created{0};
};

// Who wants to know. Called from inside outbound(), inbound(), expire() and the events; must not
// call back into the NAT.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void mapping_created(Time, const MappingInfo&) {}
  // `ended` is when it really ended, at or before the time of the call.
  virtual void mapping_ended(Time /*ended*/, const MappingInfo&, Reason) {}
  // The same mapping at another external port (rebind); info holds the new one.
  virtual void mapping_moved(Time, const MappingInfo&, const net::Endpoint& /*old_external*/) {}
  // Every packet that was forwarded. Costs time: only called if wants_packets() was true when the
  // observer was set.
  virtual bool wants_packets() const { return false; }
  virtual void translated(Time, Side /*came_from*/, const Tuple& /*before*/, const Tuple& /*after*/,
                          const Outcome&) {}
  // Every packet that was not (drop, reply, deliver_local).
  virtual void refused(Time, Side /*came_from*/, const Tuple&, const Outcome&) {}
};

struct Emitted {
  net::Buffer packet;  // a whole IP packet, checksums right
  Side to = Side::outside;
};

struct Counters {
  uint64_t out = 0, in = 0, hairpin = 0, local = 0, dropped = 0, emitted = 0;  // packets
  uint64_t mappings_created = 0, mappings_ended = 0;
  uint64_t by_reason[kReasonCount] = {};  // packets not forwarded
};

// What a NAT can have as public addresses: at least one that is IPv4 for Kind::nat, at most 4096.
// invalid with a sentence.
net::Status check_addresses(const Config& config, const std::vector<net::IpAddress>& addresses);

class Core;

class Nat {
 public:
  // `public_addresses`: IPv4; a firewall has none. What check() or check_addresses() refuses throws
  // std::invalid_argument: ask them about what a user wrote.
  Nat(const Config& config, std::vector<net::IpAddress> public_addresses, uint64_t seed);
  ~Nat();
  Nat(const Nat&) = delete;
  Nat& operator=(const Nat&) = delete;

  // `packet` starts with an IP header. It may be a truncated view (80 bytes are always enough for
  // TCP, UDP and echo without IP options, 128 for ICMP errors about them); `total_length` is then
  // the length of the whole packet in bytes. Whole packets: packet.size().
  Outcome outbound(Time now, net::MutableBytes packet, size_t total_length);
  Outcome inbound(Time now, net::MutableBytes packet, size_t total_length);
  Outcome outbound(Time now, net::MutableBytes packet) {
    return outbound(now, packet, packet.size());
  }
  Outcome inbound(Time now, net::MutableBytes packet) {
    return inbound(now, packet, packet.size());
  }

  // Several packets at once, in order, as if one by one; cheaper per packet when there are very
  // many mappings, because memory is asked for ahead.
  struct Item {
    net::MutableBytes packet;
    size_t total_length = 0;
    Side arrived = Side::inside;
    Outcome outcome;  // filled in
  };
  void process(Time now, boost::span<Item> items);

  bool has_emitted() const;
  std::vector<Emitted> take_emitted();
  // When expire() next has something to do, at the latest; may be early. Time::max(): never.
  Time next_deadline() const;
  void expire(Time now);

  // Events. reboot: all state is lost. rebind: every mapping gets another external port and keeps
  // its sessions. change_address: new public addresses, all state is lost (as Linux masquerade).
  void reboot(Time now);
  void rebind(Time now);
  void change_address(Time now, std::vector<net::IpAddress> public_addresses);

  // Null: nobody. The observer must outlive the NAT or be unset.
  void set_observer(Observer* observer);

  const Config& config() const;
  const std::vector<net::IpAddress>& public_addresses() const;
  bool is_public(const net::IpAddress& address) const;
  const Counters& counters() const;
  size_t mapping_count() const;  // may include expired ones not yet cleaned; expire(now) first
  size_t session_count() const;
  size_t memory_bytes() const;  // of tables and indexes, as allocated
  // Live mappings at `now`, ordered by protocol, internal endpoint and remote.
  std::vector<MappingInfo> mappings(Time now) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::nat
