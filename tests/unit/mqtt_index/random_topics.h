// Topics and filters of few short levels, so that they meet often.
#pragma once

#include <string>

#include "model/net/random.h"

namespace culvert::mqtt::testing {

// "" is a level too ("a//b"); "a!" stands between "a" and "a/b" in byte order.
inline std::string random_topic(net::Random& random, size_t most_levels = 5) {
  static const char* const kLevels[] = {"a", "b", "a!", "", "ab", "$x", "a-long-level-of-its-own"};
  std::string topic;
  const size_t levels = 1 + random.below(most_levels);
  for (size_t i = 0; i < levels; ++i) {
    if (i > 0) topic += '/';
    topic += kLevels[random.below(std::size(kLevels))];
  }
  return topic.empty() ? "a" : topic;
}

inline std::string random_filter(net::Random& random, size_t most_levels = 5) {
  const std::string topic = random_topic(random, most_levels);
  std::string filter;
  for (size_t from = 0; from <= topic.size();) {
    const size_t to = std::min(topic.find('/', from), topic.size());
    if (from > 0) filter += '/';
    const uint64_t draw = random.below(10);
    if (draw == 0) return filter + "#";
    filter += draw < 3 ? "+" : topic.substr(from, to - from);
    from = to + 1;
  }
  return filter.empty() ? "#" : filter;
}

}  // namespace culvert::mqtt::testing
