// TLS 1.2 and 1.3 as a stream around a stream, over GnuTLS, so that it runs in both worlds. A
// context is shared by all sessions of a service: one priority object, credentials, ticket keys,
// resumption data. RFC 8446, RFC 5246, RFC 5077, RFC 7301 (ALPN). Stands on host.h and connector.h.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/net/connector.h"
#include "model/net/host.h"

namespace culvert::net {

enum class TlsVersions : uint8_t { v12_and_v13, v12, v13 };
enum class TlsPeer : uint8_t { none, optional, required };  // is a client's certificate asked for?

// Certificates, keys and trust are named secrets of the Host (PEM), never contents.
struct TlsOptions {
  TlsVersions versions = TlsVersions::v12_and_v13;
  std::string certificate, key;  // required for a server; for mutual TLS at a client
  std::string trust;             // PEM of CAs; a client without it trusts the system's
  TlsPeer peer = TlsPeer::none;  // server: whether clients show certificates
  bool insecure = false;         // client: takes any certificate (tests, and whoever asks for it)
  std::vector<std::string> alpn;
  bool resumption = true;   // server: tickets; client: offers what it has
  std::string ticket_key;   // server: a secret's name; empty: random, lost at restart
  uint32_t early_data = 0;  // bytes of 0-RTT data taken (server) or offered (client); 0: none
  std::string priority;     // GnuTLS priority string instead of ours, for experiments
  // Lines of the NSS key log format (SSLKEYLOGFILE), so that tshark can decrypt; empty: none.
  std::function<void(std::string_view line)> key_log;
};

struct TlsInfo {
  std::string version, cipher;  // "TLS1.3", "AES-256-GCM"
  std::string alpn;
  bool resumed = false;
  bool early_data = false;              // the server took it
  std::string peer_common_name;         // of the verified certificate; empty: none was shown
  std::vector<std::string> peer_names;  // its DNS alternative names
  std::string peer_fingerprint;         // SHA-256 of it, hex; empty: none
  Duration handshake{0};
};

class TlsContext {
 public:
  virtual ~TlsContext() = default;
  // Reads certificates and keys anew; sessions under way keep what they have. An error leaves
  // everything as it was and says which secret is wrong.
  virtual Status reload() = 0;
};
Result<std::shared_ptr<TlsContext>> tls_server_context(Host& host, TlsOptions options);
Result<std::shared_ptr<TlsContext>> tls_client_context(Host& host, TlsOptions options);

// A Stream whose reads and writes are encrypted. Its shutdown_write sends close_notify.
// TLS inside TLS works with two contexts, not with one.
class TlsStream : public Stream {
 public:
  virtual const TlsInfo& info() const = 0;  // once the handshake is done
};

using TlsDone = std::function<void(Result<std::unique_ptr<TlsStream>>)>;
// A handshake under way; destroying it gives up and closes the stream under it. `done` runs once,
// later. `timeout` covers the whole handshake: timed_out.
class TlsHandshake {
 public:
  virtual ~TlsHandshake() = default;
};
std::unique_ptr<TlsHandshake> tls_accept(Host& host, std::shared_ptr<TlsContext> context,
                                         std::unique_ptr<Stream> under, Duration timeout,
                                         TlsDone done);
// `name`: the server's, for SNI and for verifying its certificate. With early data in the context
// and a ticket at hand, `done` runs before the server has answered and what is written in it goes
// as 0-RTT data, up to 16 KB; if the server refuses them they are sent again by themselves. The
// server's user reads them a round trip sooner; what it writes leaves after the client's Finished.
std::unique_ptr<TlsHandshake> tls_connect(Host& host, std::shared_ptr<TlsContext> context,
                                          std::unique_ptr<Stream> under, const std::string& name,
                                          Duration timeout, TlsDone done);

// TLS around whatever `under` reaches.
std::unique_ptr<Connector> tls_connector(Host& host, std::unique_ptr<Connector> under,
                                         std::shared_ptr<TlsContext> context, std::string name);

}  // namespace culvert::net
