#include "model/mqtt/broker/subscriptions.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "model/mqtt/broker/pool.h"
#include "model/mqtt/broker/topic_hash.h"
#include "model/mqtt/topic.h"

namespace culvert::mqtt {
namespace {

constexpr uint32_t kNone = ~uint32_t{0};

// A text of which short ones need no allocation.
class ShortText {
 public:
  ShortText() = default;
  ShortText(ShortText&& other) noexcept { *this = std::move(other); }
  ShortText& operator=(ShortText&& other) noexcept {
    if (this == &other) return *this;
    clear();
    std::memcpy(text_, other.text_, sizeof text_);
    size_ = other.size_;
    other.size_ = 0;
    return *this;
  }
  ~ShortText() { clear(); }
  void set(std::string_view text) {
    clear();
    char* to = text_;
    if (text.size() > sizeof text_) {
      to = new char[text.size()];
      std::memcpy(text_, &to, sizeof to);
    }
    std::memcpy(to, text.data(), text.size());
    size_ = static_cast<uint16_t>(text.size());
  }
  std::string_view view() const { return {size_ > sizeof text_ ? heap() : text_, size_}; }
  size_t heap_bytes() const { return size_ > sizeof text_ ? (size_ + 8 + 15) / 16 * 16 : 0; }

 private:
  char* heap() const {
    char* at;
    std::memcpy(&at, text_, sizeof at);
    return at;
  }
  void clear() {
    if (size_ > sizeof text_) delete[] heap();
    size_ = 0;
  }
  char text_[14];      // fills the node up to 40 bytes
  uint16_t size_ = 0;  // a filter has at most 65,535 bytes (1.5.4)
};

struct NamedGroup {
  std::string name;
  SharedGroup group;
};
using Groups = std::vector<std::unique_ptr<NamedGroup>>;  // visitors keep references for a while

// Who subscribed to one filter, in the order of session numbers; one of them needs no allocation.
class Leaf {
 public:
  Leaf() = default;
  Leaf& operator=(Leaf&& other) noexcept {
    if (this == &other) return *this;
    std::free(many_);
    one_ = other.one_;
    many_ = std::exchange(other.many_, nullptr);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 1);
    groups = std::move(other.groups);
    return *this;
  }
  ~Leaf() { std::free(many_); }

  const Subscription* begin() const { return many_ ? many_ : &one_; }
  const Subscription* end() const { return begin() + size_; }
  bool empty() const { return size_ == 0 && !groups; }

  bool put(const Subscription& subscription) {
    Subscription* at = find(subscription.session);
    if (at != end() && at->session == subscription.session) {
      *at = subscription;
      return true;
    }
    const size_t offset = static_cast<size_t>(at - begin());
    if (size_ == capacity_) grow();
    at = mutable_begin() + offset;
    std::move_backward(at, mutable_begin() + size_, mutable_begin() + size_ + 1);
    *at = subscription;
    ++size_;
    return false;
  }
  bool erase(SessionIndex session) {
    Subscription* at = find(session);
    if (at == end() || at->session != session) return false;
    std::move(at + 1, mutable_begin() + size_, at);
    --size_;
    if (size_ == 0) {
      std::free(std::exchange(many_, nullptr));
      capacity_ = 1;
    }
    return true;
  }
  size_t heap_bytes() const { return many_ ? capacity_ * sizeof(Subscription) + 16 : 0; }

 private:
  Subscription* mutable_begin() { return many_ ? many_ : &one_; }
  Subscription* find(SessionIndex session) {
    // Sessions mostly come with growing numbers.
    if (size_ > 0 && (end() - 1)->session < session) return mutable_begin() + size_;
    return std::lower_bound(
        mutable_begin(), mutable_begin() + size_, session,
        [](const Subscription& s, SessionIndex wanted) { return s.session < wanted; });
  }
  void grow() {
    const uint32_t more = capacity_ < 4 ? 4 : capacity_ + capacity_ / 2;
    auto* bigger = static_cast<Subscription*>(std::malloc(more * sizeof(Subscription)));
    if (!bigger) throw std::bad_alloc();
    std::copy(begin(), end(), bigger);
    std::free(many_);
    many_ = bigger;
    capacity_ = more;
  }

  Subscription one_;
  uint32_t size_ = 0, capacity_ = 1;
  Subscription* many_ = nullptr;

 public:
  std::unique_ptr<Groups> groups;
};

// A level of filters with wildcards, or, below kExact, a whole filter without.
struct Node {
  uint32_t parent = kNone;
  uint32_t hash = 0;
  uint32_t children = 0;  // in the table, without plus
  uint32_t plus = kNone;
  uint32_t here = kNone, below = kNone;  // leaves: of the filter that ends here, and of "…/#"
  ShortText text;
};

}  // namespace

struct SubscriptionTree::Tree {
  // The two roots: filters with wildcards level by level, filters without as one text each, so
  // that a topic finds them in one step.
  static constexpr uint32_t kWild = 0, kExact = 1;

