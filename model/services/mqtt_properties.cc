// -D of mqtt-pub, mqtt-sub and mqtt-rr: MQTT 5.0's properties, packet by packet.
#include <charconv>

#include "model/services/mqtt_command.h"

namespace culvert::services {
namespace {

template <class Number>
bool property_number(const std::string& text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

net::Status wrong_value(const std::string& name, const std::string& value) {
  return {net::Error::invalid, "-D: '" + value + "' is no value for " + name};
}

std::string lower_case(std::string text) {  // -D PUBLISH … too
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

}  // namespace

net::Status CommandProperties::message(std::string_view command, mqtt::OwnedProperties& out) const {
  for (size_t i = 0; i < words.size();) {
    if (i + 2 >= words.size())
      return {net::Error::invalid, "-D takes a command, a property's name and its value"};
    const std::string which = lower_case(words[i]);
    const std::string &name = words[i + 1], &value = words[i + 2];
    const bool pair = name == "user-property";
    if (pair && i + 3 >= words.size())
      return {net::Error::invalid, "-D: a user-property has a name and a value"};
    i += pair ? 4 : 3;
    if (which != command) continue;
    if (pair) {
      out.user.emplace_back(value, words[i - 1]);
    } else if (name == "content-type") {
      out.content_type = value;
    } else if (name == "response-topic") {
      out.response_topic = value;
    } else if (name == "correlation-data") {
      out.correlation_data.emplace(value.begin(), value.end());
    } else if (name == "payload-format-indicator") {
      if (value != "0" && value != "1") return wrong_value(name, value);
      out.utf8_payload = value == "1";
    } else if (name == "message-expiry-interval") {
      uint32_t seconds = 0;
      if (!property_number(value, seconds)) return wrong_value(name, value);
      out.expiry_s = seconds;
    } else if (name == "topic-alias" || (which == "will" && name == "will-delay-interval")) {
      // The client finds aliases by itself; the delay is read in rest().
    } else {
      return {net::Error::invalid, "-D: " + which + " has no property '" + name + "'"};
    }
  }
  return {};
}

net::Status CommandProperties::rest(mqtt::ClientOptions& connect, uint32_t& will_delay_s,
                                    std::optional<uint32_t>& subscription_id) const {
  for (size_t i = 0; i + 2 < words.size();) {
    const std::string which = lower_case(words[i]);
    const std::string &name = words[i + 1], &value = words[i + 2];
    i += name == "user-property" ? 4 : 3;
    if (which == "publish" || which == "will") {
      if (name == "will-delay-interval" && !property_number(value, will_delay_s))
        return wrong_value(name, value);
      continue;
    }
    bool well = true;
    if (which == "connect" && name == "user-property") {
      connect.user_properties.emplace_back(value, words[i - 1]);
    } else if (which == "connect" && name == "session-expiry-interval") {
      well = property_number(value, connect.session_expiry_s);
    } else if (which == "connect" && name == "receive-maximum") {
      well = property_number(value, connect.receive_maximum) && connect.receive_maximum > 0;
    } else if (which == "connect" && name == "maximum-packet-size") {
      well = property_number(value, connect.maximum_packet_size) && connect.maximum_packet_size > 0;
    } else if (which == "connect" && name == "topic-alias-maximum") {
      well = property_number(value, connect.topic_alias_maximum);
    } else if (which == "connect" && name == "request-response-information") {
      connect.request_response_information = value == "1";
    } else if (which == "subscribe" && name == "subscription-identifier") {
      uint32_t id = 0;
      well = property_number(value, id);
      subscription_id = id;
    } else {
      return {net::Error::invalid, "-D: " + which + " " + name + " is not known"};
    }
    if (!well) return wrong_value(name, value);
  }
  return {};
}

}  // namespace culvert::services
