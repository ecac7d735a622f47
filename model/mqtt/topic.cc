#include "model/mqtt/topic.h"

#include <cstdint>
#include <cstring>

#include "model/mqtt/text.h"

namespace culvert::mqtt {
namespace {

constexpr size_t kLongestText = 65535;  // 1.5.4: the length is two bytes
constexpr std::string_view kSharePrefix = "$share/";

constexpr uint64_t repeat(uint8_t byte) { return 0x0101010101010101ull * byte; }
// Has the top bit set in each byte of `word` that is zero (and perhaps above it).
constexpr uint64_t zero_bytes(uint64_t word) {
  return (word - repeat(0x01)) & ~word & repeat(0x80);
}

// Bytes of the UTF-8 sequence at `at` (RFC 3629 section 4), 0 if it is ill formed.
size_t sequence_length(const uint8_t* at, size_t left) {
  const uint8_t first = at[0];
  const auto tail = [&](size_t i, uint8_t low = 0x80, uint8_t high = 0xBF) {
    return i < left && at[i] >= low && at[i] <= high;
  };
  if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const uint8_t low = first == 0xE0 ? 0xA0 : 0x80;   // else overlong
    const uint8_t high = first == 0xED ? 0x9F : 0xBF;  // else a surrogate
    return tail(1, low, high) && tail(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const uint8_t low = first == 0xF0 ? 0x90 : 0x80;   // else overlong
    const uint8_t high = first == 0xF4 ? 0x8F : 0xBF;  // else above U+10FFFF
    return tail(1, low, high) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

// A filter that is not shared: where its wildcards stand (4.7.1).
bool wildcards_well_placed(std::string_view filter) {
  for (Levels level(filter); level; ++level) {
    const std::string_view text = *level;
    if (text.find_first_of("+#") == std::string_view::npos) continue;
    if (text == "+") continue;
    if (text == "#" && level.last()) continue;
    return false;
  }
  return true;
}

}  // namespace

TextScan scan_text(std::string_view text) {
  TextScan result;
  const auto* at = reinterpret_cast<const uint8_t*>(text.data());
  size_t left = text.size();
  while (left > 0) {
    if (left >= 8) {
      uint64_t word;
      std::memcpy(&word, at, 8);
      if (((word & repeat(0x80)) | zero_bytes(word) | zero_bytes(word ^ repeat('+')) |
           zero_bytes(word ^ repeat('#'))) == 0) {
        at += 8;
        left -= 8;
        continue;
      }
    }
    size_t length = 1;
    if (*at < 0x80) {
      if (*at == 0) result.null = true;
      if (*at == '+' || *at == '#') result.wildcard = true;
    } else {
      length = sequence_length(at, left);
      if (length == 0) {
        result.well_formed = false;
        return result;
      }
    }
    at += length;
    left -= length;
  }
  return result;
}

bool valid_utf8(std::string_view text) { return scan_text(text).ok(); }

bool valid_topic_name(std::string_view topic) {
  if (topic.empty() || topic.size() > kLongestText) return false;
  const TextScan scan = scan_text(topic);
  return scan.ok() && !scan.wildcard;
}

bool valid_topic_filter(std::string_view filter) {
  if (filter.empty() || filter.size() > kLongestText) return false;
  const TextScan scan = scan_text(filter);
  if (!scan.ok()) return false;
  if (filter.substr(0, kSharePrefix.size()) == kSharePrefix) {
    const auto parts = shared(filter);
    if (!parts) return false;
    filter = parts->filter;
    // A share of a share names nothing.
    if (filter.substr(0, kSharePrefix.size()) == kSharePrefix) return false;
  }
  return !scan.wildcard || wildcards_well_placed(filter);
}

std::optional<SharedFilter> shared(std::string_view filter) {
  if (filter.substr(0, kSharePrefix.size()) != kSharePrefix) return std::nullopt;
  filter.remove_prefix(kSharePrefix.size());
  const size_t slash = filter.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == filter.size())
    return std::nullopt;
  const std::string_view group = filter.substr(0, slash);
  if (group.find_first_of("+#") != std::string_view::npos) return std::nullopt;  // 4.8.2
  return SharedFilter{group, filter.substr(slash + 1)};
}

bool matches(std::string_view filter, std::string_view topic) {
  if (filter.empty() || topic.empty()) return false;
  if (topic.front() == '$' && filter.front() != '$') {
    const std::string_view first = *Levels(filter);
    if (first == "+" || first == "#") return false;  // 4.7.2
  }
  Levels want(filter);
  Levels have(topic);
  for (; want && have; ++want, ++have) {
    if (*want == "#") return true;
    if (*want != "+" && *want != *have) return false;
  }
  if (have) return false;
  // "sport/#" matches "sport" itself too (4.7.1.2).
  return !want || (*want == "#" && want.last());
}

}  // namespace culvert::mqtt
