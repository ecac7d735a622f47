#include "model/mqtt/broker/listener.h"

#include <boost/unordered/unordered_flat_map.hpp>
#include <list>

#include "model/http/server.h"

namespace culvert::mqtt {
namespace {

constexpr const char* kService = "mqtt";
// Strangers cannot fill a log: after the first of them every hundredth is told (ours).
constexpr uint64_t kToldFailures = 1000, kToldEvery = 100;

struct Row {
  Transport transport;
  std::string_view name;
  bool tls, websocket;
  const char* alpn;  // IANA's TLS ALPN protocol identifiers
};
constexpr Row kTransports[] = {{Transport::tcp, "tcp", false, false, ""},
                               {Transport::tls, "tls", true, false, "mqtt"},
                               {Transport::websocket, "websocket", false, true, ""},
                               {Transport::wss, "wss", true, true, "http/1.1"}};
const Row& row_of(Transport transport) { return kTransports[static_cast<size_t>(transport)]; }

// Who is at the other end of connections that have not upgraded yet, because HTTP's Responder knows
// no more of a connection than its endpoint.
using Owner = const void*;
using Strangers =
    boost::unordered_flat_map<net::Endpoint, std::pair<Owner, Peer>, std::hash<net::Endpoint>>;

// A stream that is in that list until it goes.
class Listed : public net::Stream {
 public:
  Listed(std::unique_ptr<net::Stream> under, std::weak_ptr<Strangers> list)
      : under_(std::move(under)), list_(std::move(list)), remote_(under_->remote()) {}
  ~Listed() override {
    const auto list = list_.lock();
    if (!list) return;
    // The same endpoint may have come again since.
    const auto at = list->find(remote_);
    if (at != list->end() && at->second.first == this) list->erase(at);
  }
  net::Endpoint local() const override { return under_->local(); }
  net::Endpoint remote() const override { return remote_; }
  net::IoResult read(net::MutableBytes buffer) override { return under_->read(buffer); }
  net::IoResult write(net::Bytes data) override { return under_->write(data); }
  void shutdown_write() override { under_->shutdown_write(); }
  void reset() override { under_->reset(); }
  void on_readable(std::function<void()> callback) override {
    under_->on_readable(std::move(callback));
  }
  void on_writable(std::function<void()> callback) override {
    under_->on_writable(std::move(callback));
  }
  net::Status set_no_delay(bool on) override { return under_->set_no_delay(on); }
  net::PathStats stats() const override { return under_->stats(); }

 private:
  std::unique_ptr<net::Stream> under_;
  std::weak_ptr<Strangers> list_;
  const net::Endpoint remote_;
};

}  // namespace

std::string_view to_string(Transport transport) { return row_of(transport).name; }

struct Listener::Impl {
  Impl(net::Host& h, ListenerOptions o, Attach a)
      : host(h), options(std::move(o)), row(row_of(options.transport)), attach(std::move(a)) {}

  net::Status start() {
    if (row.tls) {
      if (options.tls.alpn.empty()) options.tls.alpn = {row.alpn};
      auto made = net::tls_server_context(host, options.tls);
      if (!made) return made.status();
      context = std::move(*made);
    }
    if (row.websocket) {
      http::ServerOptions server_options;
      server_options.connections = options.handshakes;
      server_options.body_bytes = 0;  // an upgrade has none
      server_options.header_patience = options.handshake_patience;
      server_options.keep_alive = false;
      server = std::make_unique<http::Server>(
          host, server_options,
          [this](http::Request request, std::shared_ptr<http::Responder> responder) {
            upgrade(std::move(request), std::move(responder));
          });
    }
    net::ListenOptions listen;
    listen.local = options.local;
    listen.backlog = options.backlog;
    auto made = host.listen(listen);
    if (!made) return made.status();
    listener = std::move(*made);
    listener->on_readable([this] { accept(); });
    host.log().write(kService, "listening",
                     {{"local", listener->local()}, {"transport", row.name}});
    return {};
  }

