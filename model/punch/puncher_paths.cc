// The device's results, and its paths once they stand: lost, found again, used, closed.
#include <algorithm>

#include "model/punch/puncher.h"

namespace culvert::punch {
namespace {

using namespace std::chrono_literals;
using net::Duration;
using net::Time;
using rendezvous::Role;

// After a lost path: the side that asked asks again at once; the other one only if nothing came of
// that. Then ever more slowly. Ours.
constexpr Duration kResponderPatience = 3s;
constexpr Duration kRecoverFirst = 1s;
constexpr int kMaxRecoverDoublings = 5;
constexpr size_t kMaxClosed = 16;  // ours: a server forgets a session after a minute

}  // namespace

// --- results, lost paths -------------------------------------------------------------------------

void Puncher::log_result(const std::string& name, const Peer& peer, const SessionResult& result) {
  host_.log().write(
      "punch", "result",
      {{"peer", name},
       {"session", peer.session ? rendezvous::session_text(peer.session->id()) : std::string()},
       {"direct", result.direct},
       {"took_ms", result.took},
       {"remote", result.remote.is_none() ? std::string() : result.remote.to_string()},
       {"path", result.direct ? to_string(result.origin) : std::string_view()},
       {"reason", to_string(result.why.reason)},
       {"detail", result.why.detail},
       {"attempt", peer.attempt}});
}

void Puncher::on_result(const std::string& name, const SessionResult& result) {
  Peer& peer = peers_.at(name);
  log_result(name, peer, result);
  if (!peer.recovering) return;
  if (!result.direct) {
    recover_later(peer);
    return;
  }
  peer.recovering = false;
  peer.timer->cancel();
  host_.log().write("punch", "path_restored",
                    {{"peer", name}, {"outage_ms", host_.now() - peer.last_heard}});
}

void Puncher::on_lost(const std::string& name, Time last_heard) {
  Peer& peer = peers_.at(name);
  host_.log().write("punch", "path_lost",
                    {{"peer", name}, {"outage_ms", host_.now() - last_heard}});
  peer.recovering = true;
  peer.retries = 0;
  peer.last_heard = last_heard;
  client_->refresh_now();  // was it our NAT that lost its state?
  const bool ours = peer.session->role() == Role::initiator;
  peer.timer->arm_after(ours ? 0s : kResponderPatience);
}

void Puncher::recover_later(Peer& peer) {
  peer.timer->arm_after(kRecoverFirst * (1 << std::min(peer.retries, kMaxRecoverDoublings)));
  ++peer.retries;
}

void Puncher::on_peer_timer(const std::string& name) {
  Peer& peer = peers_.at(name);
  if (!peer.waiting) {
    if (!peer.recovering) return;
    peer.requested = host_.now();
    ask(name, peer);
    return;
  }
  peer.waiting = false;
  if (peer.token != 0) client_->cancel_connect(peer.token);
  peer.token = 0;
  SessionResult result;
  result.took = host_.now() - peer.requested;
  const std::string server = options_.server.to_string();
  if (client_->port_unreachable()) {
    result.why = {Reason::no_server, "nobody listens at " + server + " (ICMP port unreachable)"};
  } else if (client_->ever_answered()) {
    result.why = {Reason::no_server, server + " answered before, but not this request"};
  } else {
    result.why = {Reason::udp_blocked,
                  "nothing ever came back from " + server + " over UDP, not even an ICMP error"};
  }
  log_result(name, peer, result);
  if (peer.recovering) recover_later(peer);
}

net::Status Puncher::close(const std::string& name) {
  const auto found = peers_.find(name);
  if (found == peers_.end()) return {net::Error::not_found, "no session with '" + name + "'"};
  Peer& peer = found->second;
  if (peer.token != 0) client_->cancel_connect(peer.token);
  if (peer.session) {
    peer.session->close();
    closed_.push_back(peer.session->id());
    if (closed_.size() > kMaxClosed) closed_.pop_front();
  }
  peers_.erase(found);
  host_.log().write("punch", "closed", {{"peer", name}});
  return {};
}

net::Status Puncher::send_text(const std::string& name, std::string_view text) {
  const auto found = peers_.find(name);
  if (found == peers_.end() || !found->second.session) {
    return {net::Error::not_found, "no session with '" + name + "'"};
  }
  const net::Status sent = found->second.session->send_text(text);
  if (sent.ok()) {
    host_.log().write("punch", "data_sent",
                      {{"peer", name}, {"bytes", static_cast<uint64_t>(text.size())}});
  }
  return sent;
}

}  // namespace culvert::punch
