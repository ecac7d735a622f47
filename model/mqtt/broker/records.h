// The broker's records in a store: keys and values, and back. Pure. persist.cc says what each
// means.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/mqtt/packet.h"
#include "model/net/bytes.h"

namespace culvert::mqtt::record {

inline constexpr uint8_t kSchema = 1;
inline constexpr uint32_t kNone = 0xFFFFFFFF;  // seconds: not due at all

std::string schema_key();
std::string session_key(uint32_t session);
std::string subscription_key(uint32_t session, std::string_view filter);
std::string entry_key(uint32_t session, uint64_t sequence);
std::string mark_key(uint32_t session);
std::string inbound_key(uint32_t session, uint16_t id);
std::string message_key(uint64_t number);
std::string retained_key(std::string_view topic);

void put64(net::Buffer& out, uint64_t value);
// Of a key, behind its first letter. The key is long enough or the answer is none.
std::optional<uint64_t> number_at(std::string_view key, size_t at, size_t bytes);

struct SessionValue {
  std::string_view client_id, user;
  Version version = Version::v5;
  bool connected = false;       // when it was written
  uint32_t expiry_s = 0;        // as agreed
  uint32_t ends_s = kNone;      // what is left of it, if it runs
  uint32_t will_due_s = kNone;  // what is left of the will's delay, if it runs
  uint32_t will_delay_s = 0;    // as agreed
  Bytes will;                   // a message; empty: none
};
net::Buffer encode(const SessionValue& value);
bool decode(Bytes record, SessionValue& value);  // views into `record`

// The filter is in the key, unless it is too long for that.
net::Buffer encode(const SubscriptionOptions& options, uint32_t id, std::string_view filter);
bool decode(std::string_view key, Bytes record, SubscriptionOptions& options, uint32_t& id,
            std::string& filter);

struct EntryValue {
  uint8_t qos = 1;
  bool retain = false, released = false, sent = false, free = false;
  uint32_t share = 0;
  Few<uint32_t> ids;
  Bytes message;        // inside this record; empty: not
  uint64_t number = 0;  // of a message record; 0: none
};
net::Buffer encode(const EntryValue& value);
bool decode(Bytes record, EntryValue& value);

}  // namespace culvert::mqtt::record
