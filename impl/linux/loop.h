// One thread's loop: a Boost.Asio io_context, with the readiness of all descriptors in one
// edge-triggered epoll set beside it. A descriptor costs 16 bytes here and no system call per wait,
// where an Asio descriptor costs some 300 bytes and an epoll_ctl each time.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "impl/linux/system.h"
#include "model/net/time.h"

namespace culvert::linux_host {

class Watch;

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop(). From one thread.
  void run();
  // From any thread, or from a signal set on context().
  void stop();
  // Runs until `done` holds, looking after every event, or until CLOCK_MONOTONIC reaches
  // `deadline`. For tests and programs that step by step start and stop things.
  bool run_until(const std::function<bool()>& done, net::Time deadline);

  boost::asio::io_context& context() { return context_; }
  // Runs `task` after the current callback, if `*alive` still holds then. From any thread.
  void post(std::shared_ptr<bool> alive, std::function<void()> task);
  // CLOCK_MONOTONIC.
  static net::Time monotonic();

 private:
  friend class Watch;
  uint32_t add(Watch* watch, int fd);
  void arm(int operation, uint32_t slot, int fd);
  void remove(uint32_t slot);    // its descriptor leaves the set, or is closed
  void schedule(uint32_t slot);  // has Watch::turn run on the next turn of the loop
  void wait();
  void collect();
  void turn();
  void run_tasks();

  struct Slot {
    Watch* watch = nullptr;
    uint32_t generation = 0;  // an event for a Watch that is gone must not meet its successor
    bool scheduled = false;
  };
  boost::asio::io_context context_;
  boost::asio::posix::stream_descriptor epoll_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_, scheduled_, current_;
  bool turn_posted_ = false;
  bool collecting_ = false;  // events are handed out: turns and tasks follow without Asio's help

  struct Task {
    std::shared_ptr<bool> alive;
    std::function<void()> run;
  };
  std::deque<Task> tasks_;  // of this thread
  bool tasks_posted_ = false;
};

// A descriptor in a Loop. turn() runs on the loop, never inside a call of the owner's.
class Watch {
 public:
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 protected:
  Watch() = default;
  virtual ~Watch();
  void watch(Loop* loop, Fd fd);  // non-blocking; edges from now on
  Fd unwatch();                   // gives it back
  // Called after an edge, or after schedule().
  virtual void turn() = 0;
  void schedule();

  // What the edges have told and no call has disproved since.
  bool maybe_readable_ = false, maybe_writable_ = false;
  bool surely_readable_ = false;  // an edge said so, and nothing was read since
  bool hung_up_ = false;          // the peer finished or the socket died: reading will tell
  bool has_error_ = false;        // something may be in the error queue

  bool armed_ = false;  // on_readable is due: something came, something was read, or it was set
  // Has the kernel tell its edges anew, if there is something to tell.
  void ask_again();
  // Asks the kernel, if the edges leave it open; corrects what is noted above.
  bool is_readable();
  bool is_writable();

  // Runs a callback that may destroy this, or set another in its place. False: this is gone.
  bool run(std::function<void()>& callback, bool keep);
  // For run(): a callback slot was set anew. Call it from whatever sets one.
  void set(std::function<void()>& slot, std::function<void()> callback);
  // Calls; false: the call destroyed this.
  template <class Function>
  bool survives(Function&& call) {
    bool gone = false;
    gone_ = &gone;
    call();
    if (gone) return false;
    gone_ = nullptr;
    return true;
  }

  int fd() const { return fd_.get(); }

 private:
  friend class Loop;
  void edge(uint32_t events);
  Loop* loop_ = nullptr;
  Fd fd_;
  uint32_t slot_ = 0;
  std::function<void()>* running_ = nullptr;  // the slot whose callback runs now
  bool replaced_ = false;
  bool* gone_ = nullptr;  // set to true by the destructor, if somebody waits to know
};

}  // namespace culvert::linux_host
