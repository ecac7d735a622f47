// The inside of Client: one connection after the other over a Connector, and what outlives them.
// connect.cc makes connections and ends them, transfer.cc moves bytes, handle.cc takes packets,
// publish.cc is the application's side. Private to this room.
#pragma once

#include "model/mqtt/client/aliases.h"
#include "model/mqtt/client/backoff.h"
#include "model/mqtt/client/client.h"
#include "model/mqtt/client/inbox.h"
#include "model/mqtt/client/journal.h"
#include "model/mqtt/client/outbox.h"
#include "model/mqtt/client/subscriptions.h"
#include "model/mqtt/codec.h"

namespace culvert::mqtt {

struct Client::Impl {
  // waiting: until the next attempt. greeting: CONNECT is out. leaving: DISCONNECT is, or will be.
  enum class Phase : uint8_t { idle, waiting, connecting, greeting, up, leaving, over };

  // What the broker said in CONNACK that it takes (3.2.2.3); until then what MQTT 5.0 presumes.
  struct Limits {
    uint32_t packet_bytes = 268'435'460;  // 2.1.4: the longest packet, with its header
    uint16_t topic_aliases = 0;
    uint8_t maximum_qos = 2;
    bool retain = true, wildcards = true, subscription_ids = true, shared = true;
  };
  struct Callbacks {
    std::function<void(const IncomingMessage&)> message;
    std::function<void(const ConnectedInfo&)> connected;
    std::function<void(const Lost&)> lost;
    std::function<net::Buffer(const Auth&)> auth;
    std::function<void(const Publish&, const PublishOutcome&)> recovered;
    std::string auth_method;
    net::Buffer auth_first;
  };
  struct Written {
    uint64_t at = 0;  // bytes of this connection
    PublishDone done;
  };

  Impl(net::Host& host, ClientOptions options, std::unique_ptr<net::Connector> connector);
  ~Impl();

  // --- turns: every callback of the Host's enters through turn() --------------------------------
  // Calls what may destroy this; false: it did.
  template <class Call>
  bool survives(Call&& call) {
    bool gone = false;
    bool* const outer = gone_;
    gone_ = &gone;
    call();
    if (gone) {
      if (outer) *outer = true;
      return false;
    }
    gone_ = outer;
    return true;
  }
  template <class Body>
  void turn(Body&& body) {
    ++turns_;
    if (!survives(body)) return;
    if (!finish_turn()) return;
    --turns_;
  }
  bool finish_turn();  // tells, sends, commits; false: this is gone
  void wake();         // a turn soon, unless one is under way
  void later(PublishDone done, PublishOutcome outcome);
  void later(SubscribeDone done, SubscribeOutcome outcome);
  void ended(Outbox::Ended&& message);
  void set(std::function<void(Callbacks&)> change);

  // --- connections (connect.cc) -----------------------------------------------------------------
  void start();
  void attempt();
  void connected_to(net::Connected connected);
  void say_hello();
  void on_connack(const ConnAck& ack);
  void on_auth(const Auth& auth);
  void fail(net::Status status, Reason reason, std::string_view phase,
            std::string_view reason_string = {}, std::string_view server_reference = {});
  void fault(Reason reason, std::string_view why);  // the broker's mistake: DISCONNECT, then fail
  void drop_connection();
  void on_timer();
  void keep_alive();
  void arm_keep_alive();
  void trim();
  void stop(Reason reason, std::function<void()> done);
  void depart();
  void gone_away();  // stop() is done

  // --- bytes (transfer.cc) ----------------------------------------------------------------------
  void readable();
  bool take(Bytes data);  // false: stop reading
  void pump();
  bool pump_wishes();
  bool pump_messages();
  void write_out();
  bool may_send() const {
    return phase_ == Phase::up || (phase_ == Phase::greeting && options_.pipeline);
  }
  bool crowded() const;
  void send(const Packet& packet);
  void send(const Ack& ack) { (void)encode(ack, version_, out_); }
  void answer(Type type, uint16_t id, Reason reason, uint64_t barrier);
  void send_publish(const Publish& message, bool dup);
  void say(const Inbox::Answer& answer);
  void flush_answers();
  void committed(net::Status status);

  // --- packets (handle.cc); they may destroy this -----------------------------------------------
  void packet(Bytes bytes);
  void on_publish(Bytes bytes, const Publish& publish);
  void on_ack(const Ack& ack);
  void on_pubrel(const Ack& ack);
  bool hand_on(const Publish& publish, uint64_t token);
  void resolve_session(const ConnAck& ack);

  // --- the application's side (publish.cc) ------------------------------------------------------
  net::Status publish(const Publish& message, PublishDone done, net::StoreBatch also);
  std::optional<PublishOutcome> unfit(uint8_t qos, bool retain, size_t bytes) const;
  net::Status wish(Wishes::Wish wish);
  std::optional<net::Status> unfit(const Wishes::Wish& wish) const;
  bool acknowledge(uint64_t token, Reason reason, net::StoreBatch also);

  net::Host& host_;
  ClientOptions options_;
  std::unique_ptr<net::Connector> connector_;
  std::unique_ptr<net::Connecting> connecting_;
  std::unique_ptr<net::Stream> stream_;
  std::shared_ptr<Callbacks> callbacks_ = std::make_shared<Callbacks>();
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool* gone_ = nullptr;
  uint32_t turns_ = 0;
  bool posted_ = false;

  Phase phase_ = Phase::idle;
  Version version_;
  bool reading_paused_ = false;  // the broker does not read our answers
  bool clean_ = true;            // of the CONNECT under way
  bool ever_connected_ = false;
  bool ping_under_way_ = false;
  bool store_failed_ = false;
  bool can_write_ = true;
  bool authenticating_ = false;
  bool stopping_ = false;
  bool fresh_ = false;   // nothing of an earlier connection is to be sent again
  bool remade_ = false;  // the subscriptions went out behind CONNECT
  uint16_t keep_alive_s_ = 0;
  uint16_t wish_id_ = 65535;  // counts down; messages count up
  Limits limits_;
  Backoff backoff_;
  uint32_t attempts_ = 0;
  net::Time attempt_began_{0}, up_since_{0}, last_sent_{0}, last_received_{0}, ping_sent_{0};
  net::ConnectTimes times_;
  net::Timer timer_;

  Journal journal_;
  net::Status
      unreadable_;  // why it was not loaded; then nothing is sent, and nothing written there
  Outbox outbox_;
  Inbox inbox_;
  Wishes wishes_;
  std::unique_ptr<AliasesOut> aliases_out_;
  AliasesIn aliases_in_;

  net::Buffer in_;   // the beginning of a packet whose rest has not come
  net::Buffer out_;  // out_[out_at_..] is to be written
  size_t out_at_ = 0;
  uint64_t written_ = 0;  // bytes of this connection
  Fifo<Written> to_tell_;
  Fifo<Inbox::Answer> answers_;  // wait for a commit
  std::vector<std::pair<PublishDone, PublishOutcome>> told_;
  std::vector<std::pair<SubscribeDone, SubscribeOutcome>> told_wishes_;
  std::vector<Outbox::Ended> recovered_;
  std::string response_information_;
  std::function<void()> stopped_;
  Reason leaving_with_ = Reason::success;
};

}  // namespace culvert::mqtt
