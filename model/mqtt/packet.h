// The control packets of MQTT 3.1.1 and 5.0 as values. Texts and payloads are views: after decoding
// into the packet's bytes, before encoding into whatever the caller keeps. What 3.1.1 lacks stays
// at its default. Stands on model/net's bytes; sections are those of MQTT 5.0.
#pragma once

#include <boost/container/small_vector.hpp>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "model/mqtt/reason.h"
#include "model/net/bytes.h"

namespace culvert::mqtt {

using net::Bytes;

enum class Version : uint8_t { v311 = 4, v5 = 5 };
// Fixed header, section 2.1.2.
enum class Type : uint8_t {
  connect = 1,
  connack,
  publish,
  puback,
  pubrec,
  pubrel,
  pubcomp,
  subscribe,
  suback,
  unsubscribe,
  unsuback,
  pingreq,
  pingresp,
  disconnect,
  auth
};
std::string_view to_string(Type type);  // "CONNECT"

template <class T>
using Few = boost::container::small_vector<T, 1>;

struct UserProperty {
  std::string_view name, value;
};

// Properties that a message carries from publisher to subscriber (3.3.2.3), and a will too
// (3.1.3.2).
struct MessageProperties {
  bool utf8_payload = false;         // payload format indicator
  std::optional<uint32_t> expiry_s;  // message expiry interval
  std::string_view content_type;     // empty: none
  std::optional<std::string_view> response_topic;
  std::optional<Bytes> correlation_data;
  Few<UserProperty> user;
};

struct Will {
  std::string_view topic;
  Bytes payload;
  uint8_t qos = 0;
  bool retain = false;
  uint32_t delay_s = 0;
  MessageProperties properties;
};

struct Connect {  // 3.1
  Version version = Version::v5;
  bool clean_start = true;  // "clean session" in 3.1.1
  uint16_t keep_alive_s = 0;
  std::string_view client_id;
  std::optional<Will> will;
  std::optional<std::string_view> user_name;
  std::optional<Bytes> password;
  uint32_t session_expiry_s = 0;  // 0xFFFFFFFF: never
  uint16_t receive_maximum = 65535;
  std::optional<uint32_t> maximum_packet_size;  // bytes; none: no limit
  uint16_t topic_alias_maximum = 0;
  bool request_response_information = false;
  bool request_problem_information = true;
  std::optional<std::string_view> authentication_method;
  std::optional<Bytes> authentication_data;
  Few<UserProperty> user;
};

struct ConnAck {  // 3.2
  bool session_present = false;
  Reason reason = Reason::success;
  std::optional<uint32_t> session_expiry_s;
  uint16_t receive_maximum = 65535;
  uint8_t maximum_qos = 2;
  bool retain_available = true;
  std::optional<uint32_t> maximum_packet_size;
  std::optional<std::string_view> assigned_client_id;
  uint16_t topic_alias_maximum = 0;
  std::string_view reason_string;  // empty: none
  bool wildcards_available = true, subscription_ids_available = true, shared_available = true;
  std::optional<uint16_t> server_keep_alive_s;
  std::optional<std::string_view> response_information, server_reference;
  std::optional<std::string_view> authentication_method;
  std::optional<Bytes> authentication_data;
  Few<UserProperty> user;
};

struct Publish {  // 3.3
  bool dup = false, retain = false;
  uint8_t qos = 0;
  uint16_t packet_id = 0;  // 0 at QoS 0
  std::string_view topic;  // may be empty with an alias
  Bytes payload;
  uint16_t topic_alias = 0;  // 0: none
  Few<uint32_t> subscription_ids;
  MessageProperties properties;
};

// PUBACK, PUBREC, PUBREL, PUBCOMP (3.4 to 3.7).
struct Ack {
  Type type = Type::puback;
  uint16_t packet_id = 0;
  Reason reason = Reason::success;
  std::string_view reason_string;
  Few<UserProperty> user;
};

struct SubscriptionOptions {  // 3.8.3.1
  uint8_t qos = 0;
  bool no_local = false, retain_as_published = false;
  uint8_t retain_handling = 0;  // 0 send, 1 send if new, 2 do not
};

struct Subscribe {  // 3.8
  struct Entry {
    std::string_view filter;
    SubscriptionOptions options;
  };
  uint16_t packet_id = 0;
  std::optional<uint32_t> subscription_id;
  Few<Entry> entries;
  Few<UserProperty> user;
};

// SUBACK and UNSUBACK (3.9, 3.11). An UNSUBACK of 3.1.1 has no reasons.
struct SubAck {
  Type type = Type::suback;
  uint16_t packet_id = 0;
  Few<Reason> reasons;
  std::string_view reason_string;
  Few<UserProperty> user;
};

struct Unsubscribe {  // 3.10
  uint16_t packet_id = 0;
  Few<std::string_view> filters;
  Few<UserProperty> user;
};

struct Ping {
  Type type = Type::pingreq;
};

struct Disconnect {  // 3.14
  Reason reason = Reason::success;
  std::optional<uint32_t> session_expiry_s;
  std::string_view reason_string;
  std::optional<std::string_view> server_reference;
  Few<UserProperty> user;
};

struct Auth {  // 3.15
  Reason reason = Reason::success;
  std::optional<std::string_view> authentication_method;
  std::optional<Bytes> authentication_data;
  std::string_view reason_string;
  Few<UserProperty> user;
};

using Packet = std::variant<Connect, ConnAck, Publish, Ack, Subscribe, SubAck, Unsubscribe, Ping,
                            Disconnect, Auth>;

}  // namespace culvert::mqtt
