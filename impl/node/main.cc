// culvert-node: one service on this machine. See options.cc for what it takes.
// Exit status: 0 stopped or finished well, 1 the service failed, 2 wrong options.
#include <unistd.h>

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <memory>

#include "impl/linux/host.h"
#include "impl/node/control.h"
#include "impl/node/options.h"
#include "impl/program.h"
#include "model/services/service.h"

namespace culvert::node {
namespace {

int complain(const std::string& sentence, int status) {
  std::fprintf(stderr, "culvert-node: %s\n", sentence.c_str());
  return status;
}

int run(const Options& options) {
  linux_host::Loop loop;
  linux_host::HostOptions host_options;
  host_options.name = options.node;
  host_options.seed = options.seed;
  host_options.epoch = options.epoch;
  host_options.secrets_folder = options.secrets;
  host_options.data_folder = options.data;
  host_options.sync_stores = options.sync;
  host_options.names = options.names;
  host_options.log = linux_host::log_to(STDOUT_FILENO);
  linux_host::LinuxHost host(loop, std::move(host_options));

  auto service = services::make(host, options.service);
  if (!service) return complain(service.status().detail, 2);

  int status = 0;
  (*service)->on_finished([&](net::Status outcome) {
    if (!options.once) return;
    if (!outcome) status = complain(outcome.to_string(), 1);
    loop.stop();
  });
  boost::asio::signal_set signals(loop.context(), SIGTERM, SIGINT);
  signals.async_wait([&](auto error, int) {
    if (!error) loop.stop();
  });
  // A service starts from the loop, in both worlds.
  host.post([&] {
    if (const net::Status started = (*service)->start(); !started) {
      status = complain(options.service[0] + ": " + started.to_string(), 1);
      loop.stop();
    }
  });
  std::unique_ptr<Control> control;
  if (options.control) {
    control = std::make_unique<Control>(
        loop.context(),
        [&](std::string_view line) {
          const net::Status done = (*service)->command(line);
          if (!done)
            host.log().write("node", "command_refused", {{"line", line}, {"why", done.detail}});
        },
        [&] { loop.stop(); });
    if (!control->start()) return complain("--control: stdin must be a pipe or a terminal", 2);
  }
  loop.run();
  return status;
}

int main(const std::vector<std::string>& arguments) {
  const auto options = parse(arguments);
  if (!options) return complain(options.status().detail, 2);
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
  return culvert::run_program("culvert-node", [&] {
    return culvert::node::main({argv + std::min(argc, 1), argv + argc});
  });
}
