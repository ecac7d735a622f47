// Where a case runs: our broker in memory and virtual time, or any broker over TCP. Stands on
// case.h.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tests/conformance/case.h"

namespace culvert::conformance {

// A client's connection as the tests need it: bytes, and how it ended.
class Wire {
 public:
  virtual ~Wire() = default;
  virtual void send(net::Bytes bytes) = 0;
  // Appends what has come. False: the broker has closed, and all that it sent was taken.
  virtual bool receive(net::Buffer& into) = 0;
  virtual void close() = 0;  // FIN
  virtual void cut() = 0;    // RST
};

class World {
 public:
  virtual ~World() = default;
  virtual std::unique_ptr<Wire> open() = 0;  // null: the broker cannot be reached
  // Until `done` holds, at most `limit` (in this world's time); whether it held.
  virtual bool run_until(const std::function<bool()>& done, net::Duration limit) = 0;
  virtual void pass(net::Duration length) = 0;
  virtual void settle() = 0;  // what was sent has been dealt with, as far as one can tell
  virtual net::Duration patience() const = 0;  // for an expected packet
  virtual void restart() {}
};

// What our broker is made of for a case.
struct BrokerKind {
  std::string name;
  bool durable = false;    // with a store
  bool at_pubrel = false;  // QoS 2 onward at PUBREL
};
// unsupported: the case needs what this kind has not. invalid: an option or rule is unknown.
net::Result<std::unique_ptr<World>> make_memory_world(const Case& one, const BrokerKind& kind);

// A broker that somebody else started. Waits are real. unsupported: the case sets options.
net::Result<std::unique_ptr<World>> make_tcp_world(const Case& one, const std::string& host,
                                                   uint16_t port);

// Runs the case; empty: as expected; else what was not, with the line.
std::string run(const Case& one, World& world);

}  // namespace culvert::conformance
