#include "impl/linux/loop.h"

#include <poll.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <stdexcept>

namespace culvert::linux_host {

namespace asio = boost::asio;

// Ours: a packet's end of turn, its commit, and what that sets free.
constexpr int kGenerations = 3;

Loop::Loop() : context_(1), epoll_(context_) {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) throw std::runtime_error("no epoll descriptor left");
  epoll_.assign(fd);
  wait();
}

Loop::~Loop() = default;

net::Time Loop::monotonic() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

void Loop::run() {
  context_.restart();
  context_.run();
}

void Loop::stop() { context_.stop(); }

bool Loop::run_until(const std::function<bool()>& done, net::Time deadline) {
  context_.restart();
  for (;;) {
    if (done()) return true;
    const net::Time left = deadline - monotonic();
    if (left <= net::Time(0)) return false;
    context_.run_one_for(left);
  }
}

uint32_t Loop::add(Watch* watch, int fd) {
  uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  slots_[slot].watch = watch;
  arm(EPOLL_CTL_ADD, slot, fd);
  return slot;
}

void Loop::arm(int operation, uint32_t slot, int fd) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = uint64_t{slots_[slot].generation} << 32 | slot;
  epoll_ctl(epoll_.native_handle(), operation, fd, &event);
}

void Loop::remove(uint32_t slot) {
  slots_[slot].watch = nullptr;
  slots_[slot].scheduled = false;
  ++slots_[slot].generation;
  free_.push_back(slot);
}

void Loop::schedule(uint32_t slot) {
  if (slots_[slot].scheduled) return;
  slots_[slot].scheduled = true;
  scheduled_.push_back(slot);
  if (turn_posted_ || collecting_) return;
  turn_posted_ = true;
  asio::post(context_, [this] { turn(); });
}

void Loop::post(std::shared_ptr<bool> alive, std::function<void()> task) {
  if (!context_.get_executor().running_in_this_thread()) {
    asio::post(context_, [alive = std::move(alive), task = std::move(task)] {
      if (*alive) task();
    });
    return;
  }
  tasks_.push_back({std::move(alive), std::move(task)});
  if (tasks_posted_ || collecting_) return;
  tasks_posted_ = true;
  asio::post(context_, [this] { run_tasks(); });
}

void Loop::run_tasks() {
  // A round costs the kernel being asked, so what these tasks post runs here, too; but not for
  // ever: a chain must not keep the loop from its sockets.
  tasks_posted_ = true;
  for (int generation = 0; generation < kGenerations; ++generation) {
    for (size_t left = tasks_.size(); left > 0 && !tasks_.empty(); --left) {
      const Task task = std::move(tasks_.front());
      tasks_.pop_front();
      if (*task.alive) task.run();
    }
  }
  tasks_posted_ = !tasks_.empty();
  if (tasks_posted_) asio::post(context_, [this] { run_tasks(); });
}

void Loop::wait() {
  epoll_.async_wait(asio::posix::descriptor_base::wait_read,
                    [this](const boost::system::error_code& error) {
                      if (error) return;
                      collect();
                      wait();
                    });
}

void Loop::collect() {
  epoll_event events[128];
  collecting_ = true;
  const int count = epoll_wait(epoll_.native_handle(), events, 128, 0);
  for (int i = 0; i < count; ++i) {
    const auto slot = static_cast<uint32_t>(events[i].data.u64);
    const auto generation = static_cast<uint32_t>(events[i].data.u64 >> 32);
    if (slots_[slot].watch == nullptr || slots_[slot].generation != generation) continue;
    slots_[slot].watch->edge(events[i].events);
  }
  // Callbacks, and what they post, run here and now rather than through another turn of the
  // io_context, which would ask the kernel twice more.
  if (!turn_posted_) turn();
  collecting_ = false;
  if (!tasks_posted_) run_tasks();
  if (scheduled_.empty() || turn_posted_) return;
  turn_posted_ = true;
  asio::post(context_, [this] { turn(); });
}

void Loop::turn() {
  turn_posted_ = false;
  current_.swap(scheduled_);
  for (size_t i = 0; i < current_.size(); ++i) {
    Slot& slot = slots_[current_[i]];
    if (slot.watch == nullptr || !slot.scheduled) continue;
    slot.scheduled = false;
    slot.watch->turn();
  }
  current_.clear();
}

Watch::~Watch() {
  // Closing the descriptor takes it out of the set; what that has told already is a generation old.
  if (fd_) loop_->remove(slot_);
  if (gone_) *gone_ = true;
}

void Watch::watch(Loop* loop, Fd fd) {
  unwatch();
  loop_ = loop;
  fd_ = std::move(fd);
  slot_ = loop->add(this, fd_.get());
}

Fd Watch::unwatch() {
  if (fd_) {
    loop_->arm(EPOLL_CTL_DEL, slot_, fd_.get());
    loop_->remove(slot_);
  }
  return std::move(fd_);
}

void Watch::schedule() {
  if (fd_) loop_->schedule(slot_);
}

void Watch::edge(uint32_t events) {
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) maybe_readable_ = true;
  if (events & (EPOLLIN | EPOLLRDHUP)) surely_readable_ = armed_ = true;
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) maybe_writable_ = true;
  if (events & (EPOLLRDHUP | EPOLLHUP)) hung_up_ = true;
  if (events & EPOLLERR) has_error_ = true;
  schedule();
}

void Watch::ask_again() {
  if (fd_) loop_->arm(EPOLL_CTL_MOD, slot_, fd_.get());
}

bool Watch::is_readable() {
  if (!maybe_readable_ || surely_readable_) return maybe_readable_;
  pollfd ask{fd_.get(), POLLIN | POLLRDHUP, 0};
  ::poll(&ask, 1, 0);
  return maybe_readable_ = surely_readable_ = ask.revents & ~POLLERR;
}

bool Watch::is_writable() {
  if (!maybe_writable_) return false;
  pollfd ask{fd_.get(), POLLOUT, 0};
  ::poll(&ask, 1, 0);
  return maybe_writable_ = ask.revents & (POLLOUT | POLLHUP | POLLERR);
}

void Watch::set(std::function<void()>& slot, std::function<void()> callback) {
  slot = std::move(callback);
  if (running_ == &slot) replaced_ = true;
}

bool Watch::run(std::function<void()>& callback, bool keep) {
  running_ = &callback;
  replaced_ = false;
  std::function<void()> function = std::move(callback);
  callback = nullptr;
  if (!survives(function)) return false;
  running_ = nullptr;
  if (keep && !replaced_) callback = std::move(function);
  return true;
}

}  // namespace culvert::linux_host
