// Certificates for tests, made on the spot: an authority, a server, a client, and strangers signed
// by somebody else. Valid from 2020 to 2099. Stands on GnuTLS.
#pragma once

#include <string>
#include <vector>

namespace culvert::testing {

// Ed25519 and RSA signatures always have the same size; ECDSA's (P-256) vary by a few bytes.
enum class KeyKind { ed25519, rsa2048, p256 };

struct TestIdentity {
  std::string certificate, key;  // PEM
};

struct TestPki {
  std::string ca;        // PEM
  TestIdentity server;   // server.test, *.wild.test and 203.0.113.2
  TestIdentity client;   // common name "device-7", DNS name device-7.test
  TestIdentity expired;  // server.test, until 2021
  std::string other_ca;
  TestIdentity stranger;  // server.test, signed by other_ca
};

TestPki make_test_pki(KeyKind kind = KeyKind::ed25519);

}  // namespace culvert::testing
