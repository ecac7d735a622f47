// One session with one peer on a Host: from the introduction through the punch to the path that is
// kept alive, until it is lost or closed. Signs and opens probes, answers them, runs the technique,
// keeps the evidence. Stands on punch/technique.h, rendezvous/frames.h, model/net.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "model/net/datagram_mux.h"
#include "model/net/host.h"
#include "model/punch/probe.h"
#include "model/punch/reason.h"
#include "model/punch/technique.h"
#include "model/rendezvous/frames.h"
#include "model/rendezvous/replay_window.h"

namespace culvert::punch {

struct SessionOptions {
  net::Duration budget = std::chrono::seconds(10);         // of a punch, from `since`
  net::Duration hello_interval = std::chrono::seconds(2);  // seed002: "every few seconds"
  // Of an established path. Ours: half of what the quickest NATs allow (30 s).
  net::Duration keepalive = std::chrono::seconds(15);
};

struct SessionResult {
  bool direct = false;
  net::Duration took{0};  // since this side's request or introduction
  net::Endpoint remote;
  Origin origin = Origin::told;
  Conclusion why;
};

// Owner's callbacks. The session must not be destroyed inside one of them.
struct SessionEvents {
  std::function<void(const SessionResult&)> result;  // once
  std::function<void(net::Time last_heard)> lost;    // an established path fell silent
  // The peer's address changed under an established path, and the path with it; ours did not work
  // since `last_answer`.
  std::function<void(net::Time last_answer)> moved;
  std::function<void(const rendezvous::Sighting&)> report;  // to be told to the server
  // Nothing worked so far: ask for a socket that no NAT has seen yet; answered by use().
  std::function<void(int round, bool quiet)> fresh_socket;
  std::function<void(const std::string& text)> data;
  std::function<void()> closed;  // by the peer
};

class Session : private Wire {
 public:
  // `since`: when this side asked, or was introduced. `self`: this device's name.
  Session(net::Host& host, std::shared_ptr<net::DatagramMux> mux,
          const rendezvous::Introduction& introduction, const std::string& self,
          const net::Endpoint& self_observed, net::Time since, const SessionOptions& options,
          SessionEvents events);

  void start();
  void reintroduced(const rendezvous::Introduction& introduction);
  // From now on this socket, for a session that has no path yet. `quiet`: as fresh_socket said.
  void use(std::shared_ptr<net::DatagramMux> mux, bool quiet);
  bool uses(const net::DatagramMux& mux) const { return mux_.get() == &mux; }
  void on_message(const stun::Message& message, const net::DatagramIn& in, net::Bytes data);
  void on_icmp(const net::IcmpEvent& event);
  void on_peer_report(const rendezvous::PeerReport& report);

  // Our own address may have changed: look at an established path now.
  void check_now();
  net::Status send_text(std::string_view text);
  void close();  // tells the peer

  uint64_t id() const { return introduction_.session; }
  const std::string& peer() const { return introduction_.peer; }
  rendezvous::Role role() const { return introduction_.role; }
  bool established() const { return confirmed_ && !over_; }
  bool over() const { return over_; }
  net::Time last_heard() const { return last_heard_; }  // any authentic packet
  const net::Endpoint& path() const { return path_; }

 private:
  struct Sent {
    stun::TransactionId id;
    net::Endpoint to;
    ProbeKind kind;
    net::Time when;
  };

  // Wire
  net::Time now() const override { return host_.now(); }
  void send(const net::Endpoint& to, ProbeKind kind, std::optional<uint8_t> ttl) override;
  void confirmed(const net::Endpoint& remote, Origin origin) override;
  bool is_confirmed() const override { return confirmed_; }
  uint64_t received() const override { return sighting_.received; }

  Probe make(stun::Class cls, ProbeKind kind);
  void transmit(const net::Endpoint& to, const Probe& probe, std::optional<uint8_t> ttl);
  void on_answer(const Probe& answer, const net::Endpoint& from);
  void heard(const net::Endpoint& from);
  void keep_alive();
  void on_data(const Probe& probe);
  void fail();
  net::Time next_round() const;
  void on_timer();
  void arm();

  net::Host& host_;
  std::shared_ptr<net::DatagramMux> mux_;
  rendezvous::Introduction introduction_;
  std::string self_;
  net::Endpoint self_observed_;
  net::Time since_;
  SessionOptions options_;
  SessionEvents events_;
  ProbeKeys keys_;
  Plan plan_;
  std::unique_ptr<Technique> technique_;
  net::Timer timer_;

  uint64_t number_ = 0;
  rendezvous::ReplayWindow window_;
  std::deque<Sent> sent_;
  rendezvous::Sighting sighting_;
  std::optional<rendezvous::Sighting> peer_sighting_;
  bool peer_acknowledged_ = false;
  bool server_answered_ = false;
  uint32_t prohibited_ = 0;
  uint32_t forged_ = 0;
  int reports_ = 0;
  int rounds_ = 0;               // fresh sockets asked for
  bool peer_confirmed_ = false;  // says the peer

  bool started_ = false, confirmed_ = false, over_ = false;
  net::Endpoint path_, other_path_;
  net::Time last_heard_{0}, last_answer_{0};
  net::Duration path_rtt_{0};
  net::Time keepalive_at_ = net::Time::max();
  int keepalive_tries_ = 0;
};

}  // namespace culvert::punch
