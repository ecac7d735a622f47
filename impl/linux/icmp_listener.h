// ICMP time exceeded about the SYNs of dials: the kernel is told to ignore it (dial.h), so a raw
// socket listens for it, one for each Host. IPv4 only; needs CAP_NET_RAW.
#pragma once

#include <vector>

#include "impl/linux/host.h"

namespace culvert::linux_host {

class IcmpListener : private Watch {
 public:
  // Null without the privilege: dials then learn of no expired TTL, and live on all the same.
  static std::unique_ptr<IcmpListener> open(LinuxHost& host);
  IcmpListener(LinuxHost& host, Fd fd);
  void add(DialImpl* dial) { dials_.push_back(dial); }
  void remove(DialImpl* dial);

 private:
  void turn() override;
  std::vector<DialImpl*> dials_;
};

}  // namespace culvert::linux_host
