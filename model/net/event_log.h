// The event log: JSON lines with the same names and units in both worlds (docs/reference/events.md).
//   {"time_ms":12.345678,"node":"a","service":"punch","event":"probe_sent","to":"198.51.100.1:4000"}
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "model/net/address.h"
#include "model/net/bytes.h"
#include "model/net/time.h"

namespace culvert::net {

// One named value of an event. Names are snake_case and carry their unit: "rtt_ms".
struct Field {
  using Value = std::variant<bool, int64_t, uint64_t, double, std::string>;
  std::string_view name;
  Value value;

  Field(std::string_view n, bool v) : name(n), value(v) {}
  Field(std::string_view n, int v) : name(n), value(int64_t{v}) {}
  Field(std::string_view n, int64_t v) : name(n), value(v) {}
  Field(std::string_view n, uint16_t v) : name(n), value(uint64_t{v}) {}
  Field(std::string_view n, uint32_t v) : name(n), value(uint64_t{v}) {}
  Field(std::string_view n, uint64_t v) : name(n), value(v) {}
  Field(std::string_view n, double v) : name(n), value(v) {}
  Field(std::string_view n, const char* v) : name(n), value(std::string(v)) {}
  Field(std::string_view n, std::string_view v) : name(n), value(std::string(v)) {}
  Field(std::string_view n, std::string v) : name(n), value(std::move(v)) {}
  Field(std::string_view n, const IpAddress& v) : name(n), value(v.to_string()) {}
  Field(std::string_view n, const Endpoint& v) : name(n), value(v.to_string()) {}
  Field(std::string_view n, Duration v) : name(n), value(to_ms(v)) {}  // name ends in _ms
};

class EventLog {
 public:
  using Sink = std::function<void(std::string_view line)>;  // a line without its newline
  EventLog(std::string node, std::function<Time()> now, Sink sink)
      : node_(std::move(node)), now_(std::move(now)), sink_(std::move(sink)) {}

  bool enabled() const { return static_cast<bool>(sink_); }
  void write(std::string_view service, std::string_view event,
             std::initializer_list<Field> fields = {}) {
    write(service, event, fields.begin(), fields.size());
  }
  // The same for fields that are only known at run time.
  void write(std::string_view service, std::string_view event, const Field* first, size_t count);
  const std::string& node() const { return node_; }

 private:
  std::string node_;
  std::function<Time()> now_;
  Sink sink_;
  std::string line_;
};

// A packet's mark: eight hexadecimal digits, FNV-1a (32 bit) of the first 32 bytes of its transport
// payload. Hosts log it when they send and receive, NATs when they translate or drop, so that one
// packet can be followed through a network whose addresses change on the way.
std::string payload_mark(Bytes payload);

// JSON text of a string with its quotes, as the log writes it (RFC 8259 section 7). Bytes that are
// not UTF-8 become U+FFFD, so that a peer cannot make a log unreadable.
void append_json_string(std::string& out, std::string_view text);

}  // namespace culvert::net
