// The broker behind broker.h: its tables, and what every packet brings about. One behaviour a file:
// handle_*.cc what comes from clients, route.cc who gets a message, queue.cc a session's way out,
// will.cc, expiry.cc, share.cc, persist.cc and load.cc what the store holds.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <functional>
#include <initializer_list>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "model/mqtt/broker/access.h"
#include "model/mqtt/broker/commit_queue.h"
#include "model/mqtt/broker/connection.h"
#include "model/mqtt/broker/id_lists.h"
#include "model/mqtt/broker/options.h"
#include "model/mqtt/broker/publish_encoder.h"
#include "model/mqtt/broker/retained.h"
#include "model/mqtt/broker/session.h"
#include "model/mqtt/broker/subscriptions.h"
#include "model/mqtt/codec.h"
#include "model/net/host.h"

namespace culvert::mqtt {

// What became of a packet.
enum class Handled : uint8_t {
  done,
  wait,  // a hook answers later: the packet is handled again then
};

class Core {
 public:
  Core(net::Host& host, BrokerOptions options, Access& access, net::Store* store);
  ~Core();

  // -- broker.h ---------------------------------------------------------------------------------
  net::Status load();
  void stop(net::Duration patience, std::function<void()> done);
  void attach(std::unique_ptr<net::Stream> stream, Peer peer);
  std::unique_ptr<net::Stream> attach_local(const std::string& user);
  void publish(const Publish& message);
  bool disconnect(std::string_view client_id, Reason reason);
  void access_changed(std::string_view user);
  void access_changed_of_all();
  size_t disconnect_user(std::string_view user, Reason reason);

  // -- for Connection ---------------------------------------------------------------------------
  Handled handle(Connection& connection, Bytes packet);
  void fault(Connection& connection, const Fault& fault);
  // Ends a connection on the next turn: with DISCONNECT (or CONNACK) `reason`, or without a word.
  void doom(Connection& connection, Reason reason, bool tell, std::string_view detail);
  void make_dirty(Connection& connection);
  void make_writable(Connection& connection);  // its socket takes bytes again
  void bury(Connection& connection);           // its stream has ended, or it is done closing
  net::MutableBytes read_buffer() { return {read_buffer_.data(), read_buffer_.size()}; }
  net::Buffer spare_buffer();
  void spare(net::Buffer buffer);
  void note_time() { now_ = host_.now(); }
  net::Time now() const { return now_; }
  uint32_t packet_limit() const { return options_.packet_bytes; }
  void greeted(Connection& c);  // after a read, and when it is no longer a stranger
  bool parks() const { return commits_.behind(); }
  void park(Connection& connection);  // until the store has caught up

  // -- for CommitQueue --------------------------------------------------------------------------
  // `failed`: why the commit failed; none: it did not.
  void finish_publish(const CommitQueue::Action& action, const CommitQueue::Target* targets,
                      net::Error failed);
  // Before that: what the message has retained is as it was.
  void take_back(const CommitQueue::Action& action);
  void finish_again(const CommitQueue::Action& action);
  void finish_reply(const CommitQueue::Action& action);
  void unpark();
  void schedule_flush();
  void commit_done();  // what it set free may go out
  void after_read();   // a connection was read: what it brought about may go out

  net::Host& host() { return host_; }
  BrokerCounters& counters() { return counters_; }
  const BrokerOptions& options() const { return options_; }
  // An event of service "mqtt" (docs/reference/events.md).
  void log(std::string_view event, std::initializer_list<net::Field> fields);
  bool logs() { return host_.log().enabled(); }

  std::function<void(const BrokerEvent&)> on_event;

 private:
  void note_version(Connection& c, Bytes packet);

  // handle_connect.cc
  Handled handle_connect(Connection& c, const Connect& p, Bytes packet);
  Reason check_connect(const Connection& c, const Connect& p, std::string& detail) const;
  void refuse(Connection& c, std::string_view id, Reason reason, std::string_view detail);
  Handled logged_in(Connection& c, const Connect& p, const LoginAnswer& answer);
  void establish(Connection& c, const Connect& p, const LoginAnswer& answer);
  void come_up(Connection& c, Session& s, const net::Buffer& connack);
  void take_over(const std::string& client_id);
  net::Buffer make_connack(const Connection& c, const Connect& p, const LoginAnswer& answer,
                           const Session& s, bool present, bool assigned) const;
  std::string assign_client_id();

  // handle_auth.cc
  Handled handle_auth(Connection& c, const Auth& p);
  // Asks Access; none: the answer comes later, and the packet is handled again.
  std::optional<LoginAnswer> ask_login(Connection& c, const LoginRequest& request);
  // The same for a permission; `question` counts within a packet.
  std::optional<Reason> ask_may(Connection& c, const AccessRequest& request, size_t question);
  void challenge(Connection& c, const LoginAnswer& answer, Reason reason);
  Connection* waiting_for(uint32_t slot, uint32_t serial, uint32_t ticket);

