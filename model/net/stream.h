// TCP: streams, listeners and dial, which takes whichever of connect and accept wins.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "model/net/address.h"
#include "model/net/bytes.h"
#include "model/net/datagram.h"
#include "model/net/error.h"
#include "model/net/time.h"

namespace culvert::net {

// Path statistics of a stream, where the stack has them.
struct PathStats {
  std::optional<Duration> rtt;            // smoothed (RFC 6298)
  std::optional<uint64_t> retransmitted;  // segments
  std::optional<uint64_t> cwnd;           // bytes
  std::optional<uint32_t> mss;            // bytes
};

class Stream {
 public:
  virtual ~Stream() = default;  // closes: FIN, or RST if unread data is left

  virtual Endpoint local() const = 0;
  virtual Endpoint remote() const = 0;
  // count > 0: that many bytes. count 0: would_block, closed (the peer's FIN, all data was read),
  // reset, timed_out or unreachable. An error is sticky.
  virtual IoResult read(MutableBytes buffer) = 0;
  // Takes a prefix; a short write is normal and ends with would_block. After shutdown_write: closed.
  virtual IoResult write(Bytes data) = 0;
  virtual void shutdown_write() = 0;  // half-close: FIN after what was written; reading goes on
  virtual void reset() = 0;           // RST now, data in flight is lost

  // Readable also means: end of stream, or an error that read() will return. As for datagrams, it
  // runs again only after a read() and while there is more; not reading pauses the peer.
  virtual void on_readable(std::function<void()> callback) = 0;
  virtual void on_writable(std::function<void()> callback) = 0;  // once, after a would_block

  virtual Status set_no_delay(bool on) = 0;  // Nagle off. It is off (true) from the start.
  virtual PathStats stats() const = 0;
};

struct ListenOptions {
  Endpoint local;
  bool share_port = false;  // with dials from the same endpoint
  size_t backlog = 128;     // connections waiting for accept
};

class Listener {
 public:
  virtual ~Listener() = default;
  virtual Endpoint local() const = 0;
  virtual std::unique_ptr<Stream> accept() = 0;  // nothing there: null
  virtual void on_readable(std::function<void()> callback) = 0;
};

struct DialOptions {
  Endpoint local;  // none: the Host chooses
  Endpoint remote;
  bool share_port = false;      // with a listener and with other dials from the same endpoint
  std::optional<uint8_t> ttl;   // of the SYN; the default is restored once connected or by set_ttl
  Duration timeout = 30s;
};

// A connection being made. It keeps trying until it has a stream, a hard error or no time left:
//   a RST is hard (refused); ICMP errors are soft and go to on_soft_error, as RFC 1122 section
//   4.2.3.9 wants; a SYN from the peer completes it too, be it by simultaneous open (RFC 9293
//   section 3.5) or because a listener on the same endpoint accepted it.
class Dial {
 public:
  virtual ~Dial() = default;  // gives up
  virtual Endpoint local() const = 0;
  virtual Status set_ttl(uint8_t ttl) = 0;  // for the SYNs still to come
  virtual void on_soft_error(std::function<void(const IcmpEvent&)> callback) = 0;
};

using DialDone = std::function<void(Result<std::unique_ptr<Stream>>)>;

}  // namespace culvert::net
