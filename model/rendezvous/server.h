// The mediation server on a Host: the rendezvous on its first socket, STUN (RFC 8489, RFC 5780) on
// the same and on three more, so that a device's tests run where it registers.
// Stands on rendezvous/mediator.h, stun/server.h, model/net.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "model/net/datagram_mux.h"
#include "model/net/host.h"
#include "model/rendezvous/mediator.h"
#include "model/stun/server.h"

namespace culvert::rendezvous {

struct ServerOptions {
  net::Endpoint bind;        // A1:P1
  net::Endpoint alternate;   // A2:P2; none: one address, no RFC 5780 tests
  MediatorOptions mediator;  // its endpoints are filled in by the server
};

class RendezvousServer {
 public:
  RendezvousServer(net::Host& host, ServerOptions options);
  // Opens the sockets. An error leaves nothing open.
  net::Status start();
  const Mediator& mediator() const { return *mediator_; }

 private:
  struct Socket {
    std::unique_ptr<net::DatagramMux> mux;
    std::unique_ptr<net::DatagramMux::User> stun, frames;
  };
  void send(const std::vector<Outgoing>& out);
  void on_stun(uint8_t index, const net::DatagramIn& in, net::Bytes data);
  void arm();

  net::Host& host_;
  ServerOptions options_;
  std::array<Socket, 4> sockets_;
  std::unique_ptr<Mediator> mediator_;
  std::unique_ptr<stun::Server> stun_;
  net::Timer timer_;
};

}  // namespace culvert::rendezvous
