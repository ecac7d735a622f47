// A TOML document as a small tree that remembers lines, in source order, so that every message can
// say where. Stands on toml++ (in item.cc only).
#pragma once

#include <boost/json.hpp>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culvert::plan {

// What is wrong with an input, and where: "scenarios/x.toml:12: unknown key 'dealy_ms'".
// Thrown inside the room only; make_plan() turns it into a Status.
class InputError : public std::runtime_error {
 public:
  InputError(const std::string& file, int line, const std::string& sentence)
      : std::runtime_error(file + (line > 0 ? ":" + std::to_string(line) : "") +
                           (file.empty() ? "" : ": ") + sentence) {}
};

// A value of the document: a scalar (boost::json::value without objects and arrays), a list or a
// table.
class Item {
 public:
  enum class Kind { scalar, list, table };
  Kind kind = Kind::scalar;
  boost::json::value scalar;  // null, bool, int64, double or string
  std::vector<Item> list;
  std::vector<std::pair<std::string, Item>> table;  // in the order of the source
  std::string file;
  int line = 0;

  bool is_table() const { return kind == Kind::table; }
  bool is_list() const { return kind == Kind::list; }
  bool is_scalar() const { return kind == Kind::scalar; }

  [[noreturn]] void fail(const std::string& sentence) const {
    throw InputError(file, line, sentence);
  }

  const Item* find(std::string_view key) const;  // null if absent or not a table
  const Item& get(std::string_view key) const;   // fails if absent
  // Fails at the first key that is not in `known`, naming the nearest that is.
  void only(std::initializer_list<std::string_view> known, std::string_view what) const;
  std::string text(std::string_view what) const;                // fails unless a string
  const std::vector<Item>& items(std::string_view what) const;  // fails unless a list
  double finite(std::string_view what) const;                   // fails unless a finite number
  boost::json::value json() const;
};

// Parses a file's text. Throws InputError with the line at which TOML itself is broken.
Item parse_toml(const std::string& file, std::string_view text);

// "did you mean 'x'?" or "known are: x, y" for a word that is not among `known`.
std::string suggestion(std::string_view word, const std::vector<std::string>& known);

}  // namespace culvert::plan
