// Which sessions want a message: a tree of topic levels with wildcards and shared groups. Decides
// only. Stands on topic.h. MQTT 5.0 sections 4.7, 4.8.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "model/mqtt/packet.h"

namespace culvert::mqtt {

using SessionIndex = uint32_t;  // the broker's number of a session; reused after erase_session

struct Subscription {
  SessionIndex session = 0;
  uint32_t subscription_id = 0;  // 0: none
  SubscriptionOptions options;
  uint32_t share = 0;  // the broker's number of the $share filter it came by; 0: not shared
};

// One $share/GROUP/FILTER. Who is next is the broker's decision; `turn` is its to use.
struct SharedGroup {
  std::vector<Subscription> members;  // in the order in which they came
  size_t turn = 0;
};

class SubscriptionTree {
 public:
  // `hash_seed`: secret, so that nobody can choose filters that slow the tree down.
  explicit SubscriptionTree(uint64_t hash_seed = 0);
  ~SubscriptionTree();

  // Adds or replaces; true: this session had the filter already (retain handling 1 wants to know).
  // `filter` is valid, may be shared.
  bool put(std::string_view filter, const Subscription& subscription);
  bool erase(std::string_view filter, SessionIndex session);  // false: there was none

  // Visits every subscription that matches, a session once per matching filter (overlaps are the
  // broker's to merge), ordinary ones first, in an order that does not depend on addresses.
  // Templates-free and without allocation per call: `visit` is a plain function and a context. It
  // may not change the tree.
  using Visit = void (*)(void* context, const Subscription& subscription);
  using VisitShared = void (*)(void* context, SharedGroup& group);
  void match(std::string_view topic, void* context, Visit visit, VisitShared visit_shared);

  size_t size() const;          // subscriptions
  size_t memory_bytes() const;  // about

 private:
  struct Tree;
  std::unique_ptr<Tree> tree_;
};

}  // namespace culvert::mqtt
