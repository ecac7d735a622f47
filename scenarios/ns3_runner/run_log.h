// The event log of one run in memory: lines of all nodes ordered by time, then by the plan's order
// of nodes; and who waits for events to be seen. Stands on model/net.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/net/event_log.h"
#include "scenarios/ns3_runner/plan.h"

namespace culvert::runner {

class RunLog {
 public:
  explicit RunLog(std::function<net::Time()> now) : now_(std::move(now)) {}

  // Where the lines of a node or link go. Lines of one moment are ordered by `rank`; "-" has 0.
  net::EventLog::Sink sink(const std::string& node, size_t rank);
  // An event log over it.
  std::unique_ptr<net::EventLog> open(const std::string& node, size_t rank);
  // Calls `met` (from inside the write; it may only schedule) once the event was seen from every
  // node of the condition.
  void watch(const Condition& condition, std::function<void()> met);
  // Everything written so far, a line each.
  std::string take();

 private:
  struct Line {
    size_t rank;
    std::string text;
  };
  struct Watch {
    std::string head;               // ,"service":"punch","event":"result"
    std::set<std::string> missing;  // nodes
    std::function<void()> met;
  };
  void write(const std::string& node, size_t rank, std::string_view line);
  void flush_moment();

  std::function<net::Time()> now_;
  net::Time moment_{-1};
  std::vector<Line> pending_;  // lines of this moment
  std::string text_;
  std::vector<Watch> watches_;
};

}  // namespace culvert::runner
