#include "model/net/event_log.h"

#include <cinttypes>
#include <cstdio>

namespace culvert::net {
namespace {

// Length of the well-formed UTF-8 sequence at text[i], or 0 (Unicode 15, table 3-7).
size_t utf8_length(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) -> uint8_t {
    return i + k < text.size() ? static_cast<uint8_t>(text[i + k]) : 0;
  };
  const auto tail = [&](size_t k) { return (byte(k) & 0xc0) == 0x80; };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (lead == 0xe0 && byte(1) < 0xa0) return 0;
    if (lead == 0xed && byte(1) > 0x9f) return 0;
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if (lead == 0xf0 && byte(1) < 0x90) return 0;
    if (lead == 0xf4 && byte(1) > 0x8f) return 0;
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

struct AppendValue {
  std::string& out;
  void operator()(bool v) const { out += v ? "true" : "false"; }
  void operator()(int64_t v) const { out += std::to_string(v); }
  void operator()(uint64_t v) const { out += std::to_string(v); }
  void operator()(double v) const {
    if (!(v > -1e300 && v < 1e300)) {  // JSON has neither infinity nor NaN
      out += "null";
      return;
    }
    char text[64];
    std::snprintf(text, sizeof text, "%.6f", v);
    out += text;
  }
  void operator()(const std::string& v) const { append_json_string(out, v); }
};

}  // namespace

std::string payload_mark(Bytes payload) {
  uint32_t hash = 0x811c9dc5u;  // FNV-1a, 32 bit: offset basis and prime
  for (size_t i = 0; i < payload.size() && i < 32; ++i) hash = (hash ^ payload[i]) * 0x01000193u;
  char text[12];
  std::snprintf(text, sizeof text, "%08x", hash);
  return text;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text, i);
    const auto c = static_cast<unsigned char>(text[i]);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      ++i;
      continue;
    }
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text[i];
    } else if (c < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", c);
      out += escape;
    } else {
      out.append(text, i, length);
    }
    i += length;
  }
  out += '"';
}

void EventLog::write(std::string_view service, std::string_view event, const Field* first,
                     size_t count) {
  if (!sink_) return;
  const int64_t ns = now_().count();
  char time[48];
  std::snprintf(time, sizeof time, "{\"time_ms\":%" PRId64 ".%06" PRId64, ns / 1000000,
                ns % 1000000);
  line_ = time;
  line_ += ",\"node\":";
  append_json_string(line_, node_);
  line_ += ",\"service\":";
  append_json_string(line_, service);
  line_ += ",\"event\":";
  append_json_string(line_, event);
  for (size_t i = 0; i < count; ++i) {
    line_ += ',';
    append_json_string(line_, first[i].name);
    line_ += ':';
    std::visit(AppendValue{line_}, first[i].value);
  }
  line_ += '}';
  sink_(line_);
}

}  // namespace culvert::net
