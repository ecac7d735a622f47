// Tells a bridge's own messages when they come back, for brokers without "no local" (3.1.1): each
// message that went out is expected to come back once. Decides only.
#pragma once

#include <cstdint>
#include <deque>
#include <string_view>

#include "model/mqtt/broker/topic_hash.h"
#include "model/net/bytes.h"
#include "model/net/time.h"

namespace culvert::mqtt {

class EchoGuard {
 public:
  explicit EchoGuard(uint64_t seed) : hash_(seed) {}

  void sent(std::string_view topic, net::Bytes payload, net::Time now) {
    if (expected_.size() >= kMost) expected_.pop_front();
    expected_.push_back({mark(topic, payload), now + kPatience});
  }
  // True: it is an echo, and is expected no more.
  bool is_echo(std::string_view topic, net::Bytes payload, net::Time now) {
    while (!expected_.empty() && expected_.front().until <= now) expected_.pop_front();
    const uint64_t wanted = mark(topic, payload);
    for (auto at = expected_.begin(); at != expected_.end(); ++at) {
      if (at->mark != wanted) continue;
      expected_.erase(at);
      return true;
    }
    return false;
  }

 private:
  // Ours: an echo takes a round trip; a message that was lost is not expected for ever.
  static constexpr net::Duration kPatience = std::chrono::seconds(30);
  static constexpr size_t kMost = 4096;
  struct Expected {
    uint64_t mark;
    net::Time until;
  };
  uint64_t mark(std::string_view topic, net::Bytes payload) const {
    return hash_(topic) * 31 + hash_(net::as_text(payload));
  }
  TopicHash hash_;
  std::deque<Expected> expected_;
};

}  // namespace culvert::mqtt
