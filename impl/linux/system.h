// What every file of this room needs of Linux: descriptors, addresses as the kernel writes them,
// errno and ICMP as net::Error (one table each), and calls made inside a network namespace.
#pragma once

// clang-format off
#include <time.h>  // linux/errqueue.h forgets it
#include <linux/errqueue.h>
// clang-format on
#include <netinet/in.h>
#include <sys/socket.h>

#include <functional>
#include <string>

#include "model/net/address.h"
#include "model/net/datagram.h"
#include "model/net/error.h"

namespace culvert::linux_host {

// A file descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset();

 private:
  int fd_ = -1;
};

// errno as a class; what it leaves open is `failed`.
net::Error error_of(int errno_value);
// "bind 10.0.0.1:80: Address already in use", with its class.
net::Status status_of(int errno_value, const std::string& what);

// A socket address with its length.
struct SockAddr {
  sockaddr_in6 storage{};  // large enough for IPv4, too
  socklen_t size = sizeof(sockaddr_in6);
  SockAddr() = default;
  explicit SockAddr(const net::Endpoint& endpoint);
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  net::Endpoint endpoint() const;  // none if it is neither IPv4 nor IPv6
};
net::Endpoint local_of(int fd);
net::Endpoint peer_of(int fd);

inline bool set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// One entry of a socket's error queue (IP_RECVERR). False: the queue is empty. `event.error` stays
// none for entries that are not ICMP errors, such as EMSGSIZE of this host's own.
bool next_queued_error(int fd, net::IcmpEvent* event);

// The class of an ICMP error by family, type and code (RFC 792, RFC 4443); none for all others.
net::Error error_of_icmp(net::IpAddress::Family family, uint8_t type, uint8_t code);

// Runs `call` with this thread inside the namespace `netns` (a descriptor of .../ns/net), so that
// sockets and devices opened there belong to it; -1 runs it where the thread is. Needs
// CAP_SYS_ADMIN over that namespace. The errno of `call` survives the return.
net::Status in_namespace(int netns, const std::function<void()>& call);
// What this machine's routes say of packets to `to`: the address they leave from, and the path MTU
// as far as it is known, the interface's at first. `from` none or any: the route decides.
struct PathTo {
  net::IpAddress source;
  uint32_t mtu = 0;  // bytes of IP packet
};
net::Result<PathTo> path_to(int netns, const net::Endpoint& to, const net::IpAddress& from = {});
// socket(2) inside `netns`, always with SOCK_CLOEXEC and SOCK_NONBLOCK.
net::Result<Fd> open_socket(int netns, int family, int type, int protocol);

}  // namespace culvert::linux_host
