#include "model/services/mqtt_format.h"

#include "model/net/bytes.h"

namespace culvert::services {
namespace {

constexpr std::string_view kEscapes = "%tpxXlqrmACDEFPRSU";

void hex(mqtt::Bytes bytes, const char* digits, std::string& out) {
  for (const uint8_t byte : bytes) {
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
}

void escape(char what, const mqtt::Publish& m, net::Time now, std::string& out) {
  const mqtt::MessageProperties& p = m.properties;
  switch (what) {
    case '%':
      out += '%';
      break;
    case 't':
      out += m.topic;
      break;
    case 'p':
      out += net::as_text(m.payload);
      break;
    case 'x':
      hex(m.payload, "0123456789abcdef", out);
      break;
    case 'X':
      hex(m.payload, "0123456789ABCDEF", out);
      break;
    case 'l':
      out += std::to_string(m.payload.size());
      break;
    case 'q':
      out += std::to_string(m.qos);
      break;
    case 'r':
      out += m.retain ? '1' : '0';
      break;
    case 'm':
      out += std::to_string(m.packet_id);
      break;
    case 'A':
      if (m.topic_alias != 0) out += std::to_string(m.topic_alias);
      break;
    case 'C':
      out += p.content_type;
      break;
    case 'D':
      if (p.correlation_data) out += net::as_text(*p.correlation_data);
      break;
    case 'E':
      if (p.expiry_s) out += std::to_string(*p.expiry_s);
      break;
    case 'F':
      out += p.utf8_payload ? '1' : '0';
      break;
    case 'P':
      for (size_t i = 0; i < p.user.size(); ++i) {
        if (i > 0) out += ' ';
        out.append(p.user[i].name).append(":").append(p.user[i].value);
      }
      break;
    case 'R':
      if (p.response_topic) out += *p.response_topic;
      break;
    case 'S':
      for (size_t i = 0; i < m.subscription_ids.size(); ++i)
        out += (i > 0 ? "," : "") + std::to_string(m.subscription_ids[i]);
      break;
    case 'U':
      out += std::to_string(static_cast<double>(now.count()) / 1e9);
      break;
  }
}

}  // namespace

net::Status check_format(const std::string& format) {
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') continue;
    if (++i == format.size() || kEscapes.find(format[i]) == std::string_view::npos)
      return {net::Error::invalid, "-F: there is no escape '%" + format.substr(i, 1) + "'"};
  }
  return {};
}

void format_message(const std::string& format, const mqtt::Publish& message, net::Time now,
                    std::string& out) {
  for (size_t i = 0; i < format.size(); ++i) {
    const char c = format[i];
    if (c == '%' && i + 1 < format.size()) {
      escape(format[++i], message, now, out);
    } else if (c == '\\' && i + 1 < format.size()) {
      const char next = format[++i];
      out += next == 'n'   ? '\n'
             : next == 't' ? '\t'
             : next == 'r' ? '\r'
             : next == '0' ? '\0'
                           : next;
    } else {
      out += c;
    }
  }
}

}  // namespace culvert::services
