// net::Stream, net::Listener and net::Dial inside ns-3, over tcp_layer.h.
#pragma once

#include <deque>

#include "model/net/stream.h"
#include "model/net/timer.h"
#include "model/ns3/loop.h"
#include "model/ns3/tcp_layer.h"

namespace culvert::ns3_world {

// A local port held as long as somebody has the lease; empty for accepted streams, which live on
// their listener's port.
class PortLease {
 public:
  PortLease() = default;
  PortLease(Ports& ports, const net::Endpoint& local, bool share)
      : ports_(&ports), local_(local), share_(share) {
    ports.take(local, share);
  }
  PortLease(PortLease&& other) noexcept { *this = std::move(other); }
  PortLease& operator=(PortLease&& other) noexcept {
    release();
    ports_ = std::exchange(other.ports_, nullptr);
    local_ = other.local_;
    share_ = other.share_;
    return *this;
  }
  ~PortLease() { release(); }

 private:
  void release() {
    if (ports_) std::exchange(ports_, nullptr)->release(local_, share_);
  }
  Ports* ports_ = nullptr;
  net::Endpoint local_;
  bool share_ = false;
};

class Ns3Stream final : public net::Stream, private TcpOwner {
 public:
  Ns3Stream(Loop& loop, ns3::Ptr<TcpSocket> socket, PortLease lease);
  ~Ns3Stream() override;
  net::Endpoint local() const override { return socket_->local(); }
  net::Endpoint remote() const override { return socket_->remote(); }
  net::IoResult read(net::MutableBytes buffer) override;
  net::IoResult write(net::Bytes data) override;
  void shutdown_write() override { socket_->finish(); }
  void reset() override { socket_->abort(true); }
  void on_readable(std::function<void()> callback) override;
  void on_writable(std::function<void()> callback) override;
  net::Status set_no_delay(bool on) override;
  net::PathStats stats() const override { return socket_->path_stats(); }

 private:
  void progressed(TcpSocket& socket) override;
  bool has_news() const;  // something that read() would tell and has not told
  void tell_readable();
  void tell_writable();

  ns3::Ptr<TcpSocket> socket_;
  PortLease lease_;
  std::function<void()> on_readable_, on_writable_;
  bool end_told_ = false, wants_room_ = false;
  Loop::Turn readable_turn_, writable_turn_;
};

class Ns3Listener final : public net::Listener, private TcpAcceptor {
 public:
  Ns3Listener(Loop& loop, TcpLayer& layer, PortLease lease, const net::Endpoint& local,
              const net::ListenOptions& options);
  ~Ns3Listener() override;
  net::Endpoint local() const override { return local_; }
  std::unique_ptr<net::Stream> accept() override;
  void on_readable(std::function<void()> callback) override;

 private:
  const net::Endpoint& bound() const override { return local_; }
  bool has_room() const override { return half_open_.size() + ready_.size() < backlog_; }
  void incoming(ns3::Ptr<TcpSocket> socket) override { half_open_.push_back(socket); }
  bool surrender(TcpSocket& socket) override;
  void connected(TcpSocket& socket) override;
  void progressed(TcpSocket& socket) override;
  void tell();

  Loop& loop_;
  TcpLayer& layer_;
  PortLease lease_;
  net::Endpoint local_;
  size_t backlog_;
  std::vector<ns3::Ptr<TcpSocket>> half_open_;
  std::deque<ns3::Ptr<TcpSocket>> ready_;
  std::function<void()> on_readable_;
  Loop::Turn turn_;
};

class Ns3Dial final : public net::Dial, private TcpOwner {
 public:
  // `refusal` not ok: tells it and does nothing else.
  Ns3Dial(Loop& loop, TcpLayer& layer, PortLease lease, const net::Endpoint& local,
          const net::DialOptions& options, net::Status refusal, net::DialDone done);
  ~Ns3Dial() override;
  net::Endpoint local() const override { return local_; }
  net::Status set_ttl(uint8_t ttl) override;
  void on_soft_error(std::function<void(const net::IcmpEvent&)> callback) override;

 private:
  void connected(TcpSocket& socket) override;
  void progressed(TcpSocket& socket) override;
  void icmp(const net::IcmpEvent& event) override;
  void start();
  void timed_out();
  void tell();
  void tell_soft();
  void settle(net::Status status);

  Loop& loop_;
  PortLease lease_;
  net::Endpoint local_, remote_;
  ns3::Ptr<TcpSocket> socket_;
  net::Status status_;
  bool settled_ = false;
  net::DialDone done_;
  std::deque<net::IcmpEvent> soft_;
  net::Error last_soft_ = net::Error::none;
  std::function<void(const net::IcmpEvent&)> on_soft_;
  net::Timer timer_;
  net::Duration timeout_;
  Loop::Turn start_turn_, done_turn_, soft_turn_;
};

}  // namespace culvert::ns3_world
