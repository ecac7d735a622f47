// The mediation server of seed 002, its decisions: who is registered and where, who may see whom,
// and the introduction of two devices at the same moment. Sans I/O: datagrams in, datagrams out,
// time as an argument. Stands on rendezvous/frames.h and stun/source_limit.h.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/net/event_log.h"
#include "model/rendezvous/frames.h"
#include "model/rendezvous/replay_window.h"
#include "model/stun/source_limit.h"

namespace culvert::rendezvous {

struct MediatorOptions {
  struct Device {
    std::string name;
    net::Buffer secret;
  };
  std::vector<Device> devices;
  // Who may see whom: the members of one group. Without groups everybody sees everybody.
  std::vector<std::vector<std::string>> groups;
  std::array<net::Endpoint, 4> endpoints;  // as clients see them; [0] is the rendezvous' own
  net::Duration lifetime = std::chrono::seconds(60);  // of a registration that is not refreshed
  size_t max_sessions = 4096;                         // live introductions; ours
  stun::SourceLimitOptions limit{20, 100, 4096};      // ours: a start takes about 6 frames
};

struct Outgoing {
  net::Endpoint to;
  net::Buffer data;
};

class Mediator {
 public:
  using SecureRandom = std::function<void(net::MutableBytes)>;
  // invalid: a device named twice, a name too long or empty, a group with an unknown member.
  static net::Status check(const MediatorOptions& options);
  Mediator(const MediatorOptions& options, SecureRandom random, net::EventLog* log);

  std::vector<Outgoing> handle(net::Time now, const net::Endpoint& from, net::Bytes datagram);
  // Retransmits introductions and forgets what expired; to be called at next_deadline().
  std::vector<Outgoing> on_time(net::Time now);
  net::Time next_deadline() const;

  size_t registered_count() const;
  size_t session_count() const { return sessions_.size(); }

 private:
  struct Device {
    std::string name;
    DeviceKeys keys;
    std::set<size_t> visible;  // indexes of devices
    bool registered = false;
    uint64_t boot = 0;
    net::Time cookie_issued{-1};  // of the cookie with which this boot began
    ReplayWindow window;
    uint64_t replies = 0;
    net::Endpoint observed;
    net::Time expires{0};
    std::optional<net::Duration> rtt;  // the smallest seen
    stun::NatBehaviour behaviour;
    Hosts hosts;
  };
  struct Side {
    size_t device = 0;
    uint64_t token = 0;
    bool acknowledged = false;
    bool reported = false;
    int tries = 0;
    net::Duration wait{0};
    net::Time due = net::Time::max();  // of the next retransmission
    Sighting sighting;
  };
  struct Session {
    uint64_t id = 0;
    Technique technique = Technique::culvert;
    net::Key key{};
    net::Time created{0};
    Side sides[2];  // initiator, responder
  };
  struct Context {
    net::Time now;
    size_t device = 0;
    RequestHeader header;
    net::Endpoint from;
    std::vector<Outgoing>& out;
  };

  void answer(const Context& c, const Reply& reply);
  void answer_registered(const Context& c);
  void send(size_t device, uint64_t answers, const Reply& reply, const net::Endpoint& to,
            uint64_t boot, std::vector<Outgoing>& out);
  void on_register(const Context& c, bool proven, net::Time issued);
  void on_measured(const Context& c, const Measured& m);
  void on_connect(const Context& c, const Connect& connect);
  void on_report(const Context& c, const Report& report);
  void on_acknowledge(const Context& c, uint64_t session);
  void send_list(const Context& c);
  void introduce(net::Time now, Session& session, int side, std::vector<Outgoing>& out);
  void reintroduce(net::Time now, size_t device, std::vector<Outgoing>& out);
  void forget_session(uint64_t id);
  void set_due(Session& session, int side, net::Time due);
  void drop_registration(size_t device);
  int side_of(const Session& session, size_t device) const;

  Cookie make_cookie(net::Time now, const net::Endpoint& from, const std::string& name,
                     uint64_t boot) const;
  std::optional<net::Time> check_cookie(const Cookie& cookie, net::Time now,
                                        const net::Endpoint& from, const std::string& name,
                                        uint64_t boot) const;
  void log_registered(const Device& device);
  void refuse(const net::Endpoint& from, const std::string& device, const char* why);
  uint64_t random_u64();

  MediatorOptions options_;
  SecureRandom random_;
  net::EventLog* log_;
  uint64_t epoch_ = 0;
  net::Key cookie_key_{};
  stun::SourceLimit limit_;       // of what nobody has vouched for
  stun::SourceLimit home_limit_;  // of authentic frames from where their devices are registered
  std::vector<Device> devices_;
  std::map<std::string, size_t, std::less<>> by_name_;
  std::map<uint64_t, Session> sessions_;
  std::map<std::pair<size_t, size_t>, uint64_t> by_pair_;  // initiator, responder -> the newest
  // What is due: retransmissions to side 0 and 1 of a session; 2: the session is forgotten; 3: the
  // registration of a device, by index, expires.
  std::set<std::tuple<net::Time, uint64_t, int>> due_;
  uint64_t refusals_ = 0;
};

}  // namespace culvert::rendezvous
