#include "model/request/gateway.h"

#include <algorithm>
#include <charconv>

#include "model/mqtt/topic.h"

namespace culvert::request {
namespace {

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// RFC 3986 section 2.1. A "%2F" would make a level look like two: refused.
bool decode(std::string_view text, std::string& out) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0) return false;
    const char c = static_cast<char>(hex(text[i + 1]) << 4 | hex(text[i + 2]));
    if (c == '/') return false;
    out += c;
    i += 2;
  }
  return true;
}

// Control characters and non-characters: brokers may end the connection for them (MQTT 5.0 section
// 1.5.4; mosquitto does), and that is everybody's here. `text` is well-formed UTF-8.
bool has_control(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto at = [&](size_t k) {
      return i + k < text.size() ? static_cast<uint8_t>(text[i + k]) : uint8_t{0};
    };
    if (at(0) < 0x20 || at(0) == 0x7F) return true;
    if (at(0) == 0xC2 && at(1) < 0xA0) return true;                                     // C1
    if (at(0) == 0xEF && at(1) == 0xB7 && at(2) >= 0x90 && at(2) <= 0xAF) return true;  // U+FDD0…
    if (at(0) == 0xEF && at(1) == 0xBF && at(2) >= 0xBE) return true;                   // U+FFFE…
    if (at(0) >= 0xF0 && (at(1) & 0x0F) == 0x0F && at(2) == 0xBF && at(3) >= 0xBE) return true;
  }
  return false;
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c >= 0x20 && c < 0x7F; });
}

// "wait=N" among the preferences (RFC 7240 section 4.3), in seconds.
net::Duration deadline_of(const http::Request& request, net::Duration most) {
  const std::string_view prefer = request.headers.get("prefer");
  const size_t at = prefer.find("wait=");
  if (at == std::string_view::npos) return most;
  uint32_t seconds = 0;
  const char* end = prefer.data() + prefer.size();
  if (std::from_chars(prefer.data() + at + 5, end, seconds).ec != std::errc{} || seconds == 0)
    return most;
  return std::min<net::Duration>(most, std::chrono::seconds(seconds));
}

http::Response to_http(Response response) {
  http::Response out;
  out.status = response.status;
  if (out.status < 200 || out.status > 599) {  // 1xx is not an answer
    response = Response::problem(
        502, "the device answered with status " + std::to_string(response.status));
    out.status = 502;
  }
  if (!response.content_type.empty()) {
    // A device must not write headers of its own into our answer.
    if (is_printable(response.content_type))
      out.headers.add("Content-Type", std::move(response.content_type));
  }
  out.body = std::move(response.body);
  return out;
}

uint16_t status_of(const net::Status& failure) {
  switch (failure.error) {
    case net::Error::timed_out:
      return status::deadline;
    case net::Error::refused:
    case net::Error::not_permitted:
      return status::forbidden;
    case net::Error::too_big:
      return 413;
    case net::Error::invalid:
      return status::bad_request;
    default:
      return status::unavailable;
  }
}

}  // namespace

net::Result<std::string> topic_of(const GatewayOptions& options, std::string_view target) {
  std::string_view path = target.substr(0, target.find_first_of("?#"));
  if (path.substr(0, options.path.size()) != options.path)
    return {net::Error::not_found, "nothing at '" + std::string(path) + "'"};
  path.remove_prefix(options.path.size());
  if (options.path.empty() || options.path.back() != '/') {
    if (!path.empty() && path.front() != '/')
      return {net::Error::not_found, "nothing at '" + std::string(target) + "'"};
    if (!path.empty()) path.remove_prefix(1);
  }
  std::string topic = options.topic_prefix;
  const size_t own = topic.size();
  if (!decode(path, topic)) return {net::Error::invalid, "the path has a bad percent escape"};
  const std::string_view rest = std::string_view(topic).substr(own);
  if (rest.empty() || rest.front() == '/' || rest.back() == '/' ||
      rest.find("//") != std::string_view::npos)
    return {net::Error::invalid, "the path has an empty level"};
  if (!mqtt::valid_topic_name(topic) || topic.front() == '$' || has_control(topic))
    return {net::Error::invalid, "the path is no topic to publish to"};
  for (const std::string& filter : options.allowed)
    if (mqtt::matches(filter, topic)) return topic;
  return {net::Error::not_permitted, "the gateway does not serve '" + topic + "'"};
}

http::Handler gateway(Requester& requester, GatewayOptions options) {
  return [&requester, options = std::move(options)](http::Request request,
                                                    std::shared_ptr<http::Responder> responder) {
    const auto answer = [responder, origin = options.allow_origin](http::Response response) {
      if (!origin.empty()) response.headers.add("Access-Control-Allow-Origin", origin);
      responder->respond(std::move(response));
    };
    const auto topic = topic_of(options, request.target);
    if (!topic) {
      const uint16_t status = topic.error() == net::Error::not_found       ? status::not_found
                              : topic.error() == net::Error::not_permitted ? status::forbidden
                                                                           : status::bad_request;
      return answer(to_http(Response::problem(status, topic.status().detail)));
    }
    if (!is_printable(request.headers.get("content-type")))
      return answer(to_http(
          Response::problem(status::bad_request, "the content type is not printable ASCII")));
    Ask ask;
    ask.topic = *topic;
    ask.method = request.method;
    ask.content_type = std::string(request.headers.get("content-type"));
    ask.body = std::move(request.body);
    ask.deadline = deadline_of(request, options.deadline);
    const size_t query = request.target.find('?');
    if (ask.body.empty() && query != std::string::npos) {
      const std::string text = request.target.substr(query + 1);
      ask.body.assign(text.begin(), text.end());
      ask.content_type = "application/x-www-form-urlencoded";
    }
    const auto asked = requester.ask(std::move(ask), [answer](const Outcome& outcome) {
      if (!outcome.status)
        return answer(to_http(Response::problem(status_of(outcome.status), outcome.status.detail)));
      answer(to_http(outcome.response));
    });
    if (!asked) {
      http::Response busy =
          to_http(Response::problem(status_of(asked.status()), asked.status().detail));
      if (busy.status == status::unavailable) busy.headers.add("Retry-After", "1");
      return answer(std::move(busy));
    }
    responder->on_gone([&requester, sequence = *asked] { requester.cancel(sequence); });
  };
}

}  // namespace culvert::request
