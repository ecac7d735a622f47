// A WebSocket connection, once the handshake is done, as a byte stream: each write is one binary
// message, what is read are the bytes of binary messages. RFC 6455. Private to model/http.
#pragma once

#include <memory>

#include "model/http/websocket_frames.h"
#include "model/net/host.h"

namespace culvert::http {

struct WebSocketStreamOptions {
  bool server = true;
  size_t frame_bytes = 0;
};

// `rest`: what was read behind the handshake.
std::unique_ptr<net::Stream> make_websocket_stream(net::Host& host,
                                                   std::unique_ptr<net::Stream> under,
                                                   net::Buffer rest,
                                                   const WebSocketStreamOptions& options);

}  // namespace culvert::http
