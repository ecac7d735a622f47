// What all sessions of a service share. Private to model/net/tls. Stands on GnuTLS.
#pragma once

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "model/net/tls/tickets.h"
#include "model/net/tls/tls.h"

namespace culvert::net::tls {

class Session;

// Certificates, key and trust as they were when read. Sessions keep theirs over a reload.
struct Credentials {
  gnutls_certificate_credentials_t handle = nullptr;
  Buffer ticket_key;  // server
  Credentials() { gnutls_certificate_allocate_credentials(&handle); }
  ~Credentials() { gnutls_certificate_free_credentials(handle); }
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;
};

class Context final : public TlsContext {
 public:
  Context(Host& host, TlsOptions options, bool server)
      : host_(host), options_(std::move(options)), server_(server) {}
  ~Context() override;
  Status open();  // once
  Status reload() override;

  // A session of this context with everything set but its transport. Null: out of memory.
  gnutls_session_t make_session(const std::string& name);

  Host& host() { return host_; }
  const TlsOptions& options() const { return options_; }
  bool is_server() const { return server_; }
  const std::shared_ptr<Credentials>& credentials() const { return credentials_; }
  ResumptionCache& resumption() { return resumption_; }

  // Bytes on their way between GnuTLS and the stream under a session: one pair of buffers for all
  // sessions. What a session reads and does not use stays in `incoming` until another wants it.
  MutableBytes incoming(Session* user);
  void forget(const Session* user) {
    if (user_ == user) user_ = nullptr;
  }
  Buffer& outgoing() { return outgoing_; }

  // The stream of a session that is gone, with what was written to it and not yet taken.
  void linger(std::unique_ptr<Stream> under, Buffer rest);

 private:
  struct Lingering;
  Result<std::shared_ptr<Credentials>> read_credentials() const;
  Status read_certificate(Credentials& into) const;

  Host& host_;
  TlsOptions options_;
  bool server_;
  gnutls_priority_t priority_ = nullptr;
  std::shared_ptr<Credentials> credentials_;
  std::vector<gnutls_datum_t> alpn_;
  Key ticket_master_{};
  std::unique_ptr<AntiReplay> anti_replay_;
  ResumptionCache resumption_;
  Buffer incoming_, outgoing_;
  Session* user_ = nullptr;  // of incoming_
  std::list<std::shared_ptr<Lingering>> lingering_;
};

// "No certificate was found." and the like, without GnuTLS' full stop.
std::string reason(int gnutls_error);

}  // namespace culvert::net::tls
