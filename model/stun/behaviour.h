// What measuring a NAT from inside gives: RFC 5780's vocabulary, as values. The punch planner and
// the rendezvous frames use it; model/stun/discovery.h measures it. Stands on model/net.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/net/address.h"
#include "model/net/time.h"

namespace culvert::stun {

// RFC 4787 section 4.1 and 5. The numbers are on the wire of the rendezvous: do not renumber.
enum class Mapping : uint8_t {
  unknown = 0,
  eim = 1,   // endpoint-independent
  adm = 2,   // address-dependent
  apdm = 3,  // address- and port-dependent
};
enum class Filtering : uint8_t { unknown = 0, eif = 1, adf = 2, apdf = 3 };
enum class Hairpin : uint8_t { unknown = 0, no = 1, yes = 2 };

// Lower-case, as in event logs: "eim", "apdf", "unknown".
std::string_view to_string(Mapping mapping);
std::string_view to_string(Filtering filtering);
std::string_view to_string(Hairpin hairpin);

struct NatBehaviour {
  Mapping mapping = Mapping::unknown;
  Filtering filtering = Filtering::unknown;
  Hairpin hairpin = Hairpin::unknown;
  // Routers up to and with the outermost own NAT; 0: no NAT; nothing: not measured or not to tell.
  std::optional<uint8_t> hops;
  std::optional<net::Duration> far;  // one-way delay to that NAT
  net::Duration rtt{0};              // to the server's first address; the smallest seen
  net::Endpoint observed;            // by the server's first endpoint
  net::Endpoint local;               // of the socket, with the address that routes to the server
  bool same_as_local = false;        // observed == local: no NAT that translates
  bool blocked = false;              // nothing came back at all
  bool port_preserved() const { return observed.port == local.port; }
  // "eim-apdf"; "unknown" unless both are known.
  std::string kind() const;
};

}  // namespace culvert::stun
