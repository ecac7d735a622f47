// The control messages of one datagram, out and in.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include "impl/linux/system.h"
#include "model/net/datagram.h"

namespace culvert::linux_host {

// A msghdr and what it points to; must stay where it is until the call returns.
class OutgoingMessage {
 public:
  // `segment_size` > 0 has the kernel cut the data up (UDP_SEGMENT).
  void fill(msghdr* message, const net::DatagramOut& out, uint16_t segment_size);

 private:
  SockAddr to_;
  iovec vector_;
  alignas(cmsghdr) char control_[160];
};

class IncomingMessage {
 public:
  void prepare(msghdr* message, net::MutableBytes buffer);
  // `local` is where the socket is bound: the address comes from the packet, the port from there.
  void read(const msghdr& message, size_t size, const net::Endpoint& local, net::DatagramIn* in);

 private:
  sockaddr_in6 from_;
  iovec vector_;
  alignas(cmsghdr) char control_[160];
};

}  // namespace culvert::linux_host
