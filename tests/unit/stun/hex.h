// Bytes from hexadecimal text, blanks ignored.
#pragma once

#include <string_view>

#include "model/net/bytes.h"

namespace culvert::testing {

inline net::Buffer from_hex(std::string_view text) {
  net::Buffer out;
  int high = -1;
  for (const char c : text) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) continue;
    if (high < 0) {
      high = digit;
    } else {
      out.push_back(static_cast<uint8_t>(high << 4 | digit));
      high = -1;
    }
  }
  return out;
}

}  // namespace culvert::testing
