// Cutting packets out of a stream: the fixed header (2.1).
#include "model/mqtt/reader.h"

namespace culvert::mqtt {
namespace {

constexpr uint8_t kSubscribeFlags = 0b0010;  // of PUBREL, SUBSCRIBE, UNSUBSCRIBE: table 2-2

// Table 2-1: who may send what.
constexpr uint32_t kBoth = place(Type::publish) | place(Type::puback) | place(Type::pubrec) |
                           place(Type::pubrel) | place(Type::pubcomp) | place(Type::disconnect) |
                           place(Type::auth);
constexpr uint32_t kFromClient = kBoth | place(Type::connect) | place(Type::subscribe) |
                                 place(Type::unsubscribe) | place(Type::pingreq);
constexpr uint32_t kFromServer = kBoth | place(Type::connack) | place(Type::suback) |
                                 place(Type::unsuback) | place(Type::pingresp);

const Fault* check_publish_flags(uint8_t flags) {
  const int qos = flags >> 1 & 3;
  if (qos == 3) return &fault::kQos3;
  return qos == 0 && (flags & 8) ? &fault::kDupQos0 : nullptr;
}

}  // namespace

std::string_view to_string(Type type) {
  static constexpr std::string_view kNames[] = {"RESERVED",  "CONNECT",  "CONNACK",     "PUBLISH",
                                                "PUBACK",    "PUBREC",   "PUBREL",      "PUBCOMP",
                                                "SUBSCRIBE", "SUBACK",   "UNSUBSCRIBE", "UNSUBACK",
                                                "PINGREQ",   "PINGRESP", "DISCONNECT",  "AUTH"};
  return kNames[static_cast<uint8_t>(type) & 15];
}

const Fault* check_first_byte(uint8_t byte, Side sender) {
  const auto type = static_cast<Type>(byte >> 4);
  const uint8_t flags = byte & 15;
  if (type == Type::publish) return check_publish_flags(flags);
  if (byte >> 4 == 0) return &fault::kType;
  if ((place(type) & (sender == Side::client ? kFromClient : kFromServer)) == 0)
    return &fault::kDirection;
  switch (type) {
    case Type::pubrel:
      return flags == kSubscribeFlags ? nullptr : &fault::kFlagsPubrel;
    case Type::subscribe:
      return flags == kSubscribeFlags ? nullptr : &fault::kFlagsSubscribe;
    case Type::unsubscribe:
      return flags == kSubscribeFlags ? nullptr : &fault::kFlagsUnsubscribe;
    case Type::disconnect:
      return flags == 0 ? nullptr : &fault::kFlagsDisconnect;
    case Type::auth:
      return flags == 0 ? nullptr : &fault::kFlagsAuth;
    default:
      return flags == 0 ? nullptr : &fault::kFlags;
  }
}

std::variant<Frame, Fault> next_frame(Bytes input, uint32_t limit, Side sender) {
  if (input.empty()) return Frame{};
  if (const Fault* f = check_first_byte(input[0], sender)) return *f;
  uint32_t remaining = 0;
  for (size_t i = 1; i <= 4; ++i) {
    if (i >= input.size()) return Frame{};
    remaining |= static_cast<uint32_t>(input[i] & 0x7F) << (7 * (i - 1));
    if (input[i] & 0x80) continue;
    const size_t size = i + 1 + remaining;
    if (size > limit) return fault::kTooLarge;
    return Frame{size, i + 1};
  }
  return fault::kVarintLong;
}

const Fault* open_packet(Bytes packet, uint8_t& first, bool& padded, Reader& body) {
  body = Reader(packet);
  if (const Fault* f = body.u8(first)) return f;
  uint32_t remaining = 0;
  // A padded length is a fault in 5.0 only, and a CONNECT's version is not yet known.
  padded = false;
  for (int i = 0;; ++i) {
    if (i == 4) return &fault::kVarintLong;
    uint8_t byte = 0;
    if (const Fault* f = body.u8(byte)) return f;
    remaining |= static_cast<uint32_t>(byte & 0x7F) << (7 * i);
    if (byte & 0x80) continue;
    padded = i > 0 && byte == 0;
    break;
  }
  return remaining == body.left() ? nullptr : &fault::kLength;
}

}  // namespace culvert::mqtt
