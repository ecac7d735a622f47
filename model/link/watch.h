// What passes one station of a watched link: an event for each IP packet, so that an analysis can
// tell data, acknowledgements, what was sent again, and closings that crossed. Stands on model/net,
// model/packet.
#pragma once

#include <string>

#include "model/net/bytes.h"
#include "model/net/event_log.h"
#include "model/packet/packet.h"

namespace culvert::link {

constexpr size_t kWatchedBytes = 120;  // the longest headers of IPv4 and TCP: 60 each

// Writes `passed`. `end`: the station's node; `way`: "sent" or "received" by it; `view`: the packet
// from its IP header on, of which the first kWatchedBytes are enough.
inline void tell_passed(net::EventLog& log, const std::string& end, const char* way,
                        net::Bytes view) {
  cv_packet packet;
  const uint8_t* data = view.data();
  const uint8_t* data_end = data + view.size();
  if (cv_parse(data, data_end, &packet) != CV_OK) return;
  const uint64_t bytes = packet.length;
  if (packet.protocol != CV_TCP || !(packet.flags & CV_PORTS) || data + packet.l4 + 20 > data_end) {
    log.write("link", "passed", {{"end", end}, {"way", way}, {"bytes", bytes}});
    return;
  }
  const uint8_t* tcp = data + packet.l4;
  std::string flags;
  for (const auto& [bit, letter] :
       {std::pair{CV_SYN, 'S'}, {CV_FIN, 'F'}, {CV_RST, 'R'}, {CV_ACK, 'A'}})
    if (packet.tcp_flags & bit) flags += letter;
  const bool sent = way[0] == 's';
  log.write("link", "passed",
            {{"end", end},
             {"way", way},
             {"bytes", bytes},
             {"port", uint64_t{sent ? packet.source_port : packet.destination_port}},
             {"flags", flags},
             {"sequence", uint64_t{cv_swap32(cv_load32(tcp + 4))}},
             {"acknowledges", uint64_t{cv_swap32(cv_load32(tcp + 8))}},
             {"data", uint64_t{packet.length - packet.l4 - (tcp[12] >> 4) * 4u}}});
}

}  // namespace culvert::link
