#include "model/net/error.h"

namespace culvert::net {

std::string_view to_string(Error error) {
  switch (error) {
    case Error::none: return "ok";
    case Error::would_block: return "would_block";
    case Error::closed: return "closed";
    case Error::refused: return "refused";
    case Error::reset: return "reset";
    case Error::timed_out: return "timed_out";
    case Error::unreachable: return "unreachable";
    case Error::ttl_exceeded: return "ttl_exceeded";
    case Error::too_big: return "too_big";
    case Error::in_use: return "in_use";
    case Error::not_available: return "not_available";
    case Error::not_permitted: return "not_permitted";
    case Error::invalid: return "invalid";
    case Error::exhausted: return "exhausted";
    case Error::not_found: return "not_found";
    case Error::unsupported: return "unsupported";
    case Error::failed: return "failed";
  }
  return "failed";
}

std::string Status::to_string() const {
  std::string text(net::to_string(error));
  if (!detail.empty()) text += ": " + detail;
  return text;
}

}  // namespace culvert::net