  explicit Tree(uint64_t seed) : hash(seed), slots(64, kNone) {
    nodes.make();
    nodes.make();
  }

  uint32_t find(uint32_t parent, std::string_view text, uint32_t key) const {
    const size_t mask = slots.size() - 1;
    for (size_t at = key & mask; slots[at] != kNone; at = (at + 1) & mask) {
      const Node& node = nodes[slots[at]];
      if (node.hash == key && node.parent == parent && node.text.view() == text) return slots[at];
    }
    return kNone;
  }
  void place(uint32_t number) {
    const size_t mask = slots.size() - 1;
    size_t at = nodes[number].hash & mask;
    while (slots[at] != kNone) at = (at + 1) & mask;
    slots[at] = number;
  }
  uint32_t child(uint32_t parent, std::string_view text) {
    const uint32_t key = hash.below(parent, hash(text));
    if (const uint32_t known = find(parent, text, key); known != kNone) return known;
    if ((used + 1) * 4 > slots.size() * 3) {
      const std::vector<uint32_t> old = std::exchange(slots, {});
      slots.assign(old.size() * 2, kNone);
      for (const uint32_t number : old)
        if (number != kNone) place(number);
    }
    const uint32_t number = nodes.make();
    Node& node = nodes[number];
    node.parent = parent;
    node.hash = key;
    node.text.set(text);
    place(number);
    ++used;
    ++nodes[parent].children;
    return number;
  }
  void unplace(uint32_t number) {  // with the gap closed, so that searches need no tombstones
    const size_t mask = slots.size() - 1;
    size_t gap = nodes[number].hash & mask;
    while (slots[gap] != number) gap = (gap + 1) & mask;
    for (size_t at = (gap + 1) & mask; slots[at] != kNone; at = (at + 1) & mask) {
      const size_t home = nodes[slots[at]].hash & mask;
      if (((at - home) & mask) >= ((at - gap) & mask)) {
        slots[gap] = slots[at];
        gap = at;
      }
    }
    slots[gap] = kNone;
    --used;
  }

  // Where a filter's leaf is kept; made if `make`, else null where there is none.
  struct Place {
    uint32_t node = kNone;
    bool below = false;
  };
  Place locate(std::string_view filter, bool make) {
    const auto step = [&](uint32_t parent, std::string_view text) {
      return make ? child(parent, text) : find(parent, text, hash.below(parent, hash(text)));
    };
    if (filter.find_first_of("+#") == std::string_view::npos) return {step(kExact, filter), false};
    uint32_t node = kWild;
    for (Levels level(filter); level && node != kNone; ++level) {
      if (*level == "#") return {node, true};
      if (*level != "+") {
        node = step(node, *level);
        continue;
      }
      if (nodes[node].plus == kNone && make) {
        const uint32_t plus = nodes.make();
        nodes[plus].parent = node;
        nodes[node].plus = plus;
      }
      node = nodes[node].plus;
    }
    return {node, false};
  }
  uint32_t& leaf_of(const Place& place) {
    return place.below ? nodes[place.node].below : nodes[place.node].here;
  }
  // Takes away what nobody needs any more, from this node upwards.
  void prune(uint32_t number) {
    while (number > kExact) {
      const Node& node = nodes[number];
      if (node.children > 0 || node.plus != kNone || node.here != kNone || node.below != kNone)
        return;
      const uint32_t parent = node.parent;
      if (nodes[parent].plus == number) {
        nodes[parent].plus = kNone;
      } else {
        unplace(number);
        --nodes[parent].children;
      }
      nodes.release(number);
      number = parent;
    }
  }

  void collect(uint32_t leaf) {
    if (leaf != kNone) matched.push_back(leaf);
  }
  // The leaves of every filter that matches, into `matched`. Level by level through the wild tree,
  // with all nodes that the topic so far reaches.
  void search(std::string_view topic) {
    matched.clear();
    if (nodes[kExact].children > 0) {
      const uint32_t exact = find(kExact, topic, hash.below(kExact, hash(topic)));
      if (exact != kNone) collect(nodes[exact].here);
    }
    const Node& root = nodes[kWild];
    if (root.children == 0 && root.plus == kNone && root.below == kNone) return;
    const bool reserved = !topic.empty() && topic.front() == '$';  // 4.7.2
    if (!reserved) collect(root.below);
    reached.assign(1, kWild);
    bool first = true;
    for (Levels level(topic); level && !reached.empty(); ++level, first = false) {
      const uint64_t text = hash(*level);
      next.clear();
      const auto reach = [&](uint32_t number) {
        const Node& node = nodes[number];
        collect(node.below);
        if (level.last())
          collect(node.here);
        else if (node.children > 0 || node.plus != kNone)
          next.push_back(number);
      };
      for (const uint32_t number : reached) {
        const Node& node = nodes[number];
        if (node.children > 0) {
          const uint32_t found = find(number, *level, hash.below(number, text));
          if (found != kNone) reach(found);
        }
        if (node.plus != kNone && !(first && reserved)) reach(node.plus);
      }
      reached.swap(next);
    }
  }

