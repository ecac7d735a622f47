#include "model/mqtt/broker/commit_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "model/mqtt/broker/core.h"

namespace culvert::mqtt {
namespace {

template <class T>
void append(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

CommitQueue::CommitQueue(Core& core, net::Store* store)
    : core_(core),
      store_(store),
      retry_(core.host().timers(), [this] { flush(); }),
      held_(core.host().timers(), [this] { flush_all(); }) {}

void CommitQueue::put(std::string key, net::Buffer value, Fate fate) {
  next_.bytes += key.size() + value.size();
  waiting_bytes_ += key.size() + value.size();
  if (fate == Fate::tried_again) next_.again.push_back({key, false, value});
  next_.changes.push_back({std::move(key), false, std::move(value)});
  pressing_ = true;
  core_.schedule_flush();
}

void CommitQueue::erase(std::string key, Fate fate) {
  if (fate == Fate::tried_again) next_.again.push_back({key, true, {}});
  next_.changes.push_back({std::move(key), true, {}});
  if (next_.changes.size() > kMostHeld) pressing_ = true;
  core_.schedule_flush();
}

void CommitQueue::then(Action action, size_t targets) {
  action.first_target = static_cast<uint32_t>(next_.targets.size() - targets);
  action.targets = static_cast<uint32_t>(targets);
  if (action.message) {
    next_.bytes += action.message->bytes();
    waiting_bytes_ += action.message->bytes();
  }
  next_.actions.push_back(std::move(action));
  pressing_ = true;
  core_.schedule_flush();
}

void CommitQueue::flush_all() {
  pressing_ = pressing_ || !next_.changes.empty();
  flush();
}

void CommitQueue::flush() {
  if (under_way_ || retry_.armed()) return;
  if (!pressing_) {
    if (!next_.changes.empty() && !held_.armed()) held_.arm_after(kHeld);
    return;
  }
  held_.cancel();
  pressing_ = false;
  std::swap(next_, now_);
  if (now_.changes.empty()) {  // only the order was to be kept
    waiting_bytes_ -= now_.bytes;
    return run(std::exchange(now_, {}));
  }
  under_way_ = true;
  net::StoreBatch batch;
  batch.changes = std::move(now_.changes);
  now_.changes.clear();
  ++core_.counters().commits;
  store_->commit(std::move(batch),
                 [this, alive = std::weak_ptr<bool>(alive_)](const net::Status& status) {
                   if (!alive.expired()) done(status);
                 });
}

void CommitQueue::done(const net::Status& status) {
  core_.note_time();
  under_way_ = false;
  waiting_bytes_ -= now_.bytes;
  if (status) {
    if (failing_) core_.log("store_recovered", {});
    failing_ = false;
    run(std::exchange(now_, {}));
  } else {
    ++core_.counters().commit_failures;
    if (!failing_) core_.log("store_failed", {{"why", status.to_string()}});
    failing_ = true;
    fail(std::exchange(now_, {}), status.error);
    retry_.arm_after(kRetry);
  }
  core_.unpark();
  flush();
  core_.commit_done();
}

void CommitQueue::run(Batch batch) {
  for (Action& action : batch.actions) {
    switch (action.kind) {
      case Action::Kind::publish:
        core_.finish_publish(action, batch.targets.data() + action.first_target, net::Error::none);
        break;
      case Action::Kind::again:
        core_.finish_again(action);
        break;
      case Action::Kind::reply:
        core_.finish_reply(action);
        break;
      case Action::Kind::call:
        action.call();
        break;
    }
  }
}

void CommitQueue::fail(Batch batch, net::Error error) {
  Batch retry;
  retry.changes = batch.again;
  keep_last_of_each(retry.changes);
  retry.again = retry.changes;
  for (const Change& change : retry.changes) retry.bytes += change.key.size() + change.value.size();
  std::vector<Action> refused;
  for (Action& action : batch.actions) {
    if (action.fate == Fate::refused) {
      refused.push_back(std::move(action));
      continue;
    }
    const auto* first = batch.targets.data() + action.first_target;
    action.first_target = static_cast<uint32_t>(retry.targets.size());
    retry.targets.insert(retry.targets.end(), first, first + action.targets);
    if (action.message) retry.bytes += action.message->bytes();
    retry.actions.push_back(std::move(action));
  }
  // What was gathered meanwhile goes behind it.
  const auto moved = static_cast<uint32_t>(retry.targets.size());
  for (Action& action : next_.actions) action.first_target += moved;
  append(retry.changes, next_.changes);
  append(retry.again, next_.again);
  append(retry.targets, next_.targets);
  append(retry.actions, next_.actions);
  waiting_bytes_ += retry.bytes;
  retry.bytes += next_.bytes;
  next_ = std::move(retry);
  pressing_ = !next_.changes.empty() || !next_.actions.empty();
  // The last one first: of two retained messages of a topic the earlier one comes back.
  for (auto it = refused.rbegin(); it != refused.rend(); ++it) core_.take_back(*it);
  for (const Action& action : refused) {
    core_.finish_publish(action, batch.targets.data() + action.first_target, error);
  }
}

// However long the disk stays full, no more is kept than there are keys.
void CommitQueue::keep_last_of_each(std::vector<Change>& changes) {
  std::stable_sort(changes.begin(), changes.end(),
                   [](const Change& a, const Change& b) { return a.key < b.key; });
  size_t kept = 0;
  for (size_t i = 0; i < changes.size(); ++i) {
    if (i + 1 < changes.size() && changes[i + 1].key == changes[i].key) continue;
    if (kept != i) changes[kept] = std::move(changes[i]);
    ++kept;
  }
  changes.resize(kept);
}

}  // namespace culvert::mqtt
