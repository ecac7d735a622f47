// Packets and IP bytes of one station on a link, each way, since they were last asked for: pure
// acknowledgements and whatever else its stack sends are in them. Stands on model/net.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "model/net/event_log.h"

namespace culvert::link {

struct Counter {
  uint64_t sent_packets = 0, sent_bytes = 0;  // by the station, what the link then lost too
  uint64_t received_packets = 0, received_bytes = 0;

  void sent(uint64_t bytes) { ++sent_packets, sent_bytes += bytes; }
  void received(uint64_t bytes) { ++received_packets, received_bytes += bytes; }

  // Writes `counted` and begins anew. `end`: the station's node.
  void tell(net::EventLog& log, const std::string& end) {
    const Counter count = std::exchange(*this, {});
    log.write("link", "counted",
              {{"end", end},
               {"packets", count.sent_packets + count.received_packets},
               {"bytes", count.sent_bytes + count.received_bytes},
               {"sent_packets", count.sent_packets},
               {"sent_bytes", count.sent_bytes},
               {"received_packets", count.received_packets},
               {"received_bytes", count.received_bytes}});
  }
};

}  // namespace culvert::link
