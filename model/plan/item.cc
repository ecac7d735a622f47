#include "model/plan/item.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>

namespace culvert::plan {
namespace {

// ours: a file of the house has a few kilobytes and three levels. toml++ and this room walk a
// document recursively, and a line of dots must not use up the stack.
constexpr size_t kLongestLine = 10000;
constexpr int kDeepest = 32;

Item convert(const toml::node& node, const std::string& file, int depth = 0) {
  Item item;
  item.file = file;
  item.line = static_cast<int>(node.source().begin.line);
  if (depth > kDeepest) item.fail("more than " + std::to_string(kDeepest) + " levels of tables");
  if (const auto* table = node.as_table()) {
    item.kind = Item::Kind::table;
    for (const auto& [key, value] : *table) {
      Item child = convert(value, file, depth + 1);
      // A table's own position is that of its header; a key's is where the key stands.
      child.line = static_cast<int>(key.source().begin.line);
      item.table.emplace_back(std::string(key.str()), std::move(child));
    }
    std::stable_sort(item.table.begin(), item.table.end(),
                     [](const auto& a, const auto& b) { return a.second.line < b.second.line; });
    return item;
  }
  if (const auto* array = node.as_array()) {
    item.kind = Item::Kind::list;
    for (const auto& value : *array) item.list.push_back(convert(value, file, depth + 1));
    return item;
  }
  if (const auto* text = node.as_string())
    item.scalar = text->get();
  else if (const auto* number = node.as_integer())
    item.scalar = number->get();
  else if (const auto* real = node.as_floating_point(); real && std::isfinite(real->get()))
    item.scalar = real->get();
  else if (real)
    item.fail("nan and inf have no meaning here, and JSON has no word for them");
  else if (const auto* flag = node.as_boolean())
    item.scalar = flag->get();
  else
    item.fail("dates and times have no meaning here");
  return item;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

const Item* Item::find(std::string_view key) const {
  for (const auto& [name, value] : table)
    if (name == key) return &value;
  return nullptr;
}

const Item& Item::get(std::string_view key) const {
  if (const Item* item = find(key)) return *item;
  fail("the key '" + std::string(key) + "' is missing");
}

void Item::only(std::initializer_list<std::string_view> known, std::string_view what) const {
  if (!is_table()) fail(std::string(what) + " must be a table");
  for (const auto& [name, value] : table) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    value.fail("unknown key '" + name + "' in " + std::string(what) + "; " +
               suggestion(name, {known.begin(), known.end()}));
  }
}

std::string Item::text(std::string_view what) const {
  if (!is_scalar() || !scalar.is_string()) fail(std::string(what) + " must be a string");
  return std::string(scalar.get_string());
}

const std::vector<Item>& Item::items(std::string_view what) const {
  if (!is_list()) fail(std::string(what) + " must be a list");
  return list;
}

double Item::finite(std::string_view what) const {
  if (!is_scalar() || !scalar.is_number() || !std::isfinite(scalar.to_number<double>()))
    fail(std::string(what) + " must be a number");
  return scalar.to_number<double>();
}

boost::json::value Item::json() const {
  if (is_scalar()) return scalar;
  if (is_list()) {
    boost::json::array out;
    for (const Item& item : list) out.push_back(item.json());
    return out;
  }
  boost::json::object out;
  for (const auto& [name, value] : table) out[name] = value.json();
  return out;
}

Item parse_toml(const std::string& file, std::string_view text) {
  int line = 1;
  for (size_t begin = 0; begin < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (end - begin > kLongestLine)
      throw InputError(file, line,
                       "a line of more than " + std::to_string(kLongestLine) + " characters");
    begin = end + 1;
  }
  try {
    const toml::table table = toml::parse(text, std::string_view(file));
    Item root = convert(table, file);
    root.line = 1;
    return root;
  } catch (const toml::parse_error& error) {
    throw InputError(file, static_cast<int>(error.source().begin.line),
                     "not TOML: " + std::string(error.description()));
  }
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  const std::string* best = nullptr;
  size_t best_distance = word.size() / 2 + 1;
  for (const std::string& candidate : known) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) best = &candidate, best_distance = distance;
  }
  if (best) return "did you mean '" + *best + "'?";
  std::string all = "known are: ";
  for (size_t i = 0; i < known.size(); ++i) all += (i ? ", " : "") + known[i];
  return all;
}

}  // namespace culvert::plan
