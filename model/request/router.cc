#include "model/request/router.h"

#include <algorithm>

#include "model/net/event_log.h"

namespace culvert::request {

Response Response::text(std::string_view text, uint16_t status) {
  Response response;
  response.status = status;
  response.body.assign(text.begin(), text.end());
  return response;
}

Response Response::json(std::string_view text, uint16_t status) {
  Response response = Response::text(text, status);
  response.content_type = "application/json";
  return response;
}

Response Response::problem(uint16_t status, std::string_view sentence) {
  std::string text = "{\"error\":";
  net::append_json_string(text, sentence);
  return json(text + "}", status);
}

struct Reply::Once {
  std::function<void(Response)> send;
  ~Once() {
    if (send) send(Response::problem(status::error, "the handler gave no answer"));
  }
};

Reply::Reply(std::function<void(Response)> send) : once_(std::make_shared<Once>()) {
  once_->send = std::move(send);
}

void Reply::operator()(Response response) const {
  const auto send = std::move(once_->send);
  once_->send = {};
  if (send) send(std::move(response));
}

bool Reply::given() const { return !once_->send; }

net::Status Router::on(std::string_view pattern, Handler handler, std::string_view method) {
  auto route = Route::parse(pattern);
  if (!route) return route.status();
  for (const Entry& entry : entries_)
    if (entry.route.pattern() == pattern && entry.method == method && !entry.inner)
      return {net::Error::invalid, "route '" + std::string(pattern) + "' is there already"};
  const auto at = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return route->nearer_than(entry.route) < 0;
  });
  entries_.insert(at, Entry{std::move(*route), std::string(method), std::move(handler), nullptr});
  return {};
}

net::Status Router::mount(std::string_view pattern, Router inner) {
  auto route = Route::parse(pattern);
  if (!route) return route.status();
  const auto at = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return route->nearer_than(entry.route) < 0;
  });
  entries_.insert(at, Entry{std::move(*route), "", {}, std::make_shared<Router>(std::move(inner))});
  return {};
}

void Router::use(Middleware middleware) { middleware_.push_back(std::move(middleware)); }

void Router::handle(const Request& request, Reply reply) const {
  around(0, request, std::move(reply));
}

void Router::around(size_t index, const Request& request, Reply reply) const {
  if (index == middleware_.size()) return dispatch(request, std::move(reply));
  middleware_[index](request, std::move(reply), [this, index](const Request& inner, Reply answer) {
    around(index + 1, inner, std::move(answer));
  });
}

void Router::dispatch(const Request& request, Reply reply) const {
  bool other_method = false;
  Request inner = request;
  for (const Entry& entry : entries_) {
    if (entry.inner) {
      const auto rest = entry.route.begins(request.path, inner.parameters);
      if (!rest) continue;
      inner.path = *rest;
      return entry.inner->handle(inner, std::move(reply));
    }
    if (!entry.route.matches(request.path, inner.parameters)) continue;
    if (!entry.method.empty() && entry.method != request.method) {
      other_method = true;
      inner.parameters = request.parameters;
      continue;
    }
    return entry.handler(inner, std::move(reply));
  }
  if (other_method)
    return reply(Response::problem(status::method_not_allowed,
                                   "not with method '" + std::string(request.method) + "'"));
  reply(Response::problem(status::not_found, "nothing at '" + std::string(request.path) + "'"));
}

std::vector<std::string> Router::routes() const {
  std::vector<std::string> all;
  for (const Entry& entry : entries_) {
    if (!entry.inner) {
      all.push_back((entry.method.empty() ? "" : entry.method + " ") + entry.route.pattern());
      continue;
    }
    for (const std::string& inner : entry.inner->routes()) {
      const size_t space = inner.find(' ');  // a pattern may hold one too, but a method comes first
      const bool has_method =
          space != std::string::npos && inner.find('/') > space && inner.find('{') > space;
      all.push_back(has_method ? inner.substr(0, space + 1) + entry.route.pattern() + "/" +
                                     inner.substr(space + 1)
                               : entry.route.pattern() + "/" + inner);
    }
  }
  return all;
}

}  // namespace culvert::request
