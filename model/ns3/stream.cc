#include "model/ns3/stream.h"

#include <algorithm>

namespace culvert::ns3_world {

Ns3Stream::Ns3Stream(Loop& loop, ns3::Ptr<TcpSocket> socket, PortLease lease)
    : socket_(socket),
      lease_(std::move(lease)),
      readable_turn_(loop, [this] { tell_readable(); }),
      writable_turn_(loop, [this] { tell_writable(); }) {
  socket_->owner = this;
}

Ns3Stream::~Ns3Stream() { socket_->orphan(); }

bool Ns3Stream::has_news() const {
  if (socket_->readable() > 0) return true;
  return !end_told_ && (socket_->end_of_stream() || socket_->error() != net::Error::none);
}

net::IoResult Ns3Stream::read(net::MutableBytes buffer) {
  net::IoResult result;
  result.count = socket_->read(buffer);
  if (result.count < buffer.size() || buffer.empty()) {
    if (socket_->readable() > 0)
      result.error = net::Error::none;
    else if (socket_->end_of_stream())
      result.error = net::Error::closed;
    else if (socket_->error() != net::Error::none)
      result.error = socket_->error();
    else
      result.error = net::Error::would_block;
  }
  // An end is told only by a read that brings nothing else, so that "count > 0" needs no second
  // look.
  if (result.count > 0) result.error = net::Error::none;
  if (result.error != net::Error::none && result.error != net::Error::would_block) end_told_ = true;
  if (has_news() && on_readable_) readable_turn_.request();
  return result;
}

net::IoResult Ns3Stream::write(net::Bytes data) {
  if (socket_->error() != net::Error::none) return {0, socket_->error()};
  if (socket_->finishing()) return {0, net::Error::closed};
  net::IoResult result;
  result.count = socket_->write(data);
  if (result.count < data.size()) {
    result.error = net::Error::would_block;
    wants_room_ = true;
  }
  return result;
}

void Ns3Stream::progressed(TcpSocket& socket) {
  if (on_readable_ && has_news()) readable_turn_.request();
  // Not for every acknowledgement: a third of the buffer, as Linux does.
  const bool room = socket.room() * 3 >= socket.buffer_size() || socket.error() != net::Error::none;
  if (wants_room_ && on_writable_ && room) writable_turn_.request();
}

void Ns3Stream::on_readable(std::function<void()> callback) {
  on_readable_ = std::move(callback);
  if (on_readable_ && has_news()) readable_turn_.request();
}

void Ns3Stream::on_writable(std::function<void()> callback) {
  on_writable_ = std::move(callback);
  if (on_writable_) progressed(*socket_);
}

void Ns3Stream::tell_readable() {
  if (!on_readable_ || !has_news()) return;
  const auto callback = on_readable_;
  callback();
}

void Ns3Stream::tell_writable() {
  if (!on_writable_) return;
  wants_room_ = false;
  const auto callback = std::exchange(on_writable_, nullptr);  // once for each time it is set
  callback();
}

net::Status Ns3Stream::set_no_delay(bool on) {
  socket_->set_no_delay(on);
  return {};
}

Ns3Listener::Ns3Listener(Loop& loop, TcpLayer& layer, PortLease lease, const net::Endpoint& local,
                         const net::ListenOptions& options)
    : loop_(loop),
      layer_(layer),
      lease_(std::move(lease)),
      local_(local),
      backlog_(std::max<size_t>(options.backlog, 1)),
      turn_(loop, [this] { tell(); }) {
  layer_.add(*this);
}

Ns3Listener::~Ns3Listener() {
  layer_.remove(*this);
  for (const auto& socket : half_open_) socket->owner = nullptr, socket->abort(true);
  for (const auto& socket : ready_) socket->owner = nullptr, socket->abort(true);
}

void Ns3Listener::connected(TcpSocket& socket) {
  const auto found = std::find(half_open_.begin(), half_open_.end(), &socket);
  if (found == half_open_.end()) return;
  ready_.push_back(*found);
  half_open_.erase(found);
  if (on_readable_) turn_.request();
}

// One that failed before its handshake was over is forgotten; one that was connected is still
// handed out and tells its end itself.
void Ns3Listener::progressed(TcpSocket& socket) {
  if (socket.error() == net::Error::none) return;
  half_open_.erase(std::remove(half_open_.begin(), half_open_.end(), &socket), half_open_.end());
}

bool Ns3Listener::surrender(TcpSocket& socket) {
  const auto half = std::find(half_open_.begin(), half_open_.end(), &socket);
  if (half != half_open_.end()) return half_open_.erase(half), true;
  const auto full = std::find(ready_.begin(), ready_.end(), &socket);
  if (full != ready_.end()) return ready_.erase(full), true;
  return false;
}

std::unique_ptr<net::Stream> Ns3Listener::accept() {
  if (ready_.empty()) return nullptr;
  const ns3::Ptr<TcpSocket> socket = ready_.front();
  ready_.pop_front();
  if (!ready_.empty() && on_readable_) turn_.request();
  return std::make_unique<Ns3Stream>(loop_, socket, PortLease());
}

void Ns3Listener::on_readable(std::function<void()> callback) {
  on_readable_ = std::move(callback);
  if (on_readable_ && !ready_.empty()) turn_.request();
}

void Ns3Listener::tell() {
  if (!on_readable_ || ready_.empty()) return;
  const auto callback = on_readable_;
  callback();
}

}  // namespace culvert::ns3_world
