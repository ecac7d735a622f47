#include "model/plan/parameters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace culvert::plan {

namespace {

constexpr double kUnbounded = 1e308;  // what Parameter has where nothing is said

std::string range_text(double min, double max) {
  if (max >= kUnbounded) return "at least " + to_text(min);
  if (min <= -kUnbounded) return "at most " + to_text(max);
  return to_text(min) + " to " + to_text(max);
}

}  // namespace

void Parameters::declare(const Item& table) {
  if (!table.is_table()) table.fail("[parameters] must be a table");
  for (const auto& [name, item] : table.table) {
    Parameter parameter;
    parameter.name = name;
    parameter.where = item;
    const Parameter* before = find(name);
    if (before) {
      const Item where = parameter.where;
      parameter = *before;
      parameter.where = where;
    }
    if (item.is_table()) {
      item.only({"default", "about", "choices", "type", "min", "max"}, "parameter '" + name + "'");
      if (const Item* fallback = item.find("default"))
        parameter.fallback = fallback->json();
      else if (!before)
        item.fail("parameter '" + name + "' needs a default");
      if (const Item* about = item.find("about")) parameter.about = about->text("about");
      if (const Item* type = item.find("type")) {
        if (type->text("type") != "nat") type->fail("the only type to name is \"nat\"");
        parameter.is_nat = true;
      }
      if (const Item* choices = item.find("choices")) {
        parameter.choices.clear();
        for (const Item& choice : choices->items("choices"))
          parameter.choices.push_back(choice.json());
      }
      if (const Item* min = item.find("min")) parameter.min = min->finite("min");
      if (const Item* max = item.find("max")) parameter.max = max->finite("max");
    } else {
      parameter.fallback = item.json();
    }
    auto existing = std::find_if(parameters_.begin(), parameters_.end(),
                                 [&](const Parameter& p) { return p.name == parameter.name; });
    if (existing == parameters_.end())
      parameters_.push_back(parameter);
    else
      *existing = parameter;
    check(name, parameter.fallback, item);
  }
}

const Parameter* Parameters::find(const std::string& name) const {
  for (const Parameter& p : parameters_)
    if (p.name == name) return &p;
  return nullptr;
}

std::vector<std::string> Parameters::names() const {
  std::vector<std::string> out;
  for (const Parameter& p : parameters_) out.push_back(p.name);
  return out;
}

Value Parameters::parse(const std::string& name, const std::string& text) const {
  const Parameter* parameter = find(name);
  Item where;
  where.file = "--set " + name + "=" + text;
  if (!parameter) where.fail("there is no such parameter; " + suggestion(name, names()));
  Value value;
  if (parameter->fallback.is_number()) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) where.fail("a number is needed");
    if (parameter->fallback.is_double() ||
        number != static_cast<double>(static_cast<int64_t>(number)))
      value = number;
    else
      value = static_cast<int64_t>(number);
  } else if (parameter->fallback.is_bool()) {
    if (text != "true" && text != "false") where.fail("true or false is needed");
    value = text == "true";
  } else {
    value = text;
  }
  check(name, value, where);
  return value;
}

void Parameters::check(const std::string& name, const Value& value, const Item& where) const {
  const Parameter* parameter = find(name);
  if (!parameter) where.fail("there is no parameter '" + name + "'; " + suggestion(name, names()));
  if (value.is_object() || value.is_array()) where.fail("'" + name + "' must be one value");
  if (parameter->fallback.is_number() != value.is_number())
    where.fail("'" + name + "' must be a " +
               std::string(parameter->fallback.is_number() ? "number" : "text"));
  if (value.is_number()) {
    const double number = value.to_number<double>();
    if (!std::isfinite(number)) where.fail("'" + name + "' must be a number");
    if (number < parameter->min || number > parameter->max)
      where.fail("'" + name + "' = " + to_text(value) +
                 " is out of range: " + range_text(parameter->min, parameter->max));
  }
  if (!parameter->choices.empty() && std::find(parameter->choices.begin(), parameter->choices.end(),
                                               value) == parameter->choices.end()) {
    std::vector<std::string> known;
    for (const Value& choice : parameter->choices) known.push_back(to_text(choice));
    where.fail("'" + to_text(value) + "' is not a value of '" + name + "'; " +
               suggestion(to_text(value), known));
  }
  if (parameter->is_nat && vocabulary_ && vocabulary_->nat_kind) {
    const std::string wrong = vocabulary_->nat_kind(to_text(value));
    if (!wrong.empty()) where.fail(wrong);
  }
}

std::string to_text(const Value& value) {
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_double()) {
    char text[64];
    std::snprintf(text, sizeof text, "%.12g", value.get_double());
    return text;
  }
  return boost::json::serialize(value);
}

std::string substitute_text(const std::string& text, const Assignment& values, const Item& where) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '$' || i + 1 >= text.size() || text[i + 1] != '{') {
      out += text[i++];
      continue;
    }
    const size_t end = text.find('}', i);
    if (end == std::string::npos) where.fail("'${' without '}'");
    const std::string name = text.substr(i + 2, end - i - 2);
    const auto found = values.find(name);
    if (found == values.end()) {
      std::vector<std::string> known;
      for (const auto& entry : values) known.push_back(entry.first);
      where.fail("'${" + name + "}' names nothing; " + suggestion(name, known));
    }
    out += to_text(found->second);
    i = end + 1;
  }
  return out;
}

Value substitute(const Item& item, const Assignment& values) {
  if (item.is_list()) {
    boost::json::array out;
    for (const Item& child : item.list) out.push_back(substitute(child, values));
    return out;
  }
  if (item.is_table()) {
    boost::json::object out;
    for (const auto& [name, child] : item.table) out[name] = substitute(child, values);
    return out;
  }
  if (!item.scalar.is_string()) return item.scalar;
  const std::string text(item.scalar.get_string());
  if (text.size() > 1 && text[0] == '$' && text[1] != '{') {
    const auto found = values.find(text.substr(1));
    if (found != values.end()) return found->second;
    std::vector<std::string> known;
    for (const auto& entry : values) known.push_back(entry.first);
    item.fail("'" + text + "' names no parameter; " + suggestion(text.substr(1), known));
  }
  return Value(substitute_text(text, values, item));
}

double number(const Item& table, std::string_view key, const Assignment& values, double fallback) {
  const Item* item = table.find(key);
  if (!item) return fallback;
  const Value value = substitute(*item, values);
  if (!value.is_number() || !std::isfinite(value.to_number<double>()))
    item->fail("'" + std::string(key) + "' must be a number");
  return value.to_number<double>();
}

std::string string(const Item& table, std::string_view key, const Assignment& values,
                   const std::string& fallback) {
  const Item* item = table.find(key);
  if (!item) return fallback;
  const Value value = substitute(*item, values);
  if (!value.is_string()) item->fail("'" + std::string(key) + "' must be a text");
  return std::string(value.get_string());
}

}  // namespace culvert::plan
