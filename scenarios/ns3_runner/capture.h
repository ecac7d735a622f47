// A capture of one interface as a pcap file (LINKTYPE_ETHERNET, nanoseconds), written by ourselves:
// ns-3's writer knows microseconds only, and punching is judged by less than a millisecond.
#pragma once

#include <ns3/mac48-address.h>
#include <ns3/packet.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "model/net/error.h"
#include "model/net/time.h"

namespace culvert::runner {

class Capture {
 public:
  // Creates or empties `file`. failed: it cannot be written.
  static net::Result<std::unique_ptr<Capture>> open(const std::string& file);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  void write(net::Time now, const ns3::Packet& packet, ns3::Mac48Address from, ns3::Mac48Address to,
             uint16_t protocol);

 private:
  explicit Capture(std::FILE* file) : file_(file) {}
  std::FILE* file_;
};

}  // namespace culvert::runner
