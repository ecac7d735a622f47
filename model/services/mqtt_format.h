// The -F formats of mqtt-sub and mqtt-rr: mosquitto_sub's escapes. Pure.
#pragma once

#include <string>

#include "model/mqtt/packet.h"
#include "model/net/error.h"
#include "model/net/time.h"

namespace culvert::services {

constexpr const char* kFormatHelp =
    "%t topic, %p payload, %x and %X payload in hex, %l its length, %q QoS, %r retain, %m packet "
    "identifier, %A topic alias, %C content type, %D correlation data, %E expiry, %F payload "
    "format, %P user properties, %R response topic, %S subscription identifiers, %U seconds since "
    "the start, %% %; \\n \\t \\r \\0 \\\\";

net::Status check_format(const std::string& format);
void format_message(const std::string& format, const mqtt::Publish& message, net::Time now,
                    std::string& out);

}  // namespace culvert::services
