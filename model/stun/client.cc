#include "model/stun/client.h"

#include <algorithm>
#include <cmath>

namespace culvert::stun {
namespace {

constexpr int kMostTries = 64;
// Ours: with it a request is at least as long as our server's longest answer over IPv6.
constexpr size_t kRequestSize = 136;

// Errors that come without integrity, because the server has no key (section 9.1.3, 9.2.4).
constexpr uint16_t kBareErrors[] = {400, 401, 438};

// A stranger's words in our sentence: section 14.8's 127 characters, and none that a terminal
// obeys.
std::string printable(std::string_view reason) {
  std::string text(reason.substr(0, 127));
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  return text;
}

}  // namespace

TransactionId fresh_id(net::Host& host) {
  TransactionId id;
  host.secure_random(id);
  return id;
}

Schedule Schedule::rfc8489(net::Duration rto) {
  Schedule schedule;
  schedule.rto = rto;
  schedule.last_wait = rto * 16;
  return schedule;
}

Schedule Schedule::even(int count, net::Duration spacing, net::Duration wait) {
  Schedule schedule;
  schedule.rto = spacing;
  schedule.requests = count;
  schedule.growth = 1;
  schedule.last_wait = wait;
  return schedule;
}

net::Duration Schedule::gap(int sent) const {
  if (sent >= requests) return last_wait;
  const double factor = std::pow(growth, std::min(sent - 1, 20));
  return net::Duration(static_cast<int64_t>(static_cast<double>(rto.count()) * factor));
}

Client::Client(net::Host& host, net::DatagramMux& mux) : host_(host), mux_(mux) {}
Client::~Client() = default;

std::unique_ptr<Client::Pending> Client::ask(const Request& request, Done done) {
  return std::unique_ptr<Pending>(new Pending(host_, mux_, request, std::move(done)));
}

Client::Pending::Pending(net::Host& host, net::DatagramMux& mux, const Request& request, Done done)
    : host_(host),
      mux_(mux),
      request_(request),
      done_(std::move(done)),
      id_(fresh_id(host)),
      timer_(host.timers(), [this] { send(); }) {
  request_.schedule.requests = std::clamp(request_.schedule.requests, 1, kMostTries);
  if (request_.classic) {
    // Any four bytes but the cookie: they are the front of a 128-bit id (RFC 3489 section 11.1).
    const TransactionId more = fresh_id(host);
    cookie_ = uint32_t{more[0]} << 24 | uint32_t{more[1]} << 16 | uint32_t{more[2]} << 8 | more[3];
    if (cookie_ == kMagicCookie) ++cookie_;
  }
  user_ = mux_.attach(
      net::kStunBytes,
      [this](const net::DatagramIn& in, net::Bytes data) { return receive(in, data); },
      [this](const net::IcmpEvent& event) { icmp(event); });
  send();
}

Client::Pending::~Pending() = default;

net::Buffer Client::Pending::write() const {
  TransactionId id = id_;
  id.back() = static_cast<uint8_t>(sent_);
  Builder builder(Class::request, id, kBinding, cookie_);
  if (request_.change_ip || request_.change_port)
    builder.change_request(request_.change_ip, request_.change_port);
  if (request_.classic) return builder.take();
  if (request_.response_port) builder.response_port(*request_.response_port);
  if (const auto& credential = request_.credential) {
    if (!credential->long_term) {
      builder.text(Type::username, credential->user);
      builder.integrity(short_term_key(credential->password));
    } else if (answered_challenge_) {
      builder.text(Type::username, credential->user);
      builder.text(Type::realm, realm_).text(Type::nonce, nonce_);
      builder.integrity(long_term_key(credential->user, realm_, credential->password));
    }
  } else {
    builder.pad_to(kRequestSize);
  }
  builder.fingerprint();
  return builder.take();
}

void Client::Pending::send() {
  if (sent_ == request_.schedule.requests) {
    Outcome outcome;
    outcome.status =
        soft_.ok() ? net::Status(net::Error::timed_out, request_.to.to_string() + " did not answer")
                   : soft_;
    finish(std::move(outcome));
    return;
  }
  sent_at_[sent_] = host_.now();
  // A datagram that the socket does not take is a lost one: the next try comes anyway.
  mux_.send_to(request_.to, write(), request_.ttl);
  ++sent_;
  timer_.arm_after(request_.schedule.gap(sent_));
}

bool Client::Pending::receive(const net::DatagramIn& in, net::Bytes data) {
  if (!looks_like_stun(data, request_.classic)) return false;
  const auto message = Message::parse(data);
  if (!message || message->cookie != cookie_ || message->method != kBinding) return false;
  if (message->cls != Class::success && message->cls != Class::error) return false;
  if (!std::equal(id_.begin(), id_.end() - 1, message->id.begin())) return false;
  const int attempt = message->id.back();
  if (attempt >= sent_) return false;
  // Asked before the challenge was answered: a second 401 to that says nothing about the login.
  if (attempt < first_login_) return true;
  // It is an answer to this question from here on, if perhaps not one to believe.
  if (in.from != request_.answer_from.value_or(request_.to) && message->cls == Class::success)
    return true;
  if (message->cls == Class::error && in.from != request_.to) return true;
  if (!message->unknown_required().empty()) return true;  // section 6.3.3
  const auto error = message->error();
  const bool bare = message->cls == Class::error && error &&
                    std::count(std::begin(kBareErrors), std::end(kBareErrors), error->code) > 0;
  if (request_.credential && !bare) {
    const auto& credential = *request_.credential;
    const bool believed =
        credential.long_term
            ? !answered_challenge_ ||
                  message->integrity_ok(long_term_key(credential.user, realm_, credential.password))
            : message->integrity_ok(short_term_key(credential.password));
    if (!believed) return true;  // section 9.1.4, 9.2.5
  }
  if (message->cls == Class::error && challenged(*message)) return true;

  Outcome outcome;
  outcome.from = in.from;
  outcome.to = in.to;
  outcome.rtt = host_.now() - sent_at_[attempt];
  outcome.mapped = message->mapped().value_or(net::Endpoint{});
  outcome.other = message->address(Type::other_address).value_or(net::Endpoint{});
  if (outcome.other.is_none())
    outcome.other = message->address(Type::changed_address).value_or(net::Endpoint{});
  outcome.origin = message->address(Type::response_origin).value_or(net::Endpoint{});
  if (message->cls == Class::error) {
    outcome.code = error ? error->code : 0;
    outcome.status = {net::Error::failed,
                      request_.to.to_string() + " answered " + std::to_string(outcome.code) + " " +
                          (error ? printable(error->reason) : "without a code")};
  } else if (outcome.mapped.is_none()) {
    outcome.status = {net::Error::failed,
                      request_.to.to_string() + " answered without a mapped address"};
  }
  finish(std::move(outcome));
  return true;
}

// 401 and 438 carry what the next request needs (section 9.2.5); answered once, so that a server
// cannot make a loop of it.
bool Client::Pending::challenged(const Message& message) {
  const auto error = message.error();
  if (!error || (error->code != 401 && error->code != 438)) return false;
  if (!request_.credential || !request_.credential->long_term || answered_challenge_) return false;
  const auto realm = message.text(Type::realm), nonce = message.text(Type::nonce);
  if (!realm || !nonce) return false;
  realm_ = *realm;
  nonce_ = *nonce;
  answered_challenge_ = true;
  first_login_ = sent_;
  timer_.arm_after(net::Duration::zero());
  return true;
}

void Client::Pending::icmp(const net::IcmpEvent& event) {
  // Soft: it may concern another try, or another user's packet; it only names the reason later.
  if (event.to != request_.to || event.error == net::Error::too_big) return;
  soft_ = {event.error,
           request_.to.to_string() + ": " + std::string(net::to_string(event.error)) +
               (event.reporter.is_none() ? "" : ", says " + event.reporter.to_string())};
}

void Client::Pending::finish(Outcome outcome) {
  timer_.cancel();
  outcome.tries = sent_;
  if (!done_) return;
  const Done done = std::move(done_);
  done_ = {};
  user_.reset();
  done(outcome);  // may destroy this
}

}  // namespace culvert::stun
