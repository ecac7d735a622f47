// Any broker over TCP, in real time.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "tests/conformance/world.h"

namespace culvert::conformance {
namespace {

using namespace std::chrono_literals;

class TcpWire final : public Wire {
 public:
  explicit TcpWire(int fd) : fd_(fd) {}
  ~TcpWire() override { close(); }
  void send(net::Bytes bytes) override {
    while (fd_ >= 0 && !bytes.empty()) {
      const ssize_t put = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (put <= 0) return;
      bytes = bytes.subspan(static_cast<size_t>(put));
    }
  }
  bool receive(net::Buffer& into) override {
    uint8_t chunk[65536];
    while (fd_ >= 0) {
      const ssize_t got = ::recv(fd_, chunk, sizeof chunk, MSG_DONTWAIT);
      if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
      if (got == 0) return false;
      into.insert(into.end(), chunk, chunk + got);
    }
    return false;
  }
  void close() override {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void cut() override {
    const linger now{1, 0};
    if (fd_ >= 0) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }

 private:
  int fd_;
};

class TcpWorld final : public World {
 public:
  TcpWorld(std::string host, uint16_t port) : host_(std::move(host)), port_(port) {}
  std::unique_ptr<Wire> open() override {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (::getaddrinfo(host_.c_str(), std::to_string(port_).c_str(), &hints, &found) != 0)
      return nullptr;
    int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && ::connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
      ::close(fd);
      fd = -1;
    }
    ::freeaddrinfo(found);
    if (fd < 0) return nullptr;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return std::make_unique<TcpWire>(fd);
  }
  bool run_until(const std::function<bool()>& done, net::Duration limit) override {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (std::chrono::steady_clock::now() >= end) return false;
      std::this_thread::sleep_for(1ms);
    }
    return true;
  }
  void pass(net::Duration length) override { std::this_thread::sleep_for(length); }
  // Another connection's packet may only be sent when this one's was handled, and nothing tells.
  void settle() override { std::this_thread::sleep_for(10ms); }
  net::Duration patience() const override { return 2s; }

 private:
  std::string host_;
  uint16_t port_;
};

}  // namespace

net::Result<std::unique_ptr<World>> make_tcp_world(const Case& one, const std::string& host,
                                                   uint16_t port) {
  if (!one.options.empty() || !one.access.empty())
    return {net::Error::unsupported, "sets the broker's options"};
  if (one.durable) return {net::Error::unsupported, "restarts the broker"};
  return std::unique_ptr<World>(std::make_unique<TcpWorld>(host, port));
}

}  // namespace culvert::conformance
