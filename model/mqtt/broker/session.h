// A session (MQTT 5.0 section 4.1): what the broker keeps for a client identifier, connected or
// not. Data, and the window of QoS 1 and 2 messages towards the client. Stands on message.h.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/mqtt/broker/id_lists.h"
#include "model/mqtt/broker/message.h"
#include "model/mqtt/broker/ring.h"
#include "model/mqtt/broker/subscriptions.h"

namespace culvert::mqtt {

class Connection;

inline constexpr uint32_t kNever = 0xFFFFFFFF;  // a session expiry interval (3.1.2.11.2)

// A QoS 1 or 2 message on its way to the client, from when it is queued until it is acknowledged.
struct OutEntry {
  enum class State : uint8_t {
    queued,    // not sent on this connection
    sent,      // PUBLISH is out
    released,  // PUBREC has come: only PUBREL is left, the message is forgotten
    done,      // acknowledged, expired or lost; here until it is the oldest
  };
  MessagePtr message;
  IdLists::Ids ids = 0;
  uint32_t share = 0;  // came by this shared subscription
  State state = State::queued;
  uint8_t qos : 2;
  bool retain : 1;
  bool pending : 1;    // waits until the store has it
  bool stored : 1;     // the store has a record of it
  bool inside : 1;     // and that record contains the message
  bool was_sent : 1;   // on an earlier connection: DUP
  bool counted : 1;    // against the client's receive maximum
  bool free : 1;       // of the quota: it came with a burst of retained messages
  bool told_sent : 1;  // the store thinks that it was sent

  OutEntry()
      : qos(0),
        retain(false),
        pending(false),
        stored(false),
        inside(false),
        was_sent(false),
        counted(false),
        free(false),
        told_sent(false) {}
};

// A QoS 0 message that the socket would not take at once.
struct WaitingQos0 {
  MessagePtr message;
  IdLists::Ids ids = 0;
  uint32_t after = 0;  // OutEntries up to this sequence number (its low half) go first
  bool retain = false, free = false;
};

// A QoS 2 message from the client between PUBLISH and PUBREL.
struct Inbound {
  MessagePtr message;       // if it goes onward at PUBREL only
  uint32_t connection = 0;  // the one against whose receive maximum it counts
};

struct SubscriptionRecord {
  std::string filter;
  uint32_t id = 0, share = 0;
  SubscriptionOptions options;
};

struct Session {
  std::string client_id, user;
  Connection* connection = nullptr;
  SessionIndex index = 0;
  uint32_t serial = 0;    // tells it from an earlier one at the same index; the store's number
  uint32_t expiry_s = 0;  // kNever: never
  Version version = Version::v5;
  bool durable = false;      // the store has it
  bool overflowing = false;  // its loss was told
  std::vector<SubscriptionRecord> subscriptions;

  // Towards the client. out[i] has sequence number first + i, which gives its packet identifier
  // from the moment it is queued, so that one commit can hold both. out[0, next) were looked at on
  // this connection.
  Ring<OutEntry> out;
  Ring<WaitingQos0> out_qos0;
  uint64_t first = 0;
  uint32_t next = 0;
  uint32_t in_flight = 0;  // counted entries
  uint32_t live = 0;       // entries that are not done
  uint32_t free = 0;       // entries and waiting QoS 0 messages that are free of the quota
  uint64_t queued_bytes = 0;

  // From the client.
  boost::unordered_flat_map<uint16_t, Inbound> inbound;

  // Of the match under way (route.cc).
  uint64_t stamp = 0;
  uint32_t target = 0;

  // What few sessions have.
  struct Rare {
    MessagePtr will;
    uint32_t will_delay_s = 0;
    net::Time will_due = net::Time::max();
    net::Time ends = net::Time::max();
    net::Time swept{0};  // when expired messages were last looked for
    uint64_t lost = 0;   // messages that did not fit, since this was last told
  };
  std::unique_ptr<Rare> rare;
  Rare& need_rare() {
    if (!rare) rare = std::make_unique<Rare>();
    return *rare;
  }

  // 2.2.1: 1 to 65,535.
  static uint16_t packet_id(uint64_t sequence) {
    return static_cast<uint16_t>(sequence % 65535 + 1);
  }
  uint64_t end() const { return first + out.size(); }
  // Of the entry that sent_entry(id) found.
  uint64_t sequence_of(uint16_t id) const {
    return first + (65535u + id - packet_id(first)) % 65535u;
  }
  // The entry that has this packet identifier and was sent; null: there is none.
  OutEntry* sent_entry(uint16_t id);
  OutEntry* entry(uint64_t sequence) {
    return sequence >= first && sequence < end() ? &out[static_cast<uint32_t>(sequence - first)]
                                                 : nullptr;
  }
  // Whether a client that comes back finds it (3.1.2.11.2).
  bool outlives_connection() const { return expiry_s > 0; }
};

}  // namespace culvert::mqtt
