// Who may connect and who may do what: the hooks that whoever embeds the broker fills in. They may
// answer at once or later (a password hash runs in offload, a directory is asked). Stands on
// model/mqtt and model/net.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "model/mqtt/packet.h"
#include "model/net/address.h"

namespace culvert::mqtt {

// What the broker knows of the other end before it speaks MQTT. The hooks are given it.
struct Peer {
  net::Endpoint remote;
  std::string_view transport = "tcp";  // "tcp", "tls", "websocket", "wss", "local": static storage
  std::string tls_common_name;         // of a verified client certificate
  std::string tls_fingerprint;         // SHA-256, hex
  std::string user;                    // already known (an in-process client); else empty
};

// A CONNECT, or a step of an AUTH exchange (4.12). Views live during the call only.
struct LoginRequest {
  const Peer& peer;
  std::string_view client_id;  // as asked for; may be empty
  std::optional<std::string_view> user_name;
  std::optional<Bytes> password;
  std::optional<std::string_view> method;  // enhanced authentication
  std::optional<Bytes> data;
  uint32_t step = 0;      // 0: CONNECT, n: the n-th AUTH
  bool again = false;     // re-authentication of a running connection
  uint64_t exchange = 0;  // the same number in all steps of one exchange
};

struct LoginAnswer {
  Reason reason = Reason::success;  // continue_authentication: `data` goes out in an AUTH
  std::string user;                 // whose connection it is; the client identifier is bound to it
  std::string reason_string;
  net::Buffer data;  // of the AUTH or CONNACK
};

enum class Action : uint8_t { publish, subscribe, receive };
struct AccessRequest {
  const Peer& peer;
  std::string_view client_id, user;
  Action action = Action::publish;
  std::string_view topic;  // the name; for subscribe the filter, without $share/GROUP/
  uint8_t qos = 0;
  bool retain = false;
};

class Access {
 public:
  virtual ~Access() = default;
  // The answer at once, or none and `later` runs once (dropped by the broker if the peer is gone).
  virtual std::optional<LoginAnswer> login(const LoginRequest& request,
                                           std::function<void(LoginAnswer)> later) = 0;
  // success, or the refusal (not_authorized, quota_exceeded, …). For receive only at once.
  virtual std::optional<Reason> may(const AccessRequest& request,
                                    std::function<void(Reason)> later) = 0;
  // Whether `may` would say success to everything of this user for publish and receive, so that
  // the broker need not ask for each message.
  virtual bool unrestricted(std::string_view /*user*/) const { return false; }
};

// Everybody may do everything; the user is the user name given, or empty.
std::unique_ptr<Access> allow_all();

}  // namespace culvert::mqtt
