// An MQTT client: keeps a session with a broker over whatever a Connector reaches, comes back after
// cuts, and holds what is published until it is acknowledged. MQTT 3.1.1 and 5.0; exactly once ends
// at the application (manual acknowledgement). Stands on model/mqtt and model/net.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/mqtt/packet.h"
#include "model/net/connector.h"
#include "model/net/host.h"

namespace culvert::mqtt {

// Texts that a client keeps; the owned twin of MessageProperties.
struct OwnedProperties {
  bool utf8_payload = false;
  std::optional<uint32_t> expiry_s;
  std::string content_type;
  std::optional<std::string> response_topic;
  std::optional<net::Buffer> correlation_data;
  std::vector<std::pair<std::string, std::string>> user;
};

struct OutgoingMessage {
  std::string topic;
  net::Buffer payload;
  uint8_t qos = 0;
  bool retain = false;
  OwnedProperties properties;
};

struct OwnedWill : OutgoingMessage {
  uint32_t delay_s = 0;
};

struct ClientOptions {
  Version version = Version::v5;
  std::string client_id;  // empty: the broker assigns one (5.0, or 3.1.1 with clean_start)
  bool clean_start = true;
  uint32_t session_expiry_s = 0;
  uint16_t keep_alive_s = 60;
  std::optional<std::string> user_name;
  std::optional<net::Buffer> password;
  std::optional<OwnedWill> will;
  uint16_t receive_maximum = 1024;  // QoS 1 and 2 messages that we take at a time
  uint16_t send_maximum = 65535;    // that we have under way; fewer if the broker says so
  uint32_t maximum_packet_size = 1'048'576 + 65'536 + 1024;  // bytes that we take
  uint16_t topic_alias_maximum = 16;  // that we take; towards the broker as many as it takes
  bool request_response_information = false;
  std::vector<std::pair<std::string, std::string>> user_properties;  // of CONNECT

  bool qos2_early = true;   // hand a QoS 2 message on at PUBLISH (else at PUBREL)
  bool deduplicate = true;  // false breaks QoS 2 on purpose, for the test that must then fail
  bool manual_ack = false;  // PUBACK / PUBREC go out when the application says acknowledge()
  bool pipeline = false;    // SUBSCRIBE and PUBLISH go out behind CONNECT, not after CONNACK
  bool reconnect = true;
  net::Duration backoff_least = net::Duration(1'000'000'000);  // then doubled, with full jitter
  net::Duration backoff_most = net::Duration(60'000'000'000);
  net::Duration connect_patience = net::Duration(30'000'000'000);
  net::Duration ping_patience =
      net::Duration(10'000'000'000);  // no PINGRESP: the connection is dead
  size_t queued_messages = 10'000;    // not yet acknowledged, connected or not
  size_t queued_bytes = 64 * 1024 * 1024;
  bool queue_qos0_offline = false;
  net::Store* store = nullptr;  // in-flight messages survive a crash; null: in memory
};

// How a publish ended.
struct PublishOutcome {
  net::Status status;               // closed: the client was stopped; exhausted: the queue is full
  Reason reason = Reason::success;  // the broker's, QoS 1 and 2
  bool in_doubt =
      false;  // the session ended between PUBLISH and PUBREC: nobody knows (never resent)
};
using PublishDone = std::function<void(const PublishOutcome&)>;

struct SubscribeRequest {
  std::string filter;
  SubscriptionOptions options;
};
struct SubscribeOutcome {
  net::Status status;
  std::vector<Reason> reasons;
  std::string reason_string;
};
using SubscribeDone = std::function<void(const SubscribeOutcome&)>;

// A message that came. `publish` is a view for the length of the callback. With manual_ack keep
// `token` and give it to acknowledge(); 0: needs none.
struct IncomingMessage {
  const Publish& publish;
  uint64_t token = 0;
};

struct ConnectedInfo {
  ConnAck connack;  // views for the length of the callback
  net::ConnectTimes times;
  net::Duration connack_took{0};
  uint32_t attempt = 1;
};

class Client {
 public:
  Client(net::Host& host, ClientOptions options, std::unique_ptr<net::Connector> connector);
  ~Client();  // without DISCONNECT: the will goes out

  void start();
  // DISCONNECT with this reason, the stream closed; `done` when it is out. What is not acknowledged
  // stays in the store, if there is one.
  void stop(Reason reason, std::function<void()> done);

  // QoS 0: done when written (or dropped); QoS 1: at PUBACK; QoS 2: at PUBCOMP. Messages keep their
  // order. Refused at once with a status only if they make no sense (topic, size, QoS).
  net::Status publish(OutgoingMessage message, PublishDone done = {});
  // `also` is committed to the store together with the message (QoS 1 and 2): what an application
  // notes there about having handed it over is true after a crash, too.
  net::Status publish(OutgoingMessage message, PublishDone done, net::StoreBatch also);
  // For those who count every byte: as publish at QoS 0 or when the caller keeps the views alive
  // until it returns.
  net::Status publish_view(const Publish& message, PublishDone done = {});
  net::Status subscribe(std::vector<SubscribeRequest> filters, SubscribeDone done = {},
                        std::optional<uint32_t> subscription_id = {});
  net::Status unsubscribe(std::vector<std::string> filters, SubscribeDone done = {});
  // `reason` >= 0x80 refuses it (5.0). `also` is committed to the store in the same batch as the
  // packet identifier, before the broker is answered: what the application makes durable and its
  // acknowledgement hold together or not at all. A token that a cut has made void does nothing (the
  // message comes again, under a new one), and `also` is not committed: the answer says so.
  bool acknowledge(uint64_t token, Reason reason = Reason::success, net::StoreBatch also = {});

  // Subscriptions are made anew after a reconnect to a broker that has lost the session.
  void on_message(std::function<void(const IncomingMessage&)> callback);
  void on_connected(std::function<void(const ConnectedInfo&)> callback);
  // Also for attempts that failed; phase: "name", "tcp", "tls", "websocket", "proxy", "connack",
  // "session" (it was up), "store" (what an earlier life left there cannot be read). `again_in`:
  // when it tries next; none: it has given up.
  struct Lost {
    net::Status status;
    Reason reason = Reason::success;  // of CONNACK or DISCONNECT
    std::string_view phase;
    std::optional<net::Duration> again_in;
    std::string_view reason_string, server_reference;  // the broker's, for the callback's length
  };
  void on_lost(std::function<void(const Lost&)> callback);
  // Enhanced authentication: an AUTH or CONNACK challenge; the answer goes out in an AUTH.
  void on_auth(std::function<net::Buffer(const Auth&)> callback, std::string method,
               net::Buffer first);
  // Begins a re-authentication (4.12.1) with this data; its steps come to on_auth's callback.
  net::Status reauthenticate(net::Buffer first);
  // How messages ended that an earlier life of this client, before a crash, had published. The
  // PUBLISH is a view; its topic is empty if the broker had taken it over already (PUBREC).
  void on_recovered(std::function<void(const Publish&, const PublishOutcome&)> callback);

  bool connected() const;
  const std::string& client_id() const;
  size_t unacknowledged() const;  // messages queued or in flight
  std::string_view response_information() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A client inside the broker's process: each connect() asks for one end of a pipe.
std::unique_ptr<net::Connector> pipe_connector(
    net::Host& host, std::function<std::unique_ptr<net::Stream>()> attach);

}  // namespace culvert::mqtt
