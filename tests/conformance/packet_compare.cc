// Packets to words, and whether they are what a case wants.
#include <algorithm>

#include "tests/conformance/packet_text.h"
#include "tests/unit/mqtt/bytes.h"

namespace culvert::conformance {
namespace {

using namespace mqtt;
using Map = std::map<std::string, std::string>;

std::string number(uint64_t value) { return std::to_string(value); }
std::string code(Reason reason) {
  char text[8];
  std::snprintf(text, sizeof text, "0x%02x", static_cast<unsigned>(reason));
  return text;
}
template <class T>
void put(Map& out, const std::string& key, const std::optional<T>& value) {
  if (!value) return;
  if constexpr (std::is_integral_v<T>)
    out[key] = number(*value);
  else if constexpr (std::is_same_v<T, Bytes>)
    out[key] = std::string(net::as_text(*value));
  else
    out[key] = std::string(*value);
}
void put_text(Map& out, const std::string& key, std::string_view value) {
  if (!value.empty()) out[key] = std::string(value);
}
void put_user(Map& out, const Few<UserProperty>& user) {
  std::string all;
  for (const UserProperty& one : user)
    all += (all.empty() ? "" : ",") + std::string(one.name) + ":" + std::string(one.value);
  if (!user.empty()) out["user"] = all;
}

void fill(const Connect&, Map&) {}
void fill(const ConnAck& p, Map& out) {
  out["present"] = p.session_present ? "1" : "0";
  out["reason"] = code(p.reason);
  put(out, "session_expiry", p.session_expiry_s);
  out["receive_maximum"] = number(p.receive_maximum);
  out["maximum_qos"] = number(p.maximum_qos);
  out["retain_available"] = p.retain_available ? "1" : "0";
  put(out, "maximum_packet_size", p.maximum_packet_size);
  put(out, "assigned_id", p.assigned_client_id);
  out["alias_maximum"] = number(p.topic_alias_maximum);
  put_text(out, "why", p.reason_string);
  put(out, "server_keep_alive", p.server_keep_alive_s);
  put(out, "response_information", p.response_information);
  put(out, "method", p.authentication_method);
  put(out, "data", p.authentication_data);
  put_user(out, p.user);
}
void fill(const Publish& p, Map& out) {
  out["dup"] = p.dup ? "1" : "0";
  out["retain"] = p.retain ? "1" : "0";
  out["qos"] = number(p.qos);
  if (p.qos > 0) out["id"] = number(p.packet_id);
  out["topic"] = std::string(p.topic);
  out["payload"] = std::string(net::as_text(p.payload));
  if (p.topic_alias != 0) out["alias"] = number(p.topic_alias);
  std::vector<uint32_t> ids(p.subscription_ids.begin(), p.subscription_ids.end());
  std::sort(ids.begin(), ids.end());  // 3.3.4-4: their order is not significant
  std::string list;
  for (const uint32_t id : ids) list += (list.empty() ? "" : ",") + number(id);
  put_text(out, "sub_id", list);
  if (p.properties.utf8_payload) out["utf8"] = "1";
  put(out, "expiry", p.properties.expiry_s);
  put_text(out, "content_type", p.properties.content_type);
  put(out, "response_topic", p.properties.response_topic);
  put(out, "correlation", p.properties.correlation_data);
  put_user(out, p.properties.user);
}
void fill(const Ack& p, Map& out) {
  out["id"] = number(p.packet_id);
  out["reason"] = code(p.reason);
  put_text(out, "why", p.reason_string);
  put_user(out, p.user);
}
void fill(const Subscribe&, Map&) {}
void fill(const SubAck& p, Map& out) {
  out["id"] = number(p.packet_id);
  std::string list;
  for (const Reason reason : p.reasons) list += (list.empty() ? "" : ",") + code(reason);
  put_text(out, "reasons", list);
  put_text(out, "why", p.reason_string);
  put_user(out, p.user);
}
void fill(const Unsubscribe&, Map&) {}
void fill(const Ping&, Map&) {}
void fill(const Disconnect& p, Map& out) {
  out["reason"] = code(p.reason);
  put(out, "session_expiry", p.session_expiry_s);
  put_text(out, "why", p.reason_string);
  put_user(out, p.user);
}
void fill(const Auth& p, Map& out) {
  out["reason"] = code(p.reason);
  put(out, "method", p.authentication_method);
  put(out, "data", p.authentication_data);
  put_text(out, "why", p.reason_string);
  put_user(out, p.user);
}

std::string type_name(const Packet& packet) {
  struct Name {
    std::string operator()(const Connect&) const { return "CONNECT"; }
    std::string operator()(const ConnAck&) const { return "CONNACK"; }
    std::string operator()(const Publish&) const { return "PUBLISH"; }
    std::string operator()(const Ack& p) const { return std::string(to_string(p.type)); }
    std::string operator()(const Subscribe&) const { return "SUBSCRIBE"; }
    std::string operator()(const SubAck& p) const { return std::string(to_string(p.type)); }
    std::string operator()(const Unsubscribe&) const { return "UNSUBSCRIBE"; }
    std::string operator()(const Ping& p) const { return std::string(to_string(p.type)); }
    std::string operator()(const Disconnect&) const { return "DISCONNECT"; }
    std::string operator()(const Auth&) const { return "AUTH"; }
  };
  return std::visit(Name(), packet);
}

bool parse_number(const std::string& text, uint64_t& out) {
  try {
    size_t used = 0;
    out = std::stoull(text, &used, 0);
    return used == text.size();
  } catch (const std::exception&) {
    return false;
  }
}

bool same(const std::string& is, const std::string& want) {
  if (is == want) return true;
  if (want.substr(0, 4) == "hex:") {
    const net::Buffer raw = mqtt::testing::bytes(want.substr(4));
    return is == std::string(raw.begin(), raw.end());
  }
  uint64_t a = 0, b = 0, low = 0, high = 0;
  if (!parse_number(is, a)) return false;
  if (parse_number(want, b)) return a == b;
  const size_t dots = want.find("..");
  return dots != std::string::npos && parse_number(want.substr(0, dots), low) &&
         parse_number(want.substr(dots + 2), high) && a >= low && a <= high;
}

// Lists compare item by item: "0x00,0x87" is "0,0x87".
bool same_list(const std::string& is, const std::string& want) {
  if (same(is, want)) return true;
  size_t i = 0, j = 0;
  while (true) {
    const size_t i_end = std::min(is.find(',', i), is.size());
    const size_t j_end = std::min(want.find(',', j), want.size());
    if (!same(is.substr(i, i_end - i), want.substr(j, j_end - j))) return false;
    const bool i_done = i_end == is.size(), j_done = j_end == want.size();
    if (i_done || j_done) return i_done && j_done;
    i = i_end + 1;
    j = j_end + 1;
  }
}

bool either(const std::string& is, const std::string& want) {
  size_t at = 0;
  while (true) {
    const size_t bar = std::min(want.find('|', at), want.size());
    if (same_list(is, want.substr(at, bar - at))) return true;
    if (bar == want.size()) return false;
    at = bar + 1;
  }
}

std::string shorten(const std::string& text) {
  return text.size() <= 80 ? text : text.substr(0, 80) + "… (" + number(text.size()) + " bytes)";
}

}  // namespace

std::map<std::string, std::string> describe(const Packet& packet, Version) {
  Map out;
  std::visit([&](const auto& one) { fill(one, out); }, packet);
  out["type"] = type_name(packet);
  return out;
}

std::string to_line(const Map& described) {
  std::string line = described.at("type");
  for (const auto& [key, value] : described)
    if (key != "type") line += " " + key + "=" + shorten(value);
  return line;
}

std::string compare(const Map& described, const std::string& packet,
                    const std::vector<Field>& fields, Variables& variables) {
  if (described.at("type") != packet) return "wanted " + packet;
  Variables captured;
  for (const Field& field : fields) {
    const auto found = described.find(field.key);
    std::string want = field.value;
    if (!want.empty() && want[0] == '$' && variables.count(want.substr(1)) > 0)
      want = variables.at(want.substr(1));
    if (want == "-") {
      if (found != described.end()) return field.key + " should not be there";
      continue;
    }
    if (want.substr(0, 2) == "-|") {
      if (found == described.end()) continue;
      want = want.substr(2);
    }
    if (found == described.end()) {
      if (!want.empty()) return field.key + " is missing";
      continue;
    }
    if (!want.empty() && want[0] == '?') {
      captured[want.substr(1)] = found->second;
      continue;
    }
    if (!want.empty() && want[0] == '!') {
      const std::string other = want.substr(1);
      const auto known = variables.find(other.empty() ? other : other.substr(1));
      if (found->second == (known == variables.end() ? other : known->second))
        return field.key + " should differ from " + shorten(found->second);
      continue;
    }
    if (!either(found->second, want))
      return field.key + " should be " + shorten(want) + ", is " + shorten(found->second);
  }
  for (auto& [name, value] : captured) variables[name] = value;
  return {};
}

}  // namespace culvert::conformance
