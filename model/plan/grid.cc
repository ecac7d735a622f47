#include "model/plan/grid.h"

#include <algorithm>
#include <cmath>

#include "model/net/random.h"

namespace culvert::plan {
namespace {

constexpr double kMostDrawn = 1e12;  // ours: its thousandths still fit an int64_t

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  size_t begin = 0;
  for (;;) {
    const size_t end = text.find(separator, begin);
    out.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) return out;
    begin = end + 1;
  }
}

}  // namespace

Grid::Grid(const Item& scenario, const Parameters& parameters, const GridRequest& request)
    : parameters_(parameters) {
  const Item* sets = scenario.find("sets");
  for (auto set = request.sets.begin(); set != request.sets.end(); ++set)
    if (std::any_of(request.sets.begin(), set,
                    [&](const auto& s) { return s.first == set->first; }))
      throw InputError("--set " + set->first + "=" + set->second, 0,
                       "'" + set->first + "' is set twice; NAME=V1,V2 varies it");
  // Plain values first: an axis may be "$kinds", whose value names a set.
  for (const auto& [name, text] : request.sets) {
    const Item* vary = scenario.find("vary");
    const bool axis = (vary && vary->find(name)) || text.find(',') != std::string::npos;
    if (!axis) fixed_[name] = parameters_.parse(name, text);
  }
  if (const Item* vary = scenario.find("vary")) read_vary(*vary, sets, request.own);
  everywhere_ = axes_;
  std::vector<const Item*> lists{scenario.find("vary")};
  if (const Item* grids = scenario.find("grid"))
    for (const Item& grid : grids->items("[[grid]]")) lists.push_back(&grid);
  for (Axis& axis : everywhere_)
    for (const Item* table : lists)
      if (const Item* list = table ? table->find(axis.name) : nullptr; list && list->is_list())
        for (Choice& choice : read_choices(axis.name, *list))
          axis.choices.push_back(std::move(choice));
  if (const Item* skips = scenario.find("skip")) read_skips(*skips);
  apply_sets(request, sets);
  if (const Item* draw = scenario.find("draw")) {
    if (!draw->is_table()) draw->fail("[draw] must be a table");
    for (const auto& [name, item] : draw->table) {
      item.only({"uniform", "integer", "choice"}, "draw '" + name + "'");
      Assignment trial;
      for (const Parameter& p : parameters_.all()) trial[p.name] = p.fallback;
      Grid::draw(trial, name, item, 1);  // finds what is wrong with it now, not in the middle
      draws_.emplace_back(name, item);
    }
  }
}

std::vector<Choice> Grid::read_choices(const std::string& name, const Item& list) const {
  if (!list.is_list() || list.list.empty()) list.fail("'" + name + "' needs a list of values");
  std::vector<Choice> choices;
  for (const Item& item : list.list) {
    Choice choice;
    if (item.is_table()) {
      choice.label = item.get("label").text("label");
      for (const auto& [key, value] : item.table) {
        if (key == "label") continue;
        parameters_.check(key, value.json(), value);
        choice.values[key] = value.json();
      }
    } else {
      parameters_.check(name, item.json(), item);
      choice.label = to_text(item.json());
      choice.values[name] = item.json();
    }
    choices.push_back(std::move(choice));
  }
  return choices;
}

std::vector<Choice> Grid::named_set(const std::string& axis, const std::string& set,
                                    const Item* sets, const Item& where) const {
  const Item* list = sets ? sets->find(set) : nullptr;
  if (!list) {
    std::vector<std::string> known;
    if (sets)
      for (const auto& entry : sets->table) known.push_back(entry.first);
    where.fail("there is no set '" + set + "' in [sets]; " + suggestion(set, known));
  }
  return read_choices(axis, *list);
}

void Grid::read_skips(const Item& skips) {
  for (const Item& item : skips.items("[[skip]]")) {
    if (!item.is_table() || item.table.empty()) item.fail("[[skip]] names what a cell must have");
    std::vector<Skip> skip;
    for (const auto& [name, value] : item.table) {
      const bool axis = std::any_of(axes_.begin(), axes_.end(),
                                    [&, n = name](const Axis& a) { return a.name == n; });
      if (!axis && !parameters_.find(name))
        value.fail("'" + name + "' is neither an axis nor a parameter; " +
                   suggestion(name, parameters_.names()));
      skip.push_back({name, {}});
      if (value.is_list())
        for (const Item& one : value.list) skip.back().values.push_back(to_text(one.json()));
      else
        skip.back().values.push_back(to_text(value.json()));
    }
    skips_.push_back(std::move(skip));
  }
}

bool Grid::skipped(size_t cell, const Assignment& overrides) const {
  if (skips_.empty()) return false;
  const Assignment values = assignment(cell, 1, overrides);
  const auto words = labels(cell);
  const auto has = [&](const Skip& skip) {
    const auto among = [&](const std::string& text) {
      return std::find(skip.values.begin(), skip.values.end(), text) != skip.values.end();
    };
    for (size_t i = 0; i < axes_.size(); ++i)
      if (axes_[i].name == skip.name) return among(words[i]);
    return among(to_text(values.at(skip.name)));
  };
  return std::any_of(skips_.begin(), skips_.end(), [&](const std::vector<Skip>& skip) {
    return std::all_of(skip.begin(), skip.end(), has);
  });
}

const Choice* Grid::known(const std::string& axis, const std::string& label) const {
  for (const std::vector<Axis>* axes : {&axes_, &everywhere_})  // this grid's own list first
    for (const Axis& one : *axes)
      for (const Choice& choice : one.choices)
        if (one.name == axis && choice.label == label) return &choice;
  return nullptr;
}

