// Packets taken before the host's own stack answers them: the filter is data, so that a kernel
// can run it; the hook sees only what the filter chose.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "model/net/address.h"
#include "model/net/bytes.h"
#include "model/net/error.h"

namespace culvert::net {

// Which packets arriving at this host, for it or to be forwarded. Every condition must hold.
// Fragments that are not the first have no ports: they match only where all ports do.
struct Selector {
  uint8_t protocol = 0;  // IANA number; 0 = any
  Prefix source;         // ip none = any
  Prefix destination;
  uint16_t source_port_first = 0, source_port_last = 65535;  // TCP and UDP; full range = any
  uint16_t destination_port_first = 0, destination_port_last = 65535;
};

enum class Verdict : uint8_t {
  pass,     // goes on as it is now (the hook may have rewritten it in place)
  consume,  // the host never sees it
};

struct HookStats {
  uint64_t matched = 0, passed = 0, consumed = 0, injected = 0;  // packets
  uint64_t overflowed = 0;  // packets lost because the hooks of this host were too slow
};

// `packet` is a contiguous IP packet. A rewrite keeps its length and must leave right checksums
// (model/packet does both). Fragments are handed over as they arrive.
using HookFunction = std::function<Verdict(MutableBytes packet)>;

class PacketHook {
 public:
  virtual ~PacketHook() = default;  // packets go their usual way again
  // Sends an IP packet of the hook's own making on its way, by the host's routes. It does not meet
  // this host's hooks again.
  virtual Status inject(Bytes packet) = 0;
  virtual HookStats stats() const = 0;
};

}  // namespace culvert::net
