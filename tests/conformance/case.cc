#include "tests/conformance/case.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/unit/mqtt/bytes.h"

namespace culvert::conformance {
namespace {

// Words separated by blanks; 'a b' is one, and {x*5} becomes xxxxx.
std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false, there = false;
  for (const char c : line) {
    if (c == '\'') {
      quoted = !quoted;
      there = true;
    } else if (!quoted && (c == ' ' || c == '\t')) {
      if (there) words.push_back(word);
      word.clear();
      there = false;
    } else {
      word += c;
      there = true;
    }
  }
  if (there) words.push_back(word);
  return words;
}

std::string expand(std::string word) {
  for (size_t open = word.find('{'); open != std::string::npos; open = word.find('{', open + 1)) {
    const size_t star = word.find('*', open), close = word.find('}', open);
    if (star == std::string::npos || close == std::string::npos || star > close) continue;
    const std::string what = word.substr(open + 1, star - open - 1);
    const size_t count = std::stoul(word.substr(star + 1, close - star - 1));
    std::string many;
    many.reserve(what.size() * count);
    for (size_t i = 0; i < count; ++i) many += what;
    word.replace(open, close - open + 1, many);
    open += many.size();
    if (open == 0 || open >= word.size()) break;
    --open;
  }
  return word;
}

bool is_upper(const std::string& word) {
  return !word.empty() &&
         std::all_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

Field to_field(const std::string& word) {
  const size_t equals = word.find('=');
  if (equals == std::string::npos) return {"", expand(word)};
  return {word.substr(0, equals), expand(word.substr(equals + 1))};
}

class Parser {
 public:
  explicit Parser(const std::string& file) : file_(file) {}

  // Empty: well; else the sentence.
  std::string line(const std::string& text, int number) {
    number_ = number;
    const std::vector<std::string> words = split(text);
    if (words.empty()) return {};
    const std::string& first = words[0];
    if (first == "version") {
      version_ = words.at(1) == "3.1.1" ? mqtt::Version::v311 : mqtt::Version::v5;
      return {};
    }
    if (first == "case") {
      Case one;
      if (words.size() != 2) return "a case has one name";
      one.name = words[1];
      one.file = file_;
      one.line = number;
      one.version = version_;
      cases.push_back(std::move(one));
      return {};
    }
    if (cases.empty()) return "the first line is a case's name";
    if (about_case(words)) return {};
    return step(text, words);
  }

  std::vector<Case> cases;

 private:
  bool about_case(const std::vector<std::string>& words) {
    Case& one = cases.back();
    if (words[0] == "covers") {
      one.covers.insert(one.covers.end(), words.begin() + 1, words.end());
    } else if (words[0] == "option") {
      for (size_t i = 1; i < words.size(); ++i) one.options.push_back(to_field(words[i]));
    } else if (words[0] == "access") {
      std::string rule;
      for (size_t i = 1; i < words.size(); ++i) rule += (i > 1 ? " " : "") + words[i];
      one.access.push_back(rule);
    } else if (words[0] == "loose") {
      one.loose = true;
    } else {
      return false;
    }
    return true;
  }

  std::string step(const std::string& text, const std::vector<std::string>& words) {
    Case& one = cases.back();
    Step step;
    step.line = number_;
    if (words[0] == "restart") {
      step.what = Step::What::restart;
      one.durable = true;
      one.steps.push_back(step);
      return {};
    }
    if (words.size() < 2) return "unknown line";
    if (words[0] == "wait" || words[0] == "within") {
      step.what = words[0] == "wait" ? Step::What::wait : Step::What::set_time;
      if (!parse_duration(words[1], step.time)) return "no duration";
      one.steps.push_back(step);
      return {};
    }
    std::string head = words[0];
    const auto ends = [&](const std::string& tail) {
      if (head.size() <= tail.size() || head.substr(head.size() - tail.size()) != tail)
        return false;
      head.resize(head.size() - tail.size());
      return true;
    };
    const bool some = ends("<*");
    const bool out = !some && (step.more = ends(">+"), step.more || ends(">"));
    const bool in = some || (!out && ends("<"));
    step.client = head;
    if (!out && !in) return client_step(words, step);
    if (out && words[1] == "raw") {
      step.what = Step::What::send_raw;
      step.raw = mqtt::testing::bytes(text.substr(text.find("raw") + 3));
    } else if (is_upper(words[1])) {
      step.what = out ? Step::What::send : some ? Step::What::expect_some : Step::What::expect;
      step.packet = words[1];
      for (size_t i = 2; i < words.size(); ++i) step.fields.push_back(to_field(words[i]));
    } else if (in && words[1] == "closed") {
      step.what = Step::What::closed;
    } else if (in && words[1] == "nothing") {
      step.what = Step::What::nothing;
      step.time = net::Duration(100'000'000);
      if (words.size() > 2 && !parse_duration(words[2], step.time)) return "no duration";
    } else if (in && words[1] == "anything") {
      step.what = Step::What::forget;
    } else {
      return "neither a packet nor closed, nothing, anything, raw";
    }
    one.steps.push_back(std::move(step));
    return {};
  }

  std::string client_step(const std::vector<std::string>& words, Step& step) {
    if (words[1] == "close")
      step.what = Step::What::close;
    else if (words[1] == "cut")
      step.what = Step::What::cut;
    else if (words[1] == "drip")
      step.what = Step::What::drip;
    else
      return "unknown line";
    cases.back().steps.push_back(step);
    return {};
  }

  std::string file_;
  int number_ = 0;
  mqtt::Version version_ = mqtt::Version::v5;
};

}  // namespace

bool parse_duration(const std::string& text, net::Duration& out) {
  size_t used = 0;
  double number = 0;
  try {
    number = std::stod(text, &used);
  } catch (const std::exception&) {
    return false;
  }
  const std::string unit = text.substr(used);
  const double scale = unit == "ms" ? 1e6 : unit == "s" ? 1e9 : unit == "min" ? 60e9 : 0;
  out = net::Duration(static_cast<int64_t>(number * scale));
  return scale > 0 && number >= 0;
}

net::Result<std::vector<std::string>> read_lines(const std::string& file) {
  std::ifstream in(file);
  if (!in) return {net::Error::not_found, file + ": cannot be read"};
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line[0] == '#') line.clear();
    const size_t end = line.find_last_not_of(" \t\r");
    line.resize(end == std::string::npos ? 0 : end + 1);
    lines.push_back(std::move(line));  // empty ones too: they count
  }
  return lines;
}

net::Result<std::vector<Case>> read_cases(const std::string& file) {
  auto lines = read_lines(file);
  if (!lines) return lines.status();
  Parser parser(std::filesystem::path(file).filename());
  int number = 0;
  for (const std::string& line : *lines) {
    const std::string wrong = parser.line(line, ++number);
    if (!wrong.empty())
      return {net::Error::invalid, file + ":" + std::to_string(number) + ": " + wrong};
  }
  return std::move(parser.cases);
}

net::Result<std::vector<Case>> read_all_cases(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  if (error || files.empty()) return {net::Error::not_found, folder + ": no cases there"};
  std::sort(files.begin(), files.end());
  std::vector<Case> all;
  for (const std::string& file : files) {
    auto some = read_cases(file);
    if (!some) return some.status();
    for (Case& one : *some) all.push_back(std::move(one));
  }
  return all;
}

}  // namespace culvert::conformance
