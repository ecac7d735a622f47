#include "impl/wire/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace culvert::wire {
namespace {

constexpr size_t kMaxCommand = 4096;  // bytes of a line
constexpr uint64_t kTimer = ~uint64_t{0}, kSignals = kTimer - 1, kStdin = kTimer - 2;

bool add(int epoll, int fd, uint64_t what) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = what;
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

Daemon::Daemon() {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  signals_ = ::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
  ::prctl(PR_SET_TIMERSLACK, 1);  // nanoseconds
  add(epoll_, timer_, kTimer);
  add(epoll_, signals_, kSignals);
  add(epoll_, STDIN_FILENO, kStdin);  // fails for a regular file: then there are no commands
}

Daemon::~Daemon() {
  ::close(epoll_);
  ::close(timer_);
  ::close(signals_);
}

void Daemon::watch(int fd, std::function<void()> readable) {
  add(epoll_, fd, watched_.size());
  watched_.push_back(std::move(readable));
}

void Daemon::print(std::string_view line) {
  output_.append(line);
  output_ += '\n';
}

void Daemon::flush() {
  size_t at = 0;
  while (at < output_.size()) {
    const ssize_t size = ::write(STDOUT_FILENO, output_.data() + at, output_.size() - at);
    if (size >= 0) {
      at += static_cast<size_t>(size);
    } else if (errno == EAGAIN) {  // a pipe that somebody else made non-blocking
      pollfd ready{STDOUT_FILENO, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      break;  // nobody listens: the log is lost, the packets are not
    }
  }
  output_.clear();
}

void Daemon::run() {
  epoll_event events[64];
  while (!done_) {
    arm(on_turn());
    flush();
    const int count = ::epoll_wait(epoll_, events, 64, -1);
    on_turn();
    for (int i = 0; i < count; ++i) {
      const uint64_t what = events[i].data.u64;
      if (what == kTimer) {
        uint64_t expirations;
        if (::read(timer_, &expirations, sizeof expirations) > 0) armed_ns_ = INT64_MAX;
      } else if (what == kSignals) {
        done_ = true;
      } else if (what == kStdin) {
        read_commands();
      } else {
        watched_[what]();
      }
    }
  }
  flush();
}

void Daemon::arm(int64_t at_ns) {
  if (at_ns == armed_ns_) return;
  armed_ns_ = at_ns;
  itimerspec when{};  // all zero disarms
  if (at_ns != INT64_MAX) {
    const int64_t at = at_ns < 1 ? 1 : at_ns;
    when.it_value.tv_sec = at / 1000000000;
    when.it_value.tv_nsec = at % 1000000000;
  }
  ::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
}

void Daemon::read_commands() {
  char buffer[4096];
  const ssize_t size = ::read(STDIN_FILENO, buffer, sizeof buffer);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) {  // whoever commanded is gone; the work goes on
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, STDIN_FILENO, nullptr);
    return;
  }
  input_.append(buffer, static_cast<size_t>(size));
  for (size_t end; (end = input_.find('\n')) != std::string::npos;) {
    const std::string line = input_.substr(0, end);
    input_.erase(0, end + 1);
    if (!line.empty() && on_command) on_command(line);
  }
  if (input_.size() > kMaxCommand) input_.clear();
}

}  // namespace culvert::wire
