#include "model/tunnel/session.h"

#include <algorithm>
#include <boost/endian/conversion.hpp>

namespace culvert::tunnel {
namespace {

constexpr uint8_t kHello = 1, kData = 2, kConfirm = 3;
constexpr size_t kHeader = 8, kTag = 16;
constexpr uint64_t kMostNumber = (uint64_t{1} << 56) - 1;
constexpr size_t kGreetingPlain = 16;  // two epochs; the second is zero if unknown

using Nonce = std::array<uint8_t, net::kSealNonce>;

uint64_t header(uint8_t kind, uint64_t number) { return uint64_t{kind} << 56 | number; }

// Keys are new for each pair of epochs, so the header may be the nonce. A greeting's key is not: a
// drawn tag goes behind the header.
Nonce nonce_of(net::Bytes head) {
  Nonce nonce{};
  std::copy_n(head.begin(), std::min(head.size(), nonce.size()), nonce.begin());
  return nonce;
}

}  // namespace

bool ReplayWindow::fresh(uint64_t number) const {
  if (number >= next_) return true;
  return next_ - number <= kWindow && !seen_[number % kWindow];
}

void ReplayWindow::mark(uint64_t number) {
  if (number >= next_) {
    const uint64_t ahead = number + 1 - next_;
    if (ahead >= kWindow)
      seen_.reset();
    else
      for (uint64_t n = next_; n < number; ++n) seen_.reset(n % kWindow);
    next_ = number + 1;
  }
  seen_.set(number % kWindow);
}

Session::Session(const net::Key& key, bool first, std::function<void(net::MutableBytes)> draw)
    : key_(key),
      greeting_out_(net::derive_key(key, first ? "tunnel greeting 1" : "tunnel greeting 2")),
      greeting_in_(net::derive_key(key, first ? "tunnel greeting 2" : "tunnel greeting 1")),
      draw_(std::move(draw)) {
  renew();
}

void Session::renew() { draw_(offer_); }

net::Key Session::data_key(const Epoch& sender, const Epoch& receiver) const {
  net::Buffer both(sender.begin(), sender.end());
  both.insert(both.end(), receiver.begin(), receiver.end());
  return net::derive_key(key_, "tunnel data", both);
}

net::Buffer Session::sealed(const net::Key& key, uint8_t kind, uint64_t number, net::Bytes plain) {
  net::Buffer out(kHeader);
  boost::endian::store_big_u64(out.data(), header(kind, number));
  if (kind != kData) {
    out.resize(kHeader + kTag);
    draw_(net::MutableBytes(out).subspan(kHeader));
  }
  const net::Buffer body = net::seal(key, nonce_of(out), out, plain);
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

net::Buffer Session::greeting(uint8_t kind, const Epoch& mine, const Epoch& theirs) {
  net::Buffer plain(mine.begin(), mine.end());
  plain.insert(plain.end(), theirs.begin(), theirs.end());
  return sealed(greeting_out_, kind, greetings_++, plain);
}

net::Buffer Session::hello() { return greeting(kHello, offer_, {}); }
net::Buffer Session::confirm() { return greeting(kConfirm, mine_, theirs_); }

std::optional<net::Buffer> Session::seal(net::Bytes packet) {
  if (!connected_ || sent_ >= kMostNumber) return {};
  return sealed(send_key_, kData, sent_++, packet);
}

Incoming Session::open(net::Bytes datagram, net::Buffer& out) {
  if (datagram.size() < kHeader + net::kSealOverhead) return Incoming::forged;
  if (datagram[0] == kHello || datagram[0] == kConfirm) return open_greeting(datagram, out);
  if (datagram[0] != kData || !connected_) return Incoming::forged;
  const uint64_t number = boost::endian::load_big_u64(datagram.data()) & kMostNumber;
  if (!window_.fresh(number)) return Incoming::replayed;
  const net::Bytes head = datagram.first(kHeader);
  auto plain = net::open(receive_key_, nonce_of(head), head, datagram.subspan(kHeader));
  if (!plain) return Incoming::forged;
  window_.mark(number);
  out = std::move(*plain);
  return Incoming::packet;
}

Incoming Session::open_greeting(net::Bytes datagram, net::Buffer& out) {
  constexpr size_t kHead = kHeader + kTag;
  if (datagram.size() != kHead + kGreetingPlain + net::kSealOverhead) return Incoming::forged;
  const net::Bytes head = datagram.first(kHead);
  const auto plain = net::open(greeting_in_, nonce_of(head), head, datagram.subspan(kHead));
  if (!plain) return Incoming::forged;
  const bool wants_answer = datagram[0] == kHello;
  Epoch theirs, ours;
  std::copy_n(plain->begin(), theirs.size(), theirs.begin());
  std::copy_n(plain->begin() + theirs.size(), ours.size(), ours.begin());
  out.clear();

  if (connected_ && theirs == theirs_ &&
      ours == mine_) {  // it missed our confirmation, or keeps up
    if (!wants_answer) return Incoming::alive;
    out = confirm();
    return Incoming::answer;
  }
  if (ours == offer_) {
    connected_ = true;
    mine_ = offer_;
    theirs_ = theirs;
    renew();
    send_key_ = data_key(mine_, theirs_);
    receive_key_ = data_key(theirs_, mine_);
    sent_ = 0;
    window_ = {};
    if (wants_answer) out = confirm();
    return Incoming::connected;
  }
  if (!wants_answer) return Incoming::forged;
  out = greeting(kHello, offer_, theirs);  // it does not know us yet, or is a recording
  return Incoming::answer;
}

}  // namespace culvert::tunnel
