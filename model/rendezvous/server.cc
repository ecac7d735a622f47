#include "model/rendezvous/server.h"

#include <array>

#include "model/rendezvous/wire.h"

namespace culvert::rendezvous {

RendezvousServer::RendezvousServer(net::Host& host, ServerOptions options)
    : host_(host), options_(std::move(options)), timer_(host.timers(), [this] {
        send(mediator_->on_time(host_.now()));
        arm();
      }) {}

net::Status RendezvousServer::start() {
  const net::Status checked = Mediator::check(options_.mediator);
  if (!checked.ok()) return checked;
  const net::Endpoint& primary = options_.bind;
  const net::Endpoint& other = options_.alternate;
  std::array<net::Endpoint, 4> endpoints{};
  endpoints[0] = primary;
  if (!other.is_none()) {
    if (other.ip == primary.ip || other.port == primary.port) {
      return {net::Error::invalid, "the alternate endpoint must differ from " +
                                       primary.to_string() + " in address and in port"};
    }
    endpoints[1] = {primary.ip, other.port};
    endpoints[2] = {other.ip, primary.port};
    endpoints[3] = other;
  }
  std::array<Socket, 4> opened;
  for (uint8_t i = 0; i < 4; ++i) {
    if (endpoints[i].is_none()) continue;
    net::DatagramOptions socket_options;
    socket_options.local = endpoints[i];
    auto socket = host_.open_datagram(socket_options);
    if (!socket.ok()) return socket.status();
    opened[i].mux = std::make_unique<net::DatagramMux>(std::move(*socket));
  }
  sockets_ = std::move(opened);
  options_.mediator.endpoints = endpoints;
  mediator_ = std::make_unique<Mediator>(
      options_.mediator, [this](net::MutableBytes out) { host_.secure_random(out); }, &host_.log());
  stun::ServerOptions stun_options;
  stun_options.endpoints = endpoints;
  // Ours: a dozen devices behind one carrier's address measure at once, 40 requests each.
  stun_options.limit = {100, 600, 4096};
  std::array<uint8_t, 8> seed{};  // or outsiders could choose addresses that share a limit
  host_.secure_random({seed.data(), seed.size()});
  stun_ = std::make_unique<stun::Server>(stun_options, Reader(seed).u64());
  for (uint8_t i = 0; i < 4; ++i) {
    if (!sockets_[i].mux) continue;
    sockets_[i].stun = sockets_[i].mux->attach(
        net::kStunBytes, [this, i](const net::DatagramIn& in, net::Bytes data) {
          on_stun(i, in, data);
          return true;
        });
  }
  sockets_[0].frames = sockets_[0].mux->attach(
      net::kRendezvousBytes, [this](const net::DatagramIn& in, net::Bytes data) {
        send(mediator_->handle(host_.now(), in.from, data));
        arm();
        return true;
      });
  host_.log().write("rendezvous", "listening", {{"primary", primary}, {"alternate", other}});
  host_.log().write("rendezvous", "ready");
  return {};
}

void RendezvousServer::send(const std::vector<Outgoing>& out) {
  for (const Outgoing& frame : out) sockets_[0].mux->send_to(frame.to, frame.data);
}

void RendezvousServer::on_stun(uint8_t index, const net::DatagramIn& in, net::Bytes data) {
  const stun::Answer answer = stun_->handle(host_.now(), {index}, in.from, data);
  if (answer.send && sockets_[answer.from.value].mux) {
    sockets_[answer.from.value].mux->send_to(answer.to, answer.data);
  }
}

void RendezvousServer::arm() {
  const net::Time next = mediator_->next_deadline();
  if (next == net::Time::max()) {
    timer_.cancel();
  } else {
    timer_.arm_at(next);
  }
}

}  // namespace culvert::rendezvous
