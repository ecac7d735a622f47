// What the services that speak HTTP share: where a server listens and with which TLS, how a client
// reaches a URL. Only model/services uses it.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "model/http/server.h"
#include "model/http/text.h"
#include "model/net/connector.h"
#include "model/net/tls/tls.h"
#include "model/services/command_line.h"

namespace culvert::services {

struct HttpListen {
  net::Endpoint listen;
  std::string certificate, key, clients;  // secrets; `clients`: CAs of client certificates
  std::string tls_versions = "any";
  bool key_log = false;
  http::ServerOptions server;
};
// --listen, --certificate, --key, --client-trust, --tls-version, --key-log, --no-keep-alive,
// --connections, --header-bytes, --body-bytes, --header-patience-ms, --idle-patience-ms.
void add_http_listen(CLI::App& app, HttpListen& options);
net::Status check(const HttpListen& options);

// A listener, TLS if there is a certificate, and the server behind it.
class HttpFront {
 public:
  // `service`: whose events "tls_failed" and "key_log" are.
  HttpFront(net::Host& host, std::string service, const HttpListen& options, http::Handler handler);
  net::Status start();
  net::Endpoint local() const { return listener_->local(); }
  bool secure() const { return context_ != nullptr; }
  net::Status reload();
  void drain(std::function<void()> done);

 private:
  void accept();
  void greet(std::unique_ptr<net::Stream> stream);

  net::Host& host_;
  const std::string service_;
  const HttpListen options_;
  http::Server server_;
  std::shared_ptr<net::TlsContext> context_;
  std::unique_ptr<net::Listener> listener_;
  std::list<std::unique_ptr<net::TlsHandshake>> handshakes_;
  uint64_t tls_failures_ = 0;
};

struct HttpReach {
  bool insecure = false, no_resumption = false, key_log = false;
  std::string trust, certificate, key;
  std::string tls_versions = "any";
  uint32_t early_data = 0;
  Target proxy;
  std::string proxy_user, proxy_password;  // the password is a secret's name
  net::Duration timeout = net::Duration(30'000'000'000);
};
// --insecure, --trust, --client-certificate, --client-key, --tls-version, --no-tls-resumption,
// --early-data, --tls-key-log, --proxy, --proxy-user, --proxy-password, --connect-timeout-ms.
void add_http_reach(CLI::App& app, HttpReach& options);
net::Status check(const HttpReach& options);
net::Result<std::unique_ptr<net::Connector>> http_connector(net::Host& host,
                                                            const std::string& service,
                                                            const http::Url& url,
                                                            const HttpReach& options);

// "Name: value" from a command line; invalid with a sentence.
net::Status add_field(http::Headers& headers, const std::string& text);

}  // namespace culvert::services
