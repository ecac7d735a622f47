#include "model/http/websocket.h"

#include <algorithm>

#include "model/http/handshake.h"
#include "model/http/text.h"
#include "model/http/websocket_stream.h"
#include "model/net/crypto.h"

namespace culvert::http {
namespace {

using net::Error;

// RFC 6455 section 1.3.
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

std::string accept_of(std::string_view key) {
  const std::string text = std::string(key) + std::string(kGuid);
  return base64(net::sha1(net::as_bytes(text)));
}

struct Refusal {
  int status = 0;  // 0: none
  std::string_view detail;
};

bool origin_allowed(const WebSocketOptions& options, const Request& request) {
  if (!request.headers.has("Origin")) return true;  // no browser
  const std::string_view origin = request.headers.get("Origin");
  if (options.origins.empty()) {
    const size_t at = origin.find("://");
    return at != std::string_view::npos &&
           equal_without_case(origin.substr(at + 3), request.headers.get("Host"));
  }
  return std::any_of(options.origins.begin(), options.origins.end(), [&](const std::string& one) {
    return one == "*" || equal_without_case(one, origin);
  });
}

// RFC 6455 section 4.2.1.
Refusal judge(const WebSocketOptions& options, const Request& request) {
  const Headers& headers = request.headers;
  if (!options.path.empty() && request.target.substr(0, request.target.find('?')) != options.path)
    return {404, "there is no WebSocket here"};
  if (request.method != "GET") return {405, "a WebSocket begins with GET"};
  if (!list_has(headers, "Upgrade", "websocket") || !list_has(headers, "Connection", "upgrade"))
    return {426, "only WebSocket is spoken here"};
  if (trim(headers.get("Sec-WebSocket-Version")) != "13")
    return {426, "only version 13 of WebSocket is spoken here"};
  const auto key = unbase64(trim(headers.get("Sec-WebSocket-Key")));
  if (!key || key->size() != 16) return {400, "Sec-WebSocket-Key is not 16 bytes of base64"};
  if (!origin_allowed(options, request)) return {403, "this origin is not let in"};
  if (!options.subprotocol.empty() &&
      !list_has(headers, "Sec-WebSocket-Protocol", options.subprotocol))
    return {400, "the subprotocol is not offered"};
  return {};
}

Response refuse(const Refusal& refusal) {
  Response response;
  response.status = refusal.status;
  if (refusal.status == 426) {
    response.headers.add("Upgrade", "websocket");
    response.headers.add("Sec-WebSocket-Version", "13");
  }
  if (refusal.status == 405) response.headers.add("Allow", "GET");
  response.headers.add("Content-Type", "text/plain");
  response.body.assign(refusal.detail.begin(), refusal.detail.end());
  response.body.push_back('\n');
  return response;
}

class WebSocketConnector final : public net::Connector {
 public:
  WebSocketConnector(net::Host& host, std::unique_ptr<net::Connector> under,
                     WebSocketOptions options, std::string authority)
      : host_(host),
        under_(std::move(under)),
        options_(std::move(options)),
        authority_(std::move(authority)) {}

  std::unique_ptr<net::Connecting> connect(Done done, Failed failed) override {
    uint8_t random[16];
    host_.secure_random(random);
    const std::string key = base64(random);
    Request request;
    request.target = options_.path.empty() ? "/" : options_.path;
    request.headers.add("Upgrade", "websocket");
    request.headers.add("Connection", "Upgrade");
    request.headers.add("Sec-WebSocket-Key", key);
    request.headers.add("Sec-WebSocket-Version", "13");
    if (!options_.subprotocol.empty())
      request.headers.add("Sec-WebSocket-Protocol", options_.subprotocol);
    After after = [&host = host_, request, options = options_, authority = authority_,
                   accept = accept_of(key)](net::Connected connected, Done done, Failed failed) {
      const net::Time began = host.now();
      const auto before = std::make_shared<net::Connected>();
      before->times = connected.times;
      before->alpn = connected.alpn;
      before->tls_resumed = connected.tls_resumed;
      return shake_hands(
          host, std::move(connected.stream), request, authority, kHandshakePatience,
          [&host, began, before, options, accept, done, failed](net::Result<Greeted> greeted) {
            if (!greeted)
              return failed(
                  {{greeted.error(), "websocket: " + greeted.status().detail}, "websocket"});
            const net::Status status = check(greeted->response, options, accept);
            if (!status) return failed({status, "websocket"});
            net::Connected result = std::move(*before);
            result.times.websocket = host.now() - began;
            result.stream =
                make_websocket_stream(host, std::move(greeted->stream), std::move(greeted->rest),
                                      {false, options.frame_bytes});
            done(std::move(result));
          });
    };
    return connect_then(*under_, std::move(after), std::move(done), std::move(failed));
  }

  std::string describe() const override {
    return "ws://" + authority_ + options_.path + " over " + under_->describe();
  }

 private:
  // RFC 6455 section 4.1, what the client must check.
  static net::Status check(const Response& response, const WebSocketOptions& options,
                           const std::string& accept) {
    const Headers& headers = response.headers;
    if (response.status != 101)
      return {
          response.status == 401 || response.status == 403 ? Error::not_permitted : Error::refused,
          "websocket: the server answered " + std::to_string(response.status) + " " +
              std::string(usual_reason(response.status))};
    if (!list_has(headers, "Upgrade", "websocket") || !list_has(headers, "Connection", "upgrade") ||
        trim(headers.get("Sec-WebSocket-Accept")) != accept)
      return {Error::failed, "websocket: the server's answer does not fit the question"};
    if (headers.has("Sec-WebSocket-Extensions"))
      return {Error::failed, "websocket: the server chose an extension that was not offered"};
    const std::string_view chosen = trim(headers.get("Sec-WebSocket-Protocol"));
    if (chosen != options.subprotocol)
      return {Error::failed, "websocket: the server does not speak '" + options.subprotocol + "'"};
    return {};
  }

  net::Host& host_;
  std::unique_ptr<net::Connector> under_;
  WebSocketOptions options_;
  std::string authority_;
};

}  // namespace

void accept_websocket(net::Host& host, const WebSocketOptions& options, const Request& request,
                      std::shared_ptr<Responder> responder,
                      std::function<void(std::unique_ptr<net::Stream>)> accepted) {
  if (const Refusal refusal = judge(options, request); refusal.status != 0)
    return responder->respond(refuse(refusal));
  Response response;
  response.status = 101;
  response.headers.add("Upgrade", "websocket");
  response.headers.add("Connection", "Upgrade");
  response.headers.add("Sec-WebSocket-Accept",
                       accept_of(trim(request.headers.get("Sec-WebSocket-Key"))));
  if (!options.subprotocol.empty())
    response.headers.add("Sec-WebSocket-Protocol", options.subprotocol);
  responder->upgrade(
      std::move(response), [&host, limit = options.frame_bytes, accepted = std::move(accepted)](
                               std::unique_ptr<net::Stream> stream, net::Buffer rest) {
        accepted(make_websocket_stream(host, std::move(stream), std::move(rest), {true, limit}));
      });
}

std::unique_ptr<net::Connector> websocket_connector(net::Host& host,
                                                    std::unique_ptr<net::Connector> under,
                                                    WebSocketOptions options,
                                                    std::string authority) {
  return std::make_unique<WebSocketConnector>(host, std::move(under), std::move(options),
                                              std::move(authority));
}

}  // namespace culvert::http
