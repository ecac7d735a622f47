#include "impl/linux/datagram.h"

#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "impl/linux/control.h"

namespace culvert::linux_host {

using net::DatagramIn;
using net::DatagramOut;
using net::Error;
using net::IpAddress;
using net::Result;
using net::Status;

namespace {

constexpr size_t kBatch = 64;            // ours: messages a system call; 64 is past the knee
constexpr size_t kMostSegments = 64;     // UDP_MAX_SEGMENTS of kernels before 6.9
constexpr size_t kLargestTrain = 65000;  // below the 65,507 bytes that one UDP message can hold
constexpr int kIcmpPerTurn = 64;         // ours: a flood of errors must not hold the loop

// A send may fail with the class of an ICMP error about an earlier one: it only takes the error off
// the socket, and the second try says what holds for this one.
bool may_be_about_another(int error) {
  switch (error) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case ENONET:
    case EOPNOTSUPP:
    case ENOPROTOOPT:
    case EMSGSIZE:
    case EACCES:
    case EPROTO:
    case ECONNRESET:
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<std::unique_ptr<net::DatagramSocket>> DatagramImpl::open(
    LinuxHost& host, const net::DatagramOptions& options) {
  const IpAddress& ip = options.local.ip;
  if (ip.is_none()) return {Error::invalid, "a datagram socket needs a local address, or any"};
  auto socket = open_socket(host.netns(), ip.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  if (!socket) return socket.status();
  const int fd = socket->get();
  if (options.share_port) set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  const int buffer = static_cast<int>(std::min<size_t>(options.receive_buffer, 1 << 30));
  if (!set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, buffer))
    set_option(fd, SOL_SOCKET, SO_RCVBUF, buffer);
  if (ip.is_v4()) {
    for (const int option : {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVERR})
      set_option(fd, IPPROTO_IP, option, 1);
    set_option(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);  // only groups that this socket joined
  } else {
    for (const int option :
         {IPV6_V6ONLY, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_RECVERR})
      set_option(fd, IPPROTO_IPV6, option, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
  }
  set_option(fd, SOL_SOCKET, SO_BROADCAST, 1);  // as IPv4 hosts may (RFC 1122 section 3.3.6)
  if (options.receive_trains) set_option(fd, IPPROTO_UDP, UDP_GRO, 1);  // else all come singly
  const SockAddr local(options.local);
  if (bind(fd, local.get(), local.size) != 0)
    return status_of(errno, "binding " + options.local.to_string());
  auto out = std::make_unique<DatagramImpl>(host, std::move(*socket), ip.family());
  const Status fragment = out->set_dont_fragment(options.dont_fragment);
  if (!fragment.ok()) return fragment;
  return std::unique_ptr<net::DatagramSocket>(std::move(out));
}

DatagramImpl::DatagramImpl(LinuxHost& host, Fd fd, IpAddress::Family family)
    : host_(host), family_(family), local_(local_of(fd.get())) {
  watch(&host.loop(), std::move(fd));
}

net::IoResult DatagramImpl::send(boost::span<const DatagramOut> batch) {
  net::IoResult result;
  while (result.count < batch.size()) {
    // As many plain datagrams as there are in a row, in one call; then a train by itself.
    size_t run = 0;
    while (run < kBatch && result.count + run < batch.size() &&
           batch[result.count + run].segment_size == 0)
      ++run;
    if (run == 0) {
      result.error = send_train(batch[result.count]);
      if (result.error != Error::none) return result;
      ++result.count;
      continue;
    }
    mmsghdr messages[kBatch];
    OutgoingMessage parts[kBatch];
    size_t ready = 0;
    for (; ready < run; ++ready) {
      const DatagramOut& out = batch[result.count + ready];
      if (check(out, family_) != Error::none) break;
      parts[ready].fill(&messages[ready].msg_hdr, out, 0);
    }
    int sent = 0;
    for (int attempt = 0; ready > 0; ++attempt) {
      sent = sendmmsg(fd(), messages, static_cast<unsigned>(ready), MSG_NOSIGNAL);
      if (sent >= 0 || attempt >= 4 || !(may_be_about_another(errno) || errno == EINTR)) break;
    }
    if (sent > 0) result.count += static_cast<size_t>(sent);
    if (ready == 0) {
      result.error = Error::invalid;
      return result;
    }
    if (sent < 0) {
      result.error = error_of_send(errno, batch[result.count]);
      if (result.error == Error::would_block) maybe_writable_ = false;
      return result;
    }
    // Fewer than asked: the next round meets the reason at the front.
  }
  return result;
}

Error DatagramImpl::send_one(const DatagramOut& out, uint16_t segment_size) {
  if (const Error sense = check(out, family_); sense != Error::none) return sense;
  msghdr message;
  OutgoingMessage parts;
  parts.fill(&message, out, segment_size);
  for (int attempt = 0;; ++attempt) {
    if (sendmsg(fd(), &message, MSG_NOSIGNAL) >= 0) return Error::none;
    if (attempt >= 4 || !(may_be_about_another(errno) || errno == EINTR)) break;
  }
  return error_of_send(errno, out);
}

// The kernel says of a source that is not ours that there is no route from it, or EINVAL.
Error DatagramImpl::error_of_send(int error, const DatagramOut& out) const {
  const bool perhaps = error == EINVAL || error == ENETUNREACH || error == EADDRNOTAVAIL;
  if (!perhaps || out.from.is_none() || out.from.is_any()) return error_of(error);
  return host_.interface_of(out.from) == 0 ? Error::not_available : error_of(error);
}

// Whatever was sent of a train before an error stays sent: datagrams may be lost at any time, and
// sending a part of them twice would be worse.
Error DatagramImpl::send_train(const DatagramOut& train) {
  const size_t segment = train.segment_size;
  const size_t headers = v4() ? 28 : 48;
  if (segment > 65535 - headers) return Error::too_big;
  size_t group = segments_ ? std::min(kMostSegments, kLargestTrain / segment) : 1;
  if (group == 0) group = 1;
  bool any = false;
  for (size_t at = 0; at < train.data.size() || !any;) {
    const size_t size = std::min(train.data.size() - at, group * segment);
    DatagramOut part = train;
    part.data = train.data.subspan(at, size);
    const bool cut = size > segment;
    const Error error = send_one(part, cut ? static_cast<uint16_t>(segment) : 0);
    if (error != Error::none && cut) {
      // Segments beyond the link's MTU, no checksum offload, an old kernel: cut it up here.
      if (error == Error::unsupported || error == Error::failed) segments_ = false;
      if (error != Error::would_block) {
        group = 1;
        continue;
      }
    }
    if (error == Error::would_block) maybe_writable_ = false;
    if (error != Error::none) return any && error == Error::would_block ? Error::none : error;
    any = true;
    at += size;
  }
  return Error::none;
}

net::IoResult DatagramImpl::receive(boost::span<DatagramIn> batch) {
  net::IoResult result;
  armed_ = true;
  while (result.count < batch.size()) {
    mmsghdr messages[kBatch];
    IncomingMessage parts[kBatch];
    const size_t want = std::min(kBatch, batch.size() - result.count);
    for (size_t i = 0; i < want; ++i)
      parts[i].prepare(&messages[i].msg_hdr, batch[result.count + i].buffer);
    int got = -1;
    for (int attempt = 0; attempt < 16; ++attempt) {  // each ICMP error fails one call
      got = recvmmsg(fd(), messages, static_cast<unsigned>(want), MSG_DONTWAIT, nullptr);
      if (got >= 0 || errno == EAGAIN) break;
    }
    for (int i = 0; i < got; ++i)
      parts[i].read(messages[i].msg_hdr, messages[i].msg_len, local_, &batch[result.count + i]);
    if (got > 0) result.count += static_cast<size_t>(got);
    if (got < static_cast<int>(want)) {
      surely_readable_ = false;
      if (got < 0 && errno != EAGAIN)
        schedule();  // errors in the way all the time: there may be data behind them
      else
        maybe_readable_ = false;
      result.error = Error::would_block;
      return result;
    }
  }
  surely_readable_ = false;
  schedule();
  return result;
}

void DatagramImpl::on_readable(std::function<void()> callback) {
  set(readable_, std::move(callback));
  ask_again();
}

void DatagramImpl::on_writable(std::function<void()> callback) {
  set(writable_, std::move(callback));
  schedule();
}

void DatagramImpl::on_icmp(std::function<void(const net::IcmpEvent&)> callback) {
  icmp_ = std::move(callback);
}

bool DatagramImpl::tell_icmp() {
  net::IcmpEvent event;
  for (int i = 0; i < kIcmpPerTurn; ++i) {
    if (!next_queued_error(fd(), &event)) {
      has_error_ = false;
      return true;
    }
    if (event.error == Error::none || !icmp_) continue;
    const auto callback = icmp_;
    if (!survives([&] { callback(event); })) return false;
  }
  schedule();
  return true;
}

void DatagramImpl::turn() {
  if (has_error_ && !tell_icmp()) return;
  if (writable_ && is_writable() && !run(writable_, false)) return;
  if (!armed_ || !readable_ || !is_readable()) return;
  armed_ = false;
  run(readable_, true);
}

Status DatagramImpl::set_dont_fragment(bool on) {
  bool done;
  if (v4()) {
    // Not "want": that sets DF on what fits, and then a router may not fragment either.
    done = set_option(fd(), IPPROTO_IP, IP_MTU_DISCOVER, on ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT);
  } else {
    done = set_option(fd(), IPPROTO_IPV6, IPV6_MTU_DISCOVER,
                      on ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_WANT) &&
           set_option(fd(), IPPROTO_IPV6, IPV6_DONTFRAG, on);
  }
  return done ? Status{} : status_of(errno, "setting don't-fragment");
}

Result<uint32_t> DatagramImpl::path_mtu(const net::Endpoint& to) const {
  if (to.ip.family() != family_) return {Error::invalid, "not of this socket's family"};
  const auto path = path_to(host_.netns(), to, local_.ip);
  if (!path) return path.status();
  return path->mtu;
}

Status DatagramImpl::membership(int option, const IpAddress& group, const IpAddress& interface) {
  if (!group.is_multicast() || group.family() != family_)
    return {Error::invalid, group.to_string() + " is no multicast group of this socket's family"};
  group_req request{};
  if (!interface.is_none()) {
    request.gr_interface = host_.interface_of(interface);
    if (request.gr_interface == 0)
      return {Error::not_available, interface.to_string() + " is no address of this host"};
  }
  const SockAddr address(net::Endpoint{group, 0});
  std::memcpy(&request.gr_group, address.get(), address.size);
  const int level = v4() ? IPPROTO_IP : IPPROTO_IPV6;
  if (setsockopt(fd(), level, option, &request, sizeof request) == 0) return {};
  return status_of(errno,
                   (option == MCAST_JOIN_GROUP ? "joining " : "leaving ") + group.to_string());
}

Status DatagramImpl::join(const IpAddress& group, const IpAddress& interface) {
  return membership(MCAST_JOIN_GROUP, group, interface);
}

Status DatagramImpl::leave(const IpAddress& group, const IpAddress& interface) {
  return membership(MCAST_LEAVE_GROUP, group, interface);
}

Status DatagramImpl::set_multicast(const IpAddress& interface, uint8_t ttl, bool loopback) {
  unsigned index = 0;
  if (!interface.is_none()) {
    index = host_.interface_of(interface);
    if (index == 0)
      return {Error::not_available, interface.to_string() + " is no address of this host"};
  }
  const int fd = this->fd();
  bool done;
  if (v4()) {
    ip_mreqn request{};
    request.imr_ifindex = static_cast<int>(index);
    done = setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request) == 0 &&
           set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, ttl) &&
           set_option(fd, IPPROTO_IP, IP_MULTICAST_LOOP, loopback);
  } else {
    done = set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, static_cast<int>(index)) &&
           set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, ttl) &&
           set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, loopback);
  }
  return done ? Status{} : status_of(errno, "setting multicast options");
}

}  // namespace culvert::linux_host
