#include "model/request/route.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "model/mqtt/topic.h"

namespace culvert::request {
namespace {

template <class Number>
bool whole(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

constexpr size_t kLongestReal = 64;  // ours: no real number that anybody writes is longer

bool is_real(std::string_view text, double* value = nullptr) {
  double got = 0;
  if (text.size() > kLongestReal || !whole(text, got)) return false;
  if (got != got || got - got != 0) return false;  // "nan", "inf"
  if (value) *value = got;
  return true;
}

}  // namespace

std::string_view Parameters::text(std::string_view name) const {
  for (const Entry& entry : list_)
    if (entry.name == name) return entry.value;
  return {};
}

int64_t Parameters::integer(std::string_view name) const {
  int64_t value = 0;
  whole(text(name), value);
  return value;
}

double Parameters::real(std::string_view name) const {
  double value = 0;
  is_real(text(name), &value);
  return value;
}

bool Parameters::boolean(std::string_view name) const {
  const std::string_view value = text(name);
  return value == "true" || value == "1";
}

net::Result<Route> Route::parse(std::string_view pattern) {
  const auto bad = [&](const std::string& why) {
    return net::Status{net::Error::invalid, "route '" + std::string(pattern) + "': " + why};
  };
  if (!mqtt::valid_topic_name(pattern))
    return bad("not a topic: empty, too long, not UTF-8, or with a wildcard");
  Route route;
  route.pattern_ = pattern;
  for (mqtt::Levels level(pattern); level; ++level) {
    const std::string_view text = *level;
    if (text.empty() || text.front() != '{') {
      if (text.find_first_of("{}") != std::string_view::npos)
        return bad("a hole is a whole level, '{name}' or '{name:kind}'");
      route.levels_.push_back({Kind::fixed, std::string(text)});
      continue;
    }
    if (text.back() != '}' || text.find_first_of("{}", 1) != text.size() - 1)
      return bad("a hole is a whole level, '{name}' or '{name:kind}'");
    const std::string_view inside = text.substr(1, text.size() - 2);
    const size_t colon = inside.find(':');
    const std::string_view name = inside.substr(0, colon);
    const std::string_view kind =
        colon == std::string_view::npos ? "text" : inside.substr(colon + 1);
    static constexpr std::pair<std::string_view, Kind> kKinds[] = {{"text", Kind::text},
                                                                   {"int", Kind::integer},
                                                                   {"real", Kind::real},
                                                                   {"bool", Kind::boolean},
                                                                   {"rest", Kind::rest}};
    const auto found = std::find_if(std::begin(kKinds), std::end(kKinds),
                                    [&](const auto& row) { return row.first == kind; });
    if (name.empty()) return bad("a hole without a name");
    if (found == std::end(kKinds))
      return bad("'" + std::string(kind) + "' is none of text, int, real, bool, rest");
    if (found->second == Kind::rest && !level.last()) return bad("{…:rest} can only be the end");
    for (const Level& before : route.levels_)
      if (before.kind != Kind::fixed && before.text == name)
        return bad("'" + std::string(name) + "' comes twice");
    route.levels_.push_back({found->second, std::string(name)});
  }
  return route;
}

bool Route::fits(Kind kind, std::string_view value) {
  int64_t integer = 0;
  switch (kind) {
    case Kind::integer:
      return whole(value, integer);
    case Kind::real:
      return is_real(value);
    case Kind::boolean:
      return value == "true" || value == "false" || value == "1" || value == "0";
    default:
      return !value.empty();
  }
}

// Takes this pattern's levels off the front of `topic`.
bool Route::walk(std::string_view& topic, Parameters& parameters) const {
  bool more = true;  // a level is left
  for (const Level& level : levels_) {
    if (!more) return false;
    if (level.kind == Kind::rest) {
      if (topic.empty()) return false;
      parameters.add(level.text, topic);
      topic = {};
      more = false;
      continue;
    }
    const size_t slash = topic.find('/');
    const std::string_view value = topic.substr(0, slash);
    more = slash != std::string_view::npos;
    topic = more ? topic.substr(slash + 1) : std::string_view{};
    if (level.kind == Kind::fixed) {
      if (value != level.text) return false;
      continue;
    }
    if (!fits(level.kind, value)) return false;
    parameters.add(level.text, value);
  }
  if (!more) topic = std::string_view(nullptr, 0);  // nothing is left, not even an empty level
  return true;
}

bool Route::matches(std::string_view topic, Parameters& parameters) const {
  const size_t before = parameters.size();
  if (walk(topic, parameters) && topic.data() == nullptr) return true;
  parameters.cut_to(before);
  return false;
}

std::optional<std::string_view> Route::begins(std::string_view topic,
                                              Parameters& parameters) const {
  const size_t before = parameters.size();
  if (walk(topic, parameters) && topic.data() != nullptr) return topic;
  parameters.cut_to(before);
  return std::nullopt;
}

int Route::nearer_than(const Route& other) const {
  const size_t common = std::min(levels_.size(), other.levels_.size());
  for (size_t i = 0; i < common; ++i)
    if (levels_[i].kind != other.levels_[i].kind)
      return levels_[i].kind < other.levels_[i].kind ? -1 : 1;
  if (levels_.size() != other.levels_.size()) return levels_.size() > other.levels_.size() ? -1 : 1;
  return 0;
}

}  // namespace culvert::request
