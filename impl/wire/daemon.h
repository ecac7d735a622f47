// The loop of a small packet-moving daemon (culvert-wire, culvert-natbox): descriptors, one timer
// on the monotonic clock, SIGTERM and SIGINT, command lines on stdin, event lines on stdout.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::wire {

class Daemon {
 public:
  Daemon();  // from here on SIGTERM and SIGINT end run()
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // `readable` runs again and again while there is something to read.
  void watch(int fd, std::function<void()> readable);
  // A line of stdin without its newline. Lines over 4 KB are dropped.
  std::function<void(const std::string&)> on_command;
  // Runs before and after the descriptors' turn; returns when it next has something to do, in
  // nanoseconds on the monotonic clock (INT64_MAX: nothing).
  std::function<int64_t()> on_turn;

  // Queues an event for stdout; written at the end of the turn.
  void print(std::string_view line);
  void flush();
  // Until a signal ends it.
  void run();

 private:
  void arm(int64_t at_ns);
  void read_commands();

  int epoll_, timer_, signals_;
  bool done_ = false;
  int64_t armed_ns_ = INT64_MAX;
  std::vector<std::function<void()>> watched_;
  std::string input_, output_;
};

}  // namespace culvert::wire
