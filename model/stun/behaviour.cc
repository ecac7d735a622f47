#include "model/stun/behaviour.h"

namespace culvert::stun {

std::string_view to_string(Mapping mapping) {
  switch (mapping) {
    case Mapping::eim:
      return "eim";
    case Mapping::adm:
      return "adm";
    case Mapping::apdm:
      return "apdm";
    case Mapping::unknown:
      break;
  }
  return "unknown";
}

std::string_view to_string(Filtering filtering) {
  switch (filtering) {
    case Filtering::eif:
      return "eif";
    case Filtering::adf:
      return "adf";
    case Filtering::apdf:
      return "apdf";
    case Filtering::unknown:
      break;
  }
  return "unknown";
}

std::string_view to_string(Hairpin hairpin) {
  switch (hairpin) {
    case Hairpin::no:
      return "no";
    case Hairpin::yes:
      return "yes";
    case Hairpin::unknown:
      break;
  }
  return "unknown";
}

std::string NatBehaviour::kind() const {
  if (mapping == Mapping::unknown || filtering == Filtering::unknown) return "unknown";
  return std::string(to_string(mapping)) + "-" + std::string(to_string(filtering));
}

}  // namespace culvert::stun
