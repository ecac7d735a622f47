// Presets: names for sets of axes, each with its source. A table of data (presets.cc).
#pragma once

#include <string_view>
#include <vector>

#include "model/nat/config.h"

namespace culvert::nat {

struct Preset {
  std::string_view name;
  std::string_view
      axes;  // "mapping=eim filtering=apdf ..."; what it does not name keeps its default
  std::string_view source;  // where this behaviour is defined or was observed
};

// The table, without the nine parametric names.
const std::vector<Preset>& presets();

// A preset's name, or one of the nine parametric names `eim-eif` ... `apdm-apdf` (random,
// non-overloaded ports, the session-table reading of RFC 4787); either may be followed by axes to
// change: "symmetric,udp_new=30s,hairpin=external". not_found or invalid with a sentence.
net::Result<Config> from_preset(std::string_view spec);

}  // namespace culvert::nat
