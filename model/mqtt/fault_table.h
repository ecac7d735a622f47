// Every way in which bytes can fail to be a packet: the reason code, the sentence, the normative
// statement of MQTT 5.0 (where 3.1.1 differs, the sentence says so). Stands on codec.h.
#pragma once

#include "model/mqtt/codec.h"

namespace culvert::mqtt::fault {

constexpr Reason kMalformed = Reason::malformed_packet;
constexpr Reason kProtocol = Reason::protocol_error;

// Frame and fixed header (2.1).
inline constexpr Fault kType{kMalformed, "packet type 0 is forbidden", ""};
inline constexpr Fault kTypeV311{kMalformed, "packet type 15 is reserved in 3.1.1", ""};
inline constexpr Fault kDirection{kProtocol, "this packet may not come from this side", ""};
inline constexpr Fault kFlags{kMalformed, "reserved flags of the fixed header are set",
                              "MQTT-2.1.3-1"};
inline constexpr Fault kFlagsPubrel{kMalformed, "the flags of PUBREL must be 0010", "MQTT-3.6.1-1"};
inline constexpr Fault kFlagsSubscribe{kMalformed, "the flags of SUBSCRIBE must be 0010",
                                       "MQTT-3.8.1-1"};
inline constexpr Fault kFlagsUnsubscribe{kMalformed, "the flags of UNSUBSCRIBE must be 0010",
                                         "MQTT-3.10.1-1"};
inline constexpr Fault kFlagsDisconnect{kMalformed, "the flags of DISCONNECT must be 0000",
                                        "MQTT-3.14.1-1"};
inline constexpr Fault kFlagsAuth{kMalformed, "the flags of AUTH must be 0000", "MQTT-3.15.1-1"};
inline constexpr Fault kQos3{kMalformed, "a PUBLISH may not have QoS 3", "MQTT-3.3.1-4"};
inline constexpr Fault kDupQos0{kMalformed, "a PUBLISH at QoS 0 may not have DUP set",
                                "MQTT-3.3.1-2"};
inline constexpr Fault kVarintLong{kMalformed, "a variable byte integer has more than four bytes",
                                   "MQTT-1.5.5-1"};
inline constexpr Fault kVarintPadded{
    kMalformed, "a variable byte integer uses more bytes than needed", "MQTT-1.5.5-1"};
inline constexpr Fault kTooLarge{Reason::packet_too_large, "the packet is larger than allowed",
                                 "MQTT-3.2.2-15"};
inline constexpr Fault kCut{kMalformed, "the packet ends within a field", ""};
inline constexpr Fault kTrailing{kMalformed, "bytes are left after the packet's last field", ""};
inline constexpr Fault kLength{kMalformed, "the remaining length is not what follows", ""};

// Texts (1.5.4) and identifiers (2.2.1).
inline constexpr Fault kUtf8{kMalformed, "a text is not well-formed UTF-8", "MQTT-1.5.4-1"};
inline constexpr Fault kNull{kMalformed, "a text contains U+0000", "MQTT-1.5.4-2"};
inline constexpr Fault kPair{kMalformed, "a user property is not well-formed UTF-8",
                             "MQTT-1.5.7-1"};
inline constexpr Fault kPacketId0{kProtocol, "the packet identifier is 0", "MQTT-2.2.1-3"};
inline constexpr Fault kAckId0{kProtocol, "an acknowledgement's packet identifier is 0",
                               "MQTT-2.2.1-5"};
inline constexpr Fault kSubAckId0{kProtocol, "an acknowledgement's packet identifier is 0",
                                  "MQTT-2.2.1-6"};

// Properties (2.2.2).
inline constexpr Fault kNoProperties{kMalformed, "the property length is missing", "MQTT-2.2.2-1"};
inline constexpr Fault kPropertyLength{kMalformed, "the properties do not fit their length", ""};
inline constexpr Fault kPropertyUnknown{kMalformed, "a property has an unknown identifier", ""};
inline constexpr Fault kPropertyPlace{kMalformed, "a property is not allowed in this packet", ""};
inline constexpr Fault kPropertyTwice{kProtocol, "a property is there twice", ""};
inline constexpr Fault kPropertyFlag{kProtocol, "a property must be 0 or 1", ""};
inline constexpr Fault kReceiveMaximum0{kProtocol, "the receive maximum is 0", ""};
inline constexpr Fault kMaximumPacketSize0{kProtocol, "the maximum packet size is 0", ""};
inline constexpr Fault kSubscriptionId0{kProtocol, "the subscription identifier is 0", ""};
inline constexpr Fault kTopicAlias0{Reason::topic_alias_invalid, "the topic alias is 0",
                                    "MQTT-3.3.2-8"};
inline constexpr Fault kAuthDataAlone{kProtocol,
                                      "authentication data without an authentication method", ""};
inline constexpr Fault kResponseTopic{kProtocol, "the response topic is no topic name",
                                      "MQTT-3.3.2-14"};

// CONNECT (3.1).
inline constexpr Fault kProtocolName{Reason::unsupported_protocol_version,
                                     "the protocol name is not MQTT", "MQTT-3.1.2-1"};
inline constexpr Fault kProtocolLevel{Reason::unsupported_protocol_version,
                                      "the protocol version is neither 4 nor 5", "MQTT-3.1.2-2"};
inline constexpr Fault kConnectReserved{kMalformed, "the reserved flag of CONNECT is set",
                                        "MQTT-3.1.2-3"};
inline constexpr Fault kWillQosAlone{kMalformed, "a will QoS without a will", "MQTT-3.1.2-11"};
inline constexpr Fault kWillQos3{kMalformed, "the will QoS is 3", "MQTT-3.1.2-12"};
inline constexpr Fault kWillRetainAlone{kMalformed, "will retain without a will", "MQTT-3.1.2-13"};
inline constexpr Fault kPasswordAlone{kMalformed, "in 3.1.1 a password needs a user name", ""};
inline constexpr Fault kClientIdMissing{kMalformed, "the client identifier is missing",
                                        "MQTT-3.1.3-3"};
inline constexpr Fault kClientIdEmpty{Reason::client_identifier_not_valid,
                                      "in 3.1.1 an empty client identifier needs a clean session",
                                      "MQTT-3.1.3-8"};
inline constexpr Fault kWillMissing{kMalformed, "the will's fields are missing", "MQTT-3.1.2-9"};
inline constexpr Fault kWillTopic{Reason::topic_name_invalid, "the will topic is no topic name",
                                  "MQTT-4.7.0-1"};
inline constexpr Fault kUserNameMissing{kMalformed, "the user name is missing", "MQTT-3.1.2-17"};
inline constexpr Fault kPasswordMissing{kMalformed, "the password is missing", "MQTT-3.1.2-19"};

// CONNACK (3.2).
inline constexpr Fault kConnackFlags{kMalformed, "reserved flags of CONNACK are set",
                                     "MQTT-3.2.2-1"};
inline constexpr Fault kConnackReason{kProtocol, "this reason code is none of CONNACK's",
                                      "MQTT-3.2.2-8"};
inline constexpr Fault kSessionPresent{kProtocol, "a refusal claims that a session is present",
                                       "MQTT-3.2.2-6"};

// PUBLISH (3.3).
inline constexpr Fault kTopicMissing{kMalformed, "the topic name is missing", "MQTT-3.3.2-1"};
inline constexpr Fault kTopicEmpty{kProtocol, "the topic name is empty and there is no alias",
                                   "MQTT-4.7.3-1"};
inline constexpr Fault kTopicWildcard{Reason::topic_name_invalid,
                                      "the topic name contains a wildcard", "MQTT-3.3.2-2"};
inline constexpr Fault kIdentifierFromClient{
    kProtocol, "a client's PUBLISH has a subscription identifier", "MQTT-3.3.4-6"};

// Acknowledgements, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH (3.4 to 3.15).
inline constexpr Fault kPubackReason{kProtocol, "this reason code is none of PUBACK's",
                                     "MQTT-3.4.2-1"};
inline constexpr Fault kPubrecReason{kProtocol, "this reason code is none of PUBREC's",
                                     "MQTT-3.5.2-1"};
inline constexpr Fault kPubrelReason{kProtocol, "this reason code is none of PUBREL's",
                                     "MQTT-3.6.2-1"};
inline constexpr Fault kPubcompReason{kProtocol, "this reason code is none of PUBCOMP's",
                                      "MQTT-3.7.2-1"};
inline constexpr Fault kSubscribeEmpty{kProtocol, "a SUBSCRIBE without a topic filter",
                                       "MQTT-3.8.3-2"};
inline constexpr Fault kFilter{Reason::topic_filter_invalid, "a topic filter is not well formed",
                               "MQTT-4.7.1-1"};
inline constexpr Fault kFilterEmpty{Reason::topic_filter_invalid, "a topic filter is empty",
                                    "MQTT-4.7.3-1"};
inline constexpr Fault kFilterShare{Reason::topic_filter_invalid,
                                    "a shared subscription is not well formed", "MQTT-4.8.2-2"};
inline constexpr Fault kOptionsReserved{kMalformed, "reserved bits of subscription options are set",
                                        "MQTT-3.8.3-5"};
inline constexpr Fault kOptionsQos3{kProtocol, "a subscription asks for QoS 3", ""};
inline constexpr Fault kRetainHandling3{kProtocol, "the retain handling is 3", ""};
inline constexpr Fault kNoLocalShared{kProtocol, "no local on a shared subscription",
                                      "MQTT-3.8.3-4"};
inline constexpr Fault kSubackReason{kProtocol, "this reason code is none of SUBACK's",
                                     "MQTT-3.9.3-2"};
inline constexpr Fault kUnsubscribeEmpty{kProtocol, "an UNSUBSCRIBE without a topic filter",
                                         "MQTT-3.10.3-2"};
inline constexpr Fault kUnsubackReason{kProtocol, "this reason code is none of UNSUBACK's",
                                       "MQTT-3.11.3-2"};
inline constexpr Fault kNoReasons{kProtocol, "the acknowledgement has no reason codes", ""};
inline constexpr Fault kDisconnectReason{kProtocol, "this reason code is none of DISCONNECT's",
                                         "MQTT-3.14.2-1"};
inline constexpr Fault kExpiryFromServer{
    kProtocol, "a server's DISCONNECT has a session expiry interval", "MQTT-3.14.2-2"};
inline constexpr Fault kAuthReason{kProtocol, "this reason code is none of AUTH's",
                                   "MQTT-3.15.2-1"};
inline constexpr Fault kAuthMethodMissing{kProtocol, "an AUTH without an authentication method",
                                          "MQTT-4.12.0-5"};

}  // namespace culvert::mqtt::fault
