#include "model/mqtt/broker/retained.h"

#include <algorithm>
#include <set>

#include "model/mqtt/topic.h"

namespace culvert::mqtt {
namespace {

// The order of topics: level by level, that is with '/' below every other byte. What is below a
// topic so stands right behind it, before its siblings.
int compare(std::string_view a, std::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  for (size_t i = 0; i < most; ++i) {
    if (a[i] == b[i]) continue;
    const int left = a[i] == '/' ? -1 : static_cast<uint8_t>(a[i]);
    const int right = b[i] == '/' ? -1 : static_cast<uint8_t>(b[i]);
    return left < right ? -1 : 1;
  }
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

struct Entry {
  mutable MessagePtr message;  // replaced by one of the same topic
};
struct ByTopic {
  using is_transparent = void;
  bool operator()(const Entry& a, const Entry& b) const {
    return compare(a.message->topic(), b.message->topic()) < 0;
  }
  bool operator()(const Entry& a, std::string_view b) const {
    return compare(a.message->topic(), b) < 0;
  }
  bool operator()(std::string_view a, const Entry& b) const {
    return compare(a, b.message->topic()) < 0;
  }
};
struct ByExpiry {
  bool operator()(const Message* a, const Message* b) const {
    if (a->expires() != b->expires()) return a->expires() < b->expires();
    return compare(a->topic(), b->topic()) < 0;
  }
};

// How a topic stands to a filter. Where it does not match, `seek` becomes the least topic that
// might, of those behind it.
enum class Verdict { match, next, seek, done };

Verdict judge(std::string_view filter, std::string_view topic, std::string& seek) {
  // Behind everything that is below the last "+" which has matched.
  size_t plus_end = 0;
  bool plus = false;
  const auto leave = [&] {
    if (!plus) return Verdict::done;
    seek.assign(topic, 0, plus_end);
    seek += '\x01';  // behind '/': U+0001 is the least character that a level may go on with
    return Verdict::seek;
  };
  Levels want(filter), have(topic);
  size_t begin = 0;  // of the current level of the topic
  for (; want; ++want, ++have) {
    if (*want == "#") return Verdict::match;
    if (!have) {
      // The topic has ended. "a/#" matches "a" too; anything else may still follow below it.
      return Verdict::next;
    }
    const size_t end = begin + (*have).size();
    if (*want == "+") {
      plus = true;
      plus_end = end;
    } else if (*want != *have) {
      if (compare(*have, *want) > 0) return leave();
      seek.assign(topic, 0, begin);
      seek += *want;
      return Verdict::seek;
    }
    begin = end + 1;
    // The last level of the filter, but the topic goes on.
    if (want.last() && !have.last()) return leave();
  }
  return Verdict::match;
}

}  // namespace

struct RetainedMessages::Tree {
  size_t most_messages, most_bytes, bytes = 0;
  std::set<Entry, ByTopic> topics;
  std::set<const Message*, ByExpiry> expiring;

  void forget(const MessagePtr& message) {
    bytes -= message->bytes();
    if (message->expires() != net::Time::max()) expiring.erase(message.get());
  }
};

RetainedMessages::RetainedMessages(size_t most_messages, size_t most_bytes)
    : tree_(std::make_unique<Tree>()) {
  tree_->most_messages = most_messages;
  tree_->most_bytes = most_bytes;
}
RetainedMessages::~RetainedMessages() = default;

bool RetainedMessages::put(MessagePtr message) {
  const auto at = tree_->topics.lower_bound(message->topic());
  const bool there = at != tree_->topics.end() && at->message->topic() == message->topic();
  const size_t others = tree_->bytes - (there ? at->message->bytes() : 0);
  if (!there && tree_->topics.size() >= tree_->most_messages) return false;
  if (message->bytes() > tree_->most_bytes || others > tree_->most_bytes - message->bytes())
    return false;
  if (there) tree_->forget(at->message);
  tree_->bytes += message->bytes();
  if (message->expires() != net::Time::max()) tree_->expiring.insert(message.get());
  if (there)
    at->message = std::move(message);
  else
    tree_->topics.insert(at, Entry{std::move(message)});
  return true;
}

bool RetainedMessages::erase(std::string_view topic) {
  const auto at = tree_->topics.find(topic);
  if (at == tree_->topics.end()) return false;
  tree_->forget(at->message);
  tree_->topics.erase(at);
  return true;
}

MessagePtr RetainedMessages::find(std::string_view topic) const {
  const auto at = tree_->topics.find(topic);
  return at == tree_->topics.end() ? MessagePtr() : at->message;
}

void RetainedMessages::match(std::string_view filter, net::Time now,
                             const std::function<void(const MessagePtr&)>& visit) const {
  const size_t wildcard = filter.find_first_of("+#");
  if (wildcard == std::string_view::npos) {
    const auto at = tree_->topics.find(filter);
    if (at != tree_->topics.end() && !at->message->expired(now)) visit(at->message);
    return;
  }
  // Wildcards at the start do not match "$…" (4.7.2): those topics stand together and are skipped.
  const bool no_reserved = wildcard == 0;
  std::string seek(filter.substr(0, wildcard == 0 ? 0 : wildcard - 1));
  auto at = tree_->topics.lower_bound(seek);
  while (at != tree_->topics.end()) {
    const MessagePtr& message = at->message;
    const std::string_view topic = message->topic();
    if (no_reserved && topic.front() == '$') {
      at = tree_->topics.lower_bound("%");  // the next character
      continue;
    }
    switch (judge(filter, topic, seek)) {
      case Verdict::match:
        if (!message->expired(now)) visit(message);
        [[fallthrough]];
      case Verdict::next:
        ++at;
        break;
      case Verdict::seek:
        at = tree_->topics.lower_bound(seek);
        break;
      case Verdict::done:
        return;
    }
  }
}

size_t RetainedMessages::expire(net::Time now, size_t most,
                                const std::function<void(const MessagePtr&)>& gone) {
  size_t count = 0;
  for (; count < most && !tree_->expiring.empty(); ++count) {
    const Message* first = *tree_->expiring.begin();
    if (!first->expired(now)) break;
    const MessagePtr keep(first);  // its topic is looked up while it goes
    erase(keep->topic());
    if (gone) gone(keep);
  }
  return count;
}

size_t RetainedMessages::expiring() const { return tree_->expiring.size(); }
size_t RetainedMessages::size() const { return tree_->topics.size(); }
size_t RetainedMessages::bytes() const { return tree_->bytes; }

}  // namespace culvert::mqtt
