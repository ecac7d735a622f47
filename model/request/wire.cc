#include "model/request/wire.h"

#include <boost/endian/conversion.hpp>
#include <charconv>

namespace culvert::request {
namespace {

using boost::endian::load_big_u16;
using boost::endian::load_big_u32;
using net::Error;

// The header of 3.1.1 messages. Ours; the first byte is no start of UTF-8 text or JSON.
//   magic, kind, epoch (4), number (4),
//   request:  deadline_ms (4), attempt (1), method (1 + n), reply_to (2 + n)
//   response: status (2)
//   both:     content type (1 + n), then the body
constexpr uint8_t kMagic = 0xC7;
constexpr uint8_t kRequest = 0x11, kResponse = 0x12;  // version 1
constexpr size_t kSequence = 8;                       // bytes of correlation data

// Names of user properties. Short, for each costs its bytes in every message.
constexpr std::string_view kDeadline = "deadline-ms", kAttempt = "attempt", kMethod = "method",
                           kStatus = "status";

void put16(net::Buffer& out, size_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}
void put32(net::Buffer& out, uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xFFFF);
}
void put(net::Buffer& out, std::string_view text) {
  out.insert(out.end(), text.begin(), text.end());
}

net::Buffer correlation(const Sequence& sequence) {
  net::Buffer out;
  out.reserve(kSequence);
  put32(out, sequence.epoch);
  put32(out, sequence.number);
  return out;
}

Sequence sequence_at(const uint8_t* at) { return {load_big_u32(at), load_big_u32(at + 4)}; }

// Reads a header; short() once something was missing.
class Reader {
 public:
  explicit Reader(Bytes bytes) : rest_(bytes) {}
  uint32_t number(size_t size) {
    uint32_t value = 0;
    for (const uint8_t byte : take(size)) value = value << 8 | byte;
    return value;
  }
  std::string_view text(size_t length_size) { return net::as_text(take(number(length_size))); }
  Bytes rest() const { return rest_; }
  bool cut() const { return cut_; }

