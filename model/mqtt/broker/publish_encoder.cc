#include "model/mqtt/broker/publish_encoder.h"

#include <algorithm>
#include <cstring>

namespace culvert::mqtt {
namespace {

// Ours: a larger packet is encoded for each receiver, which is one copy of its payload either way.
constexpr size_t kLargestKept = 2048;

uint8_t first_byte(const PublishEncoder::Shape& shape) {
  return static_cast<uint8_t>(static_cast<uint8_t>(Type::publish) << 4 | (shape.dup ? 8 : 0) |
                              shape.qos << 1 | (shape.retain ? 1 : 0));
}

uint8_t* put16(uint8_t* to, size_t value) {
  to[0] = static_cast<uint8_t>(value >> 8);
  to[1] = static_cast<uint8_t>(value);
  return to + 2;
}
uint8_t* put_varint(uint8_t* to, size_t value) {
  do {
    *to++ = static_cast<uint8_t>((value & 127) | (value > 127 ? 128 : 0));
    value >>= 7;
  } while (value > 0);
  return to;
}
uint8_t* put_bytes(uint8_t* to, Bytes bytes) {
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

}  // namespace

size_t PublishEncoder::append(const Message& message, const Shape& asked, uint32_t limit,
                              net::Buffer& out) {
  Shape shape = asked;
  if (shape.version == Version::v311) shape.ids = {};
  const bool one_id = shape.ids.size() <= 1;
  const uint32_t id = shape.ids.empty() ? 0 : shape.ids[0];
  if (message_.get() == &message && version_ == shape.version && qos_ == shape.qos &&
      retain_ == shape.retain && dup_ == shape.dup && one_id && id_ == id && shape.alias == 0 &&
      (now_ == shape.now || message.expires() == net::Time::max())) {
    if (packet_.size() > limit) return 0;
    const size_t begin = out.size();
    out.insert(out.end(), packet_.begin(), packet_.end());
    if (shape.qos > 0) put16(out.data() + begin + id_at_, shape.packet_id);
    return packet_.size();
  }
  const size_t begin = out.size();
  const bool plain =
      (message.plain() || shape.version == Version::v311) && one_id && shape.alias == 0;
  const size_t size =
      plain ? append_plain(message, shape, limit, out) : append_rich(message, shape, limit, out);
  if (size > 0 && size <= kLargestKept && one_id && shape.alias == 0) {
    packet_.assign(out.begin() + static_cast<ptrdiff_t>(begin), out.end());
    size_t length_bytes = 1;
    while (packet_[length_bytes] & 128) ++length_bytes;
    id_at_ = 1 + length_bytes + 2 + message.topic().size();
    message_ = MessagePtr(&message);
    version_ = shape.version;
    qos_ = shape.qos;
    retain_ = shape.retain;
    dup_ = shape.dup;
    id_ = id;
    now_ = shape.now;
  }
  return size;
}

size_t PublishEncoder::append_plain(const Message& message, const Shape& shape, uint32_t limit,
                                    net::Buffer& out) {
  const bool v5 = shape.version == Version::v5;
  const uint32_t id = v5 && !shape.ids.empty() ? shape.ids[0] : 0;
  const size_t properties = id == 0 ? 0 : 1 + varint_size(id);
  const size_t rest = 2 + message.topic().size() + (shape.qos > 0 ? 2 : 0) +
                      (v5 ? 1 + properties : 0) + message.payload().size();
  if (rest > 268'435'455) return 0;  // 2.1.4
  const size_t size = 1 + varint_size(static_cast<uint32_t>(rest)) + rest;
  if (size > limit) return 0;
  const size_t begin = out.size();
  out.resize(begin + size);
  uint8_t* to = out.data() + begin;
  *to++ = first_byte(shape);
  to = put_varint(to, rest);
  to = put16(to, message.topic().size());
  to = put_bytes(to, net::as_bytes(message.topic()));
  if (shape.qos > 0) to = put16(to, shape.packet_id);
  if (v5) {
    *to++ = static_cast<uint8_t>(properties);
    if (id > 0) {
      *to++ = 0x0B;  // 3.3.2.3.8 subscription identifier
      to = put_varint(to, id);
    }
  }
  put_bytes(to, message.payload());
  return size;
}

size_t PublishEncoder::append_rich(const Message& message, const Shape& shape, uint32_t limit,
                                   net::Buffer& out) {
  Publish publish;
  publish.dup = shape.dup;
  publish.retain = shape.retain;
  publish.qos = shape.qos;
  publish.packet_id = shape.qos > 0 ? shape.packet_id : uint16_t{0};
  if (!shape.alias_known) publish.topic = message.topic();
  publish.payload = message.payload();
  publish.topic_alias = shape.alias;
  publish.subscription_ids.assign(shape.ids.begin(), shape.ids.end());
  publish.properties = message.properties();
  if (publish.properties.expiry_s && message.expires() != net::Time::max()) {
    // What is left, in whole seconds; what has less than one left still says 1 (3.3.2-6).
    const auto left = std::chrono::duration_cast<std::chrono::seconds>(
        message.expires() - shape.now + net::Duration(999'999'999));
    publish.properties.expiry_s = static_cast<uint32_t>(std::max<int64_t>(left.count(), 0));
  }
  const size_t begin = out.size();
  const size_t size = encoded_size(publish, shape.version);
  if (size == 0 || size > limit || !encode(publish, shape.version, out)) return 0;
  return out.size() - begin;
}

}  // namespace culvert::mqtt
