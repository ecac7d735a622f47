// Payloads that only the two ends can read, whatever the broker between them does: sealed for their
// topic, 40 bytes longer. Stands on model/net/crypto.h. Only model/services uses it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/net/crypto.h"
#include "model/net/host.h"

namespace culvert::services {

class PayloadSeal {
 public:
  // From the secret of that name; without a name there is none.
  static net::Result<std::optional<PayloadSeal>> make(net::Host& host, const std::string& secret);
  // Nonce, then the sealed bytes. The topic is bound: nothing opens under another one.
  net::Buffer seal(std::string_view topic, net::Bytes plain) const;
  // Error::invalid if it was not sealed by this key for this topic.
  net::Result<net::Buffer> open(std::string_view topic, net::Bytes sealed) const;

 private:
  PayloadSeal(net::Host& host, const net::Key& key) : host_(&host), key_(key) {}
  net::Host* host_;
  net::Key key_;
};

}  // namespace culvert::services
