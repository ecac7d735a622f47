// WebSocket (RFC 6455) as a byte stream around a stream: binary messages out, the bytes of binary
// messages in, pings answered. Subprotocol "mqtt" for MQTT (MQTT 5.0 section 6).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/http/server.h"
#include "model/net/connector.h"

namespace culvert::http {

struct WebSocketOptions {
  std::string path = "/mqtt", subprotocol = "mqtt";
  // Server: values of Origin that are let in; "*" all. Requests without an Origin (no browser) are
  // let in. Empty: only the origin that equals the Host header.
  std::vector<std::string> origins;
  size_t frame_bytes = 1024 * 1024 + 128 * 1024;  // beyond it close 1009
};

// Server side: call it from a Handler. An upgrade that may not be is answered here (400, 403, 404,
// 426); else `accepted` gets the stream.
void accept_websocket(net::Host& host, const WebSocketOptions& options, const Request& request,
                      std::shared_ptr<Responder> responder,
                      std::function<void(std::unique_ptr<net::Stream>)> accepted);

// Client side: around TCP or TLS. `authority` is the Host header.
std::unique_ptr<net::Connector> websocket_connector(net::Host& host,
                                                    std::unique_ptr<net::Connector> under,
                                                    WebSocketOptions options,
                                                    std::string authority);

// HTTP CONNECT through a proxy (RFC 9110 section 9.3.6): `proxy` reaches the proxy, `target` is
// "host:port". `authorization`: the Proxy-Authorization value, or empty.
std::unique_ptr<net::Connector> http_proxy_connector(net::Host& host,
                                                     std::unique_ptr<net::Connector> proxy,
                                                     std::string target,
                                                     std::string authorization = {});

}  // namespace culvert::http
