// A device's side of the rendezvous: registers, stays registered, asks to be introduced, and
// retransmits at the pace of its own round trip until it is answered. Shares the socket that
// punches. Stands on rendezvous/frames.h and model/net.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "model/net/datagram_mux.h"
#include "model/net/host.h"
#include "model/rendezvous/frames.h"
#include "model/rendezvous/replay_window.h"

namespace culvert::rendezvous {

struct ClientOptions {
  std::string device;
  net::Buffer secret;
  net::Endpoint server;
  // Between two refreshes; also keeps the mapping towards the server alive. Ours: half of the 30 s
  // that the quickest NATs keep a UDP mapping (field note on NATs, Hätönen 2010).
  net::Duration refresh = std::chrono::seconds(15);
};

// What the client tells its owner. Any may be empty. None runs inside a call of the owner's.
struct ClientEvents {
  // After every first registration, and whenever the observed address changed (`moved`).
  std::function<void(const Registered&, bool moved)> registered;
  std::function<void()> measured;  // the server has what measured() told it
  std::function<void(const Introduction&)> introduced;
  std::function<void(uint64_t token, RefusedWhy)> refused;
  std::function<void(const Listed&)> listed;
  std::function<void(const PeerReport&)> peer_report;
  std::function<void()> gone;
  std::function<void()> unanswered;  // a request went unanswered for a whole round of tries
};

class Client {
 public:
  Client(net::Host& host, net::DatagramMux& mux, ClientOptions options, ClientEvents events);

  // Goes on from another socket: the registration moves there. `mux` must outlive the client or the
  // next use().
  void use(net::DatagramMux& mux);
  void start();  // registers and keeps registered
  void refresh_now();
  void measured(const Measured& what);
  // Returns the token by which `introduced` or `refused` will answer.
  uint64_t connect(const std::string& peer, Technique technique);
  void cancel_connect(uint64_t token);
  void list();
  void report(uint64_t session, const Sighting& sighting);
  void unregister();

  bool is_registered() const { return registered_; }
  const net::Endpoint& observed() const { return observed_; }
  std::optional<net::Duration> rtt() const { return rtt_; }  // the smallest seen
  bool ever_answered() const { return ever_answered_; }
  bool port_unreachable() const { return port_unreachable_; }  // ICMP said so of the server

 private:
  struct Pending {
    Request request;
    int tries = 0;
    net::Duration wait{0};
    net::Time due{0};
    std::deque<std::pair<uint64_t, net::Time>> sent;  // numbers and when, the last 8
  };

  void attach();
  bool receive(const net::DatagramIn& in, net::Bytes data);
  void on_reply(const DecodedReply& decoded);
  void on_challenge(const Challenge& challenge, Pending* pending);
  void on_registered(const Registered& reply, Pending* pending);
  void on_introduction(const Introduction& introduction);
  void begin(Request request);  // replaces one of the same kind, except connects
  uint64_t transmit(const Request& request);
  void transmit(Pending& pending);
  Pending* pending_for(uint64_t number);
  Pending* pending_register();
  void finish(const Pending* pending);
  void on_timer();
  void arm();

  net::Host& host_;
  net::DatagramMux* mux_;
  ClientOptions options_;
  ClientEvents events_;
  DeviceKeys keys_;
  std::unique_ptr<net::DatagramMux::User> user_;
  net::Timer timer_;
  std::list<Pending> pending_;
  uint64_t boot_ = 0, number_ = 0, epoch_ = 0;
  Cookie cookie_{};
  ReplayWindow window_;  // of what the server began
  bool registered_ = false;
  bool wanted_ = false;  // start() was called and unregister() was not
  net::Endpoint observed_;
  std::optional<net::Duration> rtt_;
  std::optional<Measured> last_measured_;
  uint64_t measured_epoch_ = 0;  // the server start that knows it
  net::Time refresh_at_ = net::Time::max();
  bool ever_answered_ = false, port_unreachable_ = false;
};

}  // namespace culvert::rendezvous
