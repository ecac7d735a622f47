#include "impl/linux/stream.h"

#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace culvert::linux_host {

using net::Error;
using net::IoResult;

StreamImpl::StreamImpl(LinuxHost& host, Fd fd, const net::Endpoint& local,
                       const net::Endpoint& remote)
    : local_(local), remote_(remote) {
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  maybe_writable_ = true;
  watch(&host.loop(), std::move(fd));
}

IoResult StreamImpl::fail(Error error) {
  maybe_readable_ = surely_readable_ = false;
  end_ = error;
  dead_ = error != Error::closed;
  armed_ = true;  // unless read() met it, on_readable tells
  schedule();
  return {0, error};
}

IoResult StreamImpl::read(net::MutableBytes buffer) {
  if (end_ != Error::none) {
    told_ = true;
    return {0, end_};
  }
  if (buffer.empty()) return {};
  armed_ = true;
  for (;;) {
    const ssize_t count = recv(fd(), buffer.data(), buffer.size(), 0);
    if (count > 0) {
      // A short read has emptied the queue, and the next edge will tell of more; but an end that
      // was announced already gets no edge of its own.
      const bool more = static_cast<size_t>(count) == buffer.size() || hung_up_ || has_error_;
      maybe_readable_ = more;
      surely_readable_ = false;
      if (more) schedule();
      return {static_cast<size_t>(count), Error::none};
    }
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      maybe_readable_ = surely_readable_ = false;
      return {0, Error::would_block};
    }
    told_ = true;
    return fail(count == 0 ? Error::closed : error_of(errno));
  }
}

IoResult StreamImpl::write(net::Bytes data) {
  if (dead_) return {0, end_};
  if (finished_) return {0, Error::closed};
  IoResult result;
  while (result.count < data.size()) {
    const ssize_t count =
        ::send(fd(), data.data() + result.count, data.size() - result.count, MSG_NOSIGNAL);
    if (count >= 0) {
      result.count += static_cast<size_t>(count);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      maybe_writable_ = false;
      result.error = Error::would_block;
      return result;
    }
    // EPIPE without our own shutdown: a RST came, and some other call has taken its ECONNRESET.
    const Error error = errno == EPIPE ? Error::reset : error_of(errno);
    if (result.count > 0) return result;  // the next call meets the error again
    return fail(error);
  }
  return result;
}

void StreamImpl::shutdown_write() {
  if (finished_ || dead_) return;
  finished_ = true;
  ::shutdown(fd(), SHUT_WR);
}

void StreamImpl::reset() {
  if (fd() < 0) return;
  const linger now{1, 0};
  setsockopt(fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  unwatch();
  end_ = Error::closed;
  dead_ = told_ = true;
}

void StreamImpl::on_readable(std::function<void()> callback) {
  set(readable_, std::move(callback));
  armed_ = true;
  // What has come by now and no edge has told of yet, an edge will.
  if (maybe_readable_ || end_ != Error::none) schedule();
}

void StreamImpl::on_writable(std::function<void()> callback) {
  set(writable_, std::move(callback));
  schedule();
}

void StreamImpl::turn() {
  if (writable_ && (dead_ || is_writable()) && !run(writable_, false)) return;
  if (!armed_ || !readable_ || told_ || (end_ == Error::none && !is_readable())) return;
  armed_ = false;
  run(readable_, true);
}

net::Status StreamImpl::set_no_delay(bool on) {
  if (fd() < 0) return {Error::closed, "the stream was reset"};
  if (set_option(fd(), IPPROTO_TCP, TCP_NODELAY, on)) return {};
  return status_of(errno, "setting TCP_NODELAY");
}

net::PathStats StreamImpl::stats() const {
  net::PathStats out;
  tcp_info info{};
  socklen_t size = sizeof info;
  if (fd() < 0 || getsockopt(fd(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return out;
  out.rtt = std::chrono::microseconds(info.tcpi_rtt);
  out.retransmitted = info.tcpi_total_retrans;
  out.cwnd = uint64_t{info.tcpi_snd_cwnd} * info.tcpi_snd_mss;
  out.mss = info.tcpi_snd_mss;
  return out;
}

}  // namespace culvert::linux_host
