#include "model/http/message.h"

#include <algorithm>

#include "model/http/text.h"

namespace culvert::http {

void Headers::set(std::string_view name, std::string value) {
  list_.erase(
      std::remove_if(list_.begin(), list_.end(),
                     [&](const auto& entry) { return equal_without_case(entry.first, name); }),
      list_.end());
  list_.emplace_back(std::string(name), std::move(value));
}

std::string_view Headers::get(std::string_view name) const {
  for (const auto& [key, value] : list_)
    if (equal_without_case(key, name)) return value;
  return {};
}

bool Headers::has(std::string_view name) const {
  return std::any_of(list_.begin(), list_.end(),
                     [&](const auto& entry) { return equal_without_case(entry.first, name); });
}

}  // namespace culvert::http