  // handle_publish.cc
  Handled handle_publish(Connection& c, Bytes packet);
  bool resolve_alias(Connection& c, Publish& p);
  bool break_off(Connection& c, const Publish& p);
  Reason check_publish(const Connection& c, const Publish& p, std::string_view& why) const;
  std::string response_prefix(const Session& s) const;
  void refuse_publish(Connection& c, const Publish& p, Reason reason, std::string_view why);
  void negative_ack(Connection& c, uint8_t qos, uint16_t id, Reason reason, std::string_view why);
  void accept_publish(Connection& c, const Publish& p);
  void again(Connection& c, uint16_t id);  // a PUBLISH that is known already
  void handle_pubrel(Connection& c, uint16_t id);

  // handle_ack.cc
  void handle_ack(Connection& c, Type type, uint16_t id, Reason reason);
  void handle_pubrec(Connection& c, OutEntry& entry, uint64_t sequence);

  // handle_subscribe.cc
  Handled handle_subscribe(Connection& c, const Subscribe& p);
  Handled handle_unsubscribe(Connection& c, const Unsubscribe& p);
  std::optional<Reason> may_subscribe(Connection& c, const Subscribe::Entry& entry, size_t i);
  Reason subscribe(Session& s, const Subscribe::Entry& entry, uint32_t id, bool& was_there);
  bool unsubscribe(Session& s, std::string_view filter);
  void send_retained(Session& s, const SubscriptionRecord& wanted);
  void answer_when_stored(Connection& c, const Packet& packet,
                          std::vector<SubscriptionRecord> retained, bool changed);
  void re_ask(Session& s);  // access has changed

  // handle_disconnect.cc
  void handle_disconnect(Connection& c, const Disconnect& p);

  // close.cc
  void close_doomed();
  void end_connection(Connection& c);
  void detach(Connection& c, Reason reason, std::string_view detail);
  void say_goodbye(Connection& c, Reason reason, std::string_view detail);
  void set_keep_alive(Connection& c);
  static net::Duration keep_alive_limit(const Connection& c);
  void on_deadline(Wheel::Place& place);
  void flush_turn();
  void flush_dirty();

  // session.cc
  Session* find_session(std::string_view client_id);
  Session* session_at(SessionIndex index, uint32_t serial);
  Session* create_session(const std::string& client_id, const std::string& user);
  void end_session(Session& s, Reason reason);
  void resume_session(Session& s);

  // route.cc
  struct Target {
    Session* session = nullptr;
    uint8_t qos = 0;
    bool retain = false;
    bool free = false;  // of the queue's quota
    uint32_t share = 0;
    uint32_t id = 0;
    std::vector<uint32_t> more;  // further identifiers; mostly empty
  };
  // Who gets `message` from `publisher` (null: the broker itself): fills targets_.
  void match(const Message& message, const Session* publisher);
  Target& new_target(Session& s, const Subscription& subscription);
  static void visit(void* core, const Subscription& subscription);
  static void visit_shared(void* core, SharedGroup& group);
  void add_target(Session& s, const Subscription& subscription, bool shared);
  // Sends `message` to targets_, now or when it is durable. `action` is the publisher's part.
  void route(const MessagePtr& message, CommitQueue::Action action, bool must_store);
  // Puts `message` where its topic's retained message is. False: there is no room.
  bool retain(const MessagePtr& message, CommitQueue::Action& action);
  bool must_wait(const MessagePtr& message, const CommitQueue::Action& action, bool must_store);
  void send_now(const MessagePtr& message, const CommitQueue::Action& action);
  void acknowledge(const CommitQueue::Action& action);
  Connection* connection_at(uint32_t slot, uint32_t serial);
  void roll_back(const CommitQueue::Action& action, const CommitQueue::Target* targets,
                 net::Error failed);
  // As the broker, a will or a redistributed message: tried again until the store has it.
  void publish_message(const MessagePtr& message, const Session* publisher);

  // share.cc
  const Subscription* choose(SharedGroup& group);
  void redistribute(const MessagePtr& message, uint32_t share);
  static uint32_t share_number(std::string_view filter);

