// What makes a second handshake shorter: the client's cache of session data, the server's ticket
// key, and its memory against replayed early data (RFC 8446 sections 2.2, 2.3 and 8). Private to
// model/net/tls. Stands on GnuTLS.
#pragma once

#include <gnutls/gnutls.h>

#include <boost/unordered/unordered_flat_map.hpp>
#include <ctime>
#include <list>
#include <string>

#include "model/net/bytes.h"
#include "model/net/crypto.h"
#include "model/net/error.h"
#include "model/net/host.h"

namespace culvert::net::tls {

// Session data by server name, the most recently used first; bounded.
class ResumptionCache {
 public:
  void store(const std::string& name, Bytes data);
  const Buffer* find(const std::string& name);  // null: nothing is known; valid until the next call
  void forget(const std::string& name);
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string name;
    Buffer data;
  };
  std::list<Entry> entries_;
  boost::unordered_flat_map<std::string, std::list<Entry>::iterator> index_;
};

// What a server's ticket keys come from: a secret, so that tickets outlive a restart, or chance.
Result<Key> ticket_master(Host& host, const std::string& secret);
// 64 bytes. A ticket speaks for the client whose certificate was verified when it was made; so its
// key goes with `trust`, the CAs of clients if they are asked for certificates: once these change,
// everybody shows a certificate again.
Buffer ticket_key(const Key& master, Bytes trust);

// Remembers the ClientHellos that brought early data for as long as GnuTLS' window says. Full, or
// met before: the early data are refused, and the client sends them again after the handshake.
class AntiReplay {
 public:
  AntiReplay();
  ~AntiReplay();
  AntiReplay(const AntiReplay&) = delete;
  AntiReplay& operator=(const AntiReplay&) = delete;
  void enable(gnutls_session_t session) { gnutls_anti_replay_enable(session, handle_); }

 private:
  static int add(void* self, time_t expires, const gnutls_datum_t* key, const gnutls_datum_t* data);
  gnutls_anti_replay_t handle_ = nullptr;
  boost::unordered_flat_map<std::string, time_t> seen_;  // until when
  std::list<std::string> order_;                         // oldest first
};

}  // namespace culvert::net::tls
