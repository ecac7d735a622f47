#include "model/mqtt/broker/acl.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <tuple>

#include "model/mqtt/topic.h"

namespace culvert::mqtt {
namespace {

constexpr size_t kMostRules = 1'000'000;  // ours: a file of some 50 MB

enum class Kind : uint8_t { deny, read, write, readwrite };

struct Rule {
  Kind kind = Kind::readwrite;
  std::string filter;  // of a pattern: with its %u and %c
  bool with_user = false, with_client = false;
  friend bool operator==(const Rule& a, const Rule& b) {
    return a.kind == b.kind && a.filter == b.filter;
  }
};
using RuleList = std::vector<Rule>;  // denials first, as mosquitto has them

// What a list says to one question.
enum class Verdict { silent, allowed, denied };

bool covers_action(Kind kind, Action action) {
  if (kind == Kind::readwrite || kind == Kind::deny) return true;
  return (kind == Kind::write) == (action == Action::publish);
}

Verdict judge(const Rule& rule, std::string_view filter, Action action, std::string_view topic) {
  if (!covers_action(rule.kind, action)) return Verdict::silent;
  const bool deny = rule.kind == Kind::deny;
  const bool fits = action != Action::subscribe ? matches(filter, topic)
                    : deny                      ? filter_covers(filter, topic)
                                                : filters_overlap(filter, topic);
  return !fits ? Verdict::silent : deny ? Verdict::denied : Verdict::allowed;
}

// Values that would act as wildcards, or as more levels than one, once they stand in a filter
// (CVE-2017-7650).
bool acts_as_wildcard(std::string_view value) {
  return value.find_first_of("+#") != std::string_view::npos;
}
bool has_levels(std::string_view value) { return value.find('/') != std::string_view::npos; }

std::string substitute(std::string_view pattern, std::string_view user, std::string_view client) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char next = pattern[i] == '%' && i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (next == 'u' || next == 'c') {
      out += next == 'u' ? user : client;
      ++i;
    } else {
      out += pattern[i];
    }
  }
  return out;
}

std::string_view trim(std::string_view text) {
  const size_t from = text.find_first_not_of(" \t\r");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r") - from + 1);
}

// Cuts the first word off.
std::string_view word(std::string_view& text) {
  const size_t end = std::min(text.find_first_of(" \t"), text.size());
  const std::string_view first = text.substr(0, end);
  text = trim(text.substr(end));
  return first;
}

struct KindName {
  std::string_view name;
  Kind kind;
};
constexpr KindName kKinds[] = {{"read", Kind::read},
                               {"write", Kind::write},
                               {"readwrite", Kind::readwrite},
                               {"deny", Kind::deny}};

net::Result<Rule> parse_rule(std::string_view rest, bool pattern) {
  Rule rule;
  std::string_view after = rest;
  const std::string_view first = word(after);
  for (const KindName& known : kKinds) {
    if (first != known.name || after.empty()) continue;
    rule.kind = known.kind;
    rest = after;
  }
  if (rest.empty()) return {net::Error::invalid, "names no topic"};
  rule.filter = rest;
  if (pattern) {
    rule.with_user = rest.find("%u") != std::string_view::npos;
    rule.with_client = rest.find("%c") != std::string_view::npos;
  }
  if (!valid_topic_filter(pattern ? substitute(rest, "u", "c") : rule.filter) ||
      shared(rule.filter))
    return {net::Error::invalid, "'" + rule.filter + "' is no topic filter"};
  return rule;
}

}  // namespace

bool filters_overlap(std::string_view a, std::string_view b) {
  const bool reserved_a = a.front() == '$', reserved_b = b.front() == '$';
  const auto wild = [](std::string_view filter) {
    return filter.front() == '+' || filter.front() == '#';
  };
  if ((reserved_a && wild(b)) || (reserved_b && wild(a))) return false;
  Levels la(a), lb(b);
  for (; la && lb; ++la, ++lb) {
    if (*la == "#" || *lb == "#") return true;
    if (*la != "+" && *lb != "+" && *la != *lb) return false;
  }
  // One is longer: they still meet if only its "#" is left ("a/#" matches "a").
  if (la) return *la == "#";
  if (lb) return *lb == "#";
  return true;
}

