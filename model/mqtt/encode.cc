// Values to bytes: all but CONNECT and CONNACK, which have their own file.
#include <type_traits>

#include "model/mqtt/writer.h"

namespace culvert::mqtt {
namespace {

uint8_t first_byte(Type type, uint8_t flags = 0) {
  return static_cast<uint8_t>(static_cast<uint8_t>(type) << 4 | flags);
}

// A PUBLISH's lengths, which encoded_size and encode must agree on.
struct PublishSizes {
  size_t properties = 0, remaining = 0;
  bool fits = true;
};

size_t user_size(const Few<UserProperty>& all, bool& fits) {
  size_t size = 0;
  for (const UserProperty& one : all) {
    fits = fits && one.name.size() <= kLongestField && one.value.size() <= kLongestField;
    size += 5 + one.name.size() + one.value.size();
  }
  return size;
}

PublishSizes sizes_of(const Publish& packet, Version version) {
  PublishSizes sizes;
  sizes.fits = packet.topic.size() <= kLongestField;
  sizes.remaining = 2 + packet.topic.size() + (packet.qos > 0 ? 2 : 0);
  if (version == Version::v5) {
    const MessageProperties& p = packet.properties;
    size_t size = 0;
    const auto field = [&](size_t length) {
      sizes.fits = sizes.fits && length <= kLongestField;
      size += 3 + length;
    };
    if (packet.topic_alias != 0) size += 3;
    for (const uint32_t id : packet.subscription_ids) size += 1 + varint_size(id);
    if (p.utf8_payload) size += 2;
    if (p.expiry_s) size += 5;
    if (!p.content_type.empty()) field(p.content_type.size());
    if (p.response_topic) field(p.response_topic->size());
    if (p.correlation_data) field(p.correlation_data->size());
    size += user_size(p.user, sizes.fits);
    sizes.fits = sizes.fits && size <= kLongestVarint;
    sizes.properties = size;
    sizes.remaining += size + (sizes.fits ? varint_size(static_cast<uint32_t>(size)) : 4);
  }
  sizes.remaining += packet.payload.size();
  sizes.fits = sizes.fits && sizes.remaining <= kLongestVarint;
  return sizes;
}

void write_publish_properties(const Publish& packet, RawWriter& writer) {
  const MessageProperties& p = packet.properties;
  if (p.utf8_payload) {
    writer.id(PropertyId::payload_format_indicator);
    writer.u8(1);
  }
  if (p.expiry_s) {
    writer.id(PropertyId::message_expiry_interval);
    writer.u32(*p.expiry_s);
  }
  if (packet.topic_alias != 0) {
    writer.id(PropertyId::topic_alias);
    writer.u16(packet.topic_alias);
  }
  if (p.response_topic) {
    writer.id(PropertyId::response_topic);
    writer.field(*p.response_topic);
  }
  if (p.correlation_data) {
    writer.id(PropertyId::correlation_data);
    writer.field(*p.correlation_data);
  }
  for (const UserProperty& one : p.user) {
    writer.id(PropertyId::user_property);
    writer.field(one.name);
    writer.field(one.value);
  }
  for (const uint32_t id : packet.subscription_ids) {
    writer.id(PropertyId::subscription_identifier);
    writer.varint(id);
  }
  if (!p.content_type.empty()) {
    writer.id(PropertyId::content_type);
    writer.field(p.content_type);
  }
}

net::Status too_big() {
  return {net::Error::too_big, "a text is longer than 65,535 bytes, or the packet than 256 MB"};
}

net::Status encode_subscribe(const Subscribe& packet, Version version, net::Buffer& out) {
  PacketWriter writer(out, first_byte(Type::subscribe, 2), version);
  writer.u16(packet.packet_id);
  writer.open_properties();
  if (packet.subscription_id)
    writer.varint_property(PropertyId::subscription_identifier, *packet.subscription_id);
  writer.user(packet.user);
  writer.close_properties();
  for (const Subscribe::Entry& entry : packet.entries) {
    writer.field(entry.filter);
    const SubscriptionOptions& o = entry.options;
    uint8_t options = o.qos & 3;
    if (version == Version::v5) {
      if (o.no_local) options |= 4;
      if (o.retain_as_published) options |= 8;
      options |= static_cast<uint8_t>((o.retain_handling & 3) << 4);
    }
    writer.u8(options);
  }
  return writer.finish();
}

net::Status encode_suback(const SubAck& packet, Version version, net::Buffer& out) {
  PacketWriter writer(out, first_byte(packet.type), version);
  writer.u16(packet.packet_id);
  writer.open_properties();
  writer.text_property(PropertyId::reason_string, packet.reason_string);
  writer.user(packet.user);
  writer.close_properties();
  if (version == Version::v311 && packet.type == Type::unsuback) return writer.finish();
  for (const Reason reason : packet.reasons) {
    // 3.1.1 section 3.9.3 knows one failure.
    const bool plain = version == Version::v311 && is_error(reason);
    writer.u8(static_cast<uint8_t>(plain ? Reason::unspecified_error : reason));
  }
  return writer.finish();
}

net::Status encode_unsubscribe(const Unsubscribe& packet, Version version, net::Buffer& out) {
  PacketWriter writer(out, first_byte(Type::unsubscribe, 2), version);
  writer.u16(packet.packet_id);
  writer.open_properties();
  writer.user(packet.user);
  writer.close_properties();
  for (const std::string_view filter : packet.filters) writer.field(filter);
  return writer.finish();
}

net::Status encode_disconnect(const Disconnect& packet, Version version, net::Buffer& out) {
  PacketWriter writer(out, first_byte(Type::disconnect), version);
  const bool properties = packet.session_expiry_s || !packet.reason_string.empty() ||
                          packet.server_reference || !packet.user.empty();
  if (version == Version::v311 || (packet.reason == Reason::success && !properties))
    return writer.finish();
  writer.u8(static_cast<uint8_t>(packet.reason));
  if (!properties) return writer.finish();  // 3.14.2.2.1
  writer.open_properties();
  writer.property(PropertyId::session_expiry_interval, packet.session_expiry_s);
  writer.text_property(PropertyId::reason_string, packet.reason_string);
  writer.property(PropertyId::server_reference, packet.server_reference);
  writer.user(packet.user);
  writer.close_properties();
  return writer.finish();
}

net::Status encode_auth(const Auth& packet, Version version, net::Buffer& out) {
  if (version != Version::v5) return {net::Error::unsupported, "3.1.1 has no AUTH"};
  PacketWriter writer(out, first_byte(Type::auth), version);
  const bool properties = packet.authentication_method || packet.authentication_data ||
                          !packet.reason_string.empty() || !packet.user.empty();
  if (packet.reason == Reason::success && !properties) return writer.finish();  // 3.15.2.1
  writer.u8(static_cast<uint8_t>(packet.reason));
  writer.open_properties();
  writer.property(PropertyId::authentication_method, packet.authentication_method);
  writer.property(PropertyId::authentication_data, packet.authentication_data);
  writer.text_property(PropertyId::reason_string, packet.reason_string);
  writer.user(packet.user);
  writer.close_properties();
  return writer.finish();
}

}  // namespace

size_t varint_size(uint32_t value) {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20'0000 ? 3 : 4;
}

void append_varint(uint32_t value, net::Buffer& out) {
  uint8_t bytes[5];
  RawWriter writer{bytes};
  writer.varint(std::min(value, kLongestVarint));
  out.insert(out.end(), bytes, writer.at);
}

net::Status PacketWriter::finish() {
  close();
  if (!too_big_) return {};
  out_.resize(start_);
  return too_big();
}

void PacketWriter::close() {
  const size_t at = open_[--depth_];
  const size_t length = out_.size() - at - 1;
  if (length > kLongestVarint) {
    too_big_ = true;
    return;
  }
  uint8_t bytes[5];
  RawWriter writer{bytes};
  writer.varint(static_cast<uint32_t>(length));
  out_[at] = bytes[0];
  out_.insert(out_.begin() + static_cast<ptrdiff_t>(at) + 1, bytes + 1, writer.at);
}

void PacketWriter::message(const MessageProperties& properties) {
  if (properties.utf8_payload) property(PropertyId::payload_format_indicator, uint8_t{1});
  property(PropertyId::message_expiry_interval, properties.expiry_s);
  text_property(PropertyId::content_type, properties.content_type);
  property(PropertyId::response_topic, properties.response_topic);
  property(PropertyId::correlation_data, properties.correlation_data);
  user(properties.user);
}

size_t encoded_size(const Publish& packet, Version version) {
  const PublishSizes sizes = sizes_of(packet, version);
  if (!sizes.fits) return 0;
  return 1 + varint_size(static_cast<uint32_t>(sizes.remaining)) + sizes.remaining;
}

net::Status encode(const Publish& packet, Version version, net::Buffer& out) {
  const PublishSizes sizes = sizes_of(packet, version);
  if (!sizes.fits) return too_big();
  const auto remaining = static_cast<uint32_t>(sizes.remaining);
  const size_t whole = 1 + varint_size(remaining) + remaining;
  const size_t start = out.size();
  make_room(out, whole);
  out.resize(start + whole - packet.payload.size());
  RawWriter writer{out.data() + start};
  writer.u8(
      first_byte(Type::publish, static_cast<uint8_t>((packet.dup ? 8 : 0) | (packet.qos & 3) << 1 |
                                                     (packet.retain ? 1 : 0))));
  writer.varint(remaining);
  writer.field(packet.topic);
  if (packet.qos > 0) writer.u16(packet.packet_id);
  if (version == Version::v5) {
    writer.varint(static_cast<uint32_t>(sizes.properties));
    if (sizes.properties > 0) write_publish_properties(packet, writer);
  }
  out.insert(out.end(), packet.payload.begin(), packet.payload.end());
  return {};
}

net::Status encode(const Ack& packet, Version version, net::Buffer& out) {
  const uint8_t first = first_byte(packet.type, packet.type == Type::pubrel ? 2 : 0);
  const bool properties = !packet.reason_string.empty() || !packet.user.empty();
  if (version == Version::v311 || !properties) {
    const bool short_form = version == Version::v311 || packet.reason == Reason::success;
    make_room(out, 5);
    out.push_back(first);
    out.push_back(short_form ? 2 : 3);
    out.push_back(static_cast<uint8_t>(packet.packet_id >> 8));
    out.push_back(static_cast<uint8_t>(packet.packet_id));
    if (!short_form) out.push_back(static_cast<uint8_t>(packet.reason));
    return {};
  }
  PacketWriter writer(out, first, version);
  writer.u16(packet.packet_id);
  writer.u8(static_cast<uint8_t>(packet.reason));
  writer.open_properties();
  writer.text_property(PropertyId::reason_string, packet.reason_string);
  writer.user(packet.user);
  writer.close_properties();
  return writer.finish();
}

net::Status encode(const Packet& packet, Version version, net::Buffer& out) {
  return std::visit(
      [&](const auto& one) -> net::Status {
        using T = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<T, Connect>)
          return encode_connect(one, out);
        else if constexpr (std::is_same_v<T, ConnAck>)
          return encode_connack(one, version, out);
        else if constexpr (std::is_same_v<T, Subscribe>)
          return encode_subscribe(one, version, out);
        else if constexpr (std::is_same_v<T, SubAck>)
          return encode_suback(one, version, out);
        else if constexpr (std::is_same_v<T, Unsubscribe>)
          return encode_unsubscribe(one, version, out);
        else if constexpr (std::is_same_v<T, Disconnect>)
          return encode_disconnect(one, version, out);
        else if constexpr (std::is_same_v<T, Auth>)
          return encode_auth(one, version, out);
        else if constexpr (std::is_same_v<T, Ping>) {
          out.push_back(first_byte(one.type));
          out.push_back(0);
          return {};
        } else
          return encode(one, version, out);
      },
      packet);
}

}  // namespace culvert::mqtt
