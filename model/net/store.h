// Durable key-value storage of a Host. The interface is settled here; the embedded database and
// ns-3's stated commit delay come with the broker, which needs them. Until then Host::open_store
// answers unsupported.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/net/bytes.h"
#include "model/net/error.h"

namespace culvert::net {

struct StoreBatch {
  struct Change {
    std::string key;
    bool erase = false;
    Buffer value;
  };
  std::vector<Change> changes;  // all or none
};

class Store {
 public:
  virtual ~Store() = default;
  virtual Result<Buffer> get(const std::string& key) const = 0;
  virtual void scan(const std::string& prefix,
                    const std::function<void(const std::string& key, Bytes value)>& visit) const = 0;
  // Visible to get() at once; `on_durable` runs when a crash can no longer undo it.
  virtual void commit(StoreBatch batch, std::function<void(Status)> on_durable) = 0;
};

}  // namespace culvert::net
