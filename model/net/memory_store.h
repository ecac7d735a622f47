// Stores in memory, in the Host's time: what ns-3 and the tests' hosts give. The disk belongs to
// the machine and outlives the programs that open stores on it. Stands on store.h and timer.h.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "model/net/host.h"
#include "model/net/store.h"

namespace culvert::net {

class MemoryDisk {
 public:
  // A write takes this long; batches that come meanwhile share the next one.
  explicit MemoryDisk(Duration commit_delay) : commit_delay_(commit_delay) {}

  // in_use, invalid. Timers and turns are the host's; the disk outlives the handle.
  Result<std::unique_ptr<Store>> open(Host& host, const std::string& name);

  // What happens to a commit, for tests. `lose_power_*`: the machine stops there; nothing that this
  // handle is given from then on is written or answered, until the store is opened again.
  enum class Fate : uint8_t { written, no_room, broken, lose_power_before, lose_power_after };
  // Asked for every batch, when its write would end; `n` counts the batches of all stores of this
  // disk from 1.
  using Judge = std::function<Fate(uint64_t n, const StoreBatch& batch)>;
  void judge(Judge judge) { judge_ = std::move(judge); }
  // Runs right after a lose_power_*, from the loop: where a test kills its program.
  void on_power_lost(std::function<void()> callback) { power_lost_ = std::move(callback); }

  void set_commit_delay(Duration delay) { commit_delay_ = delay; }
  uint64_t commits() const { return commits_; }  // batches whose write has ended so far
  // Everything that is durable in a store, ordered by key.
  using Contents = std::map<std::string, Buffer>;
  const Contents& contents(const std::string& name) { return shelves_[name].contents; }
  void wipe() { shelves_.clear(); }  // only while no store is open

 private:
  friend class MemoryStore;
  struct Shelf {
    Contents contents;
    bool open = false;
  };
  std::map<std::string, Shelf> shelves_;
  Duration commit_delay_;
  Judge judge_;
  std::function<void()> power_lost_;
  uint64_t commits_ = 0;
};

}  // namespace culvert::net
