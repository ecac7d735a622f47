// culvert-node: one service on this machine. See options.cc for what it takes.
// Exit status: 0 well, 1 the service failed, 2 wrong options; commands have more.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <utility>

#include "impl/linux/host.h"
#include "impl/node/control.h"
#include "impl/node/input.h"
#include "impl/node/options.h"
#include "impl/program.h"
#include "model/services/service.h"

namespace culvert::node {
namespace {

const char* called = "culvert-node";  // or mqtt-pub …, for what is said on stderr

int complain(std::string_view sentence, int status) {
  // A service's sentence begins with its name; a command's own is enough.
  const std::string own = std::string(called) + ": ";
  if (sentence.substr(0, own.size()) == own) sentence.remove_prefix(own.size());
  std::fprintf(stderr, "%s%.*s\n", own.c_str(), static_cast<int>(sentence.size()), sentence.data());
  return status;
}

// The exit status of wrong options, and of a start that fails. To Nagios 1 is WARNING and 2
// CRITICAL: what was never checked is UNKNOWN (monitoring-plugins, plugin return codes).
int misused(const std::string& service) { return service == "mqtt-monitor" ? 3 : 2; }
int not_started(const std::string& service) { return service == "mqtt-monitor" ? 3 : 1; }

std::string sentence_of(const net::Status& status) {
  return status.detail.empty() ? std::string(to_string(status.error)) : status.detail;
}

services::Calendar calendar() {
  using std::chrono::system_clock;
  services::Calendar calendar;
  calendar.now_ns = [] {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               system_clock::now().time_since_epoch())
        .count();
  };
  calendar.text = [](int64_t seconds, const std::string& format) -> std::string {
    const std::time_t time = seconds;
    std::tm local{};
    char out[256];
    localtime_r(&time, &local);
    return {out, std::strftime(out, sizeof out, format.c_str(), &local)};
  };
  return calendar;
}

// Ours: how long a service may say good-bye after SIGTERM before the program ends anyway.
constexpr std::chrono::seconds kPatience{10};

// Where the events go: what `name` says; if that is nothing, to stdout, unless the service prints.
// -1: nowhere. The name was checked.
net::Result<int> open_events(const std::string& name, bool prints) {
  if (name.empty()) return prints ? STDERR_FILENO : STDOUT_FILENO;
  if (name == "stdout") return STDOUT_FILENO;
  if (name == "stderr") return STDERR_FILENO;
  if (name == "none") return -1;
  // For its owner only: with --key-log there is in it what decrypts the traffic.
  const int fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return {net::Error::failed, "--events: cannot write to '" + name + "'"};
  return fd;
}

void write_all(int fd, net::Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR) return;  // whoever read it has gone
    if (count > 0) bytes = bytes.subspan(static_cast<size_t>(count));
  }
}

