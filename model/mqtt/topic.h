// Topic names and topic filters (MQTT 5.0 section 4.7), shared subscriptions (4.8). Pure.
#pragma once

#include <optional>
#include <string_view>

namespace culvert::mqtt {

// UTF-8 as MQTT wants it (1.5.4): well formed, no surrogates, no U+0000. Control characters and
// non-characters are allowed.
bool valid_utf8(std::string_view text);
// A name to publish to: UTF-8, 1 to 65,535 bytes, no wildcard.
bool valid_topic_name(std::string_view topic);
// A filter: wildcards only where they may stand; "$share/GROUP/FILTER" must be well formed.
bool valid_topic_filter(std::string_view filter);
// Whether a (not shared) filter matches a name; "#" and "+" do not match a leading "$".
bool matches(std::string_view filter, std::string_view topic);

struct SharedFilter {
  std::string_view group, filter;
};
// Of "$share/GROUP/FILTER"; none if the filter is not shared.
std::optional<SharedFilter> shared(std::string_view filter);

// Levels one after the other: for (Levels l(topic); l; ++l) use(*l).
class Levels {
 public:
  explicit Levels(std::string_view topic) : rest_(topic) { cut(); }
  explicit operator bool() const { return there_; }
  std::string_view operator*() const { return level_; }
  Levels& operator++() {
    if (last_)
      there_ = false;
    else
      cut();
    return *this;
  }
  bool last() const { return last_; }  // the current level is the last one

 private:
  void cut() {
    const size_t slash = rest_.find('/');
    last_ = slash == std::string_view::npos;
    level_ = rest_.substr(0, slash);
    if (!last_) rest_.remove_prefix(slash + 1);
  }
  std::string_view rest_, level_;
  bool there_ = true, last_ = false;
};

}  // namespace culvert::mqtt
