// A sealed tunnel between two ends that share a key: what goes into a datagram, what comes out of
// one, and which are refused. Decides only; the service `vpn` ties it to a TUN device and a socket.
// Ours, in the shape of WireGuard's transport messages (32 bytes more a packet there, 24 here), but
// with a shared key and so without forward secrecy. Stands on model/net/crypto.h.
//
//   datagram  1 byte kind, 7 bytes number (big endian), then sealed (XChaCha20-Poly1305):
//     hello, confirm  the sender's epoch and the receiver's, as far as it is known, behind 16
//     random
//                     bytes in the open; a hello wants an answer
//     data            one IP packet
//
// An epoch is drawn for each meeting and used once. Data are sealed with a key for the pair
// (sender's epoch, receiver's epoch); a pair begins when its owner sees its own fresh epoch come
// back. So what was recorded before opens nothing later, numbers may begin at zero, and a replayed
// hello is answered and changes nothing.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <functional>
#include <optional>

#include "model/net/bytes.h"
#include "model/net/crypto.h"

namespace culvert::tunnel {

constexpr size_t kOverhead = 8 + net::kSealOverhead;  // bytes that a packet grows by
constexpr size_t kWindow = 2048;  // numbers; ours, as WireGuard's order (RFC 6479)

// Refuses numbers that were seen or are older than the window (RFC 6479 without its tricks).
class ReplayWindow {
 public:
  bool fresh(uint64_t number) const;
  void mark(uint64_t number);  // of a packet that was fresh and verified

 private:
  std::bitset<kWindow> seen_;
  uint64_t next_ = 0;  // above all that were seen
};

enum class Incoming : uint8_t {
  packet,     // `out` is one
  connected,  // the peer is there, now; `out`, if not empty, is to be sent to it
  answer,     // `out` is to be sent to whoever sent this; nothing else has changed
  alive,      // a confirmation of the pair that there is: the peer is where this came from
  replayed,   // seen before, or too old
  forged,     // not sealed by this key for this pair of epochs, or too short
};

class Session {
 public:
  using Epoch = std::array<uint8_t, 8>;
  // `first`: which of the two ends this is; they must differ. `draw`: cryptographic random bytes.
  Session(const net::Key& key, bool first, std::function<void(net::MutableBytes)> draw);

  net::Buffer hello();    // to begin with, until connected
  net::Buffer confirm();  // keeps a NAT's mapping; once connected
  bool connected() const { return connected_; }
  // Nothing before connected(), or when 2^56 packets have gone.
  std::optional<net::Buffer> seal(net::Bytes packet);
  Incoming open(net::Bytes datagram, net::Buffer& out);

 private:
  net::Buffer sealed(const net::Key& key, uint8_t kind, uint64_t number, net::Bytes plain);
  net::Buffer greeting(uint8_t kind, const Epoch& mine, const Epoch& theirs);
  Incoming open_greeting(net::Bytes datagram, net::Buffer& out);
  net::Key data_key(const Epoch& sender, const Epoch& receiver) const;
  void renew();

  net::Key key_, greeting_out_, greeting_in_;
  std::function<void(net::MutableBytes)> draw_;
  Epoch offer_{};            // never used yet: who sends it back is there now
  Epoch mine_{}, theirs_{};  // the pair, once connected
  bool connected_ = false;
  net::Key send_key_{}, receive_key_{};
  uint64_t sent_ = 0, greetings_ = 0;
  ReplayWindow window_;
};

}  // namespace culvert::tunnel