bool filter_covers(std::string_view outer, std::string_view inner) {
  if (inner.front() == '$' && (outer.front() == '+' || outer.front() == '#')) return false;
  Levels lo(outer), li(inner);
  for (; lo && li; ++lo, ++li) {
    if (*lo == "#") return true;
    if (*li == "#") return false;
    if (*lo != "+" && *lo != *li) return false;
  }
  if (lo) return *lo == "#";
  return !li;
}

struct Acl::Rules {
  boost::unordered_flat_map<std::string, RuleList> users;
  RuleList anonymous, patterns;

  static void add(RuleList& list, Rule rule) {
    const auto end_of_denials =
        std::find_if(list.begin(), list.end(), [](const Rule& r) { return r.kind != Kind::deny; });
    if (rule.kind == Kind::deny)
      list.insert(end_of_denials, std::move(rule));
    else
      list.push_back(std::move(rule));
  }

  const RuleList* of(std::string_view user) const {
    if (user.empty()) return &anonymous;
    const auto at = users.find(std::string(user));
    return at == users.end() ? nullptr : &at->second;
  }
};

Acl::Acl() : rules_(std::make_unique<Rules>()) {}
Acl::Acl(Acl&&) noexcept = default;
Acl& Acl::operator=(Acl&&) noexcept = default;
Acl::~Acl() = default;

net::Result<Acl> Acl::parse(std::string_view text) {
  Acl acl;
  RuleList* of_user = &acl.rules_->anonymous;
  size_t number = 0, rules = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view rest = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    const auto wrong = [&](const std::string& what) {
      return net::Status(net::Error::invalid, "line " + std::to_string(number) + " " + what);
    };
    if (rest.empty() || rest.front() == '#') continue;
    const std::string_view what = word(rest);
    if (what == "user") {
      if (rest.empty()) return wrong("names no user");
      of_user = &acl.rules_->users[std::string(rest)];
      continue;
    }
    if (what != "topic" && what != "pattern")
      return wrong("begins with none of topic, user and pattern");  // it may be anything: a secret
    auto rule = parse_rule(rest, what == "pattern");
    if (!rule) return wrong(rule.status().detail);
    if (++rules > kMostRules) return wrong("is one rule too many");
    Rules::add(what == "pattern" ? acl.rules_->patterns : *of_user, std::move(*rule));
  }
  return acl;
}

bool Acl::allows(std::string_view user, std::string_view client_id, Action action,
                 std::string_view topic) const {
  if (topic.empty()) return false;
  // As in mosquitto: what the user's own lines allow or deny stands; else the patterns decide.
  if (const RuleList* list = rules_->of(user)) {
    for (const Rule& rule : *list) {
      const Verdict verdict = judge(rule, rule.filter, action, topic);
      if (verdict != Verdict::silent) return verdict == Verdict::allowed;
    }
  }
  for (const Rule& rule : rules_->patterns) {
    if (rule.with_user && user.empty()) continue;
    if (!rule.with_user && !rule.with_client) {
      const Verdict verdict = judge(rule, rule.filter, action, topic);
      if (verdict != Verdict::silent) return verdict == Verdict::allowed;
      continue;
    }
    if ((rule.with_user && acts_as_wildcard(user)) ||
        (rule.with_client && acts_as_wildcard(client_id)))
      return false;
    const bool levels =
        (rule.with_user && has_levels(user)) || (rule.with_client && has_levels(client_id));
    if (levels && rule.kind != Kind::deny) continue;  // "a/b" may not reach into the realm of "a"
    const std::string filter = substitute(rule.filter, user, client_id);
    const Verdict verdict = judge(rule, filter, action, topic);
    if (verdict != Verdict::silent) return verdict == Verdict::allowed;
  }
  return false;
}

Acl::Difference Acl::difference(const Acl& other) const {
  Difference difference;
  difference.all = rules_->patterns != other.rules_->patterns;
  if (rules_->anonymous != other.rules_->anonymous) difference.users.emplace_back();
  for (const auto& [user, list] : rules_->users) {
    const auto at = other.rules_->users.find(user);
    if (at == other.rules_->users.end() ? !list.empty() : at->second != list)
      difference.users.push_back(user);
  }
  for (const auto& [user, list] : other.rules_->users)
    if (!list.empty() && rules_->users.find(user) == rules_->users.end())
      difference.users.push_back(user);
  std::sort(difference.users.begin(), difference.users.end());
  return difference;
}

}  // namespace culvert::mqtt
