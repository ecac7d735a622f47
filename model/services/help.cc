#include "model/services/help.h"

#include <algorithm>

namespace culvert::services {
namespace {

constexpr size_t kHelpMargin = 31, kHelpColumns = 100;  // ours: where explanations begin and end
constexpr std::string_view kUsualStatuses =
    "0 stopped or finished well, 1 it failed, 2 wrong options";

// CLI11 has an option's type and what it may be in one text: "TEXT:{any,1.2}", "UINT:INT in [0 -
// 2]".
struct HelpType {
  std::string label, range;
};
HelpType help_type_of(const CLI::Option& option) {
  if (option.get_type_size() == 0) return {};  // a flag
  const std::string whole = option.get_type_name();
  HelpType type{whole, ""};
  if (const size_t brace = whole.find(":{"); brace != std::string::npos) {
    type.label = whole.substr(brace + 2, whole.size() - brace - 3);
    std::replace(type.label.begin(), type.label.end(), ',', '|');
    return type;
  }
  if (const size_t in = whole.find(" in ["); in != std::string::npos) {
    type.label = whole.substr(0, whole.rfind(':', in));
    type.range = whole.substr(in + 5, whole.size() - in - 6);
    type.range.replace(type.range.find(" - "), 3, " to ");
  }
  if (type.label == "UINT" || type.label == "INT" || type.label == "FLOAT") type.label = "N";
  return type;
}

std::string option_line(const CLI::Option& option) {
  const HelpType type = help_type_of(option);
  std::string names = option.get_name(false, true);
  for (size_t comma = 0; (comma = names.find(',', comma)) != std::string::npos; comma += 2)
    names.replace(comma, 1, ", ");
  if (const size_t flag = names.find('{'); flag != std::string::npos) names.erase(flag);
  std::string line = "  " + names;
  if (!type.label.empty()) line += ' ' + type.label;
  std::string notes;
  const auto note = [&](const std::string& text) { notes += (notes.empty() ? "" : "; ") + text; };
  if (option.get_required()) note("needed");
  if (!type.range.empty()) note(type.range);
  const std::string& usual = option.get_default_str();
  if (!type.label.empty() && !usual.empty() && usual != "[]" && usual != "{}" && usual != "\"\"")
    note("default " + usual);
  if (option.get_expected_max() > 1) note("may be given again");
  std::string words = option.get_description();
  if (!notes.empty()) words += " (" + notes + ")";
  // One column of names, one of words, broken between words.
  if (line.size() + 1 >= kHelpMargin)
    line += '\n' + std::string(kHelpMargin, ' ');
  else
    line.resize(kHelpMargin, ' ');
  size_t column = kHelpMargin;
  for (size_t at = 0; at < words.size();) {
    const size_t space = std::min(words.find(' ', at), words.size());
    const size_t size = space - at;
    if (column > kHelpMargin && column + 1 + size > kHelpColumns) {
      line += '\n' + std::string(kHelpMargin, ' ');
      column = kHelpMargin;
    } else if (column > kHelpMargin) {
      line += ' ';
      ++column;
    }
    line.append(words, at, size);
    column += size;
    at = space + 1;
  }
  return line + '\n';
}

}  // namespace

std::string help_text(const CLI::App& app, std::string_view example, std::string_view statuses) {
  std::string text = app.get_name() + ": " + app.get_description() + '\n';
  for (const std::string& group : app.get_groups()) {
    std::string lines;
    for (const CLI::Option* option :
         app.get_options([&](const CLI::Option* o) { return o->get_group() == group; }))
      lines += option_line(*option);
    if (lines.empty()) continue;
    text += '\n' + group + ":\n" + lines;
  }
  if (!app.get_footer().empty()) text += '\n' + app.get_footer() + '\n';
  text += "\nExample: " + std::string(example) + '\n';
  text += "Exit status: " + std::string(statuses.empty() ? kUsualStatuses : statuses) + '\n';
  text +=
      "With every service: --secrets, --data, --events, --once and more, see culvert-node --help\n";
  return text;
}

std::string sentence_of(const CLI::App& app, const CLI::Error& error) {
  // Whatever else is missing: an option that there is not is the likelier mistake.
  for (const std::string& word : app.remaining())
    if (word.size() > 1 && word[0] == '-')
      return "there is no option '" + word + "'; --help shows which there are";
  std::string sentence = error.what();
  if (!app.remaining().empty())
    sentence =
        "'" + app.remaining().front() + "' belongs to no option; --help shows which there are";
  std::replace(sentence.begin(), sentence.end(), '\n', ' ');
  return sentence;
}

}  // namespace culvert::services
