// The latency service's operations over HTTP: a POST that is answered by the server itself
// (latency-server), or through its relay by a peer that polls.
#include "model/http/client.h"
#include "model/services/latency_operation.h"

namespace culvert::services {
namespace {

class HttpOperation : public Operation {
 public:
  HttpOperation(net::Host& host, const LatencyOptions& options, const Dialler& dialler)
      : host_(host), options_(options) {
    http::ClientOptions http;
    http.keep_alive = !options.cold;
    http.connections = 1;
    http.patience = options.patience;
    http.idle_patience = net::Duration(3'600'000'000'000);  // ours: longer than any measurement
    http.host = "latency";
    client_ = std::make_unique<http::Client>(host, http, dialler.connector());
  }

  void prepare(Done done) override {
    if (options_.cold && options_.tls != "resumed")
      return host_.post([done = std::move(done)] { done({}); });
    ask("/ready", {}, std::move(done));  // makes the connection, or fetches the ticket
  }

  void run(uint32_t number, Done over, Done closed) override {
    const std::string target = options_.operation == "publish"        ? "/publish"
                               : options_.protocol == "http-longpoll" ? "/to/peer/ask"
                                                                      : "/ask";
    ask(target, numbered(number, options_.payload),
        [this, over = std::move(over), closed = std::move(closed)](net::Status status) {
          over(status);
          if (status) host_.post([closed] { closed({}); });
        });
  }

 private:
  void ask(const std::string& target, net::Buffer body, Done done) {
    http::Request request;
    request.method = body.empty() ? "GET" : "POST";
    request.target = target;
    request.body = std::move(body);
    client_->request(
        std::move(request),
        [done = std::move(done)](net::Result<http::Response> response, const http::Timing&) {
          if (!response) return done(response.status());
          if (response->status / 100 != 2)
            return done({net::Error::failed, "status " + std::to_string(response->status)});
          done({});
        });
  }

  net::Host& host_;
  const LatencyOptions& options_;
  std::unique_ptr<http::Client> client_;
};

}  // namespace

net::Result<std::unique_ptr<Operation>> http_operation(net::Host& host,
                                                       const LatencyOptions& options) {
  auto dialler = Dialler::make(host, options);
  if (!dialler) return dialler.status();
  return std::unique_ptr<Operation>(std::make_unique<HttpOperation>(host, options, *dialler));
}

}  // namespace culvert::services
