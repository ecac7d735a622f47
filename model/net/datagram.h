// UDP sockets: batches in both directions, per-packet TTL and source, and ICMP errors as events.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "model/net/address.h"
#include "model/net/bytes.h"
#include "model/net/error.h"

namespace culvert::net {

// What one outgoing datagram may say beyond its bytes.
struct DatagramOut {
  Bytes data;
  Endpoint to;
  IpAddress from;              // source address on a socket bound to any; none = the route decides
  std::optional<uint8_t> ttl;  // this packet only; 1..255
  uint8_t traffic_class = 0;   // DSCP << 2 | ECN (RFC 2474, RFC 3168)
  uint16_t segment_size = 0;   // > 0: data is a train of datagrams of this size (UDP GSO); the last
                               // may be shorter. A Host without GSO cuts it up itself.
};

// Whether a socket of this family can send `out`: else invalid (another family, no port, no one
// address to go to, or a TTL of 0). Every Host asks it first.
Error check(const DatagramOut& out, IpAddress::Family family);

// One incoming datagram. `buffer` is the caller's; the rest is filled in.
struct DatagramIn {
  MutableBytes buffer;
  size_t size = 0;         // bytes written to buffer
  bool truncated = false;  // the datagram (or the train) was longer than the buffer
  Endpoint from;
  Endpoint to;      // the address it was sent to, also on a socket bound to any
  uint8_t ttl = 0;  // as it arrived; 0 if the Host cannot tell
  uint8_t traffic_class = 0;
  uint16_t segment_size = 0;  // > 0: a train of datagrams of this size, the last may be shorter
                              // (UDP GRO); only with DatagramOptions::receive_trains
};

// An ICMP error about a datagram that this socket sent (RFC 792, RFC 4443). Soft: the socket lives.
struct IcmpEvent {
  Error error = Error::none;   // refused, unreachable, ttl_exceeded, too_big
  Endpoint to;                 // where the datagram had been going
  IpAddress reporter;          // who sent the error; none if the Host cannot tell
  uint8_t type = 0, code = 0;  // as on the wire
  uint32_t mtu = 0;            // with too_big: next-hop MTU in bytes, 0 if not told (RFC 1191)
};

struct DatagramOptions {
  Endpoint local;           // port 0: the Host chooses; address any: all of the host's
  bool share_port = false;  // several sockets on one endpoint, all of them asking to (SO_REUSEPORT)
  bool dont_fragment = false;  // DF set, too large fails with too_big; else the stack fragments
  size_t receive_buffer = 256 * 1024;  // bytes queued before the newest is dropped
  // Several datagrams of one flow may come as one DatagramIn with its segment_size set; give
  // buffers of 64 KB, what does not fit is lost. A Host may ignore it, as ns-3's does: all come
  // singly then.
  bool receive_trains = false;
};

class DatagramSocket {
 public:
  virtual ~DatagramSocket() = default;  // closes it and cancels every callback

  virtual Endpoint local() const = 0;
  // Sends a prefix of `batch`; count says how many items went. would_block: try again when
  // on_writable runs. too_big, unreachable, not_permitted, invalid and not_available (`from` is not
  // this host's) concern the item at index count, which may be skipped. An ICMP error that is
  // pending never makes a send fail.
  virtual IoResult send(boost::span<const DatagramOut> batch) = 0;
  // Fills a prefix of `batch`. would_block: nothing more was there, also after some were (count >
  // 0).
  virtual IoResult receive(boost::span<DatagramIn> batch) = 0;

  // on_readable runs after data came and again, after every receive() that was made, only while
  // data is left: level-triggered once per loop turn, so a callback that reads one batch at a time
  // loses nothing. Pass {} to pause.
  virtual void on_readable(std::function<void()> callback) = 0;
  // Runs once when sending is possible again after would_block.
  virtual void on_writable(std::function<void()> callback) = 0;
  // Errors that come while no callback is set are lost.
  virtual void on_icmp(std::function<void(const IcmpEvent&)> callback) = 0;

  virtual Status set_dont_fragment(bool on) = 0;
  // The path MTU to `to` in bytes of IP packet, as far as known; the interface's MTU at first.
  virtual Result<uint32_t> path_mtu(const Endpoint& to) const = 0;
  // `interface` is one of the host's own addresses; none lets the route decide.
  virtual Status join(const IpAddress& group, const IpAddress& interface) = 0;
  virtual Status leave(const IpAddress& group, const IpAddress& interface) = 0;
  virtual Status set_multicast(const IpAddress& interface, uint8_t ttl, bool loopback) = 0;

  // One datagram, for those who have no batch.
  Status send_to(const Endpoint& to, Bytes data, std::optional<uint8_t> ttl = {});
};

}  // namespace culvert::net
