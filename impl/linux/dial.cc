#include "impl/linux/dial.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>

#include "impl/linux/icmp_listener.h"
#include "impl/linux/listener.h"
#include "impl/linux/stream.h"

namespace culvert::linux_host {

using net::Error;
using net::Result;
using net::Status;

namespace {

// Between sockets that ICMP errors closed. The first as the kernel's own first retransmission would
// be far too late for an error that comes back within a millisecond; the last as RFC 6298's first.
constexpr net::Duration kFirstPause = std::chrono::milliseconds(100);
constexpr net::Duration kLongestPause = std::chrono::seconds(1);

int state_of(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return TCP_CLOSE;
  return info.tcpi_state;
}

}  // namespace

Result<std::unique_ptr<net::Dial>> DialImpl::open(LinuxHost& host, const net::DialOptions& options,
                                                  net::DialDone done) {
  const net::Endpoint &local = options.local, &remote = options.remote;
  if (remote.ip.is_none() || remote.port == 0)
    return {Error::invalid, "a dial needs a remote address and port"};
  if (!local.is_none() && local.ip.family() != remote.ip.family())
    return {Error::invalid, "cannot dial " + remote.to_string() + " from " + local.to_string() +
                                ": different families"};
  if (options.timeout <= net::Duration(0))
    return {Error::invalid, "a dial needs a time limit above zero"};
  if (options.ttl && *options.ttl == 0) return {Error::invalid, "a TTL is at least 1"};
  auto out = std::make_unique<DialImpl>(host, options, std::move(done));
  const Status begun = out->begin();
  if (!begun.ok()) return begun;
  return std::unique_ptr<net::Dial>(std::move(out));
}

DialImpl::DialImpl(LinuxHost& host, const net::DialOptions& options, net::DialDone done)
    : host_(host),
      options_(options),
      done_(std::move(done)),
      local_(options.local),
      ttl_(options.ttl),
      pause_(kFirstPause),
      limit_(host.timers(),
             [this] {
               std::string detail = "no answer from " + options_.remote.to_string();
               if (last_soft_ != Error::none)
                 detail += "; the last ICMP error said " + std::string(net::to_string(last_soft_));
               finish({Error::timed_out, detail});
             }),
      retry_(host.timers(), [this] {
        if (won_ || !failed_.ok()) return finish(failed_);
        const Status status = begin();
        if (!status.ok()) finish(status);
      }) {
  limit_.arm_after(options_.timeout);
  if (options_.share_port && !local_.is_none()) {
    host_.shared_dials().push_back(this);
    registered_ = true;
  }
  if (IcmpListener* listener = icmp_listener()) listener->add(this);
}

DialImpl::~DialImpl() {
  auto& all = host_.shared_dials();
  if (registered_) all.erase(std::remove(all.begin(), all.end(), this), all.end());
  if (IcmpListener* listener = icmp_listener()) listener->remove(this);
}

IcmpListener* DialImpl::icmp_listener() {
  return options_.remote.ip.is_v4() ? host_.icmp_listener() : nullptr;
}

DialImpl* DialImpl::waiting(LinuxHost& host, const net::Endpoint& local,
                            const net::Endpoint& remote) {
  for (DialImpl* dial : host.shared_dials())
    if (dial->options_.remote == remote && dial->local_.port == local.port &&
        (dial->local_.ip == local.ip || dial->local_.ip.is_any()) && !dial->won_)
      return dial;
  return nullptr;
}

Status DialImpl::begin() {
  const bool v4 = options_.remote.ip.is_v4();
  auto socket = open_socket(host_.netns(), v4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
  if (!socket) return socket.status();
  const int fd = socket->get();
  if (options_.share_port) {
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  }
  if (!local_.is_none()) {
    const SockAddr local(local_);
    if (bind(fd, local.get(), local.size) != 0)
      return status_of(errno, "binding " + local_.to_string());
    local_ = local_of(fd);
  }
  if (registered_)
    for (ListenerImpl* listener : host_.shared_listeners()) {
      Fd ready = listener->take(local_, options_.remote);
      if (!ready) continue;
      accepted(std::move(ready));
      return {};
    }
  set_option(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, 1);
  if (v4) set_option(fd, IPPROTO_IP, IP_MINTTL, 2);
  has_error_ = hung_up_ = false;
  set_socket_ttl(fd);
  const SockAddr remote(options_.remote);
  const int result = connect(fd, remote.get(), remote.size);
  if (result != 0 && errno != EINPROGRESS) {
    switch (errno) {
      case EADDRNOTAVAIL:  // this very connection is being made: a listener of ours has its SYN
        if (registered_) break;
        return status_of(errno, "dialling " + options_.remote.to_string());
      case ENETUNREACH:
      case EHOSTUNREACH:
      case ECONNREFUSED:
        break;  // by routes or firewall rules of this host: soft as well
      default:
        return status_of(errno, "dialling " + options_.remote.to_string());
    }
    last_soft_ = errno == ECONNREFUSED ? Error::refused : Error::unreachable;
    again();
    return {};
  }
  const net::Endpoint now = local_of(fd);
  if (now.port != 0) local_ = now;
  watch(&host_.loop(), std::move(*socket));
  return {};
}

void DialImpl::set_socket_ttl(int fd) {
  if (fd < 0) return;
  const bool v4 = options_.remote.ip.is_v4();
  set_option(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_UNICAST_HOPS,
             ttl_ ? *ttl_ : -1);
}

Status DialImpl::set_ttl(uint8_t ttl) {
  if (ttl == 0) return {Error::invalid, "a TTL is at least 1"};
  ttl_ = ttl;
  set_socket_ttl(fd());
  if (retry_.armed())
    retry_.arm_after(net::Duration(0));  // between two sockets: now it is worth it
  return {};
}

void DialImpl::on_soft_error(std::function<void(const net::IcmpEvent&)> callback) {
  soft_ = std::move(callback);
  schedule();
}

bool DialImpl::soft(const net::IcmpEvent& event) {
  last_soft_ = event.error;
  if (!soft_) return true;
  const auto callback = soft_;
  return survives([&] { callback(event); });
}

void DialImpl::icmp(const net::Endpoint& local, const net::IcmpEvent& event) {
  if (local == local_ && event.to == options_.remote && !won_) soft(event);
}

void DialImpl::again() {
  unwatch();
  retry_.arm_after(pause_);
  pause_ = std::min(2 * pause_, kLongestPause);
}

void DialImpl::turn() {
  if (won_ || fd() < 0) return;
  // The state first: an error that comes later than it has an edge of its own.
  const int state = state_of(fd());
  bool told = false;
  net::IcmpEvent event;
  while (next_queued_error(fd(), &event)) {
    if (event.error == Error::none) continue;
    told = true;
    if (!soft(event)) return;
  }
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  switch (state) {
    case TCP_SYN_SENT:
    case TCP_SYN_RECV:
      return;
    case TCP_CLOSE:
      if (told) return again();
      if (error == ETIMEDOUT)
        return finish({Error::timed_out, "no answer from " + options_.remote.to_string()});
      if (error == EHOSTUNREACH || error == ENETUNREACH) {
        last_soft_ = Error::unreachable;
        return again();
      }
      return finish({Error::refused, options_.remote.to_string() + " answered with RST"});
    default:
      won_ = unwatch();
      finish({});
  }
}

void DialImpl::accepted(Fd fd) {
  won_ = std::move(fd);
  unwatch();
  limit_.cancel();
  retry_.arm_after(net::Duration(0));  // not from inside begin(), nor from inside an accept()
}

void DialImpl::finish(Status status) {
  limit_.cancel();
  retry_.cancel();
  unwatch();
  net::DialDone done;
  done.swap(done_);
  if (!done) return;
  if (!won_) {
    done(std::move(status));
    return;
  }
  const bool v4 = options_.remote.ip.is_v4();
  const int fd = won_.get(), level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  set_option(fd, level, v4 ? IP_TTL : IPV6_UNICAST_HOPS, -1);
  set_option(fd, level, v4 ? IP_RECVERR : IPV6_RECVERR, 0);  // or ICMP would end the stream
  if (v4) set_option(fd, level, IP_MINTTL, 0);
  const net::Endpoint local = local_of(won_.get()), remote = peer_of(won_.get());
  done(std::unique_ptr<net::Stream>(
      std::make_unique<StreamImpl>(host_, std::move(won_), local, remote)));
}

}  // namespace culvert::linux_host
