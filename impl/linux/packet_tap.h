// Packets on their way into or through this host, by NFQUEUE, to flow tables and hooks: one queue
// for each Host. Nothing outlives the process: the queue and the rules belong to our sockets.
#pragma once

#include <list>

#include "impl/linux/host.h"
#include "impl/linux/nftables.h"

namespace culvert::linux_host {

class FlowTableImpl;

class PacketTap : private Watch {
 public:
  static net::Result<std::unique_ptr<PacketTap>> open(LinuxHost& host);
  PacketTap(LinuxHost& host, Fd queue, uint16_t number, QueueRules rules, Fd raw4, Fd raw6);

  net::Result<std::unique_ptr<net::PacketHook>> add(const net::Selector& selector,
                                                    net::HookFunction function);
  // A table wants packets while it has flows; it is asked before the hooks.
  net::Status add(FlowTableImpl* table);
  void remove(FlowTableImpl* table);
  // By this host's routes, past its hooks.
  net::Status inject(net::Bytes packet);
  uint64_t overflowed() const;

 private:
  friend class HookImpl;
  struct Hook {
    net::Selector selector;
    net::HookFunction function;
    net::HookStats stats;
    bool removed = false;
  };
  void turn() override;
  void packet(uint32_t id, net::MutableBytes packet);
  void verdict(uint32_t id, bool accept, net::Bytes changed);
  net::Status update_rules();

  LinuxHost& host_;
  const uint16_t number_;
  QueueRules rules_;
  Fd raw4_, raw6_;
  std::list<std::shared_ptr<Hook>> hooks_;
  std::vector<FlowTableImpl*> tables_;
  uint64_t lost_ = 0;  // packets that did not fit our socket's buffer, at least
  net::Buffer buffer_, before_;
};

}  // namespace culvert::linux_host
