// Runs side by side, each in a process of its own: what one breaks stays its own, and ns-3's
// globals are fresh. Linux processes; the only place of the runner that touches them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "scenarios/ns3_runner/run.h"

namespace culvert::runner {

struct PoolOptions {
  std::string out;         // folder: logs/, and pcap/ if wanted; made if it is not there
  size_t jobs = 1;         // processes at a time
  unsigned limit_s = 600;  // wall time of one run, after which it has failed; 0: none
  bool capture = false;
};

// Executes the runs, prints a line of JSON for each on stdout. Returns how many failed; a Status
// if nothing could be started.
net::Result<size_t> run_all(const std::vector<const RunPlan*>& runs, const PoolOptions& options,
                            const ServiceMaker& make);

}  // namespace culvert::runner
