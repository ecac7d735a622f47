// Durable key-value storage of a Host: an embedded database on Linux (docs/decisions/0009), memory
// with a stated commit delay in ns-3 (memory_store.h). One handle a name at a time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/net/bytes.h"
#include "model/net/error.h"

namespace culvert::net {

struct StoreBatch {
  struct Change {
    std::string key;  // any bytes; at most kStoreKeyMost
    bool erase = false;
    Buffer value;
  };
  std::vector<Change> changes;  // all or none; of several with one key the last counts
};

constexpr size_t kStoreKeyMost = 4096;  // bytes; ours: an identifier and a number, or a topic
constexpr size_t kStoreValueMost = 64 * 1048576;  // bytes; ours: far above the largest packet

class Store {
 public:
  // What is not durable yet may be lost, as in a crash, and its on_durable never runs. What was
  // told durable is there when the name is opened again.
  virtual ~Store() = default;
  // not_found; failed if the disk cannot be read.
  virtual Result<Buffer> get(const std::string& key) const = 0;
  // In the order of keys as bytes. `visit` may call get and commit, whose changes it does not see.
  // failed: the disk could not be read, and there may be keys that `visit` has not seen.
  virtual Status scan(
      const std::string& prefix,
      const std::function<void(const std::string& key, Bytes value)>& visit) const = 0;
  // Visible to get() and scan() at once; `on_durable` runs, in the order of commits, when a crash
  // can no longer undo it. Batches that come while a write is under way share the next one. Its
  // Status is not ok if the batch was not applied (exhausted: no room on the disk; failed: the
  // disk; too_big: a key or value): get() no longer sees it, and later commits are tried afresh.
  virtual void commit(StoreBatch batch, std::function<void(Status)> on_durable) = 0;
};

// What open_store takes as a name: 1 to 64 letters, digits, '.', '_', '-', not beginning with '.'.
// Ok, or invalid with the sentence.
Status check_store_name(const std::string& name);
// too_big if a key or value is beyond the limits.
Status check_store_batch(const StoreBatch& batch);

}  // namespace culvert::net
