// Retained messages by topic, found by filter (MQTT 5.0 section 3.3.1.3). Decides only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "model/mqtt/broker/message.h"

namespace culvert::mqtt {

class RetainedMessages {
 public:
  // Bounded by both; `put` beyond them answers false and keeps what it had.
  RetainedMessages(size_t most_messages, size_t most_bytes);
  ~RetainedMessages();

  bool put(MessagePtr message);        // by its topic; replaces
  bool erase(std::string_view topic);  // false: there was none
  MessagePtr find(std::string_view topic) const;
  // Every retained message that the (not shared) filter matches and that has not expired at `now`,
  // in the order of topics. Looks only where the filter can match.
  void match(std::string_view filter, net::Time now,
             const std::function<void(const MessagePtr&)>& visit) const;
  // Drops up to `most` expired ones, each of which `gone` is told; how many.
  size_t expire(net::Time now, size_t most,
                const std::function<void(const MessagePtr&)>& gone = {});
  size_t expiring() const;  // how many will expire some day
  size_t size() const;
  size_t bytes() const;

 private:
  struct Tree;
  std::unique_ptr<Tree> tree_;
};

}  // namespace culvert::mqtt
