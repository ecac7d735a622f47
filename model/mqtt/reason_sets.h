// Which reason codes a packet may carry: MQTT 5.0 section 2.4, table 2-6, and each packet's own
// table. Stands on reason.h.
#pragma once

#include <array>
#include <initializer_list>

#include "model/mqtt/reason.h"

namespace culvert::mqtt {

using ReasonSet = std::array<uint64_t, 4>;  // a bit for each code
constexpr ReasonSet reason_set(std::initializer_list<int> codes) {
  ReasonSet set{};
  for (const int code : codes) set[code >> 6] |= 1ull << (code & 63);
  return set;
}
constexpr bool allowed(const ReasonSet& set, Reason reason) {
  const auto code = static_cast<uint8_t>(reason);
  return (set[code >> 6] >> (code & 63) & 1) != 0;
}

// Section 3.2.2.2, table 3-1.
inline constexpr ReasonSet kConnackReasons =
    reason_set({0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
                0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F});
// PUBACK and PUBREC: 3.4.2.1, 3.5.2.1.
inline constexpr ReasonSet kPubackReasons =
    reason_set({0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99});
// PUBREL and PUBCOMP: 3.6.2.1, 3.7.2.1.
inline constexpr ReasonSet kPubrelReasons = reason_set({0x00, 0x92});
// 3.9.3; of 3.1.1 3.9.3 there.
inline constexpr ReasonSet kSubackReasons =
    reason_set({0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2});
inline constexpr ReasonSet kSubackReasonsV311 = reason_set({0x00, 0x01, 0x02, 0x80});
// 3.11.3.
inline constexpr ReasonSet kUnsubackReasons =
    reason_set({0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91});
// 3.14.2.1, by sender.
inline constexpr ReasonSet kClientDisconnectReasons = reason_set(
    {0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99});
inline constexpr ReasonSet kServerDisconnectReasons = reason_set(
    {0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94,
     0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2});
// 3.15.2.1, by sender.
inline constexpr ReasonSet kClientAuthReasons = reason_set({0x18, 0x19});
inline constexpr ReasonSet kServerAuthReasons = reason_set({0x00, 0x18});

}  // namespace culvert::mqtt
