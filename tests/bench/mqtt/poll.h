// Connections on an epoll set, as lean as can be: a generator must be faster than what it loads, so
// it does not stand on impl/linux, whose speed is a part of what is measured.
#pragma once

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/bench/mqtt/wire.h"

namespace culvert::bench {

inline int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000ll + t.tv_nsec;
}

[[noreturn]] inline void fail(const std::string& sentence) {
  std::fprintf(stderr, "bench-mqtt: %s\n", sentence.c_str());
  std::exit(1);
}

struct Conn {
  int fd = -1;
  uint32_t index = 0;  // of the publisher or subscriber
  bool publishes = false, ready = false, closed = false;
  bool dirty = false;   // in Poll::dirty
  std::string out;      // to be written
  std::string partial;  // a packet that has not come whole
  uint64_t sent = 0, acked = 0, got = 0;
};

class Poll {
 public:
  Poll() : epoll_(epoll_create1(EPOLL_CLOEXEC)), buffer_(256 * 1024) {}
  ~Poll() { close(epoll_); }

  // From 127.0.0.(2 + something) so that ports do not run out; blocking until it is connected.
  static int dial(uint16_t port, uint32_t spread) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("no descriptor left");
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(0x7f000002 + spread % 200);
    bind(fd, reinterpret_cast<sockaddr*>(&a), sizeof a);
    a.sin_addr.s_addr = htonl(0x7f000001);
    a.sin_port = htons(port);
    if (connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) != 0)
      fail("no broker on port " + std::to_string(port));
    return fd;
  }
  void watch(Conn& conn, uint32_t events = EPOLLIN | EPOLLRDHUP) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &conn;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, conn.fd, &event);
  }
  // Later, all in one: see flush().
  void mark(Conn& conn) {
    if (conn.dirty) return;
    conn.dirty = true;
    dirty_.push_back(&conn);
  }
  void flush() {
    for (size_t i = 0; i < dirty_.size(); ++i) {
      Conn& conn = *dirty_[i];
      conn.dirty = false;
      if (conn.closed || conn.out.empty()) continue;
      const ssize_t n =
          send(conn.fd, conn.out.data(), conn.out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n == static_cast<ssize_t>(conn.out.size())) {
        conn.out.clear();
      } else if (n >= 0 || errno == EAGAIN) {
        if (n > 0) conn.out.erase(0, static_cast<size_t>(n));
        stuck_.push_back(&conn);
      } else {
        conn.closed = true;
      }
    }
    dirty_.clear();
  }

  // One round: waits at most `timeout_ms`, reads, gives every whole packet to
  // `on_packet(conn, bytes, Cut)`, and an end of stream to `on_end(conn)`, then writes.
  template <class OnPacket, class OnEnd>
  void round(int timeout_ms, OnPacket&& on_packet, OnEnd&& on_end) {
    for (Conn* conn : stuck_) mark(*conn);
    if (!stuck_.empty()) timeout_ms = 0;
    stuck_.clear();
    epoll_event events[256];
    const int count = epoll_wait(epoll_, events, 256, timeout_ms);
    for (int i = 0; i < count; ++i) {
      Conn& conn = *static_cast<Conn*>(events[i].data.ptr);
      if (!conn.closed) read(conn, on_packet, on_end);
    }
    flush();
  }

 private:
  template <class OnPacket, class OnEnd>
  void read(Conn& conn, OnPacket&& on_packet, OnEnd&& on_end) {
    const size_t kept = conn.partial.size();
    if (kept > 0) std::memcpy(buffer_.data(), conn.partial.data(), kept);
    const ssize_t n = recv(conn.fd, buffer_.data() + kept, buffer_.size() - kept, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      conn.closed = true;
      epoll_ctl(epoll_, EPOLL_CTL_DEL, conn.fd, nullptr);
      return on_end(conn);
    }
    const uint8_t* at = buffer_.data();
    const uint8_t* end = at + kept + static_cast<size_t>(n);
    while (at < end) {
      const Cut frame = cut(at, end);
      if (frame.size == 0) break;
      on_packet(conn, at, frame);
      at += frame.size;
    }
    conn.partial.assign(at, end);
  }

  int epoll_;
  std::vector<uint8_t> buffer_;
  std::vector<Conn*> dirty_, stuck_;
};

}  // namespace culvert::bench
