#include "model/net/tls/context.h"

#include <algorithm>
#include <string_view>

#include "model/net/tls/stream.h"

namespace culvert::net::tls {
namespace {

// Forward secrecy and AEAD only. AES first: it runs in hardware. One key share, X25519, keeps the
// ClientHello small; a server without it costs one round trip (RFC 8446 section 4.1.4).
constexpr std::string_view kSuites =
    ":+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD:+ECDHE-ECDSA:+ECDHE-RSA:+SIGN-ALL"
    ":-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+COMP-NULL"
    ":+CTYPE-SRV-X509:+CTYPE-CLI-X509:%SAFE_RENEGOTIATION";

constexpr size_t kIncoming = 65536;       // ours: bytes read at once, some four records
constexpr unsigned kTicketLife = 86400;   // s, ours: a day; RFC 8446 section 4.6.1 allows a week
constexpr size_t kMostHandshake = 65536;  // ours: bytes of one handshake message
constexpr size_t kMostLingering = 1024;   // ours: streams that outlive their session
constexpr Duration kLingerLimit = 30s;    // ours: as long as a dial may take

std::string priority_of(const TlsOptions& options) {
  if (!options.priority.empty()) return options.priority;
  std::string text = "NONE";
  if (options.versions != TlsVersions::v12) text += ":+VERS-TLS1.3";
  if (options.versions != TlsVersions::v13) text += ":+VERS-TLS1.2";
  return text.append(kSuites);
}

gnutls_datum_t datum(const Buffer& bytes) {
  return {const_cast<uint8_t*>(bytes.data()), static_cast<unsigned>(bytes.size())};
}

Status wrong(const char* what, const std::string& secret, int error) {
  return {Error::invalid,
          std::string("the ") + what + " in secret '" + secret + "' is wrong: " + reason(error)};
}

}  // namespace

std::string reason(int gnutls_error) {
  std::string text = gnutls_strerror(gnutls_error);
  while (!text.empty() && (text.back() == '.' || text.back() == ' ')) text.pop_back();
  return text;
}

struct Context::Lingering {
  Lingering(Context& context, std::unique_ptr<Stream> s, Buffer r)
      : owner(context),
        under(std::move(s)),
        rest(std::move(r)),
        limit(context.host_.timers(), [this] { end(); }) {
    limit.arm_after(kLingerLimit);
    under->on_writable([this] { push(); });
  }
  void push() {
    const IoResult result = under->write(Bytes(rest).subspan(sent));
    sent += result.count;
    if (sent == rest.size() || result.error != Error::would_block) return end();
    under->on_writable([this] { push(); });
  }
  void end() {
    auto& all = owner.lingering_;
    all.erase(std::find_if(all.begin(), all.end(), [this](auto& l) { return l.get() == this; }));
  }
  Context& owner;
  std::unique_ptr<Stream> under;
  Buffer rest;
  size_t sent = 0;
  Timer limit;
};

Context::~Context() {
  lingering_.clear();
  if (priority_) gnutls_priority_deinit(priority_);
}

void Context::linger(std::unique_ptr<Stream> under, Buffer rest) {
  if (lingering_.size() >= kMostLingering) return;  // both go
  lingering_.push_back(std::make_shared<Lingering>(*this, std::move(under), std::move(rest)));
}

MutableBytes Context::incoming(Session* user) {
  if (user_ && user_ != user) user_->keep_rest();
  user_ = user;
  if (incoming_.empty()) incoming_.resize(kIncoming);
  return incoming_;
}

Status Context::open() {
  const std::string priority = priority_of(options_);
  const char* where = nullptr;
  if (gnutls_priority_init(&priority_, priority.c_str(), &where) != GNUTLS_E_SUCCESS) {
    return {Error::invalid, "the TLS priority string is wrong from here on: '" +
                                std::string(where ? where : priority.c_str()) + "'"};
  }
  if (server_ && (options_.certificate.empty() || options_.key.empty()))
    return {Error::invalid, "a TLS server needs a certificate and a key"};
  if (options_.certificate.empty() != options_.key.empty())
    return {Error::invalid, "a certificate needs its key, and a key its certificate"};
  if (server_ && options_.peer != TlsPeer::none && options_.trust.empty())
    return {Error::invalid, "to verify clients' certificates a trust secret is needed"};
  for (const std::string& protocol : options_.alpn) {
    if (protocol.empty() || protocol.size() > 255)  // RFC 7301 section 3.1
      return {Error::invalid, "an ALPN name has 1 to 255 bytes"};
    alpn_.push_back({reinterpret_cast<unsigned char*>(const_cast<char*>(protocol.data())),
                     static_cast<unsigned>(protocol.size())});
  }
  if (server_ && options_.resumption) {
    const auto master = ticket_master(host_, options_.ticket_key);
    if (!master) return master.status();
    ticket_master_ = *master;
    if (options_.early_data > 0) anti_replay_ = std::make_unique<AntiReplay>();
  }
  return reload();
}

Status Context::reload() {
  auto fresh = read_credentials();
  if (!fresh) return fresh.status();
  credentials_ = std::move(*fresh);
  resumption_ = {};  // made with what we were and whom we trusted before
  return {};
}

Result<std::shared_ptr<Credentials>> Context::read_credentials() const {
  auto out = std::make_shared<Credentials>();
  if (!options_.certificate.empty()) {
    const Status status = read_certificate(*out);
    if (!status) return status;
  }
  if (server_) out->ticket_key = ticket_key(ticket_master_, {});
  if (!options_.trust.empty()) {
    const auto pem = host_.secret(options_.trust);
    if (!pem) return Status(pem.error(), "trust: " + pem.status().detail);
    const gnutls_datum_t data = datum(*pem);
    const int count =
        gnutls_certificate_set_x509_trust_mem(out->handle, &data, GNUTLS_X509_FMT_PEM);
    if (count < 0) return wrong("trust", options_.trust, count);
    if (count == 0)
      return {Error::invalid, "secret '" + options_.trust + "' holds no certificate to trust"};
    if (server_ && options_.peer != TlsPeer::none)
      out->ticket_key = ticket_key(ticket_master_, *pem);
  } else if (!server_ && !options_.insecure) {
    gnutls_certificate_set_x509_system_trust(out->handle);
  }
  return out;
}

Status Context::read_certificate(Credentials& into) const {
  const auto certificate = host_.secret(options_.certificate);
  if (!certificate) return {certificate.error(), "certificate: " + certificate.status().detail};
  const auto key = host_.secret(options_.key);
  if (!key) return {key.error(), "key: " + key.status().detail};
  const gnutls_datum_t certificate_pem = datum(*certificate), key_pem = datum(*key);

  // Each by itself first, to say which one is wrong; and whether they belong together, of which
  // GnuTLS says nothing for Ed25519.
  gnutls_x509_crt_t* chain = nullptr;
  unsigned count = 0;
  int error =
      gnutls_x509_crt_list_import2(&chain, &count, &certificate_pem, GNUTLS_X509_FMT_PEM, 0);
  if (error < 0) return wrong("certificate", options_.certificate, error);
  uint8_t certificate_id[32], key_id[32];  // SHA-256 of the public key
  size_t size = sizeof certificate_id;
  gnutls_x509_crt_get_key_id(chain[0], GNUTLS_KEYID_USE_SHA256, certificate_id, &size);
  for (unsigned i = 0; i < count; ++i) gnutls_x509_crt_deinit(chain[i]);
  gnutls_free(chain);
  gnutls_x509_privkey_t private_key;
  gnutls_x509_privkey_init(&private_key);
  error = gnutls_x509_privkey_import2(private_key, &key_pem, GNUTLS_X509_FMT_PEM, nullptr, 0);
  if (error == 0) {
    size = sizeof key_id;
    gnutls_x509_privkey_get_key_id(private_key, GNUTLS_KEYID_USE_SHA256, key_id, &size);
  }
  gnutls_x509_privkey_deinit(private_key);
  if (error < 0) return wrong("key", options_.key, error);
  if (!std::equal(std::begin(key_id), std::end(key_id), certificate_id)) {
    return {Error::invalid, "the certificate in secret '" + options_.certificate +
                                "' and the key in '" + options_.key + "' do not belong together"};
  }

  error = gnutls_certificate_set_x509_key_mem2(into.handle, &certificate_pem, &key_pem,
                                               GNUTLS_X509_FMT_PEM, nullptr, 0);
  if (error < 0) return wrong("certificate", options_.certificate, error);
  return {};
}

gnutls_session_t Context::make_session(const std::string& name) {
  unsigned flags =
      GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_KEY_SHARE_TOP | GNUTLS_FORCE_CLIENT_CERT;
  flags |= server_ ? GNUTLS_SERVER : GNUTLS_CLIENT;
  if (!options_.resumption) flags |= GNUTLS_NO_TICKETS;
  if (options_.early_data > 0 && options_.resumption) flags |= GNUTLS_ENABLE_EARLY_DATA;

  gnutls_session_t session = nullptr;
  if (gnutls_init(&session, flags) != GNUTLS_E_SUCCESS) return nullptr;
  gnutls_priority_set(session, priority_);
  gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials_->handle);
  gnutls_handshake_set_max_packet_length(session, kMostHandshake);
  if (!alpn_.empty()) {
    gnutls_alpn_set_protocols(session, alpn_.data(), static_cast<unsigned>(alpn_.size()),
                              server_ ? GNUTLS_ALPN_MANDATORY : 0);
  }
  if (server_) {
    gnutls_certificate_server_set_request(
        session, options_.peer == TlsPeer::required   ? GNUTLS_CERT_REQUIRE
                 : options_.peer == TlsPeer::optional ? GNUTLS_CERT_REQUEST
                                                      : GNUTLS_CERT_IGNORE);
    if (options_.resumption) {
      const gnutls_datum_t key = datum(credentials_->ticket_key);
      gnutls_session_ticket_enable_server(session, &key);
      gnutls_db_set_cache_expiration(session, kTicketLife);
    }
    if (anti_replay_) {
      gnutls_record_set_max_early_data_size(session, options_.early_data);
      anti_replay_->enable(session);
    }
  } else if (!name.empty() && !IpAddress::parse(name)) {  // RFC 6066 section 3: no addresses
    gnutls_server_name_set(session, GNUTLS_NAME_DNS, name.data(), name.size());
  }
  return session;
}

}  // namespace culvert::net::tls

namespace culvert::net {
namespace {
Result<std::shared_ptr<TlsContext>> make_context(Host& host, TlsOptions options, bool server) {
  auto context = std::make_shared<tls::Context>(host, std::move(options), server);
  const Status status = context->open();
  if (!status) return Status(status.error, "tls: " + status.detail);
  return std::shared_ptr<TlsContext>(std::move(context));
}
}  // namespace

Result<std::shared_ptr<TlsContext>> tls_server_context(Host& host, TlsOptions options) {
  return make_context(host, std::move(options), true);
}
Result<std::shared_ptr<TlsContext>> tls_client_context(Host& host, TlsOptions options) {
  return make_context(host, std::move(options), false);
}

}  // namespace culvert::net