int run(const Options& options) {
  linux_host::Loop loop;
  net::EventLog::Sink events;  // chosen once the service is known
  linux_host::HostOptions host_options;
  host_options.name = options.node;
  host_options.seed = options.seed;
  host_options.epoch = options.epoch;
  host_options.secrets_folder = options.secrets;
  host_options.secret_paths = options.secret_paths;
  host_options.data_folder = options.data;
  host_options.sync_stores = options.sync;
  host_options.names = options.names;
  if (options.events != "none")
    host_options.log = [&events](std::string_view line) {
      if (events) events(line);
    };
  linux_host::LinuxHost host(loop, std::move(host_options));

  auto service = services::make(host, options.service);
  if (!service) return complain(service.status().detail, misused(options.service[0]));

  const auto opened = open_events(options.events, (*service)->prints());
  if (!opened) return complain(opened.status().detail, 2);
  events = linux_host::log_to(*opened);
  if (options.control && (*service)->wants_input())
    return complain("--control: " + options.service[0] + " reads stdin itself", 2);

  int status = 0;
  (*service)->use_calendar(calendar());
  (*service)->on_complaint([](std::string_view sentence) { complain(sentence, 0); });
  // Who commands a service hears its events; nothing else may stand between them.
  if (!options.control || *opened != STDOUT_FILENO)
    (*service)->on_output([](net::Bytes text) { write_all(STDOUT_FILENO, text); });
  (*service)->on_finished([&](net::Status outcome) {
    if (!options.once && !(*service)->is_tool()) return;
    const bool silent = (*service)->is_tool() && outcome.detail.empty();  // it has said it all
    if (!outcome) status = silent ? 1 : complain(sentence_of(outcome), 1);
    status = (*service)->exit_status().value_or(status);
    loop.stop();
  });
  // The first signal asks the service to end well, the second one does not ask.
  boost::asio::steady_timer patience(loop.context());
  bool stopping = false;
  const auto stop = [&] {
    if (std::exchange(stopping, true)) return loop.stop();
    patience.expires_after(kPatience);
    patience.async_wait([&](auto error) {
      if (!error) loop.stop();
    });
    (*service)->stop([&] { loop.stop(); });
  };
  bool started = false;
  const auto reload = [&] {
    const net::Status done = started ? (*service)->command("reload") : net::Status();
    if (!done)
      host.log().write("node", "command_refused", {{"line", "reload"}, {"why", done.detail}});
  };
  boost::asio::signal_set signals(loop.context(), SIGTERM, SIGINT);
  // As for mosquitto; to whoever reads nothing anew it means what it always did.
  if ((*service)->reloads()) signals.add(SIGHUP);
  std::function<void()> await_signal = [&] {
    signals.async_wait([&](auto error, int number) {
      if (error) return;
      number == SIGHUP ? reload() : stop();
      await_signal();
    });
  };
  await_signal();
  // A service starts from the loop, in both worlds.
  host.post([&] {
    if (const net::Status well = (*service)->start(); !well) {
      status =
          complain(options.service[0] + ": " + sentence_of(well), not_started(options.service[0]));
      loop.stop();
      return;
    }
    started = true;
  });
  Input input(loop.context(), [&](net::Bytes piece) { (*service)->input(piece); });
  if ((*service)->wants_input()) host.post([&] { input.start(); });
  std::unique_ptr<Control> control;
  if (options.control) {
    control = std::make_unique<Control>(
        loop.context(),
        [&](std::string_view line) {
          const net::Status done = (*service)->command(line);
          if (!done)
            host.log().write("node", "command_refused", {{"line", line}, {"why", done.detail}});
        },
        stop);
    if (!control->start()) return complain("--control: stdin must be a pipe or a terminal", 2);
  }
  loop.run();
  return status;
}

// Called by a command's name: its options follow, behind those that stand in the user's file;
// secrets are paths, events are not wanted. -h there is the broker's host.
net::Result<Options> parse_command(const std::string& name, std::vector<std::string> arguments) {
  auto defaults = read_defaults(name);
  if (!defaults) return defaults.status();
  arguments.insert(arguments.begin(), defaults->begin(), defaults->end());
  arguments.insert(arguments.begin(),
                   {"--secrets", ".", "--secret-paths", "--events", "none", name});
  return parse(arguments);
}

int main(const std::string& program, std::vector<std::string> arguments) {
  const std::string name = program.substr(program.rfind('/') + 1);
  const bool command = is_command(name);
  if (command) called = program.c_str() + program.size() - name.size();
  const auto options = command ? parse_command(name, std::move(arguments)) : parse(arguments);
  if (!options) return complain(options.status().detail, misused(command ? name : std::string()));
  switch (options->what) {
    case Options::Do::help:
      std::fputs(help().c_str(), stdout);
      return 0;
    case Options::Do::version:
      std::puts("culvert-node " CULVERT_VERSION);
      return 0;
    case Options::Do::list:
      for (const services::Info& info : services::list())
        std::printf("%-14s %s\n", std::string(info.name).c_str(), std::string(info.about).c_str());
      return 0;
    case Options::Do::service_help: {
      const auto text = services::help(options->service[0]);
      if (!text) return complain(text.status().detail, 2);
      std::fputs(text->c_str(), stdout);
      return 0;
    }
    case Options::Do::run:
      break;
  }
  return run(*options);
}

}  // namespace
}  // namespace culvert::node

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // whoever read our events may be gone
  std::signal(SIGXFSZ, SIG_IGN);  // a file at its limit (RLIMIT_FSIZE) is a full disk, no end
  return culvert::run_program("culvert-node", [&] {
    return culvert::node::main(argc > 0 ? argv[0] : "", {argv + std::min(argc, 1), argv + argc});
  });
}
