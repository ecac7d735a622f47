#include "model/services/mqtt_format.h"

#include <algorithm>
#include <ctime>

#include "model/net/bytes.h"

namespace culvert::services {
namespace {

constexpr std::string_view kParameters = "tpxXlqrmACDEFPRSUjJI";
constexpr std::string_view kWithWidth = "ACEFIlmpRStxX";  // as mosquitto_sub's manual has it
constexpr std::string_view kWithZeros = "AEFlmSxX", kWithMost = "CIRt";
constexpr std::string_view kEscapes = "\\0aenrtv", kEscaped{"\\\0\a\x1B\n\r\t\v", 8};
constexpr size_t kWidest = 1000;  // ours

// %-10.10t: what stands between the percent sign and the letter.
struct Shape {
  bool left = false, zeros = false;
  size_t least = 0, most = std::string::npos;
  char letter = 0;
};
Shape shape_at(const std::string& format, size_t& at) {
  Shape shape;
  for (; at < format.size() && (format[at] == '-' || format[at] == '0'); ++at)
    (format[at] == '-' ? shape.left : shape.zeros) = true;
  const auto number = [&] {
    size_t n = 0;
    for (; at < format.size() && format[at] >= '0' && format[at] <= '9'; ++at)
      n = std::min<size_t>(n * 10 + static_cast<size_t>(format[at] - '0'), kWidest);
    return n;
  };
  shape.least = number();
  if (at < format.size() && format[at] == '.') shape.most = (++at, number());
  if (at < format.size()) shape.letter = format[at];
  return shape;
}

void hex(mqtt::Bytes bytes, const char* digits, std::string& out) {
  for (const uint8_t byte : bytes) {
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
}

std::string nanoseconds(int64_t ns) {
  const std::string digits = std::to_string(ns % 1'000'000'000);
  return std::string(9 - digits.size(), '0') + digits;
}

std::string parameter(char letter, const mqtt::Publish& m, const FormatTime& when) {
  const mqtt::MessageProperties& p = m.properties;
  std::string out;
  switch (letter) {
    case 't':
      return std::string(m.topic);
    case 'p':
      return std::string(net::as_text(m.payload));
    case 'x':
    case 'X':
      hex(m.payload, letter == 'x' ? "0123456789abcdef" : "0123456789ABCDEF", out);
      return out;
    case 'l':
      return std::to_string(m.payload.size());
    case 'q':
      return std::to_string(m.qos);
    case 'r':
      return m.retain ? "1" : "0";
    case 'm':
      return std::to_string(m.packet_id);
    case 'A':
      return m.topic_alias != 0 ? std::to_string(m.topic_alias) : "";
    case 'C':
      return std::string(p.content_type);
    case 'D':
      return p.correlation_data ? std::string(net::as_text(*p.correlation_data)) : "";
    case 'E':
      return p.expiry_s ? std::to_string(*p.expiry_s) : "";
    case 'F':
      return p.utf8_payload ? "1" : "0";
    case 'P':
      for (const mqtt::UserProperty& user : p.user) {
        if (!out.empty()) out += ' ';
        out.append(user.name).append(":").append(user.value);
      }
      return out;
    case 'R':
      return std::string(p.response_topic.value_or(""));
    case 'S':
      for (const uint32_t id : m.subscription_ids)
        out += (out.empty() ? "" : ",") + std::to_string(id);
      return out;
    case 'U':
      return std::to_string(when.ns / 1'000'000'000) + "." + nanoseconds(when.ns);
    case 'I':
      return when.text("%FT%T%z");
  }
  return out;
}

bool has(std::string_view set, char c) { return set.find(c) != std::string_view::npos; }

void put_shaped(const Shape& shape, std::string value, std::string& out) {
  if (has(kWithMost, shape.letter)) value = value.substr(0, shape.most);
  const size_t least = has(kWithWidth, shape.letter) ? shape.least : 0;
  const size_t missing = least > value.size() ? least - value.size() : 0;
  const bool zeros = shape.zeros && !shape.left && has(kWithZeros, shape.letter);
  if (!shape.left) out.append(missing, zeros ? '0' : ' ');
  out += value;
  if (shape.left) out.append(missing, ' ');
}

}  // namespace

std::string FormatTime::text(const std::string& strftime_format) const {
  const int64_t seconds = ns / 1'000'000'000;
  if (calendar && calendar->text) return calendar->text(seconds, strftime_format);
  const std::time_t time = seconds;
  char out[256];
  return {out, std::strftime(out, sizeof out, strftime_format.c_str(), std::gmtime(&time))};
}

net::Status check_format(const std::string& format) {
  const auto wrong = [](const std::string& what) {
    return net::Status{net::Error::invalid, "-F: there is no escape '" + what + "'"};
  };
  for (size_t i = 0; i < format.size(); ++i) {
    const size_t begin = i;
    if (format[i] == '%') {
      const Shape shape = shape_at(format, ++i);
      const bool percent = shape.letter == '%' && i == begin + 1;
      if (!percent && (shape.letter == 0 || !has(kParameters, shape.letter)))
        return wrong(format.substr(begin, i + 1 - begin));
    } else if (format[i] == '@') {
      if (++i == format.size()) return wrong("@");
    } else if (format[i] == '\\') {
      if (++i == format.size() || !has(kEscapes, format[i])) return wrong(format.substr(begin, 2));
    }
  }
  return {};
}

net::Status format_message(const std::string& format, const mqtt::Publish& message,
                           const FormatTime& when, bool pretty, std::string& out) {
  for (size_t i = 0; i < format.size(); ++i) {
    const char c = format[i];
    if (c == '%') {
      const Shape shape = shape_at(format, ++i);
      if (shape.letter == '%') {
        out += '%';
      } else if (shape.letter == 'j' || shape.letter == 'J') {
        const net::Status status = json_of(message, when, shape.letter == 'J', pretty, out);
        if (!status) return status;
      } else {
        put_shaped(shape, parameter(shape.letter, message, when), out);
      }
    } else if (c == '@') {
      const char what = format[++i];
      out += what == '@' ? "@" : what == 'N' ? nanoseconds(when.ns) : when.text({'%', what});
    } else if (c == '\\') {
      out += kEscaped[kEscapes.find(format[++i])];
    } else {
      out += c;
    }
  }
  return {};
}

}  // namespace culvert::services
