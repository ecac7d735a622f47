// What came from the broker and is not settled: identifiers of QoS 2 messages until their PUBREL,
// and what the application has yet to acknowledge, in order. Pure. MQTT 5.0 sections 4.3.3, 4.6.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <optional>
#include <vector>

#include "model/mqtt/client/fifo.h"
#include "model/mqtt/packet.h"

namespace culvert::mqtt {

struct InboxOptions {
  bool early = true;        // QoS 2: hand on at PUBLISH
  bool deduplicate = true;  // false: on purpose wrong
  bool manual = false;      // the application acknowledges
};

class Inbox {
 public:
  // An answer for the wire. `barrier`: not before that commit is durable.
  struct Answer {
    Type type = Type::puback;
    uint16_t id = 0;
    Reason reason = Reason::success;
    uint64_t barrier = 0;
  };
  struct Arrival {
    bool hand_on = false;  // give it to the application now, with `token` (0: needs none)
    bool keep = false;     // late QoS 2: hold its bytes (hold()) until PUBREL
    bool note = false;     // commit its identifier before the answer goes out
    bool answer = false;   // PUBREC is due (after `barrier`, if it was noted before)
    uint64_t token = 0, barrier = 0;
  };

  // Once, before anything else.
  void configure(InboxOptions options) { options_ = options; }
  // From the store. `packet`: of a late one, encoded.
  void restore(uint16_t id, net::Buffer packet);

  // A connection ended: tokens of QoS 1 are void, QoS 2 goes on if the session does.
  void connection_ended();
  // The session ended. The identifiers that were noted, so that they can be erased.
  std::vector<uint16_t> session_ended();

  // Messages of this connection that were neither answered finally nor refused (4.9).
  size_t unanswered() const { return unanswered_; }
  size_t held_bytes() const { return held_bytes_; }

  Arrival qos1(uint16_t id);  // only `token` is used: 0 means PUBACK at once
  Arrival qos2(uint16_t id);
  void hold(uint16_t id, Bytes packet);
  void noted(uint16_t id, uint64_t barrier);  // its identifier is in commit `barrier`

  struct Release {
    bool known = false;
    bool erase = false;    // erase its identifier in a commit; PUBCOMP after that
    uint64_t token = 0;    // hand_on: with this token
    unsigned hand_on = 0;  // how often (once, unless deduplication is off)
    net::Buffer packet;    // what to hand on
  };
  Release pubrel(uint16_t id);
  // A late QoS 2 message without manual acknowledgement was handed on, or an early one released.
  void completed(uint16_t id);

  // The application has spoken. What is to be noted or erased for it in the store, then
  // committed(token, barrier), after which next_answer() gives what is due, in order.
  struct Acknowledged {
    bool valid = false;
    uint8_t qos = 0;
    uint16_t id = 0;
    bool note = false, erase = false;
  };
  Acknowledged acknowledge(uint64_t token, Reason reason);
  void committed(uint64_t token, uint64_t barrier);
  // Answers that the application's acknowledgements have made due, oldest first.
  std::optional<Answer> next_answer();

  size_t identifiers() const { return items_.size(); }
  void answered() {  // a PUBACK, PUBCOMP or refusing PUBREC goes out
    if (unanswered_ > 0) --unanswered_;
  }
  void trim();

 private:
  enum class State : uint8_t { held, handed, acknowledged };
  struct Item {
    State state = State::acknowledged;
    bool here = false;  // its PUBLISH came on this connection
    bool in_store = false;
    uint8_t copies = 1;
    uint64_t token = 0, barrier = 0;
    net::Buffer packet;  // late: until it is handed on
  };
  struct Pending {
    uint16_t id = 0;
    uint8_t qos = 0;
    bool spoken = false;
    bool silent = false;   // no answer: void, or its PUBLISH will come again
    bool release = false;  // late: PUBCOMP instead of PUBREC
    Reason reason = Reason::success;
    uint64_t barrier = 0;
  };
  uint64_t wait_for_application(Pending pending);
  Pending* pending_of(uint64_t token);

  InboxOptions options_;
  boost::unordered_flat_map<uint16_t, Item> items_;
  Fifo<Pending> pending_;
  uint64_t first_token_ = 1;  // of pending_'s front
  size_t unanswered_ = 0, held_bytes_ = 0;
};

}  // namespace culvert::mqtt
