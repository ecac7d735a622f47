// What a NAT follows of a TCP connection: who has sent SYN, FIN and RST. Enough to choose a
// time-out (RFC 5382 REQ-5, RFC 7857 section 2); sequence numbers are not followed.
#pragma once

#include <cstdint>

#include "model/packet/packet.h"

namespace culvert::nat {

enum class TcpState : uint8_t { opening, established, half_closed, closing, reset };

// Bits of a session's record. "Out" is from inside.
enum : uint8_t {
  kSynOut = 1,
  kSynIn = 2,
  kFinOut = 4,
  kFinIn = 8,
  kRstOut = 16,
  kRstIn = 32,
};

inline TcpState tcp_state(uint8_t bits) {
  if (bits & (kRstOut | kRstIn)) return TcpState::reset;
  if ((bits & (kFinOut | kFinIn)) == (kFinOut | kFinIn)) return TcpState::closing;
  if (bits & (kFinOut | kFinIn)) return TcpState::half_closed;
  if ((bits & (kSynOut | kSynIn)) == (kSynOut | kSynIn)) return TcpState::established;
  return TcpState::opening;
}

// The bits after a segment with these flags (CV_SYN ...).
inline uint8_t tcp_after(uint8_t bits, bool outbound, uint8_t flags) {
  const uint8_t syn = outbound ? kSynOut : kSynIn;
  if (flags & CV_RST) return bits | (outbound ? kRstOut : kRstIn);
  if (flags & CV_SYN) {
    const TcpState state = tcp_state(bits);
    const bool over = state == TcpState::closing || state == TcpState::reset;
    // A new connection on the ports of one that ended (RFC 9293 section 3.6.1).
    return over && !(flags & CV_ACK) ? syn : static_cast<uint8_t>(bits | syn);
  }
  // Traffic from inside after a RST from outside: the host did not believe it (RFC 5961), so the
  // connection lives (RFC 7857 section 2.2).
  if (outbound) bits &= static_cast<uint8_t>(~kRstIn);
  bits |= syn;  // of a connection taken over without its SYN
  if (flags & CV_FIN) bits |= outbound ? kFinOut : kFinIn;
  return bits;
}

}  // namespace culvert::nat
