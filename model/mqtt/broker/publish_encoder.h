// PUBLISH packets for many receivers: encoded once for each shape, then copied with another packet
// identifier. Stands on codec.h.
#pragma once

#include "model/mqtt/broker/message.h"
#include "model/mqtt/codec.h"

namespace culvert::mqtt {

class PublishEncoder {
 public:
  struct Shape {
    Version version = Version::v5;
    uint8_t qos = 0;
    bool retain = false, dup = false;
    uint16_t packet_id = 0;
    boost::span<const uint32_t> ids;  // subscription identifiers (5.0)
    uint16_t alias = 0;               // topic alias (5.0)
    bool alias_known = false;         // the receiver has it: no topic
    net::Time now{0};                 // what is left of the expiry is sent (3.3.2-6)
  };
  // Appends the packet and says how many bytes it has; beyond `limit` bytes nothing is appended,
  // and the answer is 0.
  size_t append(const Message& message, const Shape& shape, uint32_t limit, net::Buffer& out);

 private:
  size_t append_plain(const Message& message, const Shape& shape, uint32_t limit, net::Buffer& out);
  size_t append_rich(const Message& message, const Shape& shape, uint32_t limit, net::Buffer& out);

  // The packet that was encoded last, and what it was encoded from.
  net::Buffer packet_;
  size_t id_at_ = 0;
  MessagePtr message_;  // kept, so that no other message can have its address
  Version version_ = Version::v5;
  uint8_t qos_ = 0;
  bool retain_ = false, dup_ = false;
  uint32_t id_ = 0;  // one subscription identifier or none
  net::Time now_{0};
};

}  // namespace culvert::mqtt
