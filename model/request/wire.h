// How a request and its response travel in PUBLISH packets. In 5.0: response topic, correlation
// data, message expiry and user properties (section 4.10). In 3.1.1, which has none of these, the
// same facts stand in a small header before the body. Stands on model/mqtt;
// docs/reference/requests.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/mqtt/client/client.h"
#include "model/mqtt/packet.h"
#include "model/net/error.h"

namespace culvert::request {

using net::Bytes;

// Who asked, since when, and how many before: a restart draws another epoch, so that the answer to
// the old life's request 7 is never taken for the new one's (seed 000's sequence number, mended).
struct Sequence {
  uint32_t epoch = 0, number = 0;
  bool operator==(const Sequence& o) const { return epoch == o.epoch && number == o.number; }
  bool operator!=(const Sequence& o) const { return !(*this == o); }
};

// HTTP's numbers (RFC 9110 section 15), which everybody knows and the gateway need not translate.
namespace status {
constexpr uint16_t ok = 200, bad_request = 400, forbidden = 403, not_found = 404,
                   method_not_allowed = 405, unsupported_media = 415, unprocessable = 422,
                   too_many = 429, error = 500, unavailable = 503, deadline = 504;
}

struct RequestFrame {
  Sequence sequence;
  std::string_view method;        // "GET"; empty: none, as most devices have it
  std::string_view reply_to;      // response topic
  uint32_t deadline_ms = 0;       // what is left when it is sent; 0: none
  uint8_t attempt = 1;            // 2 and more: the same request again
  std::string_view content_type;  // empty: none
  Bytes body;
  bool plain =
      false;  // of another program (mosquitto_rr): no number; `correlation` goes back as is
  std::optional<Bytes> correlation;
};

struct ResponseFrame {
  Sequence sequence;
  bool plain = false;  // 5.0 only: to a plain request, whose `correlation` stands for the sequence
  std::optional<Bytes> correlation;
  uint16_t status = status::ok;
  std::string_view content_type;
  Bytes body;
};

// The message for a topic. Texts above 255 bytes (the response topic: 65,535) do not fit: too_big.
net::Result<mqtt::OutgoingMessage> to_message(const RequestFrame& frame, mqtt::Version version,
                                              std::string_view topic, uint8_t qos);
net::Result<mqtt::OutgoingMessage> to_message(const ResponseFrame& frame, mqtt::Version version,
                                              std::string_view topic, uint8_t qos);

// What a PUBLISH says; the views live as long as it does. A 5.0 message without response topic or
// without our correlation data is read as 3.1.1's header, so that both may meet at one broker; a
// request with a response topic and no such header is a plain one. invalid with a sentence:
// neither.
net::Result<RequestFrame> read_request(const mqtt::Publish& publish);
net::Result<ResponseFrame> read_response(const mqtt::Publish& publish);

}  // namespace culvert::request
