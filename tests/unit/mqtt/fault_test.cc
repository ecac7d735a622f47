// Every way in which bytes fail to be a packet, as one table: the reason code and the normative
// statement that the specification names for it.
#include <gtest/gtest.h>

#include "model/mqtt/codec.h"
#include "tests/unit/mqtt/bytes.h"

namespace culvert::mqtt {
namespace {

using testing::bytes;

constexpr auto v4 = Version::v311;
constexpr auto v5 = Version::v5;
constexpr auto C = Side::client;
constexpr auto S = Side::server;
constexpr Reason kMalformed = Reason::malformed_packet;  // 0x81
constexpr Reason kProtocol = Reason::protocol_error;     // 0x82

struct Row {
  const char* hex;
  Version version;
  Side sender;
  Reason reason;
  const char* statement;
  const char* what;
};

const Row kRows[] = {
    // Fixed header, section 2.1.
    {"00 00", v5, C, kMalformed, "", "type 0"},
    {"11 0d 0004 'MQTT' 05 02 0000 00 0000", v5, C, kMalformed, "MQTT-2.1.3-1", "CONNECT flags"},
    {"21 03 00 00 00", v5, S, kMalformed, "MQTT-2.1.3-1", "CONNACK flags"},
    {"36 08 0001 'a' 0001 00 'x'", v5, C, kMalformed, "MQTT-3.3.1-4", "QoS 3"},
    {"38 05 0001 'a' 00 'x'", v5, C, kMalformed, "MQTT-3.3.1-2", "DUP at QoS 0"},
    {"41 02 0001", v5, C, kMalformed, "MQTT-2.1.3-1", "PUBACK flags"},
    {"52 02 0001", v5, C, kMalformed, "MQTT-2.1.3-1", "PUBREC flags"},
    {"60 02 0001", v5, C, kMalformed, "MQTT-3.6.1-1", "PUBREL flags 0000"},
    {"63 02 0001", v5, C, kMalformed, "MQTT-3.6.1-1", "PUBREL flags 0011"},
    {"71 02 0001", v5, C, kMalformed, "MQTT-2.1.3-1", "PUBCOMP flags"},
    {"80 07 0001 00 0001 'a' 00", v5, C, kMalformed, "MQTT-3.8.1-1", "SUBSCRIBE flags"},
    {"91 04 0001 00 00", v5, S, kMalformed, "MQTT-2.1.3-1", "SUBACK flags"},
    {"a0 06 0001 00 0001 'a'", v5, C, kMalformed, "MQTT-3.10.1-1", "UNSUBSCRIBE flags"},
    {"b4 04 0001 00 00", v5, S, kMalformed, "MQTT-2.1.3-1", "UNSUBACK flags"},
    {"c1 00", v5, C, kMalformed, "MQTT-2.1.3-1", "PINGREQ flags"},
    {"d8 00", v5, S, kMalformed, "MQTT-2.1.3-1", "PINGRESP flags"},
    {"e1 00", v5, C, kMalformed, "MQTT-3.14.1-1", "DISCONNECT flags"},
    {"f1 00", v5, C, kMalformed, "MQTT-3.15.1-1", "AUTH flags"},
    {"20 03 00 00 00", v5, C, kProtocol, "", "CONNACK from a client"},
    {"90 04 0001 00 00", v5, C, kProtocol, "", "SUBACK from a client"},
    {"b0 04 0001 00 00", v5, C, kProtocol, "", "UNSUBACK from a client"},
    {"d0 00", v5, C, kProtocol, "", "PINGRESP from a client"},
    {"10 0d 0004 'MQTT' 05 02 0000 00 0000", v5, S, kProtocol, "", "CONNECT from a server"},
    {"82 07 0001 00 0001 'a' 00", v5, S, kProtocol, "", "SUBSCRIBE from a server"},
    {"c0 00", v5, S, kProtocol, "", "PINGREQ from a server"},
    {"e0 00", v4, S, kProtocol, "", "DISCONNECT from a 3.1.1 server"},
    {"f0 00", v4, C, kMalformed, "", "AUTH in 3.1.1"},
    {"c0 80 00", v5, C, kMalformed, "MQTT-1.5.5-1", "a padded remaining length"},
    {"c0 80 80 80 80 00", v5, C, kMalformed, "MQTT-1.5.5-1", "a remaining length of five bytes"},
    {"c0 01 00", v5, C, kMalformed, "", "PINGREQ with a body"},
    {"d0 01 00", v5, S, kMalformed, "", "PINGRESP with a body"},

    // CONNECT, section 3.1.
    {"10 0d 0004 'MQTX' 05 02 0000 00 0000", v5, C, Reason::unsupported_protocol_version,
     "MQTT-3.1.2-1", "protocol name"},
    {"10 0d 0004 'mqtt' 05 02 0000 00 0000", v5, C, Reason::unsupported_protocol_version,
     "MQTT-3.1.2-1", "protocol name in lower case"},
    {"10 0f 0006 'MQIsdp' 03 02 0000 0001 'a'", v5, C, Reason::unsupported_protocol_version,
     "MQTT-3.1.2-1", "3.1"},
    {"10 0d 0004 'MQTT' 06 02 0000 00 0000", v5, C, Reason::unsupported_protocol_version,
     "MQTT-3.1.2-2", "protocol version 6"},
    {"10 0d 0004 'MQTT' 03 02 0000 00 0000", v5, C, Reason::unsupported_protocol_version,
     "MQTT-3.1.2-2", "protocol version 3"},
    {"10 00", v5, C, Reason::unsupported_protocol_version, "MQTT-3.1.2-1", "nothing at all"},
    {"10 0d 0004 'MQTT' 05 03 0000 00 0000", v5, C, kMalformed, "MQTT-3.1.2-3", "reserved flag"},
    {"10 0c 0004 'MQTT' 04 03 0000 0000", v4, C, kMalformed, "MQTT-3.1.2-3", "reserved flag"},
    {"10 0d 0004 'MQTT' 05 0a 0000 00 0000", v5, C, kMalformed, "MQTT-3.1.2-11",
     "will QoS without will"},
    {"10 14 0004 'MQTT' 05 1e 0000 00 0000 00 0001 'w' 0001 'x'", v5, C, kMalformed,
     "MQTT-3.1.2-12", "will QoS 3"},
    {"10 0d 0004 'MQTT' 05 22 0000 00 0000", v5, C, kMalformed, "MQTT-3.1.2-13",
     "will retain without will"},
    {"10 0f 0004 'MQTT' 04 42 0000 0000 0001 'p'", v4, C, kMalformed, "",
     "password without user name in 3.1.1"},
    {"10 0b 0004 'MQTT' 05 02 0000 00", v5, C, kMalformed, "MQTT-3.1.3-3", "no client identifier"},
    {"10 0a 0004 'MQTT' 05 02 0000", v5, C, kMalformed, "MQTT-2.2.2-1", "no property length"},
    {"10 0c 0004 'MQTT' 04 00 0000 0000", v4, C, Reason::client_identifier_not_valid,
     "MQTT-3.1.3-8", "3.1.1: empty identifier, session kept"},
    {"10 0e 0004 'MQTT' 05 02 0000 00 0001 ff", v5, C, kMalformed, "MQTT-1.5.4-1",
     "client identifier not UTF-8"},
    {"10 0e 0004 'MQTT' 05 02 0000 00 0001 00", v5, C, kMalformed, "MQTT-1.5.4-2",
     "client identifier with U+0000"},
    {"10 0d 0004 'MQTT' 05 06 0000 00 0000", v5, C, kMalformed, "MQTT-3.1.2-9", "will flag alone"},
    {"10 0e 0004 'MQTT' 05 06 0000 00 0000 00", v5, C, kMalformed, "MQTT-3.1.2-9", "no will topic"},
    {"10 11 0004 'MQTT' 05 06 0000 00 0000 00 0001 'w'", v5, C, kMalformed, "MQTT-3.1.2-9",
     "no will payload"},
    {"10 0f 0004 'MQTT' 04 06 0000 0000 0001 'w'", v4, C, kMalformed, "MQTT-3.1.2-9",
     "no will payload in 3.1.1"},
    {"10 13 0004 'MQTT' 05 06 0000 00 0000 00 0001 ff 0000", v5, C, kMalformed, "MQTT-1.5.4-1",
     "will topic not UTF-8"},
    {"10 13 0004 'MQTT' 05 06 0000 00 0000 00 0001 '#' 0000", v5, C, Reason::topic_name_invalid,
     "MQTT-4.7.0-1", "will topic with a wildcard"},
    {"10 12 0004 'MQTT' 05 06 0000 00 0000 00 0000 0000", v5, C, Reason::topic_name_invalid,
     "MQTT-4.7.0-1", "empty will topic"},
    {"10 0d 0004 'MQTT' 05 82 0000 00 0000", v5, C, kMalformed, "MQTT-3.1.2-17", "no user name"},
    {"10 0d 0004 'MQTT' 05 42 0000 00 0000", v5, C, kMalformed, "MQTT-3.1.2-19", "no password"},
    {"10 10 0004 'MQTT' 05 82 0000 00 0000 0001 ff", v5, C, kMalformed, "MQTT-1.5.4-1",
     "user name not UTF-8"},
    {"10 10 0004 'MQTT' 05 02 0000 00 0000 0001 'u'", v5, C, kMalformed, "",
     "a user name without its flag"},
    {"10 10 0004 'MQTT' 05 82 0000 00 0000 0009 'u'", v5, C, kMalformed, "", "a field cut short"},
    {"10 10 0004 'MQTT' 05 02 0000 03 21 0000 0000", v5, C, kProtocol, "", "receive maximum 0"},
    {"10 12 0004 'MQTT' 05 02 0000 05 27 00000000 0000", v5, C, kProtocol, "",
     "maximum packet size 0"},
    {"10 0f 0004 'MQTT' 05 02 0000 02 17 02 0000", v5, C, kProtocol, "",
     "request problem information 2"},
    {"10 0f 0004 'MQTT' 05 02 0000 02 19 02 0000", v5, C, kProtocol, "",
     "request response information 2"},
    {"10 11 0004 'MQTT' 05 02 0000 04 16 0001 'd' 0000", v5, C, kProtocol, "",
     "authentication data without a method"},
    {"10 17 0004 'MQTT' 05 02 0000 0a 11 00000001 11 00000002 0000", v5, C, kProtocol, "",
     "session expiry twice"},
    {"10 13 0004 'MQTT' 05 02 0000 06 21 0001 21 0001 0000", v5, C, kProtocol, "",
     "receive maximum twice"},
    {"10 12 0004 'MQTT' 05 02 0000 05 18 00000001 0000", v5, C, kMalformed, "",
     "will delay among CONNECT's own"},
    {"10 10 0004 'MQTT' 05 02 0000 03 23 0001 0000", v5, C, kMalformed, "",
     "a topic alias in CONNECT"},
    {"10 0f 0004 'MQTT' 05 02 0000 02 7f 00 0000", v5, C, kMalformed, "", "an unknown property"},
    {"10 0f 0004 'MQTT' 05 02 0000 02 21 00 0000", v5, C, kMalformed, "",
     "a property cut by the property length"},
    {"10 0e 0004 'MQTT' 05 02 0000 40 11 00 00", v5, C, kMalformed, "",
     "properties longer than the packet"},
    {"10 14 0004 'MQTT' 05 02 0000 07 26 0001 ff 0001 'v' 0000", v5, C, kMalformed, "MQTT-1.5.7-1",
     "a user property's name not UTF-8"},
    {"10 14 0004 'MQTT' 05 02 0000 07 26 0001 'n' 0001 00 0000", v5, C, kMalformed, "MQTT-1.5.7-1",
     "a user property's value with U+0000"},
    {"10 8d 00 0004 'MQTT' 05 02 0000 00 0000", v5, C, kMalformed, "MQTT-1.5.5-1",
     "a padded length in 5.0"},

    // CONNACK, section 3.2.
    {"20 03 02 00 00", v5, S, kMalformed, "MQTT-3.2.2-1", "acknowledge flags"},
    {"20 03 00 01 00", v5, S, kProtocol, "MQTT-3.2.2-8", "reason 0x01"},
    {"20 02 00 06", v4, S, kProtocol, "MQTT-3.2.2-8", "return code 6"},
    {"20 03 01 87 00", v5, S, kProtocol, "MQTT-3.2.2-6", "session present in a refusal"},
    {"20 02 00 00", v5, S, kMalformed, "MQTT-2.2.2-1", "no property length"},
    {"20 05 00 00 02 24 02", v5, S, kProtocol, "", "maximum QoS 2 said"},
    {"20 06 00 00 03 21 0000", v5, S, kProtocol, "", "receive maximum 0"},
    {"20 03 00 00 00", v4, S, kMalformed, "", "properties in 3.1.1"},

    // PUBLISH, section 3.3.
    {"30 00", v5, C, kMalformed, "MQTT-3.3.2-1", "no topic"},
    {"30 03 0000 00", v5, C, kProtocol, "MQTT-4.7.3-1", "empty topic, no alias"},
    {"30 03 0000 'x'", v4, C, kProtocol, "MQTT-4.7.3-1", "empty topic in 3.1.1"},
    {"30 04 0001 '#' 00", v5, C, Reason::topic_name_invalid, "MQTT-3.3.2-2", "# in the topic"},
    {"30 06 0003 'a/+' 00", v5, C, Reason::topic_name_invalid, "MQTT-3.3.2-2", "+ in the topic"},
    {"30 04 0001 ff 00", v5, C, kMalformed, "MQTT-1.5.4-1", "topic not UTF-8"},
    {"30 06 0003 eda080 00", v5, C, kMalformed, "MQTT-1.5.4-1", "a surrogate in the topic"},
    {"30 04 0001 00 00", v5, C, kMalformed, "MQTT-1.5.4-2", "U+0000 in the topic"},
    {"30 04 0009 'ab'", v5, C, kMalformed, "", "topic longer than the packet"},
    {"32 06 0001 'a' 0000 00", v5, C, kProtocol, "MQTT-2.2.1-3", "packet identifier 0"},
    {"34 06 0001 'a' 0000 'x'", v4, C, kProtocol, "MQTT-2.2.1-3", "packet identifier 0 in 3.1.1"},
    {"32 04 0001 'a' 00", v5, C, kMalformed, "", "half a packet identifier"},
    {"30 03 0001 'a'", v5, C, kMalformed, "MQTT-2.2.2-1", "no property length"},
    {"30 07 0001 'a' 03 23 0000", v5, C, Reason::topic_alias_invalid, "MQTT-3.3.2-8",
     "topic alias 0"},
    {"30 0a 0001 'a' 06 23 0001 23 0001", v5, C, kProtocol, "", "topic alias twice"},
    {"30 06 0001 'a' 02 01 02", v5, C, kProtocol, "", "payload format 2"},
    {"30 08 0001 'a' 04 08 0001 '+'", v5, C, kProtocol, "MQTT-3.3.2-14",
     "response topic with a wildcard"},
    {"30 08 0001 'a' 04 08 0001 ff", v5, C, kMalformed, "MQTT-1.5.4-1", "response topic not UTF-8"},
    {"30 08 0001 'a' 04 03 0001 ff", v5, C, kMalformed, "MQTT-1.5.4-1", "content type not UTF-8"},
    {"30 06 0001 'a' 02 0b 01", v5, C, kProtocol, "MQTT-3.3.4-6",
     "subscription identifier from a client"},
    {"30 06 0001 'a' 02 0b 00", v5, S, kProtocol, "", "subscription identifier 0"},
    {"30 07 0001 'a' 03 0b 80 00", v5, S, kMalformed, "MQTT-1.5.5-1",
     "a padded subscription identifier"},
    {"30 09 0001 'a' 05 11 00000001", v5, C, kMalformed, "", "session expiry in PUBLISH"},
    {"30 84 00 0001 'a' 00", v5, C, kMalformed, "MQTT-1.5.5-1", "a padded remaining length"},

    // PUBACK to PUBCOMP, sections 3.4 to 3.7.
    {"40 02 0000", v5, C, kProtocol, "MQTT-2.2.1-5", "packet identifier 0"},
    {"40 01 00", v5, C, kMalformed, "", "half a packet identifier"},
    {"40 03 0001 00", v4, C, kMalformed, "", "a reason in 3.1.1"},
    {"40 03 0001 92", v5, C, kProtocol, "MQTT-3.4.2-1", "PUBACK reason"},
    {"50 03 0001 01", v5, C, kProtocol, "MQTT-3.5.2-1", "PUBREC reason"},
    {"62 03 0001 10", v5, C, kProtocol, "MQTT-3.6.2-1", "PUBREL reason"},
    {"70 03 0001 80", v5, C, kProtocol, "MQTT-3.7.2-1", "PUBCOMP reason"},
    {"40 05 0001 00 00 00", v5, C, kMalformed, "", "bytes after the properties"},
    {"40 0c 0001 00 08 1f 0001 'a' 1f 0001 'b'", v5, C, kProtocol, "", "reason string twice"},
    {"40 07 0001 00 03 21 0001", v5, C, kMalformed, "", "receive maximum in PUBACK"},

    // SUBSCRIBE and SUBACK, sections 3.8, 3.9.
    {"82 07 0000 00 0001 'a' 00", v5, C, kProtocol, "MQTT-2.2.1-3", "packet identifier 0"},
    {"82 03 0001 00", v5, C, kProtocol, "MQTT-3.8.3-2", "no filter"},
    {"82 02 0001", v4, C, kProtocol, "MQTT-3.8.3-2", "no filter in 3.1.1"},
    {"82 06 0001 00 0001 'a'", v5, C, kMalformed, "", "no options"},
    {"82 06 0001 00 0000 00", v5, C, Reason::topic_filter_invalid, "MQTT-4.7.3-1", "empty filter"},
    {"82 07 0001 00 0001 ff 00", v5, C, kMalformed, "MQTT-1.5.4-1", "filter not UTF-8"},
    {"82 08 0001 00 0002 'a#' 00", v5, C, Reason::topic_filter_invalid, "MQTT-4.7.1-1", "a#"},
    {"82 0a 0001 00 0004 '#/ab' 00", v5, C, Reason::topic_filter_invalid, "MQTT-4.7.1-1", "#/ab"},
    {"82 08 0001 00 0002 'a+' 00", v5, C, Reason::topic_filter_invalid, "MQTT-4.7.1-1", "a+"},
    {"82 0e 0001 00 0008 '$share/g' 00", v5, C, Reason::topic_filter_invalid, "MQTT-4.8.2-2",
     "a share without a filter"},
    {"82 10 0001 00 000a '$share/+/a' 00", v5, C, Reason::topic_filter_invalid, "MQTT-4.8.2-2",
     "a share with a wildcard"},
    {"82 07 0001 00 0001 'a' 40", v5, C, kMalformed, "MQTT-3.8.3-5", "reserved option 6"},
    {"82 07 0001 00 0001 'a' 80", v5, C, kMalformed, "MQTT-3.8.3-5", "reserved option 7"},
    {"82 06 0001 0001 'a' 04", v4, C, kMalformed, "MQTT-3.8.3-5", "no local in 3.1.1"},
    {"82 07 0001 00 0001 'a' 03", v5, C, kProtocol, "", "QoS 3"},
    {"82 07 0001 00 0001 'a' 30", v5, C, kProtocol, "", "retain handling 3"},
    {"82 10 0001 00 000a '$share/g/a' 04", v5, C, kProtocol, "MQTT-3.8.3-4",
     "no local on a shared subscription"},
    {"82 09 0001 02 0b 00 0001 'a' 00", v5, C, kProtocol, "", "subscription identifier 0"},
    {"82 0b 0001 04 0b 01 0b 02 0001 'a' 00", v5, C, kProtocol, "", "two identifiers"},
    {"82 0d 0001 06 0b ff ff ff ff 01 0001 'a' 00", v5, C, kMalformed, "MQTT-1.5.5-1",
     "an identifier of five bytes"},
    {"90 04 0001 00 03", v5, S, kProtocol, "MQTT-3.9.3-2", "SUBACK reason"},
    {"90 03 0001 87", v4, S, kProtocol, "MQTT-3.9.3-2", "SUBACK return code"},
    {"90 03 0001 00", v5, S, kProtocol, "", "SUBACK without reasons"},
    {"90 04 0000 00 00", v5, S, kProtocol, "MQTT-2.2.1-6", "SUBACK identifier 0"},

    // UNSUBSCRIBE and UNSUBACK, sections 3.10, 3.11.
    {"a2 06 0000 00 0001 'a'", v5, C, kProtocol, "MQTT-2.2.1-3", "packet identifier 0"},
    {"a2 03 0001 00", v5, C, kProtocol, "MQTT-3.10.3-2", "no filter"},
    {"a2 05 0001 00 0000", v5, C, Reason::topic_filter_invalid, "MQTT-4.7.3-1", "empty filter"},
    {"a2 06 0001 00 0001 ff", v5, C, kMalformed, "MQTT-1.5.4-1", "filter not UTF-8"},
    {"a2 08 0001 02 0b 01 0001 'a'", v5, C, kMalformed, "", "an identifier in UNSUBSCRIBE"},
    {"b0 04 0001 00 01", v5, S, kProtocol, "MQTT-3.11.3-2", "UNSUBACK reason"},
    {"b0 03 0001 00", v4, S, kMalformed, "", "UNSUBACK with a payload in 3.1.1"},

    // DISCONNECT, section 3.14.
    {"e0 01 01", v5, C, kProtocol, "MQTT-3.14.2-1", "reason 0x01"},
    {"e0 01 8b", v5, C, kProtocol, "MQTT-3.14.2-1", "a server's reason from a client"},
    {"e0 01 04", v5, S, kProtocol, "MQTT-3.14.2-1", "a client's reason from a server"},
    {"e0 01 00", v4, C, kMalformed, "", "a reason in 3.1.1"},
    {"e0 07 00 05 11 00000001", v5, S, kProtocol, "MQTT-3.14.2-2", "session expiry from a server"},
    {"e0 06 00 04 1c 0001 's'", v5, C, kMalformed, "", "server reference from a client"},
    {"e0 0c 00 0a 11 00000001 11 00000001", v5, C, kProtocol, "", "session expiry twice"},
    {"e0 04 00 02 24 00", v5, C, kMalformed, "", "maximum QoS in DISCONNECT"},
    {"e0 03 00 00 00", v5, C, kMalformed, "", "bytes after the properties"},

    // AUTH, section 3.15.
    {"f0 00", v5, C, kProtocol, "MQTT-3.15.2-1", "success from a client"},
    {"f0 06 19 04 15 0001 'm'", v5, S, kProtocol, "MQTT-3.15.2-1", "re-authenticate from a server"},
    {"f0 06 80 04 15 0001 'm'", v5, C, kProtocol, "MQTT-3.15.2-1", "reason 0x80"},
    {"f0 01 18", v5, C, kMalformed, "MQTT-2.2.2-1", "no property length"},
    {"f0 02 18 00", v5, C, kProtocol, "MQTT-4.12.0-5", "no method"},
    {"f0 0a 18 08 15 0001 'm' 15 0001 'm'", v5, C, kProtocol, "", "method twice"},
};

// What next_frame says, if it objects, else what decode says: as a reader meets the bytes.
std::variant<Packet, Fault> meet(net::Bytes input, Version version, Side sender) {
  const auto frame = next_frame(input, 268'435'460, sender);
  if (const auto* fault = std::get_if<Fault>(&frame)) return *fault;
  return decode(input, version, sender);
}

TEST(Fault, EachHasItsReasonAndItsStatement) {
  for (const Row& row : kRows) {
    const net::Buffer input = bytes(row.hex);
    const auto result = meet(input, row.version, row.sender);
    ASSERT_TRUE(std::holds_alternative<Fault>(result)) << row.what << ": " << row.hex;
    const Fault& fault = std::get<Fault>(result);
    EXPECT_EQ(to_string(fault.reason), to_string(row.reason)) << row.what << ": " << row.hex;
    EXPECT_EQ(fault.statement, row.statement) << row.what << ": " << row.hex;
    EXPECT_FALSE(fault.why.empty()) << row.what;
    // decode alone says the same as the reader: nobody depends on who looked first.
    const auto alone = decode(input, row.version, row.sender);
    ASSERT_TRUE(std::holds_alternative<Fault>(alone)) << row.what;
    EXPECT_EQ(std::get<Fault>(alone).statement, row.statement) << row.what;
    if (input[0] >> 4 == 3) {
      Publish publish;
      Fault fast;
      ASSERT_NE(decode_publish(input, row.version, publish, fast, row.sender), nullptr) << row.what;
      EXPECT_EQ(fast.statement, row.statement) << row.what;
      EXPECT_EQ(fast.reason, row.reason) << row.what;
    }
  }
}

// The rows' lengths are right, so that it is the named flaw which is found and not a wrong length.
TEST(Fault, TheTableHasNoWrongLengths) {
  for (const Row& row : kRows) {
    const net::Buffer input = bytes(row.hex);
    const auto frame = next_frame(input, 268'435'460, row.sender);
    if (const auto* whole = std::get_if<Frame>(&frame)) {
      EXPECT_EQ(whole->size, input.size()) << row.what << ": " << row.hex;
    }
  }
}

TEST(Fault, EmptyAndCutPacketsAreRefused) {
  EXPECT_TRUE(std::holds_alternative<Fault>(decode({}, v5, C)));
  EXPECT_TRUE(std::holds_alternative<Fault>(decode(bytes("30"), v5, C)));
  EXPECT_TRUE(std::holds_alternative<Fault>(decode(bytes("30 ff"), v5, C)));
  EXPECT_TRUE(std::holds_alternative<Fault>(decode(bytes("30 05 0001 'a'"), v5, C)));
  Publish publish;
  Fault fault;
  EXPECT_NE(decode_publish({}, v5, publish, fault), nullptr);
  EXPECT_NE(decode_publish(bytes("c0 00"), v5, publish, fault), nullptr);
}

// 3.1.1 does not forbid a padded remaining length, and small devices send it.
TEST(Fault, APaddedLengthIsAllowedIn311) {
  EXPECT_TRUE(std::holds_alternative<Packet>(decode(bytes("c0 80 00"), v4, C)));
  EXPECT_TRUE(std::holds_alternative<Packet>(
      decode(bytes("10 8d 80 00 0004 'MQTT' 04 02 0000 0001 'a'"), v5, C)));
}

}  // namespace
}  // namespace culvert::mqtt
