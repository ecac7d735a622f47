// mosquitto_sub's %j and %J.
#include <boost/json.hpp>

#include "model/net/bytes.h"
#include "model/services/mqtt_format.h"

namespace culvert::services {
namespace {

std::string quoted(std::string_view text) {
  return boost::json::serialize(boost::json::value(boost::json::string(text)));
}

std::string properties_json(const mqtt::Publish& m) {
  const mqtt::MessageProperties& p = m.properties;
  std::string out;
  const auto put = [&](const char* name, const std::string& value) {
    out += (out.empty() ? "\"" : ",\"") + std::string(name) + "\":" + value;
  };
  if (p.utf8_payload) put("payload-format-indicator", "1");
  if (p.expiry_s) put("message-expiry-interval", std::to_string(*p.expiry_s));
  if (!p.content_type.empty()) put("content-type", quoted(p.content_type));
  if (p.response_topic) put("response-topic", quoted(*p.response_topic));
  if (p.correlation_data) put("correlation-data", quoted(net::as_text(*p.correlation_data)));
  for (const uint32_t id : m.subscription_ids) put("subscription-identifier", std::to_string(id));
  if (m.topic_alias != 0) put("topic-alias", std::to_string(m.topic_alias));
  std::string users;
  for (const mqtt::UserProperty& user : p.user)
    users += (users.empty() ? "" : ",") + quoted(user.name) + ":" + quoted(user.value);
  if (!users.empty()) put("user-properties", "{" + users + "}");
  return out;
}

// Lines and tabs into JSON that has none; what stands in quotes stays.
std::string prettier(const std::string& json) {
  std::string out;
  size_t depth = 0;
  bool text = false;
  const auto line = [&] { out.append(1, '\n').append(depth, '\t'); };
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (text || c == '"') {
      out += c;
      if (c == '\\') out += json[++i];
      if (c == '"') text = !text;
    } else if (c == '{' || c == '[') {
      out += c;
      const char close = c == '{' ? '}' : ']';
      const size_t next = json.find_first_not_of(" \t\r\n", i + 1);
      if (next != std::string::npos && json[next] == close)
        out += json[i = next];
      else
        ++depth, line();
    } else if (c == '}' || c == ']') {
      if (depth > 0) --depth;
      line();
      out += c;
    } else if (c == ',') {
      out += c;
      line();
    } else if (c == ':') {
      out += ":\t";
    } else if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
      out += c;
    }
  }
  return out;
}

}  // namespace

net::Status json_of(const mqtt::Publish& message, const FormatTime& when, bool payload_is_json,
                    bool pretty, std::string& out) {
  const std::string_view payload = net::as_text(message.payload);
  if (payload_is_json) {
    boost::json::error_code error;
    boost::json::parse(payload, error);
    if (error)
      return {net::Error::invalid,
              "Message payload is not valid JSON on topic " + std::string(message.topic)};
  }
  const std::string micros = std::to_string(when.ns / 1000 % 1'000'000);
  std::string json = "{\"tst\":\"" + when.text("%FT%T.") + std::string(6 - micros.size(), '0') +
                     micros + when.text("%z") + "\",\"topic\":" + quoted(message.topic) +
                     ",\"qos\":" + std::to_string(message.qos) +
                     ",\"retain\":" + (message.retain ? "1" : "0") +
                     ",\"payloadlen\":" + std::to_string(message.payload.size());
  if (message.qos > 0) json += ",\"mid\":" + std::to_string(message.packet_id);
  if (const std::string properties = properties_json(message); !properties.empty())
    json += ",\"properties\":{" + properties + "}";
  json += ",\"payload\":" + (payload_is_json ? std::string(payload) : quoted(payload)) + "}";
  out += pretty ? prettier(json) : json;
  return {};
}

}  // namespace culvert::services
