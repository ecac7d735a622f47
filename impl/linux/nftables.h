// The rules that bring chosen packets to a queue: one nftables table a family, owned by our netlink
// socket, so that the kernel removes it when the process ends in whatever way. The queue is reached
// by nftables' own expression, or by the xtables target NFQUEUE on kernels without it.
#pragma once

#include <vector>

#include "impl/linux/netlink.h"
#include "model/net/packet_hook.h"

namespace culvert::linux_host {

class QueueRules {
 public:
  // Packets with the mark `bypass` are never queued.
  static net::Result<QueueRules> open(int netns, uint16_t queue, uint32_t bypass);
  // From now on exactly the packets that one of these selects go to the queue, in one step.
  net::Status select(const std::vector<net::Selector>& selectors);

 private:
  QueueRules(Netlink netlink, uint16_t queue, uint32_t bypass);
  net::Status make_tables();

  Netlink netlink_;
  uint16_t queue_;
  uint32_t bypass_;
  bool by_target_ = false;  // the xtables target
  std::string table_;
};

}  // namespace culvert::linux_host
