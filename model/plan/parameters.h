// Named parameters of a topology and a scenario: declared with a default, overridden by a value,
// used as "$name" (the value itself) or "${name}" (inside a text).
#pragma once

#include <boost/json.hpp>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "model/plan/item.h"

namespace culvert::plan {

using Value = boost::json::value;

// What the planner must know of other rooms, without standing on them.
struct Vocabulary {
  // Empty if `kind` names a NAT; else a sentence.
  std::function<std::string(const std::string& kind)> nat_kind;
  // Does that NAT translate? Firewalls and "open" do not: the outside must know the way inside.
  std::function<bool(const std::string& kind)> nat_translates;
  // Empty if the NAT has that axis and it takes the value; else a sentence.
  std::function<std::string(const std::string& axis, const std::string& value)> nat_axis;
  // Empty if the services' registry takes this command line; else a sentence.
  std::function<std::string(const std::vector<std::string>& argv)> service;
};

struct Parameter {
  std::string name;
  Value fallback;
  std::string about;
  std::vector<Value> choices;  // empty: any
  bool is_nat = false;         // its value names a NAT kind
  double min = -1e308, max = 1e308;
  Item where;
};

class Parameters {
 public:
  explicit Parameters(const Vocabulary* vocabulary) : vocabulary_(vocabulary) {}

  // Reads a [parameters] table. A name declared before gets a new default (a scenario's topology).
  void declare(const Item& table);
  const Parameter* find(const std::string& name) const;
  const std::vector<Parameter>& all() const { return parameters_; }
  std::vector<std::string> names() const;

  // The value that `text`, from a command line, means for this parameter. Throws InputError with
  // file "--set".
  Value parse(const std::string& name, const std::string& text) const;
  // Throws at `where` if the value is not one for this parameter.
  void check(const std::string& name, const Value& value, const Item& where) const;

 private:
  const Vocabulary* vocabulary_;
  std::vector<Parameter> parameters_;
};

using Assignment = std::map<std::string, Value>;

std::string to_text(const Value& value);  // as it stands in a command line, a column or an id

// Replaces "$name" and "${name}" anywhere in `item`. Unknown names throw at their line.
Value substitute(const Item& item, const Assignment& values);
std::string substitute_text(const std::string& text, const Assignment& values, const Item& where);

// Typed reads of a substituted key, with the line of the item when it is not one.
double number(const Item& table, std::string_view key, const Assignment& values, double fallback);
std::string string(const Item& table, std::string_view key, const Assignment& values,
                   const std::string& fallback);

}  // namespace culvert::plan