  // queue.cc
  bool room_in_queue(const Session& s, const Message& message) const;
  bool make_room(Session& s, const Message& message);
  void count_queued(Session& s, const Message& message, bool free, int sign);
  // An entry for a QoS 1 or 2 message; null: it did not fit, which was counted.
  OutEntry* enqueue(Session& s, const MessagePtr& message, const Target& target, bool pending);
  void deliver_qos0(Session& s, const MessagePtr& message, IdLists::Ids ids, bool retain,
                    bool free = false);
  void drop_qos0(Session& s);  // the oldest that waits
  void pump(Session& s);
  void send_entry(Session& s, OutEntry& entry, uint64_t sequence);
  bool send_publish(Connection& c, const Message& message, uint8_t qos, bool retain, bool dup,
                    IdLists::Ids ids, uint16_t packet_id);
  void choose_alias(Connection& c, std::string_view topic, PublishEncoder::Shape& shape);
  bool may_receive(Connection& c, const Message& message);
  void forget_message(Session& s, OutEntry& entry);
  void drop(Session& s, OutEntry& entry);  // it is done: frees what it holds
  void trim(Session& s);                   // done entries at the front go
  void overflow(Session& s);
  void tell_lost(Session& s);
  void expire_queue(Session& s);
  uint16_t window(const Connection& c) const;
  IdLists::Ids ids_of(const Target& target);

  // will.cc
  void keep_will(Session& s, const Will& will);
  void forget_will(Session& s);
  void will_on_close(Session& s, bool clean_end, bool session_ends);
  void publish_will(Session& s);

  // expiry.cc
  enum class Due : uint8_t { will, session };
  void set_due(Session& s, Due what, net::Time when);  // Time::max(): never
  void run_due();
  void arm_due();
  void leave_alone(Session& s, bool clean_end, Reason reason);
  void arm_sweep();
  void sweep();

  // persist.cc: what the store is told. Nothing without a store, or for sessions it does not hold.
  void store_session(Session& s, bool connected);
  void unstore_session(Session& s);
  void store_subscription(const Session& s, const SubscriptionRecord& record);
  void unstore_subscription(const Session& s, std::string_view filter);
  void store_entry(Session& s, uint64_t sequence, OutEntry& entry, bool inside,
                   CommitQueue::Fate fate);
  void unstore_entry(Session& s, uint64_t sequence, OutEntry& entry);
  void store_inbound(const Session& s, uint16_t id, const Message* message, CommitQueue::Fate fate);
  void unstore_inbound(const Session& s, uint16_t id);
  void store_retained(const MessagePtr& message, CommitQueue::Fate fate);
  void unstore_retained(const MessagePtr& message, CommitQueue::Fate fate);
  void store_sent_mark(Session& s);
  void unrefer(const Message& message);
  net::Buffer message_record(const Message& message);

  // load.cc
  struct Loading;
  net::Status load_sessions(const net::Store& store, Loading& loading);
  net::Status load_queues(const net::Store& store, Loading& loading);
  bool load_entry(Session& s, uint64_t sequence, Bytes bytes, Loading& loading);
  MessagePtr load_message(Bytes record) const;

  net::Host& host_;
  const BrokerOptions options_;
  Access& access_;
  CommitQueue commits_;
  BrokerCounters counters_;
  net::Time now_{0};

  struct IdHash {  // seeded: client identifiers are chosen by strangers
    uint64_t seed = 0;
    size_t operator()(std::string_view text) const;
  };
  boost::unordered_flat_map<std::string_view, Session*, IdHash> by_id_;
  std::vector<std::unique_ptr<Session>> sessions_;  // by index
  std::vector<SessionIndex> free_sessions_;
  std::vector<std::unique_ptr<Connection>> connections_;  // by slot
  std::vector<uint32_t> free_connections_;
  uint32_t session_serials_ = 0, connection_serials_ = 0;
  uint64_t message_numbers_ = 0, exchanges_ = 0;

  SubscriptionTree tree_;
  RetainedMessages retained_;
  IdLists ids_;
  PublishEncoder encoder_;

  // Of the match under way.
  std::vector<Target> targets_;
  size_t target_count_ = 0;
  const Message* matching_ = nullptr;
  const Session* publisher_ = nullptr;
  uint64_t stamp_ = 0;

  Publish publish_;  // decoded into; keeps its memory
  net::Buffer read_buffer_;
  std::vector<net::Buffer> spare_buffers_;
  std::vector<Connection*> dirty_, flushing_;
  std::vector<Connection*> doomed_, parked_;
  std::vector<std::unique_ptr<Connection>> gone_;  // destroyed when nothing of them runs any more
  bool flush_posted_ = false;
  bool batching_ = false;  // more than one connection was read in the last turn that wrote
  uint32_t reads_ = 0;     // connections read in this turn

  Wheel wheel_;
  std::set<std::tuple<net::Time, SessionIndex, Due>> due_;
  net::Timer due_timer_, sweep_timer_;
  size_t greeting_bytes_ = 0;  // read of CONNECT and AUTH packets that are not complete
  net::Time new_connections_until_{-1'000'000'000};  // the rate is used up to here; at first, not
  size_t turned_away_ = 0;  // connections over the limit, heard until their CONNECT
  std::function<void()> stopped_;
  net::Timer stop_timer_;
  bool stopping_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace culvert::mqtt
