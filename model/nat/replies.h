// The packets that a NAT makes itself: RST (RFC 9293 section 3.10.7.1) and ICMP unreachable (RFC
// 792, RFC 4443), and the SYNs it holds for RFC 5382 REQ-4. Built from headers alone, so that a
// truncated view is enough.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "model/nat/behaviour.h"
#include "model/nat/nat.h"
#include "model/packet/packet.h"

namespace culvert::nat {

// Answers a TCP segment to a closed port. `packet` holds the TCP header.
net::Buffer make_rst(net::Bytes packet, const cv_packet& parsed);

enum class Unreachable : uint8_t { port, prohibited };  // ICMP 3/3, 3/13; ICMPv6 1/4, 1/1
// Quotes the IP header and eight bytes after it (RFC 792). From the packet's destination, or from
// `source` if that is given and of the same family.
net::Buffer make_unreachable(net::Bytes packet, const cv_packet& parsed, Unreachable what,
                             const net::IpAddress& source = {});

class HeldSyns {
 public:
  struct Held {
    int64_t due = 0;
    Key key;  // near = external endpoint, far = who sent it
    net::Buffer reply;
    Side to = Side::outside;
  };
  explicit HeldSyns(size_t limit) : limit_(limit) {}
  // A retransmission of one that is held already is not held again.
  bool holds(const Key& key) const {
    for (const Held& h : held_)
      if (h.key == key) return true;
    return false;
  }
  bool full() const { return held_.size() >= limit_; }
  void hold(Held held) { held_.push_back(std::move(held)); }
  bool empty() const { return held_.empty(); }
  int64_t due() const { return held_.empty() ? INT64_MAX : held_.front().due; }
  Held take() {
    Held h = std::move(held_.front());
    held_.pop_front();
    return h;
  }
  void clear() { held_.clear(); }

 private:
  const size_t limit_;
  std::deque<Held> held_;  // by time: all are held equally long
};

}  // namespace culvert::nat
