// What a client has published until it is acknowledged: one queue in order, its packet identifiers,
// the broker's receive maximum, and what becomes of it when a session goes on or has ended. Pure:
// no I/O, no clock. MQTT 5.0 sections 4.3, 4.4, 4.6, 4.9.
#pragma once

#include <optional>
#include <vector>

#include "model/mqtt/client/client.h"
#include "model/mqtt/client/fifo.h"

namespace culvert::mqtt {

class Outbox {
 public:
  // gone: acknowledged, waits for older ones to go. released: PUBREC has come.
  enum class State : uint8_t { gone, queued, published, released };

  struct Entry {
    net::Buffer packet;                    // encoded: whole topic, DUP 0; empty once released
    PublishDone done;                      // null: nobody asked
    net::Time expires = net::Time::max();  // while it was never sent
    uint64_t barrier = 0;                  // the commit that must be durable before it is sent
    uint32_t received = 0;                 // PUBRECs in their order (4.6.0-4)
    State state = State::queued;
    uint8_t qos = 0;
    bool attempted = false;  // the broker may have it
    bool on_wire = false;    // was sent on this connection
    bool restored = false;   // came from the store: an earlier life of this client published it
  };
  // How one ended, for whoever published it.
  struct Ended {
    uint64_t sequence = 0;
    Entry entry;  // what it was
    PublishOutcome outcome;
  };
  // What an acknowledgement was.
  enum class Verdict : uint8_t { ended, release, repeated, unknown, wrong };

  // Identifiers follow the sequence, so that one is found by the other without a search: a message
  // keeps its identifier for life, 65,535 of them span the window.
  static uint16_t id_of(uint64_t sequence) { return static_cast<uint16_t>(sequence % 65535 + 1); }
  uint64_t next_sequence() const { return tail_; }
  // The first sequence number; only while empty.
  void begin_at(uint64_t sequence) { head_ = tail_ = cursor_ = sequence; }

  uint64_t push(Entry entry);
  // From the store, in ascending order.
  void restore(uint64_t sequence, Entry entry);
  void skip_to(uint64_t sequence);  // the next message has this number, or a higher one

  size_t messages() const { return live_; }
  size_t bytes() const { return bytes_; }
  bool nothing_unsent() const { return cursor_ == tail_; }
  bool nothing_attempted() const { return attempted_ == 0; }

  // A connection begins: nothing is on its wire, `quota` QoS 1 and 2 messages may be until the
  // broker has said how many it takes.
  void connection_began(uint16_t quota);
  // CONNACK, `present`: what was on the wire is sent again, with DUP. Else: QoS 1 is sent as new,
  // QoS 2 of which no PUBREC came is in doubt, QoS 2 with a PUBREC is done; `ended` gets them.
  void session(bool present, uint16_t receive_maximum, std::vector<Ended>& ended);
  // CONNACK refused: what was sent behind CONNECT was not looked at (3.1.4-6).
  void refused();

  // The next message to send, if there is one that the window lets through; its sequence number.
  // `taken`: an identifier that must not be used now.
  template <class Taken>
  std::optional<uint64_t> next(Taken taken) {
    for (; cursor_ != tail_; ++cursor_) {
      Entry& e = at(cursor_);
      if (e.state != State::queued && (e.state != State::published || e.on_wire)) continue;
      if (e.qos == 0) return cursor_;
      if (quota_ == 0 || cursor_ - head_ >= 65535 || taken(id_of(cursor_))) return {};
      return cursor_;
    }
    return {};
  }
  uint16_t quota() const { return quota_; }
  // next()'s message was sent. At QoS 0 it has ended.
  void sent(uint64_t sequence);
  // The next PUBREL to send whose barrier has been passed.
  std::optional<uint64_t> next_release(uint64_t durable);
  bool releases_wait() const { return !releases_.empty(); }

  Verdict puback(uint16_t id, Reason reason, std::optional<Ended>& ended);
  Verdict pubrec(uint16_t id, Reason reason, std::optional<Ended>& ended);  // sets no barrier
  Verdict pubcomp(uint16_t id, Reason reason, std::optional<Ended>& ended);
  Entry* find(uint16_t id);  // on the wire with this identifier; else null
  uint64_t sequence_of(uint16_t id) const;
  bool uses(uint16_t id) const;

  Entry& at(uint64_t sequence) { return ring_[sequence & (ring_.size() - 1)]; }
  // Takes one out, whatever its state.
  Ended end(uint64_t sequence, PublishOutcome outcome);
  // Every QoS 0 message that waits (the connection went, and they are not kept).
  void drop_qos0(std::vector<Ended>& ended, const PublishOutcome& outcome);
  // Everything: the client stops.
  void drop_all(std::vector<Ended>& ended, const PublishOutcome& outcome);
  void trim();  // gives the memory of a burst back

 private:
  void forget_front();
  void give_quota();

  std::vector<Entry> ring_;  // a power of two; sequence & (size - 1)
  uint64_t head_ = 0, tail_ = 0, cursor_ = 0;
  Fifo<uint64_t> releases_;
  size_t live_ = 0, bytes_ = 0, attempted_ = 0;
  uint32_t received_ = 0;
  uint16_t quota_ = 0, quota_most_ = 0;
};

}  // namespace culvert::mqtt
