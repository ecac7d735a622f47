// Topic aliases (MQTT 5.0 section 3.3.2.3.4): which topics to call by a number towards the broker,
// and what the broker's numbers stand for. Live as long as one connection. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::mqtt {

// Ours: so many topics are looked through for each message; more would cost more than they save.
constexpr uint16_t kMostAliasesOut = 16;
constexpr uint16_t kMostAliasesIn = 1024;  // ours: whatever the application asks for

class AliasesOut {
 public:
  explicit AliasesOut(uint16_t broker_takes);
  struct Choice {
    uint16_t alias = 0;  // 0: none, send the topic alone
    bool known = false;  // the broker knows it: send no topic
  };
  // What to send a message to `topic` with. A topic gets a number when it comes a second time while
  // it is remembered, so that many topics one after the other cost nothing.
  Choice choose(std::string_view topic);

 private:
  struct Slot {
    std::string topic;
    uint64_t used = 0;
    bool told = false;
  };
  std::vector<Slot> slots_;  // alias - 1
  uint16_t most_;
  uint64_t uses_ = 0;
};

class AliasesIn {
 public:
  // `alias` 1..most with the topic of its PUBLISH, which may be empty. The topic meant; empty: the
  // alias stands for nothing (topic_alias_invalid or protocol_error). Lives until the next call.
  std::string_view resolve(uint16_t alias, std::string_view topic, uint16_t most);
  void clear() { std::vector<std::string>().swap(topics_); }

 private:
  std::vector<std::string> topics_;
};

}  // namespace culvert::mqtt
