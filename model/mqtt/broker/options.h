// What a broker can be told, and what it counts. Every limit bounds something that a peer can grow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/mqtt/reason.h"
#include "model/net/time.h"

namespace culvert::mqtt {

// When a QoS 2 message goes onward (MQTT 5.0 section 4.3.3): at PUBLISH, deduplicated by packet
// identifier until PUBREL, or at PUBREL as most brokers do.
enum class OnwardQos2 : uint8_t { at_publish, at_pubrel };

struct BrokerOptions {
  OnwardQos2 qos2 = OnwardQos2::at_publish;
  bool deduplicate = true;  // false breaks QoS 2 on purpose: the exactly-once test must then fail

  // Limits (ours unless a section stands there).
  size_t connections = 100'000;
  size_t sessions = 200'000;         // connected or not
  size_t new_connections_per_s = 0;  // 0: no limit; beyond it CONNACK 0x9F
  net::Duration connect_patience = net::Duration(10'000'000'000);  // until CONNECT has come
  size_t greeting_bytes = 64 * 1024 * 1024;  // of CONNECTs that are not there as a whole, in all
  uint32_t packet_bytes = 1'048'576 + 65'536 + 1024;  // 3.2.2.3.6 maximum packet size
  uint16_t receive_maximum = 1024;         // 3.2.2.3.3: QoS 1 and 2 packets from a client
  uint16_t inflight_to_client = 1024;      // and to a client, if it allows more
  uint16_t topic_alias_maximum = 64;       // both ways at most this (3.2.2.3.8)
  size_t queued_messages = 10'000;         // per session
  size_t queued_bytes = 16 * 1024 * 1024;  // per session, payloads and topics
  size_t queued_bytes_in_all = size_t{2} * 1024 * 1024 * 1024;
  size_t write_buffer_bytes = 256 * 1024;  // per connection, before its queue is used
  size_t subscriptions_per_session = 10'000;
  size_t topic_levels = 256;  // deeper: topic_name_invalid / topic_filter_invalid; mosquitto
                              // takes 200
  size_t retained_messages = 1'000'000;
  size_t retained_bytes = size_t{1} * 1024 * 1024 * 1024;
  uint32_t session_expiry_most_s = 0xFFFFFFFF;  // 3.1.2.11.2; what a client asks above it is cut
  uint32_t session_expiry_v311_s = 0xFFFFFFFF;  // of persistent 3.1.1 sessions
  uint16_t keep_alive_most_s = 0;      // 3.2.2.3.14 server keep-alive: above it the client is
                                       // told this; 0: whatever the client wants
  uint8_t maximum_qos = 2;             // 3.2.2.3.4
  bool retain_available = true;        // 3.2.2.3.5
  bool allow_empty_client_id = true;   // else 0x85
  bool bind_client_id_to_user = true;  // a session is only taken over by its own user
  // Requests may name only response topics that begin with "USER/" or "CLIENT_ID/"-style prefix
  // below; "%u" user, "%c" client identifier. Empty: anywhere. Told as response information.
  std::string response_prefix;
  net::Duration sys_interval{0};  // $SYS is the business of sys.h; 0: not published
};

struct BrokerCounters {
  uint64_t connections = 0, connections_most = 0, connected_ever = 0, refused = 0;
  uint64_t sessions = 0, subscriptions = 0, retained = 0;
  uint64_t packets_in = 0, packets_out = 0, bytes_in = 0, bytes_out = 0;
  uint64_t published_in[3] = {}, delivered[3] = {};  // by QoS
  uint64_t duplicates = 0;                           // QoS 2 PUBLISHes recognised as already there
  uint64_t dropped_queue_full = 0, dropped_expired = 0, dropped_too_big = 0, dropped_qos0 = 0;
  uint64_t queued = 0, queued_bytes = 0;
  uint64_t refused_publishes = 0;  // by the access rules, quotas, or because they make no sense
  uint64_t faults = 0;             // malformed packets and protocol errors
  uint64_t commits = 0, commit_failures = 0;
};

// What others want to know of sessions, as it happens.
struct BrokerEvent {
  enum class What : uint8_t { connected, disconnected, session_ended, subscribed, unsubscribed };
  What what = What::connected;
  std::string_view client_id, user;
  Reason reason = Reason::success;  // of a disconnect
  std::string_view filter;
};

}  // namespace culvert::mqtt
