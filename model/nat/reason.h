// Why the NAT did what it did: one word for every refusal, drop and end of a mapping, for event
// logs and for the reader. Stands on nothing.
#pragma once

#include <cstdint>
#include <string_view>

namespace culvert::nat {

enum class Reason : uint8_t {
  none,
  // The packet itself.
  malformed,       // not a packet that can be translated; truncated, bad lengths, bad version
  unsupported,     // a protocol or family that this configuration does not carry
  fragment_early,  // a later fragment whose first fragment has not come by
  // Inbound.
  not_public,        // to an address that is not one of the NAT's
  no_mapping,        // nobody inside uses that port: never, or no longer
  filtered_address,  // a mapping is there, but it never sent to that address
  filtered_port,     // it sent to that address, but not to that port
  unmatched_icmp,    // an ICMP error about a packet that the NAT knows nothing of
  tcp_out_of_state,  // a TCP segment that is no SYN, for a connection never seen
  // Outbound.
  hairpin_off,       // to one of the NAT's own addresses, and it does not hairpin
  ports_exhausted,   // no free port on the public address(es) it may use
  block_exhausted,   // the subscriber's port blocks are all in use
  no_block_left,     // no port block left for this subscriber
  subscriber_limit,  // the subscriber has as many mappings as it may
  mapping_limit,     // the NAT has as many mappings as it may
  session_limit,     // the mapping, or the NAT, has as many sessions as it may
  // Why a mapping ended.
  expired,
  rebooted,
  address_changed,
};
constexpr int kReasonCount = static_cast<int>(Reason::address_changed) + 1;

// A lower-case word, as used in event logs: "filtered_port".
std::string_view to_string(Reason reason);

}  // namespace culvert::nat
