// What a NAT does, as events (docs/reference/events.md, `nat`): written once, for the ns-3 router
// and for natbox. Stands on nat.h and model/packet, which tells a packet's endpoints and mark.
//
//   NatLog log(&events);
//   nat.set_observer(&log);
//   log.config("symmetric", nat);
//   // then around every call:
//   const Outcome outcome = nat.outbound(now, view, total);
//   if (log.wants(outcome)) log.packet(Side::inside, before, view, total, outcome);
#pragma once

#include <string>
#include <vector>

#include "model/nat/nat.h"
#include "model/net/event_log.h"

namespace culvert::nat {

class NatLog : public Observer {
 public:
  // `log` may be null or not enabled (then nothing is written) and must outlive this.
  explicit NatLog(net::EventLog* log) : log_(log && log->enabled() ? log : nullptr) {}

  // `kind`: the preset's name, as the user wrote it.
  void config(std::string_view kind, const Nat& nat);
  // Whether packet() would write anything: cheap, and counts what is left out.
  bool wants(const Outcome& outcome);
  // `before` and `after`: the packet from its IP header on, as far as it is at hand; more than the
  // 32 bytes of payload that make its mark are never needed.
  void packet(Side came_from, net::Bytes before, net::Bytes after, size_t total_length,
              const Outcome& outcome);
  // "reboot", "rebind" or "address_change"; call it before the NAT's own method.
  void event(std::string_view name, const std::vector<net::IpAddress>& addresses);
  void counters(const Nat& nat);

  void mapping_created(Time now, const MappingInfo& mapping) override;
  void mapping_ended(Time ended, const MappingInfo& mapping, Reason reason) override;
  void mapping_moved(Time now, const MappingInfo& mapping,
                     const net::Endpoint& old_external) override;

 private:
  void created(const MappingInfo& mapping);
  void ended(const MappingInfo& mapping, const net::Endpoint& external, std::string_view why);

  net::EventLog* log_;
  std::vector<uint8_t> written_;  // translations written so far, by mapping id
  uint64_t drops_ = 0;
};

}  // namespace culvert::nat
