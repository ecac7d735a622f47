#include <algorithm>

#include "model/net/crypto.h"
#include "model/net/tls/stream.h"

namespace culvert::net::tls {
namespace {

// Written before the server has answered and not yet sent, at most; ours: one write of records.
constexpr size_t kMostEarly = 49152;
constexpr size_t kRecord = 16384;  // RFC 8446 section 5.1
// How long a TLS 1.3 server keeps its ticket back for the first answer to take it along; ours: far
// below any round trip that matters.
constexpr Duration kTicketPatience = 1ms;
constexpr int kMostWarnings = 16;  // ours: alerts below fatal that one flight may bring

std::string hex(Bytes bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const uint8_t byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

Bytes bytes_of(const gnutls_datum_t& datum) { return {datum.data, datum.size}; }

std::string text_of(const gnutls_datum_t& datum) {
  return {reinterpret_cast<const char*>(datum.data), datum.size};
}

}  // namespace

// --- the handle -------------------------------------------------------------------------------

void Handshake::succeed() {
  std::unique_ptr<TlsStream> session = std::move(session_);
  const TlsDone done = std::move(done_);
  done(std::move(session));  // may destroy this
}

void Handshake::fail(Status status) {
  const auto session = std::move(session_);
  const TlsDone done = std::move(done_);
  done(std::move(status));  // may destroy this
}

// --- beginning --------------------------------------------------------------------------------

void Session::open(Handshake* owner, const std::string& name, Duration timeout) {
  Host& host = context_->host();
  opening_ = std::make_unique<Opening>(host.timers(), [this] {
    fail_opening({Error::timed_out, "the handshake took too long"});
  });
  opening_->owner = owner;
  opening_->name = name;
  opening_->began = host.now();
  opening_->patience.arm_after(timeout);
  session_ = context_->make_session(name);
  if (!session_) return fail_opening({Error::exhausted, "no memory for a TLS session"});
  set_callbacks();
  under_->on_readable([this] { under_readable(); });
  if (context_->is_server()) {
    early_expected_ = context_->options().early_data > 0;
    return;
  }
  offer_resumption();
  if (opening_->early_limit > 0) return schedule();
  start();
}

void Session::set_callbacks() {
  gnutls_transport_set_ptr(session_, this);
  gnutls_transport_set_push_function(session_, &Session::push);
  gnutls_transport_set_pull_function(session_, &Session::pull);
  gnutls_transport_set_pull_timeout_function(session_, &Session::pull_timeout);
  gnutls_session_set_ptr(session_, this);
  const TlsOptions& options = context_->options();
  if (options.key_log) gnutls_session_set_keylog_function(session_, &Session::key_logged);
  const bool server = context_->is_server();
  if (!server && options.resumption) {
    gnutls_handshake_set_hook_function(session_, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET,
                                       GNUTLS_HOOK_POST, &Session::ticket_came);
  }
  if (server ? options.peer == TlsPeer::none : options.insecure) return;
  gnutls_session_set_verify_function(session_, &Session::verify);
}

// The chain, the purpose, and at a client the name. GnuTLS' own automatic way refuses a client that
// shows no certificate also where that is allowed.
int Session::verify(gnutls_session_t session) {
  auto& me = *static_cast<Session*>(gnutls_session_get_ptr(session));
  const bool server = me.context_->is_server();
  unsigned count = 0;
  gnutls_certificate_get_peers(session, &count);
  if (count == 0 && server && me.context_->options().peer == TlsPeer::optional) return 0;
  if (count == 0) return GNUTLS_E_NO_CERTIFICATE_FOUND;
  const auto text = [](const char* t) {
    return reinterpret_cast<unsigned char*>(const_cast<char*>(t));
  };
  gnutls_typed_vdata_st expected[2] = {
      {GNUTLS_DT_KEY_PURPOSE_OID,
       text(server ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER), 0},
      {GNUTLS_DT_DNS_HOSTNAME, text(me.opening_->name.c_str()), 0}};
  const int result = gnutls_certificate_verify_peers(session, expected, server ? 1 : 2,
                                                     &me.opening_->verification);
  if (result < 0) return result;
  return me.opening_->verification == 0 ? 0 : GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

void Session::offer_resumption() {
  const TlsOptions& options = context_->options();
  cache_name_ = opening_->name;
  if (!options.resumption) return;
  const Buffer* data = context_->resumption().find(cache_name_);
  if (!data) return;
  if (gnutls_session_set_data(session_, data->data(), data->size()) != GNUTLS_E_SUCCESS)
    return context_->resumption().forget(cache_name_);
  if (options.early_data > 0) {
    opening_->early_limit = std::min(
        {size_t{options.early_data}, kRecord, gnutls_record_get_max_early_data_size(session_)});
  }
}

// The user gets the stream before the server has answered: what is written in `done` goes with the
// ClientHello.
void Session::announce_early() {
  info_.resumed = true;
  Handshake* owner = std::exchange(opening_->owner, nullptr);
  if (!run([owner] { owner->succeed(); })) return;
  if (!opening_ || dead_) return;
  if (opening_->early.empty()) return schedule();  // who writes a moment later is early, too
  start();
}

void Session::turn_opening() {
  if (dead_ || !opening_->failure.ok()) return tell_failure();
  if (context_->is_server()) {
    tell_readable();  // early data
    return;
  }
  if (opening_->started) return;
  if (opening_->owner) return announce_early();
  start();
}

void Session::start() {
  opening_->started = true;
  const size_t count = std::min(opening_->early.size(), opening_->early_limit);
  if (count > 0 && gnutls_record_send_early_data(session_, opening_->early.data(), count) >= 0) {
    opening_->early_sent = count;
  }
  advance();
}

IoResult Session::write_early(Bytes data) {
  Buffer& early = opening_->early;
  const size_t count = std::min(data.size(), kMostEarly - early.size());
  early.insert(early.end(), data.begin(), data.begin() + count);
  return {count, count < data.size() ? Error::would_block : Error::none};
}

// --- going on ---------------------------------------------------------------------------------

void Session::advance() {
  if (!opening_->failure.ok() || dead_) return;
  if (!opening_->started && !context_->is_server()) return;
  int result;
  int warnings = 0;
  do {
    result = gnutls_handshake(session_);
  } while (result < 0 && result != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(result) &&
           ++warnings < kMostWarnings);
  if (result == GNUTLS_E_AGAIN) {
    flush();  // if that fails, the next turn tells
    if (early_expected_) early_came();
    return;
  }
  if (result == GNUTLS_E_SUCCESS) return established();
  Status failure = failure_of(result);
  if (result != GNUTLS_E_FATAL_ALERT_RECEIVED && result != GNUTLS_E_PULL_ERROR)
    gnutls_alert_send_appropriate(session_, result);
  flush();
  fail_opening(std::move(failure));
}

// A server's user gets early data at once, with the stream if need be; what it writes has to wait
// for the client's Finished, because GnuTLS makes no keys for it before. Who must show a
// certificate is waited for.
void Session::early_came() {
  if (context_->options().peer != TlsPeer::none || dead_ || !fetch_early()) return;
  armed_ = true;
  if (!opening_->owner) {
    tell_readable();
    return;
  }
  read_info();
  info_.early_data = info_.resumed = true;
  Handshake* owner = std::exchange(opening_->owner, nullptr);
  run([owner] { owner->succeed(); });
}

void Session::established() {
  Host& host = context_->host();
  const bool server = context_->is_server();
  read_info();
  info_.handshake = host.now() - opening_->began;
  const bool v13 = gnutls_protocol_get_version(session_) == GNUTLS_TLS1_3;
  if (!server && !v13) store_resumption();
  if (!v13 && info_.resumed && context_->options().key_log) {  // of which GnuTLS tells nothing
    gnutls_datum_t master{};
    gnutls_session_get_master_secret(session_, &master);
    key_logged(session_, "CLIENT_RANDOM", &master);
  }
  if (server) fetch_early();

  corked_ = !server || v13;  // a TLS 1.2 server has the last word, and the client waits for it
  corked_until_ = host.now() + (server ? kTicketPatience : Duration::zero());
  flush();

  const auto opening = std::move(opening_);
  opening->patience.cancel();
  if (opening->owner) {
    Handshake* owner = opening->owner;
    if (!run([owner] { owner->succeed(); })) return;
  } else {
    resend_early(*opening);
  }
  if (!server && corked_) {
    corked_ = false;
    flush();
  }
  // Callbacks set before, what the records brought along, and what is corked.
  schedule();
}

// What was written meanwhile, and what went as early data and was refused: now as ordinary data.
void Session::resend_early(Opening& opening) {
  corked_ = false;
  const Bytes early = opening.early;
  send_all(early.subspan(info_.early_data ? opening.early_sent : 0));
  if (finished_ && !dead_) {
    gnutls_bye(session_, GNUTLS_SHUT_WR);
    fin_due_ = true;
  }
  flush();
}

void Session::send_all(Bytes data) {
  while (!data.empty() && !dead_) {
    const ssize_t result =
        gnutls_record_send(session_, data.data(), std::min(kRecord, data.size()));
    if (result == GNUTLS_E_INTERRUPTED) continue;
    if (result <= 0) return protocol_failed(static_cast<int>(result));
    data = data.subspan(static_cast<size_t>(result));
  }
}

// --- failing ----------------------------------------------------------------------------------

// Told on the next turn: never inside the call that started it.
void Session::fail_opening(Status status) {
  opening_->failure = std::move(status);
  opening_->patience.cancel();
  under_->on_readable({});
  schedule();
}

void Session::tell_failure() {
  Status status = opening_->failure;
  if (status.ok()) status = {end_, "the connection ended in the middle of the handshake"};
  if (opening_->owner) return opening_->owner->fail(std::move(status));  // destroys this
  opening_.reset();
  if (!dead_) die(status.error == Error::timed_out ? Error::timed_out : Error::reset);
  schedule();
}

Status Session::failure_of(int error) {
  switch (error) {
    case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
    case GNUTLS_E_CERTIFICATE_ERROR: {
      gnutls_datum_t text{};
      const unsigned status = opening_->verification;
      std::string detail = "the peer's certificate is not good";
      if (!context_->is_server() && !opening_->name.empty())
        detail = "the certificate of '" + opening_->name + "' is not good";
      if (status != 0 && gnutls_certificate_verification_status_print(
                             status, GNUTLS_CRT_X509, &text, 0) == GNUTLS_E_SUCCESS) {
        detail += ": " + text_of(text);
        gnutls_free(text.data);
        while (detail.back() == ' ' || detail.back() == '.') detail.pop_back();
      }
      return {Error::failed, detail};
    }
    case GNUTLS_E_FATAL_ALERT_RECEIVED: {
      const char* name = gnutls_alert_get_name(gnutls_alert_get(session_));
      return {Error::failed, std::string("the peer refused with an alert: ") +
                                 (name ? name : "of an unknown kind")};
    }
    case GNUTLS_E_PREMATURE_TERMINATION:
      return {Error::reset, "the peer closed the connection in the middle of the handshake"};
    case GNUTLS_E_PULL_ERROR:
      return {under_end_ == Error::none ? Error::reset : under_end_,
              "the connection ended in the middle of the handshake"};
    default:
      return {Error::failed, reason(error)};
  }
}

// --- what is known afterwards -----------------------------------------------------------------

void Session::read_info() {
  const auto text = [](const char* t) { return std::string(t ? t : ""); };
  info_.version = text(gnutls_protocol_get_name(gnutls_protocol_get_version(session_)));
  info_.cipher = text(gnutls_cipher_get_name(gnutls_cipher_get(session_)));
  info_.resumed = gnutls_session_is_resumed(session_) != 0;
  info_.early_data = (gnutls_session_get_flags(session_) & GNUTLS_SFLAGS_EARLY_DATA) != 0;
  gnutls_datum_t protocol{};
  if (gnutls_alpn_get_selected_protocol(session_, &protocol) == GNUTLS_E_SUCCESS)
    info_.alpn = text_of(protocol);
  if (!context_->is_server() || context_->options().peer != TlsPeer::none) read_peer();
}

void Session::read_peer() {
  unsigned count = 0;
  const gnutls_datum_t* chain = gnutls_certificate_get_peers(session_, &count);
  gnutls_x509_crt_t certificate;
  if (!chain || count == 0 || gnutls_x509_crt_init(&certificate) < 0) return;
  if (gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) == GNUTLS_E_SUCCESS) {
    info_.peer_fingerprint = hex(sha256(bytes_of(chain[0])));
    char name[256];
    size_t size = sizeof name;
    if (gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name,
                                      &size) == GNUTLS_E_SUCCESS) {
      info_.peer_common_name.assign(name, size);
    }
    for (unsigned i = 0;; ++i) {
      size = sizeof name;
      const int type = gnutls_x509_crt_get_subject_alt_name(certificate, i, name, &size, nullptr);
      if (type < 0) break;
      if (type == GNUTLS_SAN_DNSNAME) info_.peer_names.emplace_back(name, size);
    }
  }
  gnutls_x509_crt_deinit(certificate);
}

void Session::store_resumption() {
  if (!context_->options().resumption) return;
  gnutls_datum_t data{};
  if (gnutls_session_get_data2(session_, &data) != GNUTLS_E_SUCCESS) return;
  context_->resumption().store(cache_name_, bytes_of(data));
  gnutls_free(data.data);
}

// TLS 1.3 sends tickets after the handshake; asked for before, GnuTLS gives a dummy of four bytes.
int Session::ticket_came(gnutls_session_t session, unsigned, unsigned, unsigned incoming,
                         const gnutls_datum_t*) {
  if (incoming && gnutls_protocol_get_version(session) == GNUTLS_TLS1_3)
    static_cast<Session*>(gnutls_session_get_ptr(session))->store_resumption();
  return 0;
}

// https://developer.mozilla.org/docs/Mozilla/Projects/NSS/Key_Log_Format
int Session::key_logged(gnutls_session_t session, const char* label, const gnutls_datum_t* secret) {
  const auto& me = *static_cast<Session*>(gnutls_session_get_ptr(session));
  gnutls_datum_t client{}, server{};
  gnutls_session_get_random(session, &client, &server);
  std::string line(label);
  line += ' ';
  line += hex(bytes_of(client));
  line += ' ';
  line += hex(bytes_of(*secret));
  me.context_->options().key_log(line);
  return 0;
}

}  // namespace culvert::net::tls

namespace culvert::net {
namespace {
std::unique_ptr<TlsHandshake> begin(Host& host, std::shared_ptr<TlsContext> context,
                                    std::unique_ptr<Stream> under, const std::string& name,
                                    Duration timeout, TlsDone done) {
  auto own = std::static_pointer_cast<tls::Context>(std::move(context));
  auto handshake = std::make_unique<tls::Handshake>(
      std::make_unique<tls::Session>(host, std::move(own), std::move(under)), std::move(done));
  handshake->session().open(handshake.get(), name, timeout);
  return handshake;
}
}  // namespace

std::unique_ptr<TlsHandshake> tls_accept(Host& host, std::shared_ptr<TlsContext> context,
                                         std::unique_ptr<Stream> under, Duration timeout,
                                         TlsDone done) {
  return begin(host, std::move(context), std::move(under), {}, timeout, std::move(done));
}

std::unique_ptr<TlsHandshake> tls_connect(Host& host, std::shared_ptr<TlsContext> context,
                                          std::unique_ptr<Stream> under, const std::string& name,
                                          Duration timeout, TlsDone done) {
  return begin(host, std::move(context), std::move(under), name, timeout, std::move(done));
}

}  // namespace culvert::net
