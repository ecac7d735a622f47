// One network connection of a client: bytes to packets and packets to bytes over a stream. What the
// packets mean is Core's business. Stands on codec.h and stream.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/mqtt/broker/access.h"
#include "model/mqtt/broker/wheel.h"
#include "model/mqtt/codec.h"
#include "model/net/stream.h"

namespace culvert::mqtt {

class Core;
struct Session;

// What a packet needs besides its bytes when it is handled a second time, because a hook answered
// later: the answers in the order of the questions.
struct Answers {
  std::vector<std::optional<Reason>> may;
  std::unique_ptr<LoginAnswer> login;
};

// An AUTH exchange (4.12) under way.
struct Exchange {
  net::Buffer connect;  // the CONNECT that began it; empty: re-authentication
  uint64_t number = 0;
  uint32_t step = 0;
};

// Topic aliases (3.3.2.3.4). Few connections have any.
struct Aliases {
  std::vector<std::string> from_client;  // [alias - 1]; empty: not set
  std::vector<std::string> to_client;    // in the order of their aliases
};

class Connection : public Wheel::Place {
 public:
  enum class State : uint8_t {
    waiting,         // for CONNECT
    authenticating,  // CONNECT has come, an AUTH exchange is under way
    up,              // CONNACK is out
    doomed,          // to be closed on the next turn: nothing is read or written any more
    closing,         // its session has left; the rest is written, then read to the end
  };

  Connection(Core& core, std::unique_ptr<net::Stream> stream, Peer peer, uint32_t slot,
             uint32_t serial);
  ~Connection();

  // Output. Appends to what goes out with one write at the end of this turn of the loop.
  net::Buffer& out();
  void written();         // after appending: counts, and writes early if much has gathered
  bool writable() const;  // whether there is room for more
  size_t unwritten() const { return out_.size() - out_begin_; }
  // Bytes that wait for the rest of a CONNECT or AUTH, or for leave to log in.
  size_t greeting() const {
    return state == State::waiting || state == State::authenticating ? partial_.size() : 0;
  }
  void flush();
  void ack(Type type, uint16_t id);  // a successful PUBACK to PUBCOMP
  // A packet other than PUBLISH. Beyond the client's maximum packet size its texts are left out;
  // if it is still too large, it is not sent (3.1.2-24).
  void send(Packet packet);

  void read_again();  // after a pause: handles what was read already, then reads
  void finish();      // shutdown_write when all is written, then waits for the peer

  Core& core;
  std::unique_ptr<net::Stream> stream;
  Peer peer;
  const uint32_t slot;    // in Core's table
  const uint32_t serial;  // never reused

  State state = State::waiting;
  Version version = Version::v5;
  bool blocked = false;                  // a hook was asked and has not answered
  bool parked = false;                   // not read: the store is behind
  bool unrestricted = false;             // Access need not be asked for each message
  bool problem_info = true;              // 3.1.2.11.7
  bool told_refusal = false;             // a refused PUBLISH was logged
  bool dirty = false;                    // on Core's list of what is to flush
  bool version_known = false;            // CONNECT said it
  Reason turned_away = Reason::success;  // there are too many connections: why its CONNECT fails
  bool clean_end = false;                // DISCONNECT has come: no will
  Reason end = Reason::success;          // why it is doomed
  bool tell_end = false;                 // by DISCONNECT, or CONNACK if it never was up
  bool was_up = false;                   // when it was doomed
  uint16_t keep_alive_s = 0;
  uint16_t receive_maximum = 65535;  // the client's
  uint16_t alias_maximum = 0;        // towards the client
  uint32_t maximum_packet = 0xFFFFFFFF;
  uint32_t unacknowledged = 0;    // QoS 1 and 2 from the client, against our receive maximum
  uint32_t ticket = 0;            // of the question that is out
  uint32_t greeting_counted = 0;  // of greeting(), in Core's sum
  net::Time last_in{0};
  Session* session = nullptr;
  uint32_t asked_expiry_s = 0;  // by CONNECT
  std::string end_detail;
  std::unique_ptr<Answers> answers;
  std::unique_ptr<Exchange> exchange;
  std::unique_ptr<Aliases> aliases;
  std::string method;  // of authentication; empty: none

 private:
  void readable();
  void read_on();
  void resume();  // handles what is in partial_
  // Handles the packets in `input`; how many bytes were used up.
  size_t consume(net::Bytes input);
  void on_stream_end(net::Error error);
  void drain();

  net::Buffer partial_;  // bytes of packets that are not complete or have to wait
  net::Buffer out_;
  size_t out_begin_ = 0;
  size_t drained_ = 0;
  bool blocked_writing_ = false, half_closed_ = false, broken_ = false;
};

}  // namespace culvert::mqtt
