#include "model/services/payload_seal.h"

#include <algorithm>

namespace culvert::services {

net::Result<std::optional<PayloadSeal>> PayloadSeal::make(net::Host& host,
                                                          const std::string& secret) {
  if (secret.empty()) return std::optional<PayloadSeal>{};
  const auto bytes = host.secret(secret);
  if (!bytes) return bytes.status();
  if (bytes->size() < 16)
    return {net::Error::invalid, "the secret '" + secret + "' is shorter than 16 bytes"};
  return std::optional<PayloadSeal>(PayloadSeal(host, net::key_from(*bytes)));
}

net::Buffer PayloadSeal::seal(std::string_view topic, net::Bytes plain) const {
  std::array<uint8_t, net::kSealNonce> nonce;
  host_->secure_random(nonce);
  net::Buffer out(nonce.begin(), nonce.end());
  const net::Buffer sealed = net::seal(key_, nonce, net::as_bytes(topic), plain);
  out.insert(out.end(), sealed.begin(), sealed.end());
  return out;
}

net::Result<net::Buffer> PayloadSeal::open(std::string_view topic, net::Bytes sealed) const {
  std::array<uint8_t, net::kSealNonce> nonce;
  if (sealed.size() < nonce.size() + net::kSealOverhead)
    return {net::Error::invalid, "the payload is too short to be sealed"};
  std::copy_n(sealed.begin(), nonce.size(), nonce.begin());
  return net::open(key_, nonce, net::as_bytes(topic), sealed.subspan(nonce.size()));
}

}  // namespace culvert::services
