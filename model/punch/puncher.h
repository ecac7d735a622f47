// A device that punches: one socket on which it registers, measures its NAT, and holds direct paths
// to its peers; finds them again when they are lost. Stands on punch/session.h,
// rendezvous/client.h, stun/discovery.h, model/net.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "model/net/datagram_mux.h"
#include "model/net/host.h"
#include "model/punch/session.h"
#include "model/rendezvous/client.h"
#include "model/stun/discovery.h"

namespace culvert::punch {

struct PuncherOptions {
  std::string device;
  net::Endpoint server;
  net::Buffer secret;   // the device's
  net::Endpoint local;  // of the socket; port 0: any
  rendezvous::Technique technique = rendezvous::Technique::culvert;
  SessionOptions session;
  net::Duration refresh = std::chrono::seconds(15);  // rendezvous/client.h
};

class Puncher {
 public:
  Puncher(net::Host& host, PuncherOptions options);
  ~Puncher();
  net::Status start();

  bool ready() const { return ready_; }
  // Told by the events connect_requested, introduced, planned, result (docs/reference/events.md).
  // Before it is ready the request waits. exhausted: too many peers.
  net::Status connect(const std::string& peer);
  net::Status close(const std::string& peer);
  net::Status send_text(const std::string& peer, std::string_view text);
  void list() { client_->list(); }
  const Session* session(const std::string& peer) const;
  const stun::NatBehaviour& behaviour() const { return behaviour_; }

 private:
  struct Peer {
    std::unique_ptr<Session> session;
    net::Time requested{0};
    uint64_t token = 0;
    bool waiting = false;     // for an introduction
    bool recovering = false;  // a path was lost
    net::Time last_heard{0};
    int attempt = 0, retries = 0;
    std::unique_ptr<net::Timer> timer;
  };
  struct Early {
    net::Time when;
    uint64_t session;
    net::Endpoint from;
    net::Buffer data;
  };

  struct Socket {
    std::shared_ptr<net::DatagramMux> mux;
    std::unique_ptr<net::DatagramMux::User> probes;
  };

  net::Status open_socket(const net::Endpoint& local);
  bool receive_stun(const net::DatagramMux& mux, const net::DatagramIn& in, net::Bytes data);
  void on_fresh_socket(const std::string& name, int round, bool quiet);
  void tell_measured();
  void on_registered(const rendezvous::Registered& reply, bool moved);
  void measure();
  void on_behaviour(const stun::NatBehaviour& behaviour);
  void on_server_knows();
  void on_introduced(const rendezvous::Introduction& introduction);
  void on_refused(uint64_t token, rendezvous::RefusedWhy why);
  void on_listed(const rendezvous::Listed& listed);
  void on_peer_report(const rendezvous::PeerReport& report);
  void on_result(const std::string& name, const SessionResult& result);
  void on_lost(const std::string& name, net::Time last_heard);
  void ask(const std::string& name, Peer& peer);
  void on_peer_timer(const std::string& name);
  void recover_later(Peer& peer);
  void log_result(const std::string& name, const Peer& peer, const SessionResult& result);
  Peer* peer_for(const std::string& name);
  rendezvous::Hosts own_hosts() const;
  net::DatagramMux& mux() const { return *sockets_.back().mux; }

  net::Host& host_;
  PuncherOptions options_;
  std::vector<Socket> sockets_;  // the last one is where we register; older ones have paths still
  net::Time moved_at_{-1};
  std::unique_ptr<rendezvous::Client> client_;
  std::unique_ptr<stun::Discovery> discovery_;
  stun::NatBehaviour behaviour_;
  rendezvous::Registered registration_;
  bool ready_ = false;
  std::map<std::string, Peer> peers_;
  std::deque<Early> early_;
  std::deque<uint64_t> closed_;  // sessions that were closed here: no introduction revives them
};

}  // namespace culvert::punch
