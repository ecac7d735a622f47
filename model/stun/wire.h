// STUN's bytes: big-endian fields, padding, the FINGERPRINT's CRC. Only for this room.
// RFC 8489 sections 5, 14 and 14.7.
#pragma once

#include <boost/endian/conversion.hpp>

#include "model/net/bytes.h"

namespace culvert::stun::wire {

inline uint16_t u16(const uint8_t* at) { return boost::endian::load_big_u16(at); }
inline uint32_t u32(const uint8_t* at) { return boost::endian::load_big_u32(at); }
inline uint64_t u64(const uint8_t* at) { return boost::endian::load_big_u64(at); }
inline void put16(uint8_t* at, uint16_t v) { boost::endian::store_big_u16(at, v); }
inline void put32(uint8_t* at, uint32_t v) { boost::endian::store_big_u32(at, v); }

constexpr size_t padded(size_t length) { return (length + 3) & ~size_t{3}; }

constexpr uint32_t kFingerprintXor = 0x5354554E;  // section 14.7: "STUN"
uint32_t crc32(net::Bytes data);                  // ITU V.42, as in Ethernet

// Where the method's bits and the class's bits lie in the type (section 5, figure 3).
constexpr uint16_t type_of(uint16_t method, uint8_t cls) {
  return static_cast<uint16_t>((method & 0x000F) | (method & 0x0070) << 1 | (method & 0x0F80) << 2 |
                               (cls & 1) << 4 | (cls & 2) << 7);
}
constexpr uint16_t method_of(uint16_t type) {
  return static_cast<uint16_t>((type & 0x000F) | (type & 0x00E0) >> 1 | (type & 0x3E00) >> 2);
}
constexpr uint8_t class_of(uint16_t type) {
  return static_cast<uint8_t>((type >> 4 & 1) | (type >> 7 & 2));
}

}  // namespace culvert::stun::wire
