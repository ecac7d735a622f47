#include "model/http/handshake.h"
#include "model/http/text.h"
#include "model/http/websocket.h"

namespace culvert::http {
namespace {

using net::Error;

net::Error class_of(int status) {
  switch (status) {
    case 403:
    case 407:
      return Error::not_permitted;
    case 404:
      return Error::not_found;
    case 502:
    case 503:
      return Error::unreachable;
    case 504:
      return Error::timed_out;
    default:
      return Error::refused;
  }
}

class ProxyConnector final : public net::Connector {
 public:
  ProxyConnector(net::Host& host, std::unique_ptr<net::Connector> proxy, std::string target,
                 std::string authorization)
      : host_(host), proxy_(std::move(proxy)), target_(std::move(target)) {
    request_.method = "CONNECT";
    request_.target = target_;
    if (!authorization.empty())
      request_.headers.add("Proxy-Authorization", std::move(authorization));
  }

  std::unique_ptr<net::Connecting> connect(Done done, Failed failed) override {
    After after = [&host = host_, request = request_, target = target_](net::Connected connected,
                                                                        Done done, Failed failed) {
      const net::Time began = host.now();
      const net::ConnectTimes times = connected.times;
      return shake_hands(
          host, std::move(connected.stream), request, target, kHandshakePatience,
          [&host, began, times, done, failed](net::Result<Greeted> greeted) {
            if (!greeted)
              return failed({{greeted.error(), "proxy: " + greeted.status().detail}, "proxy"});
            const int status = greeted->response.status;
            if (status / 100 != 2)
              return failed({{class_of(status), "proxy: it answered " + std::to_string(status) +
                                                    " " + std::string(usual_reason(status))},
                             "proxy"});
            net::Connected result;
            result.times = times;
            result.times.proxy = host.now() - began;
            result.stream = with_rest(host, std::move(greeted->stream), std::move(greeted->rest));
            done(std::move(result));
          });
    };
    return connect_then(*proxy_, std::move(after), std::move(done), std::move(failed));
  }
  std::string describe() const override {
    return "proxy://" + target_ + " through " + proxy_->describe();
  }

 private:
  net::Host& host_;
  std::unique_ptr<net::Connector> proxy_;
  std::string target_;
  Request request_;
};

}  // namespace

std::unique_ptr<net::Connector> http_proxy_connector(net::Host& host,
                                                     std::unique_ptr<net::Connector> proxy,
                                                     std::string target,
                                                     std::string authorization) {
  return std::make_unique<ProxyConnector>(host, std::move(proxy), std::move(target),
                                          std::move(authorization));
}

}  // namespace culvert::http