  TopicHash hash;
  Pool<Node> nodes;
  Pool<Leaf> leaves;
  std::vector<uint32_t> slots;  // numbers of nodes by their hash; a power of two
  size_t used = 0, subscriptions = 0, in_groups = 0;
  std::vector<uint32_t> reached, next, matched;  // kept for their memory
};

SubscriptionTree::SubscriptionTree(uint64_t hash_seed) : tree_(std::make_unique<Tree>(hash_seed)) {}
SubscriptionTree::~SubscriptionTree() = default;

bool SubscriptionTree::put(std::string_view filter, const Subscription& subscription) {
  const auto group = shared(filter);
  const Tree::Place place = tree_->locate(group ? group->filter : filter, true);
  uint32_t& number = tree_->leaf_of(place);
  if (number == kNone) number = tree_->leaves.make();
  Leaf& leaf = tree_->leaves[number];
  bool had = false;
  if (!group) {
    had = leaf.put(subscription);
  } else {
    if (!leaf.groups) leaf.groups = std::make_unique<Groups>();
    auto at = std::find_if(leaf.groups->begin(), leaf.groups->end(),
                           [&](const auto& g) { return g->name == group->group; });
    if (at == leaf.groups->end()) {
      leaf.groups->push_back(std::make_unique<NamedGroup>());
      at = leaf.groups->end() - 1;
      (*at)->name = group->group;
    }
    auto& members = (*at)->group.members;
    const auto same = std::find_if(members.begin(), members.end(), [&](const Subscription& s) {
      return s.session == subscription.session;
    });
    had = same != members.end();
    if (had)
      *same = subscription;
    else
      members.push_back(subscription);
    tree_->in_groups += had ? 0 : 1;
  }
  tree_->subscriptions += had ? 0 : 1;
  return had;
}

bool SubscriptionTree::erase(std::string_view filter, SessionIndex session) {
  const auto group = shared(filter);
  const Tree::Place place = tree_->locate(group ? group->filter : filter, false);
  if (place.node == kNone) return false;
  uint32_t& number = tree_->leaf_of(place);
  if (number == kNone) return false;
  Leaf& leaf = tree_->leaves[number];
  if (!group) {
    if (!leaf.erase(session)) return false;
  } else {
    if (!leaf.groups) return false;
    const auto at = std::find_if(leaf.groups->begin(), leaf.groups->end(),
                                 [&](const auto& g) { return g->name == group->group; });
    if (at == leaf.groups->end()) return false;
    SharedGroup& shared_group = (*at)->group;
    auto& members = shared_group.members;
    const auto same = std::find_if(members.begin(), members.end(),
                                   [&](const Subscription& s) { return s.session == session; });
    if (same == members.end()) return false;
    // Whoever would have been next still is.
    if (static_cast<size_t>(same - members.begin()) < shared_group.turn) --shared_group.turn;
    members.erase(same);
    --tree_->in_groups;
    if (members.empty()) leaf.groups->erase(at);
    if (leaf.groups->empty()) leaf.groups.reset();
  }
  --tree_->subscriptions;
  if (leaf.empty()) {
    tree_->leaves.release(number);
    number = kNone;
    tree_->prune(place.node);
  }
  return true;
}

void SubscriptionTree::match(std::string_view topic, void* context, Visit visit,
                             VisitShared visit_shared) {
  tree_->search(topic);
  for (const uint32_t leaf : tree_->matched)
    for (const Subscription& subscription : tree_->leaves[leaf]) visit(context, subscription);
  if (tree_->in_groups == 0) return;
  for (const uint32_t leaf : tree_->matched) {
    if (!tree_->leaves[leaf].groups) continue;
    for (const auto& group : *tree_->leaves[leaf].groups) visit_shared(context, group->group);
  }
}

size_t SubscriptionTree::size() const { return tree_->subscriptions; }

size_t SubscriptionTree::memory_bytes() const {
  size_t sum = sizeof(Tree) + tree_->nodes.memory_bytes() + tree_->leaves.memory_bytes() +
               tree_->slots.capacity() * sizeof(uint32_t);
  for (uint32_t i = 0; i < tree_->nodes.made(); ++i) sum += tree_->nodes[i].text.heap_bytes();
  for (uint32_t i = 0; i < tree_->leaves.made(); ++i) {
    const Leaf& leaf = tree_->leaves[i];
    sum += leaf.heap_bytes();
    if (!leaf.groups) continue;
    sum += sizeof(Groups) + leaf.groups->capacity() * sizeof(void*);
    for (const auto& group : *leaf.groups)
      sum += sizeof(NamedGroup) + 16 + group->name.capacity() +
             group->group.members.capacity() * sizeof(Subscription);
  }
  return sum;
}

}  // namespace culvert::mqtt
