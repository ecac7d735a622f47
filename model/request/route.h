// A route: a pattern of topic levels with typed holes, "devices/{id}/valves/{n:int}". Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/net/error.h"

namespace culvert::request {

// What the holes of a matched route hold. Views into the topic.
class Parameters {
 public:
  std::string_view text(std::string_view name) const;  // empty: no such hole
  int64_t integer(std::string_view name) const;        // of an {x:int}; else 0
  double real(std::string_view name) const;            // of an {x:real} or {x:int}; else 0
  bool boolean(std::string_view name) const;           // of an {x:bool}: "true" or "1"
  void add(std::string_view name, std::string_view value) { list_.push_back({name, value}); }
  void cut_to(size_t count) { list_.resize(count); }
  size_t size() const { return list_.size(); }

 private:
  struct Entry {
    std::string_view name, value;
  };
  std::vector<Entry> list_;
};

// Kinds of holes: {x} or {x:text} one level, not empty; {x:int} a decimal number of 64 bits;
// {x:real}; {x:bool} true, false, 1 or 0; {x:rest} one or more levels, only at the end.
class Route {
 public:
  // invalid: a hole that is not closed, has no name or an unknown kind, a name twice, wildcards.
  static net::Result<Route> parse(std::string_view pattern);

  // Whether the whole of `topic` matches; adds to `parameters` what the holes hold (nothing if
  // not).
  bool matches(std::string_view topic, Parameters& parameters) const;
  // Whether `topic` begins with this pattern and a further level: what is left of it. For routers
  // inside routers; a pattern that ends in {x:rest} never does.
  std::optional<std::string_view> begins(std::string_view topic, Parameters& parameters) const;
  const std::string& pattern() const { return pattern_; }
  // Fixed levels first, then typed holes, then text, then rest: which of two that match is nearer.
  // Negative: this one.
  int nearer_than(const Route& other) const;

 private:
  enum class Kind : uint8_t { fixed, integer, real, boolean, text, rest };
  struct Level {
    Kind kind = Kind::fixed;
    std::string text;  // the level, or the hole's name
  };
  static bool fits(Kind kind, std::string_view value);
  bool walk(std::string_view& topic, Parameters& parameters) const;

  std::string pattern_;
  std::vector<Level> levels_;
};

}  // namespace culvert::request
