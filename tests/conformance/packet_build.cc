// Words to packets.
#include <functional>

#include "model/mqtt/codec.h"
#include "tests/conformance/packet_text.h"
#include "tests/unit/mqtt/bytes.h"

namespace culvert::conformance {
namespace {

using namespace mqtt;

// Fields by key; each is taken once, and what is left over is a mistake of the case.
class Fields {
 public:
  Fields(const std::vector<Field>& fields, const Variables& variables, Texts& texts)
      : texts_(texts) {
    for (const Field& field : fields) {
      const std::string value = substitute(field.value, variables);
      if (field.key.empty())
        bare_.push_back(value);
      else
        values_[field.key].push_back(value);
    }
  }
  bool has(const std::string& key) const { return values_.count(key) > 0; }
  std::string_view text(const std::string& key, std::string_view otherwise = {}) {
    const auto found = values_.find(key);
    if (found == values_.end()) return otherwise;
    const std::string value = found->second[0];
    values_.erase(found);
    return texts_.keep(value);
  }
  std::optional<std::string_view> maybe_text(const std::string& key) {
    if (!has(key)) return std::nullopt;
    return text(key);
  }
  // "hex:cafe", or the text's bytes.
  Bytes data(const std::string& key) {
    const std::string_view value = text(key);
    if (value.substr(0, 4) != "hex:") return net::as_bytes(value);
    const net::Buffer raw = mqtt::testing::bytes(value.substr(4));
    return net::as_bytes(texts_.keep(std::string(raw.begin(), raw.end())));
  }
  std::optional<Bytes> maybe_data(const std::string& key) {
    if (!has(key)) return std::nullopt;
    return data(key);
  }
  uint32_t number(const std::string& key, uint32_t otherwise = 0) {
    if (!has(key)) return otherwise;
    return static_cast<uint32_t>(std::stoul(std::string(text(key)), nullptr, 0));
  }
  std::optional<uint32_t> maybe_number(const std::string& key) {
    if (!has(key)) return std::nullopt;
    return number(key);
  }
  Few<UserProperty> user(const std::string& key = "user") {
    Few<UserProperty> all;
    if (!has(key)) return all;
    std::string_view rest = text(key);
    while (!rest.empty()) {
      const size_t comma = rest.find(',');
      const std::string_view one = rest.substr(0, comma);
      const size_t colon = one.find(':');
      all.push_back({one.substr(0, colon), one.substr(colon + 1)});
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
    return all;
  }
  Reason reason() { return static_cast<Reason>(number("reason")); }
  std::vector<std::string> take_bare() { return std::move(bare_); }
  // The first key that nobody took.
  std::string left() const {
    if (!values_.empty()) return values_.begin()->first;
    return bare_.empty() ? "" : bare_[0];
  }
  std::string_view keep(const std::string& value) { return texts_.keep(value); }

 private:
  static std::string substitute(const std::string& value, const Variables& variables) {
    if (value.empty() || value[0] != '$') return value;
    const auto found = variables.find(value.substr(1));
    return found == variables.end() ? value : found->second;
  }
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> bare_;
  Texts& texts_;
};

void take_message(Fields& f, const std::string& prefix, MessageProperties& out) {
  out.utf8_payload = f.number(prefix + "utf8") == 1;
  out.expiry_s = f.maybe_number(prefix + "expiry");
  out.content_type = f.text(prefix + "content_type");
  out.response_topic = f.maybe_text(prefix + "response_topic");
  out.correlation_data = f.maybe_data(prefix + "correlation");
  out.user = f.user(prefix + "user");
}

Packet make_connect(Fields& f, Version version) {
  Connect c;
  c.version = version;
  c.client_id = f.text("id");
  c.clean_start = f.number("clean", 1) == 1;
  c.keep_alive_s = static_cast<uint16_t>(f.number("keep_alive"));
  c.user_name = f.maybe_text("user_name");
  c.password = f.maybe_data("password");
  c.session_expiry_s = f.number("session_expiry");
  c.receive_maximum = static_cast<uint16_t>(f.number("receive_maximum", 65535));
  c.maximum_packet_size = f.maybe_number("maximum_packet_size");
  c.topic_alias_maximum = static_cast<uint16_t>(f.number("alias_maximum"));
  c.request_response_information = f.number("response_information") == 1;
  c.request_problem_information = f.number("problem_information", 1) == 1;
  c.authentication_method = f.maybe_text("method");
  c.authentication_data = f.maybe_data("data");
  c.user = f.user();
  if (f.has("will")) {
    Will& w = c.will.emplace();
    w.topic = f.text("will");
    w.payload = f.data("will_payload");
    w.qos = static_cast<uint8_t>(f.number("will_qos"));
    w.retain = f.number("will_retain") == 1;
    w.delay_s = f.number("will_delay");
    take_message(f, "will_", w.properties);
  }
  return c;
}

Packet make_publish(Fields& f) {
  Publish p;
  p.topic = f.text("topic");
  p.payload = f.data("payload");
  p.qos = static_cast<uint8_t>(f.number("qos"));
  p.packet_id = static_cast<uint16_t>(f.number("id"));
  p.retain = f.number("retain") == 1;
  p.dup = f.number("dup") == 1;
  p.topic_alias = static_cast<uint16_t>(f.number("alias"));
  if (f.has("sub_id")) p.subscription_ids.push_back(f.number("sub_id"));
  take_message(f, "", p.properties);
  return p;
}

// "a/#:1", or with options "a/#:2nph1": no local, retain as published, retain handling.
Packet make_subscribe(Fields& f) {
  Subscribe s;
  s.packet_id = static_cast<uint16_t>(f.number("id"));
  s.subscription_id = f.maybe_number("sub_id");
  s.user = f.user();
  for (const std::string& word : f.take_bare()) {
    const size_t colon = word.rfind(':');
    Subscribe::Entry entry;
    entry.filter = f.keep(word.substr(0, colon));
    const std::string options = colon == std::string::npos ? "0" : word.substr(colon + 1);
    for (size_t i = 0; i < options.size(); ++i) {
      if (options[i] == 'n') entry.options.no_local = true;
      if (options[i] == 'p') entry.options.retain_as_published = true;
      if (options[i] == 'h')
        entry.options.retain_handling = static_cast<uint8_t>(options[++i] - '0');
      else if (options[i] >= '0' && options[i] <= '2')
        entry.options.qos = static_cast<uint8_t>(options[i] - '0');
    }
    s.entries.push_back(entry);
  }
  return s;
}

Packet make_ack(Fields& f, Type type) {
  Ack a;
  a.type = type;
  a.packet_id = static_cast<uint16_t>(f.number("id"));
  a.reason = f.reason();
  a.reason_string = f.text("why");
  a.user = f.user();
  return a;
}

Packet make_unsubscribe(Fields& f) {
  Unsubscribe u;
  u.packet_id = static_cast<uint16_t>(f.number("id"));
  u.user = f.user();
  for (const std::string& word : f.take_bare()) u.filters.push_back(f.keep(word));
  return u;
}

Packet make_disconnect(Fields& f) {
  Disconnect d;
  d.reason = f.reason();
  d.session_expiry_s = f.maybe_number("session_expiry");
  d.reason_string = f.text("why");
  d.user = f.user();
  return d;
}

Packet make_auth(Fields& f) {
  Auth a;
  a.reason = f.reason();
  a.authentication_method = f.maybe_text("method");
  a.authentication_data = f.maybe_data("data");
  a.reason_string = f.text("why");
  a.user = f.user();
  return a;
}

using Make = std::function<Packet(Fields&, Version)>;
const std::map<std::string, Make>& makers() {
  static const std::map<std::string, Make> kAll = {
      {"CONNECT", make_connect},
      {"PUBLISH", [](Fields& f, Version) { return make_publish(f); }},
      {"PUBACK", [](Fields& f, Version) { return make_ack(f, Type::puback); }},
      {"PUBREC", [](Fields& f, Version) { return make_ack(f, Type::pubrec); }},
      {"PUBREL", [](Fields& f, Version) { return make_ack(f, Type::pubrel); }},
      {"PUBCOMP", [](Fields& f, Version) { return make_ack(f, Type::pubcomp); }},
      {"SUBSCRIBE", [](Fields& f, Version) { return make_subscribe(f); }},
      {"UNSUBSCRIBE", [](Fields& f, Version) { return make_unsubscribe(f); }},
      {"PINGREQ", [](Fields&, Version) { return Packet(Ping{Type::pingreq}); }},
      {"DISCONNECT", [](Fields& f, Version) { return make_disconnect(f); }},
      {"AUTH", [](Fields& f, Version) { return make_auth(f); }},
  };
  return kAll;
}

}  // namespace

net::Result<net::Buffer> build(const std::string& packet, const std::vector<Field>& fields,
                               Version version, const Variables& variables) {
  const auto maker = makers().find(packet);
  if (maker == makers().end()) return {net::Error::invalid, "clients send no " + packet};
  Texts texts;
  Fields given(fields, variables, texts);
  net::Buffer out;
  try {
    const Packet made = maker->second(given, version);
    if (!given.left().empty())
      return {net::Error::invalid, packet + " has no field " + given.left()};
    const net::Status status = encode(made, version, out);
    if (!status) return status;
  } catch (const std::exception&) {
    return {net::Error::invalid, packet + ": a number is expected"};
  }
  return out;
}

}  // namespace culvert::conformance
