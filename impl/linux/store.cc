#include "impl/linux/store.h"

#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "impl/linux/system.h"

namespace culvert::linux_host {

using net::Error;
using net::Result;
using net::Status;

namespace {

// Ours: what the loop writes itself; beyond it, waking the thread costs less than the writing.
constexpr size_t kFewChanges = 16, kFewBytes = 64 * 1024;
// Ours: a write to the page cache that takes so long waits for the disk; how long to spare the
// loop.
constexpr net::Duration kSlow = net::Duration(20'000'000), kSpared = net::Duration(1'000'000'000);
constexpr std::chrono::seconds kQuiet(1);  // without a write, and the WAL is tidied; ours

}  // namespace

Result<std::unique_ptr<net::Store>> StoreImpl::open(net::Host& host, const std::string& folder,
                                                    const std::string& name, bool sync) {
  if (const Status sense = net::check_store_name(name); !sense) return sense;
  if (folder.empty())
    return {Error::not_found,
            "no data folder (--data) was given in which to keep the store " + name};
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return status_of(errno, "making the data folder " + folder);
  auto file = StoreFile::open(folder + "/" + name + ".db", sync);
  if (!file) return file.status();
  return std::unique_ptr<net::Store>(std::make_unique<StoreImpl>(host, std::move(*file), sync));
}

StoreImpl::StoreImpl(net::Host& host, std::unique_ptr<StoreFile> file, bool sync)
    : host_(host), file_(std::move(file)), sync_(sync), thread_([this] { run(); }) {}

StoreImpl::~StoreImpl() {
  *alive_ = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void StoreImpl::commit(net::StoreBatch batch, std::function<void(Status)> on_durable) {
  if (!growing_) {
    growing_ = true;
    pending_.push_back(std::make_shared<Group>());
    // All commits of this turn make one group: a wake of the thread each would cost more than they.
    host_.post([this, alive = alive_] {
      if (*alive) hand_over();
    });
  }
  Status sense = check_store_batch(batch);
  if (!sense.ok()) batch.changes.clear();
  pending_.back()->push_back({std::move(batch), std::move(on_durable), std::move(sense)});
}

void StoreImpl::hand_over() {
  growing_ = false;
  // If nothing is under way: the order is that of the commits.
  if (pending_.size() == 1 && write_here(*pending_.front()))
    return written(1, std::vector<Status>(pending_.front()->size()));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(pending_.back());
  }
  wake_.notify_one();
}

bool StoreImpl::write_here(const Group& group) {
  if (sync_ || host_.now() < slow_until_) return false;
  size_t changes = 0, bytes = 0;
  for (const Pending& pending : group) {
    changes += pending.batch.changes.size();
    for (const Change& change : pending.batch.changes) bytes += change.value.size();
    if (changes > kFewChanges || bytes > kFewBytes) return false;
  }
  StoreFile::Batches batches;
  for (const Pending& pending : group) batches.push_back(&pending.batch);
  const net::Time begin = host_.now();
  if (!file_->write_now(batches)) return false;
  if (host_.now() > begin + kSlow) slow_until_ = host_.now() + kSpared;
  const bool much = file_->much();
  const std::lock_guard<std::mutex> lock(mutex_);
  ++written_here_;
  if (file_->untidy() || much != told_much_) wake_.notify_one();
  told_much_ = much;
  return true;
}

// The thread: writes what it is given, and keeps the WAL short.
void StoreImpl::run() {
  sigset_t all;  // signals are for the loops' threads
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::vector<GroupPtr> groups;
  StoreFile::Batches batches;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    if (stop_) return;
    if (queue_.empty() && !file_->untidy()) {
      if (!file_->much()) {
        wake_.wait(lock);
        continue;
      }
      const uint64_t before = written_here_;
      if (wake_.wait_for(lock, kQuiet) == std::cv_status::no_timeout || written_here_ != before)
        continue;
      lock.unlock();
      file_->tidy();
      lock.lock();
      continue;
    }
    groups.swap(queue_);
    lock.unlock();
    if (!groups.empty()) {
      batches.clear();
      for (const GroupPtr& group : groups)
        for (const Pending& pending : *group) batches.push_back(&pending.batch);
      std::vector<Status> outcomes;
      file_->write(batches, outcomes);
      const size_t count = groups.size();
      groups.clear();  // before the loop frees them: their callbacks must not die on this thread
      host_.post([this, alive = alive_, count, outcomes = std::move(outcomes)] {
        if (*alive) written(count, outcomes);
      });
    }
    if (file_->untidy()) file_->tidy();
    lock.lock();
  }
}

void StoreImpl::written(size_t groups, const std::vector<Status>& outcomes) {
  std::vector<GroupPtr> done(pending_.begin(), pending_.begin() + static_cast<long>(groups));
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<long>(groups));
  index_.clear();
  indexed_groups_ = indexed_batches_ = 0;
  const std::shared_ptr<bool> alive = alive_;
  auto outcome = outcomes.begin();
  for (const GroupPtr& group : done)
    for (Pending& pending : *group) {
      const auto told = std::move(pending.on_durable);
      if (told) told(pending.status.ok() ? *outcome : pending.status);
      ++outcome;
      if (!*alive) return;  // told() has destroyed this
    }
}

void StoreImpl::refresh_index() const {
  for (; indexed_groups_ < pending_.size(); ++indexed_groups_, indexed_batches_ = 0) {
    const Group& group = *pending_[indexed_groups_];
    for (; indexed_batches_ < group.size(); ++indexed_batches_)
      for (const Change& change : group[indexed_batches_].batch.changes)
        index_[change.key] = &change;
    if (growing_ && indexed_groups_ + 1 == pending_.size()) return;
  }
}

Result<net::Buffer> StoreImpl::get(const std::string& key) const {
  refresh_index();
  const auto found = index_.find(key);
  if (found == index_.end()) return file_->get(key);
  if (found->second->erase) return {Error::not_found, "the store has no such key"};
  return found->second->value;
}

Status StoreImpl::scan(const std::string& prefix,
                       const std::function<void(const std::string&, net::Bytes)>& visit) const {
  refresh_index();
  std::vector<std::pair<std::string, std::shared_ptr<net::Buffer>>> fresh;  // null: erased
  for (const auto& [key, change] : index_)
    if (key.substr(0, prefix.size()) == prefix)
      fresh.emplace_back(key,
                         change->erase ? nullptr : std::make_shared<net::Buffer>(change->value));
  std::sort(fresh.begin(), fresh.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  size_t next = 0;
  const auto pass_fresh = [&](const std::string* before) {
    for (; next < fresh.size() && (!before || fresh[next].first < *before); ++next)
      if (fresh[next].second) visit(fresh[next].first, *fresh[next].second);
  };
  const Status status = file_->scan(prefix, [&](const std::string& key, net::Bytes value) {
    pass_fresh(&key);
    if (next < fresh.size() && fresh[next].first == key) {
      if (fresh[next].second) visit(key, *fresh[next].second);
      ++next;
    } else {
      visit(key, value);
    }
  });
  pass_fresh(nullptr);
  return status;
}

}  // namespace culvert::linux_host
