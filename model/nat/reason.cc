#include "model/nat/reason.h"

namespace culvert::nat {

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::none:
      return "none";
    case Reason::malformed:
      return "malformed";
    case Reason::unsupported:
      return "unsupported";
    case Reason::fragment_early:
      return "fragment_early";
    case Reason::not_public:
      return "not_public";
    case Reason::no_mapping:
      return "no_mapping";
    case Reason::filtered_address:
      return "filtered_address";
    case Reason::filtered_port:
      return "filtered_port";
    case Reason::unmatched_icmp:
      return "unmatched_icmp";
    case Reason::tcp_out_of_state:
      return "tcp_out_of_state";
    case Reason::hairpin_off:
      return "hairpin_off";
    case Reason::ports_exhausted:
      return "ports_exhausted";
    case Reason::block_exhausted:
      return "block_exhausted";
    case Reason::no_block_left:
      return "no_block_left";
    case Reason::subscriber_limit:
      return "subscriber_limit";
    case Reason::mapping_limit:
      return "mapping_limit";
    case Reason::session_limit:
      return "session_limit";
    case Reason::expired:
      return "expired";
    case Reason::rebooted:
      return "rebooted";
    case Reason::address_changed:
      return "address_changed";
  }
  return "none";
}

}  // namespace culvert::nat
