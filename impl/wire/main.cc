// culvert-wire: the links of one network, between TAP devices. Delay, jitter, loss, rate and LANs
// where the kernel has no netem. Events on stdout, commands ("LINK cut") as lines on stdin.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "impl/wire/clock.h"
#include "impl/wire/lan.h"
#include "impl/wire/options.h"
#include "impl/wire/tap.h"

namespace culvert::wire {
namespace {

constexpr size_t kReadsPerTurn = 64;  // frames of one end before the others have their turn
constexpr size_t kMaxCommand = 4096;  // bytes of a line

int fail(const std::string& sentence) {
  std::cerr << "culvert-wire: " << sentence << "\n";
  return 2;
}

class Wire {
 public:
  Wire(uint64_t seed, int64_t epoch_ns) : seed_(seed), epoch_ns_(epoch_ns) {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    signals_ = ::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    ::prctl(PR_SET_TIMERSLACK, 1);  // nanoseconds
    watch(timer_, kTimer);
    watch(signals_, kSignals);
    ::fcntl(STDIN_FILENO, F_SETFL, ::fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    stdin_open_ = watch(STDIN_FILENO, kStdin);  // not for regular files: then there are no commands
  }

  void add(const LinkOptions& link) {
    lans_.push_back(
        std::make_unique<Lan>(link, seed_, epoch_ns_, scheduler_, [this](std::string_view line) {
          out_.append(line);
          out_ += '\n';
        }));
    for (size_t i = 0; i < link.ends.size(); ++i) {
      watch(link.ends[i].fd, ports_.size());
      ports_.push_back({lans_.back().get(), i});
    }
  }

  net::Status capture(const std::string& folder) {
    for (auto& lan : lans_) {
      if (net::Status status = lan->capture(folder); !status) return status;
    }
    capturing_ = true;
    return {};
  }

  int run() {
    epoll_event events[64];
    while (!done_) {
      arm_timer();
      const int count = ::epoll_wait(epoll_, events, 64, -1);
      if (count < 0 && errno != EINTR) return fail(std::string("epoll: ") + strerror(errno));
      deliver_due();
      for (int i = 0; i < count; ++i) handle(events[i].data.u64);
      deliver_due();
      if (capturing_) {
        for (auto& lan : lans_) lan->flush_captures();
      }
      flush();
    }
    return 0;
  }

 private:
  static constexpr uint64_t kTimer = ~uint64_t{0}, kSignals = kTimer - 1, kStdin = kTimer - 2;

  bool watch(int fd, uint64_t what) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = what;
    return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
  }

  void handle(uint64_t what) {
    if (what == kTimer) {
      uint64_t expirations;
      if (::read(timer_, &expirations, sizeof expirations) < 0) return;
      armed_ns_ = INT64_MAX;
    } else if (what == kSignals) {
      done_ = true;
    } else if (what == kStdin) {
      read_commands();
    } else {
      const Port& port = ports_[what];
      port.lan->read_end(port.end, kReadsPerTurn);
    }
  }

  void deliver_due() {
    Lane* lane = nullptr;
    while (Frame* frame = scheduler_.take_due(now_ns(), &lane)) lane->lan->deliver(*lane, frame);
  }

  void arm_timer() {
    const int64_t next = scheduler_.next_ns();
    if (next == armed_ns_) return;
    armed_ns_ = next;
    itimerspec when{};  // all zero disarms
    if (next != INT64_MAX) {
      when.it_value.tv_sec = next / 1000000000;
      when.it_value.tv_nsec = next % 1000000000;
    }
    ::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
  }

  void read_commands() {
    char buffer[4096];
    const ssize_t size = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) {  // whoever commanded is gone; the links stay
      ::epoll_ctl(epoll_, EPOLL_CTL_DEL, STDIN_FILENO, nullptr);
      return;
    }
    input_.append(buffer, static_cast<size_t>(size));
    for (size_t end; (end = input_.find('\n')) != std::string::npos;) {
      command(input_.substr(0, end));
      input_.erase(0, end + 1);
    }
    if (input_.size() > kMaxCommand) input_.clear();
  }

  void command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    if (name.empty()) return;
    for (auto& lan : lans_) {
      if (lan->name() != name) continue;
      const std::string text = space == std::string::npos ? "" : line.substr(space + 1);
      if (net::Status status = lan->command(text); !status) fail(status.detail);
      return;
    }
    fail("there is no link '" + name + "'");
  }

  void flush() {
    size_t at = 0;
    while (at < out_.size()) {
      const ssize_t size = ::write(STDOUT_FILENO, out_.data() + at, out_.size() - at);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) break;  // nobody listens: the log is lost, the links are not
      at += static_cast<size_t>(size);
    }
    out_.clear();
  }

  struct Port {
    Lan* lan;
    size_t end;
  };
  uint64_t seed_;
  int64_t epoch_ns_;
  int epoll_ = -1, timer_ = -1, signals_ = -1;
  bool stdin_open_ = false, done_ = false, capturing_ = false;
  int64_t armed_ns_ = INT64_MAX;
  Scheduler scheduler_;
  std::vector<std::unique_ptr<Lan>> lans_;
  std::vector<Port> ports_;
  std::string input_, out_;
};

int run(int argc, char** argv) {
  CLI::App app{
      "The links of one network between TAP devices: delay, jitter, loss, rate, LANs.\n"
      "Commands on stdin: LINK cut | LINK mend | LINK set delay_ms=20 loss=0.01"};
  std::string config, folder;
  std::vector<std::string> texts;
  uint64_t seed = 1;
  int64_t epoch_ns = now_ns();
  app.add_option("--config", config, "JSON file with the plan's links");
  app.add_option("--link", texts,
                 "NAME=END,END[,END...][:delay_ms=10,jitter_ms=0,loss=0,"
                 "rate_mbps=100,mtu=1500,queue=1000]");
  app.add_option("--seed", seed, "of loss and jitter");
  app.add_option("--epoch-ns", epoch_ns, "start of the run on the monotonic clock");
  app.add_option("--pcap", folder, "write a capture of every end into this folder");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return fail(error.what());
  }

  std::vector<LinkOptions> links;
  if (!config.empty()) {
    std::ifstream file(config);
    if (!file) return fail("cannot read " + config + ": " + strerror(errno));
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    auto parsed = parse_config(text);
    if (!parsed) return fail(parsed.status().detail);
    links = std::move(*parsed);
  }
  for (const std::string& text : texts) {
    auto link = parse_link(text);
    if (!link) return fail(link.status().detail);
    links.push_back(std::move(*link));
  }
  if (links.empty()) return fail("no links: give --config FILE or --link NAME=END,END");
  for (LinkOptions& link : links) {
    for (EndOptions& end : link.ends) {
      if (end.fd >= 0) {
        if (net::Status status = adopt_tap(end.fd); !status) return fail(status.detail);
        continue;
      }
      auto fd = open_tap(end.interface);
      if (!fd) return fail(fd.status().detail);
      end.fd = *fd;
    }
  }

  Wire wire(seed, epoch_ns);
  for (const LinkOptions& link : links) wire.add(link);
  if (!folder.empty()) {
    if (net::Status status = wire.capture(folder); !status) return fail(status.detail);
  }
  return wire.run();
}

}  // namespace
}  // namespace culvert::wire

int main(int argc, char** argv) { return culvert::wire::run(argc, argv); }
