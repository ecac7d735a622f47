// The -F formats of mqtt-sub and mqtt-rr: mosquitto_sub's escapes, its JSON. Pure.
#pragma once

#include <string>

#include "model/mqtt/packet.h"
#include "model/net/error.h"
#include "model/services/service.h"

namespace culvert::services {

constexpr const char* kFormatHelp =
    "%t topic, %p payload, %x and %X payload in hex, %l its length, %q QoS, %r retain, %m packet "
    "identifier, %A topic alias, %C content type, %D correlation data, %E expiry, %F payload "
    "format, %P user properties, %R response topic, %S subscription identifiers; %j all as JSON, "
    "%J too, with a payload that is JSON itself; %I date and time, %U seconds since 1970, @Y @H … "
    "as strftime's %Y %H, @N nanoseconds; %10t width, %-10t, %010l, %.10t; %% @@ \\\\ \\n \\t \\r "
    "\\0 \\a \\e \\v";

// When a message came: nanoseconds since 1970, and how they are written.
struct FormatTime {
  int64_t ns = 0;
  const Calendar* calendar = nullptr;  // or without text(): UTC
  std::string text(const std::string& strftime_format) const;
};

net::Status check_format(const std::string& format);
// invalid: %J and the payload is not JSON; nothing is to be printed then.
net::Status format_message(const std::string& format, const mqtt::Publish& message,
                           const FormatTime& when, bool pretty, std::string& out);

// The message as one JSON object, in the order in which mosquitto_sub has it.
net::Status json_of(const mqtt::Publish& message, const FormatTime& when, bool payload_is_json,
                    bool pretty, std::string& out);

}  // namespace culvert::services
