// How long a session lives, and which packets prolong it. RFC 4787 REQ-5 and 6, RFC 5382 REQ-5,
// RFC 5508 REQ-2.
#pragma once

#include "model/nat/config.h"
#include "model/nat/records.h"
#include "model/nat/tcp_state.h"

namespace culvert::nat {

inline Duration timeout_of(const Config& config, const Session& session) {
  const Timeouts& t = config.timeouts;
  switch (session.tag & ~kTagV6) {
    case CV_UDP: {
      constexpr uint8_t kBoth = kSentOut | kSeenIn;
      return (session.flags & kBoth) == kBoth ? t.udp_stream : t.udp_new;
    }
    case CV_TCP:
      switch (tcp_state(session.tcp)) {
        case TcpState::opening:
          return t.tcp_opening;
        case TcpState::established:
          return t.tcp_established;
        case TcpState::half_closed:
          return t.tcp_half_closed;
        case TcpState::closing:
          return t.tcp_closing;
        case TcpState::reset:
          return t.tcp_reset;
      }
      return t.tcp_opening;
    default:
      return t.icmp;
  }
}

inline bool refreshes(Refresh refresh, bool outbound) {
  return refresh == Refresh::both || (refresh == Refresh::outbound) == outbound;
}

inline Refresh refresh_of(const Config& config, uint8_t tag) {
  switch (tag & ~kTagV6) {
    case CV_UDP:
      return config.udp_refresh;
    case CV_TCP:
      return config.tcp_refresh;
    default:
      return config.icmp_refresh;
  }
}

}  // namespace culvert::nat
