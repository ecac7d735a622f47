// What bench-mqtt is asked to do; see main.cc.
#pragma once

#include <cstdint>
#include <string>

namespace culvert::bench {

struct Options {
  std::string what;
  uint16_t port = 1883;
  int qos = 0;
  uint32_t publishers = 50, subscribers = 50;
  uint32_t window = 32;       // messages of one publisher under way
  uint32_t payload = 32;      // bytes, at least 12
  uint32_t clients = 5000;    // of memory
  uint32_t concurrency = 50;  // of connect
  double rate = 0;            // messages/s in all; 0: as fast as the window allows
  double seconds = 3, warm_up = 0.5;
  bool v5 = true;
  bool durable = false;  // sessions that are kept
  bool ack_only = false;  // nothing is delivered: to and as a sink that only acknowledges
  int pid = 0;           // the broker's
};

int run_load(const Options& options);     // pairs, fan-in, fan-out
int run_connect(const Options& options);  // connections per second
int run_memory(const Options& options);   // bytes per client
int run_sink(const Options& options);     // acknowledges and passes on, without looking at topics

// CPU time of a process in ns, all its threads; its resident bytes.
int64_t cpu_ns(int pid);
int64_t rss_bytes(int pid);

}  // namespace culvert::bench
