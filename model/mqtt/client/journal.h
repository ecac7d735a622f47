// What of a client survives a crash: its changes are gathered and committed one batch after the
// other, and whoever may not speak before its change is durable waits for that batch's number.
// Without a store every number is durable at once. Stands on model/net/store.h.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/mqtt/client/outbox.h"
#include "model/net/store.h"

namespace culvert::mqtt {

class Journal {
 public:
  // Changes of one client are told from those of others in the store by its identifier.
  Journal(net::Store* store, const std::string& client_id);
  bool on() const { return store_ != nullptr; }

  void message(uint64_t sequence, Bytes packet);  // to be sent
  void released(uint64_t sequence);               // PUBREC came
  void forget(uint64_t sequence);
  void incoming(uint16_t id, Bytes packet);  // empty: handed on; else held until PUBREL
  void forget_incoming(uint16_t id);
  void also(net::StoreBatch batch);  // the application's, in the same commit
  void assigned(const std::string& client_id);
  // From now on whatever is up to `sequence` may have been sent.
  void mark(uint64_t sequence_end);
  uint64_t marked() const { return marked_; }
  bool may_send(uint64_t sequence) const { return !on() || sequence < durable_mark_; }

  // The number of the commit that will hold what is noted now.
  uint64_t barrier() const { return on() ? started_ + 1 : 0; }
  // When this one is durable, all that was noted until now is.
  uint64_t all() const {
    return batch_.changes.empty() && !mark_changed_ ? started_ : started_ + 1;
  }
  uint64_t durable() const { return on() ? durable_ : ~uint64_t{0}; }
  bool idle() const { return !committing_ && batch_.changes.empty() && !mark_changed_; }

  // Commits what is noted, unless a commit is under way. `done` runs later, once for each commit;
  // call finished() from it.
  void flush(std::function<void(net::Status)> done);
  // Takes a commit's result. If it failed its changes are noted again, before all later ones.
  void finished(bool well);

  struct Loaded {
    std::string client_id;  // assigned by a broker; empty: none
    size_t damaged = 0;     // records that could not be read; they were left where they are
    net::Status status;     // failed: there may be more than was read
  };
  Loaded load(Outbox& outbox, const std::function<void(uint16_t, net::Buffer)>& incoming);

 private:
  void put(std::string key, Bytes head, Bytes value);
  void erase(std::string key);
  std::string key(char kind, uint64_t number) const;

  net::Store* store_;
  std::string prefix_;
  net::StoreBatch batch_, under_way_;
  uint64_t started_ = 0, durable_ = 0, marked_ = 0;
  uint64_t mark_under_way_ = 0, durable_mark_ = 0;
  bool committing_ = false, mark_changed_ = false;
};

}  // namespace culvert::mqtt
