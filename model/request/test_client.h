// A router asked without a network: for tests of handlers.
//   TestClient client(host, router);
//   client.get("devices/7/state").status == 200
#pragma once

#include <optional>
#include <string>

#include "model/net/host.h"
#include "model/request/router.h"

namespace culvert::request {

class TestClient {
 public:
  TestClient(net::Host& host, const Router& router) : host_(host), router_(router) {}

  // The answer, if the handler gave it within the call; a later one goes to `later`.
  std::optional<Response> call(std::string_view method, std::string_view path,
                               std::string_view body = {}, std::string_view content_type = {},
                               std::function<void(Response)> later = {}) {
    Request request;
    request.method = method;
    request.path = path;
    request.body = net::as_bytes(body);
    request.content_type = content_type;
    request.sequence = {1, ++number_};
    request.deadline = host_.now() + patience;
    struct Box {
      bool over = false;
      std::optional<Response> response;
    };
    auto box = std::make_shared<Box>();
    router_.handle(request, Reply([box, later = std::move(later)](Response response) {
                     if (!box->over)
                       box->response = std::move(response);
                     else if (later)
                       later(std::move(response));
                   }));
    box->over = true;
    return std::move(box->response);
  }
  Response get(std::string_view path) { return answer(call("GET", path)); }
  Response post(std::string_view path, std::string_view body,
                std::string_view content_type = "application/json") {
    return answer(call("POST", path, body, content_type));
  }

  net::Duration patience = net::Duration(10'000'000'000);  // the deadline that requests carry

 private:
  static Response answer(std::optional<Response> response) {
    return response ? std::move(*response)
                    : Response::problem(status::deadline, "the handler answers later");
  }
  net::Host& host_;
  const Router& router_;
  uint32_t number_ = 0;
};

}  // namespace culvert::request
