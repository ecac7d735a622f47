// The NAT as a router's user-space half: packets from the TUNs through nat::Nat and back, its
// timer, its commands and its events. Stands on model/nat, which decides everything.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "impl/natbox/plumbing.h"
#include "impl/wire/daemon.h"
#include "model/nat/nat.h"
#include "model/nat/nat_log.h"
#include "model/net/event_log.h"

namespace culvert::natbox {

struct BoxOptions {
  std::string node = "nat";
  std::string kind;  // as the user wrote it, for the log
  nat::Config config;
  uint64_t seed = 1;
  int64_t epoch_ns = 0;  // start of the run on the monotonic clock
  bool log_packets = true;
};

class Box {
 public:
  // `in` and `out` are the descriptors of the TUNs; they stay the caller's.
  Box(const BoxOptions& options, Plumbing& plumbing,
      const std::vector<net::IpAddress>& public_addresses, int in, int out);
  Box(const Box&) = delete;
  Box& operator=(const Box&) = delete;

  void run();  // until SIGTERM or SIGINT

 private:
  void read(nat::Side side, int fd);
  void send_emitted();
  void command(const std::string& line);
  int64_t turn();
  net::Time now() const;

  BoxOptions options_;
  Plumbing& plumbing_;
  int in_, out_;
  wire::Daemon daemon_;
  net::EventLog events_;
  nat::Nat nat_;
  nat::NatLog log_;
  std::unique_ptr<uint8_t[]> buffer_;  // of one batch of packets
};

}  // namespace culvert::natbox
