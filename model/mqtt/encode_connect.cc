// CONNECT and CONNACK to bytes (3.1, 3.2).
#include "model/mqtt/writer.h"

namespace culvert::mqtt {
namespace {

uint8_t first_byte(Type type) { return static_cast<uint8_t>(static_cast<uint8_t>(type) << 4); }

void write_will(const Will& will, PacketWriter& writer) {
  writer.open_properties();
  if (will.delay_s != 0) writer.property(PropertyId::will_delay_interval, will.delay_s);
  writer.message(will.properties);
  writer.close_properties();
  writer.field(will.topic);
  writer.field(will.payload);
}

}  // namespace

net::Status encode_connect(const Connect& packet, net::Buffer& out) {
  PacketWriter writer(out, first_byte(Type::connect), packet.version);
  writer.field(std::string_view("MQTT"));
  writer.u8(static_cast<uint8_t>(packet.version));
  uint8_t flags = 0;  // 3.1.2.3
  if (packet.clean_start) flags |= 0x02;
  if (packet.will) {
    flags |= 0x04;
    flags |= static_cast<uint8_t>((packet.will->qos & 3) << 3);
    if (packet.will->retain) flags |= 0x20;
  }
  if (packet.password) flags |= 0x40;
  if (packet.user_name) flags |= 0x80;
  writer.u8(flags);
  writer.u16(packet.keep_alive_s);

  writer.open_properties();
  if (packet.session_expiry_s != 0)
    writer.property(PropertyId::session_expiry_interval, packet.session_expiry_s);
  if (packet.receive_maximum != 65535)
    writer.property(PropertyId::receive_maximum, packet.receive_maximum);
  writer.property(PropertyId::maximum_packet_size, packet.maximum_packet_size);
  if (packet.topic_alias_maximum != 0)
    writer.property(PropertyId::topic_alias_maximum, packet.topic_alias_maximum);
  if (packet.request_response_information)
    writer.property(PropertyId::request_response_information, uint8_t{1});
  if (!packet.request_problem_information)
    writer.property(PropertyId::request_problem_information, uint8_t{0});
  writer.property(PropertyId::authentication_method, packet.authentication_method);
  writer.property(PropertyId::authentication_data, packet.authentication_data);
  writer.user(packet.user);
  writer.close_properties();

  writer.field(packet.client_id);
  if (packet.will) write_will(*packet.will, writer);
  if (packet.user_name) writer.field(*packet.user_name);
  if (packet.password) writer.field(*packet.password);
  return writer.finish();
}

net::Status encode_connack(const ConnAck& packet, Version version, net::Buffer& out) {
  PacketWriter writer(out, first_byte(Type::connack), version);
  writer.u8(packet.session_present ? 1 : 0);
  writer.u8(version == Version::v5 ? static_cast<uint8_t>(packet.reason)
                                   : connack_code_v311(packet.reason));
  writer.open_properties();
  writer.property(PropertyId::session_expiry_interval, packet.session_expiry_s);
  if (packet.receive_maximum != 65535)
    writer.property(PropertyId::receive_maximum, packet.receive_maximum);
  if (packet.maximum_qos < 2) writer.property(PropertyId::maximum_qos, packet.maximum_qos);
  if (!packet.retain_available) writer.property(PropertyId::retain_available, uint8_t{0});
  writer.property(PropertyId::maximum_packet_size, packet.maximum_packet_size);
  writer.property(PropertyId::assigned_client_identifier, packet.assigned_client_id);
  if (packet.topic_alias_maximum != 0)
    writer.property(PropertyId::topic_alias_maximum, packet.topic_alias_maximum);
  writer.text_property(PropertyId::reason_string, packet.reason_string);
  if (!packet.wildcards_available)
    writer.property(PropertyId::wildcard_subscription_available, uint8_t{0});
  if (!packet.subscription_ids_available)
    writer.property(PropertyId::subscription_identifier_available, uint8_t{0});
  if (!packet.shared_available)
    writer.property(PropertyId::shared_subscription_available, uint8_t{0});
  writer.property(PropertyId::server_keep_alive, packet.server_keep_alive_s);
  writer.property(PropertyId::response_information, packet.response_information);
  writer.property(PropertyId::server_reference, packet.server_reference);
  writer.property(PropertyId::authentication_method, packet.authentication_method);
  writer.property(PropertyId::authentication_data, packet.authentication_data);
  writer.user(packet.user);
  writer.close_properties();
  return writer.finish();
}

}  // namespace culvert::mqtt
