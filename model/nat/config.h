// What a NAT does, as orthogonal axes (RFC 4787, 5382, 5508, 6888), plain data. Presets are rows of
// text applied to it (presets.h); nothing else in this room looks at a preset's name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/net/error.h"
#include "model/net/time.h"

namespace culvert::nat {

using net::Duration;
using net::Time;

enum class Kind : uint8_t {
  nat,       // translates IPv4
  firewall,  // the same state and filter, nothing is rewritten
  open,      // forwards everything, no state
};
// Endpoint-independent, address-dependent, address-and-port-dependent (RFC 4787 sections 4.1, 5).
enum class Mapping : uint8_t { eim, adm, apdm };
enum class Filtering : uint8_t { eif, adf, apdf };
// Whose contacts open the filter: those of the mapping (what session tables do) or those of the
// internal endpoint, whichever mapping it used (RFC 4787 section 5 to the letter).
enum class FilterState : uint8_t { per_mapping, per_endpoint };
enum class Ports : uint8_t {
  preserving,  // the internal port if it is free, else random
  parity,      // random of the same parity (RFC 4787 REQ-4)
  sequential,  // the last one given out plus port_step
  random,
  contiguous,  // the next one after the subscriber's last, so that each gets runs
  block,       // random within the subscriber's port blocks (RFC 6888, RFC 7422)
};
enum class Pooling : uint8_t { paired, arbitrary };                       // RFC 4787 REQ-2
enum class Hairpin : uint8_t { none, internal_source, external_source };  // RFC 4787 REQ-9
enum class Refresh : uint8_t { outbound, inbound, both };                 // RFC 4787 REQ-6
enum class TcpReaction : uint8_t { drop, rst, icmp, hold };               // hold: RFC 5382 REQ-4
enum class UdpReaction : uint8_t { drop, icmp };
enum class Refusal : uint8_t { drop, icmp };  // to an inside host without a port; RFC 5508 REQ-8
// What goes to the router itself: nothing, ICMP echo requests, or whatever matches no mapping.
enum class LocalDelivery : uint8_t { none, ping, all };
enum class Ipv6 : uint8_t { drop, firewall, open };  // what a `nat` does with IPv6

struct Timeouts {
  Duration udp_new = std::chrono::minutes(5);      // no reply seen yet; RFC 4787 REQ-5 recommends 5
  Duration udp_stream = std::chrono::minutes(5);   // packets seen both ways
  Duration icmp = std::chrono::seconds(60);        // RFC 5508 REQ-2: at least 60 s
  Duration tcp_opening = std::chrono::minutes(4);  // RFC 5382 REQ-5, transitory
  Duration tcp_established = std::chrono::minutes(124);  // RFC 5382 REQ-5
  Duration tcp_half_closed = std::chrono::minutes(124);  // one FIN: half-close must survive
  Duration tcp_closing = std::chrono::minutes(4);        // both FINs; RFC 5382 REQ-5, transitory
  Duration tcp_reset = std::chrono::minutes(4);          // RFC 7857 section 2.2
  Duration fragment = std::chrono::seconds(30);  // a datagram's fragments; Linux ipfrag_time
  Duration lifetime = Duration(0);  // of a mapping, however much it is used; 0: no such limit
};

struct Config {
  Kind kind = Kind::nat;
  Mapping mapping = Mapping::eim;
  Filtering filtering = Filtering::apdf;
  FilterState filter_state = FilterState::per_mapping;
  bool binding =
      true;  // the answer to an admitted inbound packet leaves by the mapping it came in on
  Ports ports = Ports::random;
  bool overloading = false;  // one external port for several mappings, told apart by the remote
  uint16_t port_first = 1024, port_last = 65535;
  uint16_t port_step = 1;     // of `sequential`
  uint16_t block_size = 512;  // ports; of `block`
  uint16_t blocks_per_subscriber = 1;
  Pooling pooling = Pooling::paired;
  Hairpin hairpin = Hairpin::none;
  Timeouts timeouts;
  Refresh udp_refresh = Refresh::outbound;  // RFC 4787 REQ-6 demands outbound, allows inbound
  Refresh tcp_refresh = Refresh::both;
  Refresh icmp_refresh = Refresh::both;
  TcpReaction unsolicited_tcp = TcpReaction::drop;
  Duration tcp_hold = std::chrono::seconds(6);  // RFC 5382 REQ-4
  UdpReaction unsolicited_udp = UdpReaction::drop;
  Refusal refusal = Refusal::drop;
  // Linux conntrack with an accepting INPUT chain: an early packet from X to port P makes a later
  // mapping toward X take another, random port (field note on punching).
  bool poisoning = false;
  bool tcp_loose = true;  // take over TCP connections whose SYN was not seen (Linux tcp_loose)
  LocalDelivery local_delivery = LocalDelivery::ping;
  Ipv6 ipv6 = Ipv6::firewall;

  // Limits; every one refuses with its own reason.
  uint32_t max_mappings = 1u << 20;
  uint32_t max_sessions = 1u << 22;
  uint32_t max_sessions_per_mapping = 65536;
  uint32_t max_inbound_sessions_per_mapping = 1024;  // made by packets from outside
  uint32_t max_mappings_per_subscriber = 0;          // 0: no such limit
  uint32_t max_poison = 4096;                        // early inbound packets remembered
  uint32_t max_fragments = 1024;                     // datagrams whose fragments are under way
  uint32_t max_held = 256;                           // SYNs held for RFC 5382 REQ-4
};

// Sets one axis by its name, as in scenario files and attributes: set(config, "mapping", "eim"),
// set(config, "udp_stream", "120s"), set(config, "overloading", "yes"). Durations: "500ms", "30s",
// "5min", "2h". Error::invalid with a sentence that names what would have been right; `config` is
// then unchanged.
net::Status set(Config& config, std::string_view axis, std::string_view value);

// Every axis with its value, in the order above, in the words that set() takes.
std::vector<std::pair<std::string, std::string>> describe(const Config& config);

// Is the combination possible? invalid with a sentence, e.g. an empty port range.
net::Status check(const Config& config);

}  // namespace culvert::nat
