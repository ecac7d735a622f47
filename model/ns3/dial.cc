#include <algorithm>

#include "model/ns3/stream.h"

namespace culvert::ns3_world {
namespace {

constexpr size_t kMaxSoft = 64;  // ours: ICMP errors kept for a dial whose owner does not look

}  // namespace

Ns3Dial::Ns3Dial(Loop& loop, TcpLayer& layer, PortLease lease, const net::Endpoint& local,
                 const net::DialOptions& options, net::Status refusal, net::DialDone done)
    : loop_(loop),
      lease_(std::move(lease)),
      local_(local),
      remote_(options.remote),
      done_(std::move(done)),
      timer_(loop.timers(), [this] { timed_out(); }),
      timeout_(options.timeout),
      start_turn_(loop, [this] { start(); }),
      done_turn_(loop, [this] { tell(); }),
      soft_turn_(loop, [this] { tell_soft(); }) {
  if (!refusal.ok()) {
    settle(std::move(refusal));
    return;
  }
  if (TcpSocket* waiting = layer.find(local_, remote_)) {
    // The peer was faster, and our own listener has taken its connection.
    auto* acceptor = dynamic_cast<TcpAcceptor*>(waiting->owner);
    if (options.share_port && acceptor && acceptor->surrender(*waiting)) {
      socket_ = waiting;
      socket_->owner = this;
      if (socket_->established()) settle({});
    }
  }
  if (!socket_) {
    socket_ = layer.create(local_, remote_, options.ttl.value_or(kDefaultTtl));
    if (!socket_) {
      settle({net::Error::in_use, "there is a connection from " + local_.to_string() + " to " +
                                      remote_.to_string() + " already"});
      return;
    }
    socket_->owner = this;
  }
  timer_.arm_after(timeout_);
  start_turn_.request();
}

Ns3Dial::~Ns3Dial() {
  if (!socket_) return;
  socket_->owner = nullptr;
  socket_->abort(socket_->established());
}

void Ns3Dial::start() {
  if (socket_ && !socket_->started()) socket_->start_dial();
}

void Ns3Dial::settle(net::Status status) {
  if (settled_) return;
  settled_ = true;
  status_ = std::move(status);
  timer_.cancel();
  done_turn_.request();
}

void Ns3Dial::connected(TcpSocket&) { settle({}); }

void Ns3Dial::progressed(TcpSocket& socket) {
  if (socket.error() == net::Error::none) return;
  const std::string peer = remote_.to_string();
  if (socket.error() == net::Error::timed_out)
    timed_out();
  else if (socket.error() == net::Error::refused)
    settle({net::Error::refused, peer + " answered with RST"});
  else
    settle({socket.error(), peer + " broke the connection off"});
}

void Ns3Dial::timed_out() {
  std::string detail = "no connection to " + remote_.to_string() + " within " +
                       std::to_string(timeout_.count() / 1000000) + " ms";
  if (last_soft_ != net::Error::none)
    detail += "; the last ICMP error was " + std::string(net::to_string(last_soft_));
  settle({net::Error::timed_out, detail});
  if (socket_) {
    socket_->owner = nullptr;
    socket_->abort(false);
    socket_ = nullptr;
  }
}

void Ns3Dial::icmp(const net::IcmpEvent& event) {
  last_soft_ = event.error;
  if (soft_.size() >= kMaxSoft) soft_.pop_front();
  soft_.push_back(event);
  if (on_soft_) soft_turn_.request();
}

net::Status Ns3Dial::set_ttl(uint8_t ttl) {
  if (ttl == 0) return {net::Error::invalid, "a TTL of 0 reaches nobody"};
  if (socket_ && !settled_) socket_->set_ttl(ttl);
  return {};
}

void Ns3Dial::on_soft_error(std::function<void(const net::IcmpEvent&)> callback) {
  on_soft_ = std::move(callback);
  if (on_soft_ && !soft_.empty()) soft_turn_.request();
}

void Ns3Dial::tell_soft() {
  if (soft_.empty() || !on_soft_) return;
  const net::IcmpEvent event = soft_.front();
  soft_.pop_front();
  if (!soft_.empty()) soft_turn_.request();
  const auto callback = on_soft_;
  callback(event);
}

void Ns3Dial::tell() {
  const net::DialDone done = std::move(done_);  // it may destroy this dial
  if (!status_.ok()) {
    if (socket_) socket_->owner = nullptr, socket_ = nullptr;
    done(status_);
    return;
  }
  const ns3::Ptr<TcpSocket> socket = std::exchange(socket_, nullptr);
  done(std::unique_ptr<net::Stream>(std::make_unique<Ns3Stream>(loop_, socket, std::move(lease_))));
}

}  // namespace culvert::ns3_world
