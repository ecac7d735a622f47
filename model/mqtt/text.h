// What a UTF-8 encoded string holds, in one pass: whether it is well formed (MQTT 5.0 section
// 1.5.4) and whether there are wildcards in it (4.7). Stands on nothing.
#pragma once

#include <string_view>

namespace culvert::mqtt {

struct TextScan {
  bool well_formed = true;  // UTF-8 without surrogates; what follows a flaw is not looked at
  bool null = false;        // U+0000 is in it
  bool wildcard = false;    // '+' or '#' is in it
  bool ok() const { return well_formed && !null; }
};
TextScan scan_text(std::string_view text);

}  // namespace culvert::mqtt
