// How the codec's tests write packets: hexadecimal with texts in quotes. Lengths are written out,
// so that a test shows every byte.
#pragma once

#include <string_view>

#include "model/net/bytes.h"

namespace culvert::mqtt::testing {

// "10 0e 00 04 'MQTT' 05": pairs of hexadecimal digits, blanks ignored, 'text' as it is.
inline net::Buffer bytes(std::string_view text) {
  net::Buffer out;
  int high = -1;
  bool quoted = false;
  for (const char c : text) {
    if (c == '\'') {
      quoted = !quoted;
      continue;
    }
    if (quoted) {
      out.push_back(static_cast<uint8_t>(c));
      continue;
    }
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
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

}  // namespace culvert::mqtt::testing
