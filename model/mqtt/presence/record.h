// What a device says of itself: one retained message a device, PREFIX/DEVICE, a small JSON object.
//   {"epoch":7,"state":"online","lease_ms":60000,"refresh":3}
// The epoch grows with each life of the device; birth, refreshes and will of one life share it, so
// that a will which comes late ends no newer life. Decides only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/net/bytes.h"
#include "model/net/time.h"

namespace culvert::mqtt {

struct PresenceRecord {
  uint64_t epoch = 0;
  bool online = false;
  net::Duration lease{0};  // how long "online" is good for without a refresh
  uint64_t refresh = 0;    // 0: the birth
};

constexpr size_t kPresenceMost = 512;  // bytes of a record; ours

std::string to_json(const PresenceRecord& record);
// Nothing if it is not such an object.
std::optional<PresenceRecord> parse_presence(net::Bytes payload);

}  // namespace culvert::mqtt
