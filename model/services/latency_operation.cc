#include "model/services/latency_operation.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "model/services/metered.h"

namespace culvert::services {
namespace {

constexpr size_t kDigits = 8;  // of the number at a payload's beginning

}  // namespace

net::Buffer numbered(uint32_t number, uint32_t size) {
  net::Buffer out(std::max<size_t>(size, kDigits), 'x');
  char digits[16];
  std::snprintf(digits, sizeof digits, "%08u", number % 100'000'000);
  std::copy_n(digits, kDigits, out.begin());
  return out;
}

uint32_t number_of(net::Bytes payload) {
  uint32_t number = 0;
  const char* text = reinterpret_cast<const char*>(payload.data());
  std::from_chars(text, text + std::min(payload.size(), kDigits), number);
  return number;
}

net::Result<Dialler> Dialler::make(net::Host& host, const LatencyOptions& options) {
  Dialler dialler(host, options);
  if (options.tls == "none") return dialler;
  net::TlsOptions tls;
  tls.versions = options.tls == "1.2" ? net::TlsVersions::v12 : net::TlsVersions::v13;
  tls.resumption = options.tls == "resumed";
  tls.trust = options.trust;
  auto context = net::tls_client_context(host, tls);
  if (!context) return context.status();
  dialler.context_ = std::move(*context);
  return dialler;
}

std::unique_ptr<net::Connector> Dialler::connector() const {
  net::TcpTarget target;
  target.host = options_->server.host;
  target.port = options_->server.port;
  target.timeout = options_->patience;
  auto tcp = metered_connector(*host_, net::tcp_connector(*host_, target), "latency");
  if (!context_) return tcp;
  return net::tls_connector(*host_, std::move(tcp), context_, options_->name);
}

}  // namespace culvert::services
