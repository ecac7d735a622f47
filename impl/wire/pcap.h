// Captures: a classic pcap file per interface, with nanoseconds (magic 0xa1b23c4d), Ethernet
// frames. Time stamps count from the start of the run, as those of the event log and of ns-3's
// captures do.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "model/net/bytes.h"
#include "model/net/error.h"

namespace culvert::wire {

class PcapFile {
 public:
  // failed with a sentence if the file cannot be made.
  static net::Result<std::unique_ptr<PcapFile>> create(const std::string& path);
  ~PcapFile();
  void write(int64_t since_start_ns, net::Bytes frame);
  void flush();  // so that a reader or a killed process finds whole packets

 private:
  explicit PcapFile(std::FILE* file) : file_(file) {}
  std::FILE* file_;
  bool dirty_ = false;
};

}  // namespace culvert::wire
