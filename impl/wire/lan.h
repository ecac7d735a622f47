// One link: a cable between two ends, or a switched LAN of more (it learns where addresses are, as
// IEEE 802.1D bridges do). Each end serialises at the link's rate into a bounded queue; then every
// frame takes the delay, and jitter that never reorders; loss is drawn for each direction. A radio
// has its own states, rates and delays in front of that.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "impl/wire/options.h"
#include "impl/wire/pcap.h"
#include "impl/wire/scheduler.h"
#include "model/link/counter.h"
#include "model/link/radio.h"
#include "model/net/event_log.h"
#include "model/net/random.h"

namespace culvert::wire {

class Lan {
 public:
  // `options.ends` have their descriptors. `seed`: the run's; each direction derives its own
  // streams.
  Lan(const LinkOptions& options, uint64_t seed, int64_t epoch_ns, Scheduler& scheduler,
      net::EventLog::Sink sink);
  Lan(const Lan&) = delete;
  Lan& operator=(const Lan&) = delete;
  ~Lan();

  const std::string& name() const { return options_.name; }
  // Takes what end `from` has sent, at most `limit` frames. Returns how many there were.
  size_t read_end(size_t from, size_t limit);
  // A frame of `lane` has arrived.
  void deliver(Lane& lane, Frame* frame);
  // "cut", "mend", "count", "watch", "set delay_ms=5 loss=0.1". invalid with a sentence; nothing is
  // then changed.
  net::Status command(std::string_view text);

  // A capture of each end in `folder`, named after the interface.
  net::Status capture(const std::string& folder);
  void flush_captures();

 private:
  struct End {
    std::string interface;
    int fd = -1;
    int64_t busy_until_ns = 0;  // the last bit of what it has sent leaves then
    link::Counter counter;
    // A device's radio: its states, and when it is done with what was queued each way.
    link::Radio radio;
    int64_t up_until_ns = 0, down_until_ns = 0;
    std::string node;
    std::unique_ptr<PcapFile> capture;
  };
  struct Direction {
    Lane lane;
    net::Random loss, jitter;
  };

  Direction& direction(size_t from, size_t to) { return *directions_[from * ends_.size() + to]; }
  // When a frame that a device has handed to its radio is through, or comes out of it; INT64_MAX if
  // too much waits already.
  int64_t through_radio(End& device, bool up, size_t bytes, int64_t now_ns, net::Random& draws);
  bool is_device(size_t end) const { return options_.lte && end + 1 < ends_.size(); }
  void count();
  void watch(const End& end, const char* way, net::Bytes frame);
  void accept(size_t from, Frame* frame, int64_t now_ns);
  void send(size_t from, size_t to, Frame* frame, int64_t departs_ns);
  // INT64_MAX if the end's queue is full.
  int64_t departure(End& end, size_t bytes, int64_t now_ns);
  void lose(net::Bytes frame, const char* why);
  void release(Frame* frame) { pool_.give(frame); }

  LinkOptions options_;
  int64_t epoch_ns_;
  Scheduler& scheduler_;
  net::EventLog log_;
  FramePool pool_;
  std::vector<End> ends_;
  std::vector<std::unique_ptr<Direction>> directions_;
  std::unordered_map<uint64_t, size_t> learned_;  // only looked up: its order never shows
  bool cut_ = false, watched_ = false;
  uint64_t lost_ = 0;
};

}  // namespace culvert::wire
