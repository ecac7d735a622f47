#include "model/http/server.h"

#include "model/http/session.h"

namespace culvert::http {
namespace {

constexpr size_t kScratch = 64 * 1024;  // ours: read at a time, for all connections together
constexpr std::string_view kFull =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

}  // namespace

void Server::Impl::end(Session& session) {
  // Out of the list first: its Responders may answer while it dies.
  const std::unique_ptr<Session> dying = std::move(*session.at);
  sessions.erase(session.at);
  check_drained();
}

void Server::Impl::check_drained() {
  if (!draining || !sessions.empty() || !drained) return;
  std::weak_ptr<bool> still = alive;
  host.post([still, done = std::exchange(drained, {})] {
    if (!still.expired()) done();
  });
}

Server::Server(net::Host& host, ServerOptions options, Handler handler)
    : impl_(std::make_unique<Impl>(host, std::move(options), std::move(handler))) {
  impl_->scratch.resize(kScratch);
}

Server::~Server() {
  impl_->draining = false;
  impl_->alive.reset();
  while (!impl_->sessions.empty()) {
    const std::unique_ptr<Session> dying = std::move(impl_->sessions.front());
    impl_->sessions.pop_front();
  }
}

void Server::attach(std::unique_ptr<net::Stream> stream) {
  if (impl_->draining) return;  // closed by its destruction
  if (impl_->sessions.size() >= impl_->options.connections) {
    stream->write(net::as_bytes(kFull));
    return;
  }
  const auto at = impl_->sessions.insert(impl_->sessions.end(), nullptr);
  *at = std::make_unique<Session>(*impl_, std::move(stream));
  (*at)->at = at;
}

void Server::drain(std::function<void()> done) {
  impl_->draining = true;
  impl_->drained = std::move(done);
  // Each may end, and by that only itself.
  for (auto at = impl_->sessions.begin(); at != impl_->sessions.end();) (*at++)->drain();
  impl_->check_drained();
}

size_t Server::connections() const { return impl_->sessions.size(); }

}  // namespace culvert::http
