#include "impl/linux/system.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace culvert::linux_host {

using net::Error;
using net::IpAddress;

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

net::Error error_of(int value) {
  static constexpr struct {
    int value;
    Error error;
  } kTable[] = {
      {0, Error::none},
      {EAGAIN, Error::would_block},
      {EINPROGRESS, Error::would_block},
      {EPIPE, Error::closed},
      {ECONNREFUSED, Error::refused},
      {ECONNRESET, Error::reset},
      {ECONNABORTED, Error::reset},
      {ETIMEDOUT, Error::timed_out},
      {ENETUNREACH, Error::unreachable},
      {EHOSTUNREACH, Error::unreachable},
      {EHOSTDOWN, Error::unreachable},
      {ENETDOWN, Error::unreachable},
      {ENONET, Error::unreachable},
      {EMSGSIZE, Error::too_big},
      {EADDRINUSE, Error::in_use},
      {EEXIST, Error::in_use},
      {EBUSY, Error::in_use},
      {EADDRNOTAVAIL, Error::not_available},
      {EACCES, Error::not_permitted},
      {EPERM, Error::not_permitted},
      {EINVAL, Error::invalid},
      {EDESTADDRREQ, Error::invalid},
      {ENAMETOOLONG, Error::invalid},
      {EMFILE, Error::exhausted},
      {ENFILE, Error::exhausted},
      {ENOBUFS, Error::exhausted},
      {ENOMEM, Error::exhausted},
      {ENOSPC, Error::exhausted},
      {ENOENT, Error::not_found},
      {ESRCH, Error::not_found},
      {ENXIO, Error::not_found},
      {ENODEV, Error::not_found},
      {EOPNOTSUPP, Error::unsupported},
      {EAFNOSUPPORT, Error::unsupported},
      {EPROTONOSUPPORT, Error::unsupported},
      {ENOPROTOOPT, Error::unsupported},
      {ENOSYS, Error::unsupported},
  };
  for (const auto& row : kTable)
    if (row.value == value) return row.error;
  return Error::failed;
}

net::Status status_of(int value, const std::string& what) {
  char text[128];
  return {error_of(value), what + ": " + strerror_r(value, text, sizeof text)};
}

SockAddr::SockAddr(const net::Endpoint& endpoint) {
  if (endpoint.ip.is_v6()) {
    auto* v6 = &storage;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(endpoint.port);
    std::memcpy(&v6->sin6_addr, endpoint.ip.bytes().data(), 16);
    size = sizeof *v6;
  } else {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(endpoint.port);
    std::memcpy(&v4->sin_addr, endpoint.ip.bytes().data(), 4);
    size = sizeof *v4;
  }
}

net::Endpoint SockAddr::endpoint() const {
  if (storage.sin6_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
    return {IpAddress::v4(ntohl(v4->sin_addr.s_addr)), ntohs(v4->sin_port)};
  }
  if (storage.sin6_family == AF_INET6) {
    const auto* v6 = &storage;
    std::array<uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &v6->sin6_addr, 16);
    return {IpAddress::v6(bytes), ntohs(v6->sin6_port)};
  }
  return {};
}

net::Endpoint local_of(int fd) {
  SockAddr address;
  return getsockname(fd, address.get(), &address.size) == 0 ? address.endpoint() : net::Endpoint{};
}

net::Endpoint peer_of(int fd) {
  SockAddr address;
  return getpeername(fd, address.get(), &address.size) == 0 ? address.endpoint() : net::Endpoint{};
}

net::Error error_of_icmp(IpAddress::Family family, uint8_t type, uint8_t code) {
  if (family == IpAddress::Family::v4) {
    if (type == 11) return Error::ttl_exceeded;
    if (type != 3) return Error::none;
    return code == 2 || code == 3 ? Error::refused
           : code == 4            ? Error::too_big
                                  : Error::unreachable;
  }
  switch (type) {
    case 1:
      return code == 4 ? Error::refused : Error::unreachable;
    case 2:
      return Error::too_big;
    case 3:
      return Error::ttl_exceeded;
    case 4:
      return code == 1 ? Error::refused : Error::none;  // no such next header
    default:
      return Error::none;
  }
}

bool next_queued_error(int fd, net::IcmpEvent* event) {
  *event = {};
  SockAddr to;
  char control[512], data[1];
  iovec vector{data, sizeof data};
  msghdr message{};
  message.msg_name = to.get();
  message.msg_namelen = to.size;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return false;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
    const bool v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
    const bool v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR;
    if (!v4 && !v6) continue;
    sock_extended_err error;
    std::memcpy(&error, CMSG_DATA(c), sizeof error);
    if (error.ee_origin != (v4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6)) continue;
    event->error = error_of_icmp(v4 ? IpAddress::Family::v4 : IpAddress::Family::v6, error.ee_type,
                                 error.ee_code);
    event->type = error.ee_type;
    event->code = error.ee_code;
    if (event->error == Error::too_big) event->mtu = error.ee_info;
    event->to = to.endpoint();
    SockAddr reporter;
    std::memcpy(&reporter.storage, CMSG_DATA(c) + sizeof error,
                v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    event->reporter = reporter.endpoint().ip;
  }
  return true;
}

net::Status in_namespace(int netns, const std::function<void()>& call) {
  if (netns < 0) {
    call();
    return {};
  }
  const Fd own(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!own) return status_of(errno, "opening the own network namespace");
  if (setns(netns, CLONE_NEWNET) != 0) return status_of(errno, "entering a network namespace");
  call();
  const int saved = errno;
  if (setns(own.get(), CLONE_NEWNET) != 0) std::abort();  // going on would be on the wrong machine
  errno = saved;
  return {};
}

net::Result<PathTo> path_to(int netns, const net::Endpoint& to, const IpAddress& from) {
  // The kernel tells it of connected sockets only.
  const bool v4 = to.ip.is_v4();
  auto probe = open_socket(netns, v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  if (!probe) return probe.status();
  if (!from.is_none() && !from.is_any()) {
    const SockAddr local(net::Endpoint{from, 0});
    bind(probe->get(), local.get(), local.size);
  }
  const SockAddr address(to);
  if (connect(probe->get(), address.get(), address.size) != 0)
    return status_of(errno, "finding the route to " + to.to_string());
  int mtu = 0;
  socklen_t size = sizeof mtu;
  if (getsockopt(probe->get(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &mtu,
                 &size) != 0)
    return status_of(errno, "reading the path MTU to " + to.to_string());
  return PathTo{local_of(probe->get()).ip, static_cast<uint32_t>(mtu)};
}

net::Result<Fd> open_socket(int netns, int family, int type, int protocol) {
  Fd fd;
  const net::Status entered = in_namespace(
      netns, [&] { fd = Fd(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol)); });
  if (!entered.ok()) return entered;
  if (!fd) return status_of(errno, "opening a socket");
  return fd;
}

}  // namespace culvert::linux_host
