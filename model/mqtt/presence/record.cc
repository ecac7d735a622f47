#include "model/mqtt/presence/record.h"

#include <boost/json.hpp>

namespace culvert::mqtt {
namespace {

constexpr uint64_t kMostLeaseMs = 30ull * 24 * 3600 * 1000;  // ours: 30 days

std::optional<uint64_t> number(const boost::json::object& object, const char* name) {
  const auto* value = object.if_contains(name);
  if (!value) return {};
  if (value->is_uint64()) return value->get_uint64();
  if (value->is_int64() && value->get_int64() >= 0)
    return static_cast<uint64_t>(value->get_int64());
  return {};
}

}  // namespace

std::string to_json(const PresenceRecord& record) {
  std::string out = "{\"epoch\":" + std::to_string(record.epoch) + ",\"state\":\"" +
                    (record.online ? "online" : "offline") + "\"";
  if (record.online) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(record.lease);
    out += ",\"lease_ms\":" + std::to_string(ms.count()) +
           ",\"refresh\":" + std::to_string(record.refresh);
  }
  return out + "}";
}

std::optional<PresenceRecord> parse_presence(net::Bytes payload) {
  if (payload.empty() || payload.size() > kPresenceMost) return {};
  boost::json::error_code error;
  const auto text = net::as_text(payload);
  const auto json = boost::json::parse({text.data(), text.size()}, error);
  if (error || !json.is_object()) return {};
  const auto& object = json.get_object();
  const auto epoch = number(object, "epoch");
  const auto* state = object.if_contains("state");
  if (!epoch || !state || !state->is_string()) return {};
  PresenceRecord record;
  record.epoch = *epoch;
  if (state->get_string() == "offline") return record;
  const auto lease_ms = number(object, "lease_ms");
  if (state->get_string() != "online" || !lease_ms || *lease_ms == 0 || *lease_ms > kMostLeaseMs)
    return {};
  record.online = true;
  record.lease = std::chrono::milliseconds(*lease_ms);
  record.refresh = number(object, "refresh").value_or(0);
  return record;
}

}  // namespace culvert::mqtt