void Grid::read_vary(const Item& vary, const Item* sets, const std::vector<const Item*>& own) {
  if (!vary.is_table()) vary.fail("[vary] must be a table");
  for (const Item* table : own)
    if (table)
      for (const auto& [name, item] : table->table)
        if (!vary.find(name)) item.fail("'" + name + "' is no axis of [vary]");
  for (const auto& [name, common] : vary.table) {
    const Item* chosen = &common;
    for (const Item* table : own)
      if (const Item* replaced = table ? table->find(name) : nullptr) chosen = replaced;
    const Item& item = *chosen;
    Axis axis;
    axis.name = name;
    if (item.is_scalar() && item.scalar.is_string()) {
      const std::string text(item.scalar.get_string());
      if (text.empty() || text[0] != '$') item.fail("a list, or \"$parameter\" naming a set");
      const std::string parameter = text.substr(1);
      const Parameter* declared = parameters_.find(parameter);
      if (!declared)
        item.fail("there is no parameter '" + parameter + "'; " +
                  suggestion(parameter, parameters_.names()));
      const auto fixed = fixed_.find(parameter);
      axis.choices = named_set(
          name, to_text(fixed != fixed_.end() ? fixed->second : declared->fallback), sets, item);
    } else {
      axis.choices = read_choices(name, item);
    }
    axes_.push_back(std::move(axis));
  }
}

void Grid::apply_sets(const GridRequest& request, const Item*) {
  for (const auto& [name, text] : request.sets) {
    if (fixed_.count(name)) continue;
    auto axis =
        std::find_if(axes_.begin(), axes_.end(), [&](const Axis& a) { return a.name == name; });
    std::vector<Choice> chosen;
    for (const std::string& word : split(text, ',')) {
      if (axis != axes_.end()) {
        if (const Choice* choice = known(name, word)) {
          chosen.push_back(*choice);
          continue;
        }
        if (!parameters_.find(name)) {
          Item where;
          where.file = "--set " + name + "=" + text;
          std::vector<std::string> labels;
          for (const Choice& c : axis->choices) labels.push_back(c.label);
          where.fail("'" + word + "' is no choice of '" + name + "'; " + suggestion(word, labels));
        }
      }
      const Value value = parameters_.parse(name, word);
      chosen.push_back({to_text(value), {{name, value}}});
    }
    if (axis == axes_.end())
      axes_.push_back({name, std::move(chosen)});
    else
      axis->choices = std::move(chosen);
  }
}

size_t Grid::cells() const {
  size_t count = 1;
  for (const Axis& axis : axes_) count *= axis.choices.size();
  return count;
}

std::vector<const Choice*> Grid::chosen(size_t cell) const {
  std::vector<const Choice*> out(axes_.size());
  for (size_t i = axes_.size(); i-- > 0;) {
    out[i] = &axes_[i].choices[cell % axes_[i].choices.size()];
    cell /= axes_[i].choices.size();
  }
  return out;
}

std::vector<std::string> Grid::labels(size_t cell) const {
  std::vector<std::string> out;
  for (const Choice* choice : chosen(cell)) out.push_back(choice->label);
  return out;
}

void Grid::draw(Assignment& values, const std::string& name, const Item& item,
                uint64_t seed) const {
  net::Random random(net::derive_seed(seed, "draw/" + name));
  if (const Item* choice = item.find("choice")) {
    if (!choice->is_list() || choice->list.empty()) choice->fail("'choice' needs a list");
    const Item& picked = choice->list[random.below(choice->list.size())];
    if (!picked.is_table()) {
      parameters_.check(name, picked.json(), picked);
      values[name] = picked.json();
      return;
    }
    for (const auto& [key, value] : picked.table) {
      parameters_.check(key, value.json(), value);
      values[key] = value.json();
    }
    return;
  }
  const bool integer = item.find("integer") != nullptr;
  const Item* range = integer ? item.find("integer") : item.find("uniform");
  if (!range || !range->is_list() || range->list.size() != 2)
    item.fail("draw '" + name +
              "' needs uniform = [low, high], integer = [low, high] or choice = […]");
  const Value low = substitute(range->list[0], values), high = substitute(range->list[1], values);
  const auto usable = [](const Value& value) {
    return value.is_number() && std::abs(value.to_number<double>()) <= kMostDrawn;
  };
  if (!usable(low) || !usable(high) || low.to_number<double>() > high.to_number<double>())
    range->fail("two numbers are needed, the smaller first, none beyond 1e12");
  const double from = low.to_number<double>(), to = high.to_number<double>();
  Value drawn;
  if (integer)
    drawn = static_cast<int64_t>(from) +
            static_cast<int64_t>(random.below(static_cast<uint64_t>(to - from) + 1));
  else  // to the microsecond: the same text in every log and on every machine
    drawn = static_cast<double>(static_cast<int64_t>((from + (to - from) * random.unit()) * 1000)) /
            1000;
  parameters_.check(name, drawn, item);
  values[name] = drawn;
}

Assignment Grid::assignment(size_t cell, uint64_t seed, const Assignment& overrides) const {
  Assignment values;
  for (const Parameter& p : parameters_.all()) values[p.name] = p.fallback;
  for (const auto& [name, value] : overrides) values[name] = value;
  for (const auto& [name, item] : draws_) draw(values, name, item, seed);
  for (const Choice* choice : chosen(cell))
    for (const auto& [name, value] : choice->values) values[name] = value;
  for (const auto& [name, value] : fixed_) values[name] = value;
  return values;
}

}  // namespace culvert::plan