  void accept() {
    while (auto stream = listener->accept()) {
      ++counters.accepted;
      if (row.tls || row.websocket) {
        if (half_done() >= options.handshakes) {
          tell("handshake_refused", stream->remote(), "too many handshakes are under way",
               ++counters.refused);
          continue;
        }
      }
      if (row.tls) {
        shake(std::move(stream));
      } else {
        Peer peer;
        peer.remote = stream->remote();
        arrived(std::move(stream), std::move(peer));
      }
    }
  }
  size_t half_done() const { return handshakes.size() + (server ? server->connections() : 0); }

  void shake(std::unique_ptr<net::Stream> stream) {
    const net::Endpoint remote = stream->remote();
    const auto at = handshakes.emplace(handshakes.end());
    *at = net::tls_accept(host, context, std::move(stream), options.handshake_patience,
                          [this, at, remote](net::Result<std::unique_ptr<net::TlsStream>> done) {
                            const auto keep = std::move(*at);
                            handshakes.erase(at);
                            if (!done) {
                              tell("handshake_failed", remote, done.status().to_string(),
                                   ++counters.failed);
                              return;
                            }
                            const net::TlsInfo& info = (*done)->info();
                            Peer peer;
                            peer.remote = remote;
                            peer.tls_common_name = info.peer_common_name;
                            peer.tls_fingerprint = info.peer_fingerprint;
                            arrived(std::move(*done), std::move(peer));
                          });
  }

  // A connection over which bytes can come and go.
  void arrived(std::unique_ptr<net::Stream> stream, Peer peer) {
    peer.transport = row.name;
    if (!server) return attach(std::move(stream), std::move(peer));
    const net::Endpoint remote = peer.remote;
    auto listed = std::make_unique<Listed>(std::move(stream), strangers);
    (*strangers)[remote] = {listed.get(), std::move(peer)};
    server->attach(std::move(listed));
  }

  void upgrade(http::Request request, std::shared_ptr<http::Responder> responder) {
    const auto at = strangers->find(responder->remote());
    if (at == strangers->end()) return;  // it has gone, and the Responder answers nobody
    Peer peer = at->second.second;
    http::accept_websocket(host, options.websocket, request, std::move(responder),
                           [this, peer](std::unique_ptr<net::Stream> stream) {
                             strangers->erase(peer.remote);
                             attach(std::move(stream), peer);
                           });
  }

  void tell(const char* event, const net::Endpoint& remote, const std::string& why,
            uint64_t count) {
    if (count > kToldFailures && count % kToldEvery != 0) return;
    host.log().write(kService, event,
                     {{"from", remote}, {"transport", row.name}, {"why", why}, {"count", count}});
  }

  net::Host& host;
  ListenerOptions options;
  const Row& row;
  Attach attach;
  std::shared_ptr<net::TlsContext> context;
  std::shared_ptr<Strangers> strangers = std::make_shared<Strangers>();
  Counters counters;
  std::list<std::unique_ptr<net::TlsHandshake>> handshakes;
  std::unique_ptr<http::Server> server;
  std::unique_ptr<net::Listener> listener;
};

Listener::Listener(net::Host& host, ListenerOptions options, Attach attach)
    : impl_(std::make_unique<Impl>(host, std::move(options), std::move(attach))) {}
Listener::~Listener() = default;

net::Status Listener::start() { return impl_->start(); }
net::Status Listener::reload() { return impl_->context ? impl_->context->reload() : net::Status(); }
net::Endpoint Listener::local() const {
  return impl_->listener ? impl_->listener->local() : impl_->options.local;
}
Transport Listener::transport() const { return impl_->options.transport; }
Listener::Counters Listener::counters() const {
  Counters counters = impl_->counters;
  counters.half_done = impl_->half_done();
  return counters;
}

}  // namespace culvert::mqtt
