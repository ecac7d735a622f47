#include "model/net/memory_store.h"

#include <deque>
#include <vector>

namespace culvert::net {

class MemoryStore final : public Store {
 public:
  MemoryStore(Host& host, MemoryDisk& disk, MemoryDisk::Shelf& shelf)
      : disk_(disk), shelf_(shelf), timer_(host.timers(), [this] { written(); }) {
    shelf_.open = true;
  }
  ~MemoryStore() override {
    shelf_.open = false;
    *alive_ = false;
  }

  Result<Buffer> get(const std::string& key) const override {
    const auto pending = overlay_.find(key);
    if (pending != overlay_.end()) {
      if (pending->second.erased) return {Error::not_found, "the store has no such key"};
      return pending->second.value;
    }
    const auto found = shelf_.contents.find(key);
    if (found == shelf_.contents.end()) return {Error::not_found, "the store has no such key"};
    return found->second;
  }

  Status scan(const std::string& prefix,
              const std::function<void(const std::string&, Bytes)>& visit) const override {
    MemoryDisk::Contents seen;  // a copy: `visit` may commit
    const auto begins = [&](const std::string& key) {
      return key.compare(0, prefix.size(), prefix) == 0;
    };
    for (auto i = shelf_.contents.lower_bound(prefix);
         i != shelf_.contents.end() && begins(i->first); ++i)
      seen.insert(*i);
    for (auto i = overlay_.lower_bound(prefix); i != overlay_.end() && begins(i->first); ++i) {
      if (i->second.erased)
        seen.erase(i->first);
      else
        seen[i->first] = i->second.value;
    }
    for (const auto& [key, value] : seen) visit(key, value);
    return {};
  }

  void commit(StoreBatch batch, std::function<void(Status)> on_durable) override {
    if (lost_) return;
    const Status sense = check_store_batch(batch);
    if (sense.ok()) show(batch);
    waiting_.push_back({std::move(batch), std::move(on_durable), sense});
    if (!timer_.armed() && writing_ == 0) begin();
  }

 private:
  struct Pending {
    StoreBatch batch;
    std::function<void(Status)> on_durable;
    Status status;
  };
  struct Shown {
    bool erased = false;
    Buffer value;
  };

  void show(const StoreBatch& batch) {
    for (const StoreBatch::Change& change : batch.changes)
      overlay_[change.key] = {change.erase, change.erase ? Buffer() : change.value};
  }
  void begin() {
    writing_ = waiting_.size();
    if (writing_ > 0) timer_.arm_after(disk_.commit_delay_);
  }
  void apply(const StoreBatch& batch) {
    for (const StoreBatch::Change& change : batch.changes) {
      if (change.erase)
        shelf_.contents.erase(change.key);
      else
        shelf_.contents[change.key] = change.value;
    }
  }
  // Judges and applies one batch; false: the power is gone.
  bool write(Pending& pending) {
    using Fate = MemoryDisk::Fate;
    const uint64_t n = ++disk_.commits_;
    const Fate fate = disk_.judge_ ? disk_.judge_(n, pending.batch) : Fate::written;
    if (fate == Fate::lose_power_before) return false;
    if (fate == Fate::no_room) {
      pending.status = {Error::exhausted, "no room is left on the disk"};
    } else if (fate == Fate::broken) {
      pending.status = {Error::failed, "the disk is broken"};
    } else if (pending.status.ok()) {
      apply(pending.batch);
    }
    return fate != Fate::lose_power_after;
  }

  // The write has ended.
  void written() {
    std::vector<Pending> group;
    for (size_t i = 0; i < writing_; ++i) {
      group.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    for (Pending& pending : group)
      if (!write(pending)) return lose_power();
    overlay_.clear();
    for (const Pending& pending : waiting_)
      if (pending.status.ok()) show(pending.batch);
    begin();
    // From the loop already, so nobody's call is on the stack; each callback may destroy this.
    const std::shared_ptr<bool> alive = alive_;
    for (Pending& pending : group) {
      if (pending.on_durable) pending.on_durable(pending.status);
      if (!*alive) return;
    }
  }
  void lose_power() {
    lost_ = true;
    waiting_.clear();
    const std::function<void()> callback = disk_.power_lost_;
    if (callback) callback();
  }

  MemoryDisk& disk_;
  MemoryDisk::Shelf& shelf_;
  Timer timer_;
  std::deque<Pending> waiting_;  // the first writing_ of them are being written
  size_t writing_ = 0;
  std::map<std::string, Shown> overlay_;  // committed, not yet written
  bool lost_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

Result<std::unique_ptr<Store>> MemoryDisk::open(Host& host, const std::string& name) {
  if (const Status sense = check_store_name(name); !sense) return sense;
  Shelf& shelf = shelves_[name];
  if (shelf.open) return {Error::in_use, "the store " + name + " of " + host.name() + " is open"};
  return std::unique_ptr<Store>(std::make_unique<MemoryStore>(host, *this, shelf));
}

}  // namespace culvert::net
