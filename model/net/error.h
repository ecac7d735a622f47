// Errors are values: a class that code can act on, and a sentence for whoever reads it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace culvert::net {

// The class of an error; the same classes in both worlds (docs/fidelity.md lists the exceptions).
enum class Error : uint8_t {
  none,
  would_block,    // nothing now; on_readable / on_writable will tell
  closed,         // the peer finished (end of stream), or the handle was shut
  refused,        // RST to a SYN, or ICMP port unreachable
  reset,          // RST on an established connection
  timed_out,      // no answer within the limit
  unreachable,    // ICMP net/host/admin unreachable, or no route
  ttl_exceeded,   // ICMP time exceeded
  too_big,        // larger than the path, the socket or the limit allows
  in_use,         // the local endpoint is taken
  not_available,  // the local address is not this host's
  not_permitted,  // lacks the privilege
  invalid,        // the argument makes no sense; the sentence says why
  exhausted,      // a limit of ours: ports, descriptors, memory, queue
  not_found,      // no such name, secret or file
  unsupported,    // this Host cannot do that
  failed,         // anything else; the sentence says what
};

// A lower-case word, as used in event logs: "timed_out".
std::string_view to_string(Error error);

struct Status {
  Error error = Error::none;
  std::string detail;  // a sentence; empty when error is none

  Status() = default;
  Status(Error e, std::string d = {}) : error(e), detail(std::move(d)) {}
  bool ok() const { return error == Error::none; }
  explicit operator bool() const { return ok(); }
  // "refused: 192.0.2.1:80 answered with RST", or "ok".
  std::string to_string() const;
};

// A value or a Status that is not ok.
template <class T>
class Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) : status_(std::move(status)) {}
  Result(Error error, std::string detail = {}) : status_(error, std::move(detail)) {}
  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  const Status& status() const { return status_; }
  Error error() const { return status_.error; }

 private:
  std::optional<T> value_;
  Status status_;
};

// How a batch or a stream transfer went: `count` items or bytes were taken, and why it stopped
// there. error is none when all was taken.
struct IoResult {
  size_t count = 0;
  Error error = Error::none;
  bool ok() const { return error == Error::none; }
};

}  // namespace culvert::net