 private:
  Bytes take(size_t size) {
    if (size > rest_.size()) {
      cut_ = true;
      return {};
    }
    const Bytes piece = rest_.first(size);
    rest_ = rest_.subspan(size);
    return piece;
  }
  Bytes rest_;
  bool cut_ = false;
};

template <class Number>
bool number_of(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

std::string_view property(const mqtt::Publish& publish, std::string_view name) {
  for (const mqtt::UserProperty& user : publish.properties.user)
    if (user.name == name) return user.value;
  return {};
}

bool has_correlation(const mqtt::Publish& publish) {
  return publish.properties.correlation_data &&
         publish.properties.correlation_data->size() == kSequence;
}

mqtt::OutgoingMessage message(std::string_view topic, uint8_t qos) {
  mqtt::OutgoingMessage out;
  out.topic = topic;
  out.qos = qos;
  return out;
}

}  // namespace

net::Result<mqtt::OutgoingMessage> to_message(const RequestFrame& frame, mqtt::Version version,
                                              std::string_view topic, uint8_t qos) {
  if (frame.method.size() > 255 || frame.content_type.size() > 255)
    return {Error::too_big, "a method or content type of more than 255 bytes"};
  if (frame.reply_to.empty() || frame.reply_to.size() > 65535)
    return {Error::invalid, "a request needs a response topic of 1 to 65535 bytes"};
  auto out = message(topic, qos);
  if (version == mqtt::Version::v5) {
    auto& properties = out.properties;
    properties.response_topic = std::string(frame.reply_to);
    properties.correlation_data = correlation(frame.sequence);
    properties.content_type = frame.content_type;
    if (frame.deadline_ms > 0) {
      // The broker's clock counts whole seconds (3.3.2.3.3), ours milliseconds.
      properties.expiry_s = (frame.deadline_ms - 1) / 1000 + 1;
      properties.user.emplace_back(kDeadline, std::to_string(frame.deadline_ms));
    }
    if (frame.attempt > 1) properties.user.emplace_back(kAttempt, std::to_string(frame.attempt));
    if (!frame.method.empty()) properties.user.emplace_back(kMethod, frame.method);
    out.payload.assign(frame.body.begin(), frame.body.end());
    return out;
  }
  net::Buffer& payload = out.payload;
  payload.reserve(20 + frame.method.size() + frame.reply_to.size() + frame.content_type.size() +
                  frame.body.size());
  payload.push_back(kMagic);
  payload.push_back(kRequest);
  put32(payload, frame.sequence.epoch);
  put32(payload, frame.sequence.number);
  put32(payload, frame.deadline_ms);
  payload.push_back(frame.attempt);
  payload.push_back(static_cast<uint8_t>(frame.method.size()));
  put(payload, frame.method);
  put16(payload, frame.reply_to.size());
  put(payload, frame.reply_to);
  payload.push_back(static_cast<uint8_t>(frame.content_type.size()));
  put(payload, frame.content_type);
  payload.insert(payload.end(), frame.body.begin(), frame.body.end());
  return out;
}

net::Result<mqtt::OutgoingMessage> to_message(const ResponseFrame& frame, mqtt::Version version,
                                              std::string_view topic, uint8_t qos) {
  if (frame.content_type.size() > 255)
    return {Error::too_big, "a content type of more than 255 bytes"};
  auto out = message(topic, qos);
  if (version == mqtt::Version::v5) {
    auto& properties = out.properties;
    if (!frame.plain)
      properties.correlation_data = correlation(frame.sequence);
    else if (frame.correlation)
      properties.correlation_data.emplace(frame.correlation->begin(), frame.correlation->end());
    properties.content_type = frame.content_type;
    if (frame.status != status::ok)
      properties.user.emplace_back(kStatus, std::to_string(frame.status));
    out.payload.assign(frame.body.begin(), frame.body.end());
    return out;
  }
  net::Buffer& payload = out.payload;
  payload.reserve(13 + frame.content_type.size() + frame.body.size());
  payload.push_back(kMagic);
  payload.push_back(kResponse);
  put32(payload, frame.sequence.epoch);
  put32(payload, frame.sequence.number);
  put16(payload, frame.status);
  payload.push_back(static_cast<uint8_t>(frame.content_type.size()));
  put(payload, frame.content_type);
  payload.insert(payload.end(), frame.body.begin(), frame.body.end());
  return out;
}

net::Result<RequestFrame> read_request(const mqtt::Publish& publish) {
  RequestFrame frame;
  const bool header =
      publish.payload.size() >= 2 && publish.payload[0] == kMagic && publish.payload[1] == kRequest;
  frame.plain = !has_correlation(publish) && !header;
  if (publish.properties.response_topic && (has_correlation(publish) || frame.plain)) {
    if (frame.plain)
      frame.correlation = publish.properties.correlation_data;
    else
      frame.sequence = sequence_at(publish.properties.correlation_data->data());
    frame.reply_to = *publish.properties.response_topic;
    frame.content_type = publish.properties.content_type;
    frame.method = property(publish, kMethod);
    const std::string_view deadline = property(publish, kDeadline);
    if (!deadline.empty() && !number_of(deadline, frame.deadline_ms))
      return {Error::invalid, "deadline-ms is not a number of milliseconds"};
    const std::string_view attempt = property(publish, kAttempt);
    if (!attempt.empty() && !number_of(attempt, frame.attempt))
      return {Error::invalid, "attempt is not a number from 1 to 255"};
    frame.body = publish.payload;
    return frame;
  }
  Reader reader(publish.payload);
  if (reader.number(1) != kMagic || reader.number(1) != kRequest)
    return {Error::invalid, "neither a response topic nor a request header"};
  frame.sequence.epoch = reader.number(4);
  frame.sequence.number = reader.number(4);
  frame.deadline_ms = reader.number(4);
  frame.attempt = static_cast<uint8_t>(reader.number(1));
  frame.method = reader.text(1);
  frame.reply_to = reader.text(2);
  frame.content_type = reader.text(1);
  frame.body = reader.rest();
  if (reader.cut()) return {Error::invalid, "the request header is cut off"};
  return frame;
}

net::Result<ResponseFrame> read_response(const mqtt::Publish& publish) {
  ResponseFrame frame;
  if (has_correlation(publish)) {
    frame.sequence = sequence_at(publish.properties.correlation_data->data());
    frame.content_type = publish.properties.content_type;
    const std::string_view status = property(publish, kStatus);
    if (!status.empty() && !number_of(status, frame.status))
      return {Error::invalid, "status is not a number"};
    frame.body = publish.payload;
    return frame;
  }
  Reader reader(publish.payload);
  if (reader.number(1) != kMagic || reader.number(1) != kResponse)
    return {Error::invalid, "neither correlation data nor a response header"};
  frame.sequence.epoch = reader.number(4);
  frame.sequence.number = reader.number(4);
  frame.status = static_cast<uint16_t>(reader.number(2));
  frame.content_type = reader.text(1);
  frame.body = reader.rest();
  if (reader.cut()) return {Error::invalid, "the response header is cut off"};
  return frame;
}

}  // namespace culvert::request
