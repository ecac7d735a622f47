#include "impl/linux/listener.h"

#include <algorithm>
#include <cerrno>

#include "impl/linux/dial.h"
#include "impl/linux/stream.h"

namespace culvert::linux_host {

using net::Error;
using net::Result;

namespace {

constexpr net::Duration kPause =
    std::chrono::milliseconds(100);  // ours: until descriptors are free

}  // namespace

Result<std::unique_ptr<net::Listener>> ListenerImpl::open(LinuxHost& host,
                                                          const net::ListenOptions& options) {
  const net::IpAddress& ip = options.local.ip;
  if (ip.is_none()) return {Error::invalid, "a listener needs a local address, or any"};
  auto socket = open_socket(host.netns(), ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM, 0);
  if (!socket) return socket.status();
  const int fd = socket->get();
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);  // past connections in TIME_WAIT do not count
  if (options.share_port) set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (ip.is_v6()) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  const SockAddr local(options.local);
  if (bind(fd, local.get(), local.size) != 0)
    return status_of(errno, "binding " + options.local.to_string());
  const size_t backlog = std::min<size_t>(std::max<size_t>(options.backlog, 1), 65535);
  if (::listen(fd, static_cast<int>(backlog)) != 0)
    return status_of(errno, "listening on " + options.local.to_string());
  return std::unique_ptr<net::Listener>(
      std::make_unique<ListenerImpl>(host, std::move(*socket), backlog, options.share_port));
}

ListenerImpl::ListenerImpl(LinuxHost& host, Fd fd, size_t backlog, bool shared)
    : host_(host),
      local_(local_of(fd.get())),
      backlog_(backlog),
      shared_(shared),
      retry_(host.timers(), [this] {
        maybe_readable_ = armed_ = true;
        schedule();
      }) {
  watch(&host.loop(), std::move(fd));
  if (shared_) host_.shared_listeners().push_back(this);
}

ListenerImpl::~ListenerImpl() {
  auto& all = host_.shared_listeners();
  all.erase(std::remove(all.begin(), all.end(), this), all.end());
  for (Waiting& waiting : waiting_) {  // as the kernel does with those still in its own queue
    const linger now{1, 0};
    setsockopt(waiting.fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
}

bool ListenerImpl::next(Waiting* out) {
  for (int attempt = 0; attempt < 64; ++attempt) {
    SockAddr from;
    Fd fd(accept4(this->fd(), from.get(), &from.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      // The connection's own errors come out of accept, too (accept(2)): try the next.
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        retry_.arm_after(kPause);
      else if (errno != EAGAIN)
        continue;
      maybe_readable_ = surely_readable_ = false;
      return false;
    }
    Waiting waiting{std::move(fd), {}, from.endpoint()};
    waiting.local = local_of(waiting.fd.get());
    DialImpl* dial = shared_ ? DialImpl::waiting(host_, waiting.local, waiting.remote) : nullptr;
    if (dial) {
      dial->accepted(std::move(waiting.fd));
      continue;
    }
    *out = std::move(waiting);
    return true;
  }
  schedule();  // there may be more; others have their turn first
  return false;
}

void ListenerImpl::drain() {
  Waiting waiting;
  while (waiting_.size() < backlog_ && next(&waiting)) waiting_.push_back(std::move(waiting));
}

bool ListenerImpl::dials_wait() const {
  const auto& dials = host_.shared_dials();
  return std::any_of(dials.begin(), dials.end(),
                     [&](const DialImpl* dial) { return dial->local().port == local_.port; });
}

Fd ListenerImpl::take(const net::Endpoint& local, const net::Endpoint& remote) {
  if (local.port != local_.port) return {};
  drain();
  for (auto i = waiting_.begin(); i != waiting_.end(); ++i)
    if (i->local == local && i->remote == remote) {
      Fd out = std::move(i->fd);
      waiting_.erase(i);
      return out;
    }
  return {};
}

std::unique_ptr<net::Stream> ListenerImpl::accept() {
  armed_ = true;
  Waiting waiting;
  if (!waiting_.empty()) {
    waiting = std::move(waiting_.front());
    waiting_.pop_front();
  } else if (!next(&waiting)) {
    return nullptr;
  }
  surely_readable_ = false;
  schedule();
  return std::make_unique<StreamImpl>(host_, std::move(waiting.fd), waiting.local, waiting.remote);
}

void ListenerImpl::on_readable(std::function<void()> callback) {
  set(readable_, std::move(callback));
  ask_again();
  if (waiting_.empty()) return;
  armed_ = true;
  schedule();
}

void ListenerImpl::turn() {
  if (shared_ && maybe_readable_ && dials_wait()) drain();
  if (!armed_ || !readable_ || (waiting_.empty() && !is_readable())) return;
  armed_ = surely_readable_ = false;
  run(readable_, true);
}

}  // namespace culvert::linux_host
