// What must be durable before it may show: gathers the changes of a turn of the loop into one batch
// and keeps what waits for it - acknowledgements, messages onward - in order. One commit is under
// way at a time; what comes meanwhile is the next. What is only to be forgotten, and nobody waits
// for, goes with the next one that somebody does. docs/decisions/0008. Stands on store.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/mqtt/broker/id_lists.h"
#include "model/mqtt/broker/message.h"
#include "model/mqtt/broker/subscriptions.h"
#include "model/net/host.h"

namespace culvert::mqtt {

class Core;

class CommitQueue {
 public:
  // What becomes of a change or an action whose commit failed: a message that a client has
  // published is refused, and it is as if it had never come; all else is tried again.
  enum class Fate : uint8_t { refused, tried_again };

  // Where a message goes on: an entry of a session's queue, or at QoS 0.
  struct Target {
    SessionIndex session = 0;
    uint32_t serial = 0;    // the session's
    uint64_t sequence = 0;  // of the entry; kQos0
    IdLists::Ids ids = 0;   // QoS 0 only; the entry has its own
    bool retain = false, free = false;
  };
  static constexpr uint64_t kQos0 = ~uint64_t{0};

  struct Action {
    enum class Kind : uint8_t {
      publish,  // acknowledge a PUBLISH and let its targets have it
      again,    // PUBREC for a PUBLISH that is already known
      reply,    // PUBREL or PUBCOMP
      call,     // anything else
    };
    Kind kind = Kind::publish;
    Fate fate = Fate::refused;
    uint8_t qos = 0;
    Type type = Type::puback;
    Reason reason = Reason::success;
    uint16_t packet_id = 0;
    uint32_t connection = ~uint32_t{0}, connection_serial = 0;  // slot
    SessionIndex session = 0;                                   // the publisher's
    uint32_t session_serial = 0;
    uint32_t first_target = 0, targets = 0;
    MessagePtr message;
    bool retained = false;  // it replaced this retained message (null: there was none)
    MessagePtr retained_before;
    std::function<void()> call;
  };

  CommitQueue(Core& core, net::Store* store);

  bool on() const { return store_ != nullptr; }
  net::Store* store() const { return store_; }
  // Something is to be made durable: whatever wants its place in the order queues behind it.
  bool busy() const { return under_way_ || pressing_; }
  bool idle() const { return !busy() && next_.changes.empty(); }
  // So much waits that publishers should pause.
  bool behind() const { return waiting_bytes_ > kMostWaiting; }

  void put(std::string key, net::Buffer value, Fate fate);
  void erase(std::string key, Fate fate = Fate::tried_again);
  // `targets` are added before the action that they belong to.
  void add(const Target& target) { next_.targets.push_back(target); }
  void then(Action action, size_t targets = 0);
  // Begins a commit, if there is something to commit and none is under way.
  void flush();
  // The same, for what nobody waits for, too.
  void flush_all();

 private:
  // Ours: what a pause of the disk may gather before publishers are no longer read.
  static constexpr size_t kMostWaiting = 16 * 1024 * 1024;
  // Ours: a full disk is asked again this often.
  static constexpr net::Duration kRetry = net::Duration(1'000'000'000);
  // Ours: erasures that nobody waits for are kept back so long, for a commit to take them along,
  // and so many. A crash meanwhile repeats what it would have repeated a moment before.
  static constexpr net::Duration kHeld = net::Duration(10'000'000);
  static constexpr size_t kMostHeld = 1024;

  using Change = net::StoreBatch::Change;
  struct Batch {
    std::vector<Change> changes;
    std::vector<Change> again;  // copies of those to try again if the commit fails
    std::vector<Target> targets;
    std::vector<Action> actions;
    size_t bytes = 0;
  };
  void done(const net::Status& status);
  void run(Batch batch);
  void fail(Batch batch, net::Error error);
  static void keep_last_of_each(std::vector<Change>& changes);

  Core& core_;
  net::Store* store_;
  Batch next_, now_;
  bool under_way_ = false;
  bool pressing_ = false;  // next_ has what somebody waits for
  bool failing_ = false;   // the last commit failed, and that was told
  size_t waiting_bytes_ = 0;
  net::Timer retry_, held_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace culvert::mqtt
