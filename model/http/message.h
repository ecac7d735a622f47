// HTTP/1.1 messages as values (RFC 9110, RFC 9112). Stands on model/net.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/net/bytes.h"

namespace culvert::http {

// Names compare without case; the order is kept; a name may come more than once.
class Headers {
 public:
  void add(std::string name, std::string value) {
    list_.emplace_back(std::move(name), std::move(value));
  }
  void set(std::string_view name, std::string value);  // replaces all of that name
  std::string_view get(std::string_view name) const;   // the first; empty: none
  bool has(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return list_; }

 private:
  std::vector<std::pair<std::string, std::string>> list_;
};

struct Request {
  std::string method = "GET", target = "/";
  Headers headers;
  net::Buffer body;
};
struct Response {
  int status = 200;
  std::string reason;  // empty: the usual phrase
  Headers headers;
  net::Buffer body;
};

}  // namespace culvert::http
