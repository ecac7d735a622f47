// A STUN server's decisions: a datagram in, at most one answer out. RFC 8489 binding, RFC 5780
// behaviour discovery on two addresses times two ports, RFC 3489 for old clients. Sans I/O: whoever
// owns the four sockets (stun-server, the mediation server) hands datagrams in and sends the
// answer. Stands on model/stun/message.h.
// Amplification: to a request of a mere header, 48 bytes on IPv4's wire, 96 at most go back, and 84
// to a classic one's 56; a request of 96 bytes of STUN or more gets no more bytes than it has.
// A response's PADDING fills up to the request's size and no further, where RFC 5780 section 6.1
// would send a whole MTU.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "model/net/address.h"
#include "model/net/bytes.h"
#include "model/net/time.h"
#include "model/stun/message.h"
#include "model/stun/source_limit.h"

namespace culvert::stun {

// Which of the server's sockets: address A1 or A2, port P1 or P2.
struct SocketIndex {
  uint8_t value = 0;  // 0 = A1:P1, 1 = A1:P2, 2 = A2:P1, 3 = A2:P2
  SocketIndex other(bool ip, bool port) const {
    return {static_cast<uint8_t>(value ^ (ip ? 2 : 0) ^ (port ? 1 : 0))};
  }
};

struct ServerOptions {
  // In the order of SocketIndex, as clients see them. With one address only, 2 and 3 are none; with
  // one port, 1 and 3 are none: then no OTHER-ADDRESS is told and CHANGE-REQUEST is refused (420).
  std::array<net::Endpoint, 4> endpoints;
  std::string software = "culvert";
  SourceLimitOptions limit;
};

enum class Refusal : uint8_t {
  none,
  not_stun,           // not for us: the caller may offer it to others
  malformed,          // dropped without an answer
  not_request,        // a response or an indication: dropped
  rate,               // this source asked too often: dropped
  unknown_attribute,  // answered 420
  bad_request,        // answered 400
};
std::string_view to_string(Refusal refusal);

struct Answer {
  Refusal refusal = Refusal::none;
  bool send = false;  // whether there is something to send
  SocketIndex from;   // the socket to send it from
  net::Endpoint to;   // where to
  net::Buffer data;
  bool changed = false;  // CHANGE-REQUEST or RESPONSE-PORT was obeyed
};

class Server {
 public:
  // `seed` keeps outsiders from aiming at others' buckets of the limit: Host::secure_random.
  explicit Server(const ServerOptions& options, uint64_t seed = 0);
  // `arrived_on`: the socket; `from`: the source address.
  Answer handle(net::Time now, SocketIndex arrived_on, const net::Endpoint& from,
                net::Bytes datagram);
  const ServerOptions& options() const { return options_; }

 private:
  Answer answer_request(const Message& request, SocketIndex arrived_on, const net::Endpoint& from);
  Answer refuse(const Message& request, Refusal refusal, uint16_t code, std::string_view reason,
                SocketIndex arrived_on, const net::Endpoint& from) const;
  bool has(SocketIndex socket) const { return !options_.endpoints[socket.value].is_none(); }

  ServerOptions options_;
  SourceLimit limit_;
};

}  // namespace culvert::stun
