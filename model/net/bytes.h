// Views of bytes. boost::span stands in for std::span, which C++17 lacks.
#pragma once

#include <boost/core/span.hpp>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace culvert::net {

using Bytes = boost::span<const uint8_t>;
using MutableBytes = boost::span<uint8_t>;
using Buffer = std::vector<uint8_t>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace culvert::net
