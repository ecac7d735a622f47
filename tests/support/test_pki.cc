#include "tests/support/test_pki.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <stdexcept>

namespace culvert::testing {
namespace {

constexpr time_t k2020 = 1577836800, k2021 = 1609459200, k2099 = 4070908800;

void must(int result) {
  if (result < 0) throw std::runtime_error(gnutls_strerror(result));
}

std::string take(gnutls_datum_t& datum) {
  std::string out(reinterpret_cast<const char*>(datum.data), datum.size);
  gnutls_free(datum.data);
  return out;
}

struct Identity {
  gnutls_x509_privkey_t key;
  gnutls_x509_crt_t certificate;
  ~Identity() {
    gnutls_x509_privkey_deinit(key);
    gnutls_x509_crt_deinit(certificate);
  }
  TestIdentity pem() const {
    gnutls_datum_t c{}, k{};
    must(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &c));
    must(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, nullptr, GNUTLS_PKCS_PLAIN,
                                           &k));
    return {take(c), take(k)};
  }
};

struct Request {
  std::string common_name;
  std::vector<std::string> names, addresses;  // addresses: raw bytes
  bool authority = false, client = false;
  time_t until = k2099;
};

void make(Identity& out, KeyKind kind, const Request& request, uint8_t serial,
          const Identity* issuer) {
  must(gnutls_x509_privkey_init(&out.key));
  must(gnutls_x509_crt_init(&out.certificate));
  const auto algorithm = kind == KeyKind::ed25519   ? GNUTLS_PK_EDDSA_ED25519
                         : kind == KeyKind::rsa2048 ? GNUTLS_PK_RSA
                                                    : GNUTLS_PK_ECDSA;
  const unsigned bits = kind == KeyKind::rsa2048 ? 2048
                        : kind == KeyKind::p256  ? GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)
                                                 : 256;
  must(gnutls_x509_privkey_generate(out.key, algorithm, bits, 0));
  gnutls_x509_crt_t c = out.certificate;
  must(gnutls_x509_crt_set_version(c, 3));
  must(gnutls_x509_crt_set_serial(c, &serial, 1));
  must(gnutls_x509_crt_set_activation_time(c, k2020));
  must(gnutls_x509_crt_set_expiration_time(c, request.until));
  must(gnutls_x509_crt_set_dn_by_oid(c, GNUTLS_OID_X520_COMMON_NAME, 0, request.common_name.data(),
                                     static_cast<unsigned>(request.common_name.size())));
  must(gnutls_x509_crt_set_key(c, out.key));
  must(gnutls_x509_crt_set_basic_constraints(c, request.authority, -1));
  if (request.authority) {
    must(gnutls_x509_crt_set_key_usage(c, GNUTLS_KEY_KEY_CERT_SIGN));
  } else {
    must(gnutls_x509_crt_set_key_purpose_oid(
        c, request.client ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER, 0));
  }
  for (const std::string& name : request.names) {
    must(gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_DNSNAME, name.data(),
                                              static_cast<unsigned>(name.size()),
                                              GNUTLS_FSAN_APPEND));
  }
  for (const std::string& address : request.addresses) {
    must(gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_IPADDRESS, address.data(),
                                              static_cast<unsigned>(address.size()),
                                              GNUTLS_FSAN_APPEND));
  }
  const Identity& signer = issuer ? *issuer : out;
  must(gnutls_x509_crt_sign2(c, signer.certificate, signer.key,
                             kind == KeyKind::ed25519 ? GNUTLS_DIG_UNKNOWN : GNUTLS_DIG_SHA256, 0));
}

}  // namespace

TestPki make_test_pki(KeyKind kind) {
  Request ca;
  ca.common_name = "Test authority";
  ca.authority = true;
  Request server;
  server.common_name = "server.test";
  server.names = {"server.test", "*.wild.test"};
  server.addresses = {std::string("\xcb\x00\x71\x02", 4)};  // 203.0.113.2
  Request client;
  client.common_name = "device-7";
  client.names = {"device-7.test"};
  client.client = true;
  Request old = server;
  old.until = k2021;
  Request other = ca;
  other.common_name = "Somebody else";

  Identity authority, for_server, for_client, expired, other_authority, stranger;
  make(authority, kind, ca, 1, nullptr);
  make(for_server, kind, server, 2, &authority);
  make(for_client, kind, client, 3, &authority);
  make(expired, kind, old, 4, &authority);
  make(other_authority, kind, other, 1, nullptr);
  make(stranger, kind, server, 2, &other_authority);
  TestPki out;
  out.ca = authority.pem().certificate;
  out.server = for_server.pem();
  out.client = for_client.pem();
  out.expired = expired.pem();
  out.other_ca = other_authority.pem().certificate;
  out.stranger = stranger.pem();
  return out;
}

}  // namespace culvert::testing
