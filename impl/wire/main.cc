// culvert-wire: the links of one network, between TAP devices. Delay, jitter, loss, rate and LANs
// where the kernel has no netem. Events on stdout, commands ("LINK cut") as lines on stdin.
#include <errno.h>
#include <string.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "impl/program.h"
#include "impl/wire/clock.h"
#include "impl/wire/daemon.h"
#include "impl/wire/lan.h"
#include "impl/wire/options.h"
#include "impl/wire/tap.h"

namespace culvert::wire {
namespace {

constexpr size_t kReadsPerTurn = 64;      // frames of one end before the others have their turn
constexpr size_t kMostConfig = 16 << 20;  // ours: bytes; no plan has that many links

int fail(const std::string& sentence) {
  std::cerr << "culvert-wire: " << sentence << "\n";
  return 2;
}

class Wire {
 public:
  Wire(uint64_t seed, int64_t epoch_ns) : seed_(seed), epoch_ns_(epoch_ns) {
    daemon_.on_command = [this](const std::string& line) { command(line); };
    daemon_.on_turn = [this] { return turn(); };
  }

  void add(const LinkOptions& link) {
    lans_.push_back(std::make_unique<Lan>(link, seed_, epoch_ns_, scheduler_,
                                          [this](std::string_view line) { daemon_.print(line); }));
    Lan* lan = lans_.back().get();
    for (size_t i = 0; i < link.ends.size(); ++i) {
      daemon_.watch(link.ends[i].fd, [lan, i] { lan->read_end(i, kReadsPerTurn); });
    }
  }

  net::Status capture(const std::string& folder) {
    for (auto& lan : lans_) {
      if (net::Status status = lan->capture(folder); !status) return status;
    }
    return {};
  }

  void run() { daemon_.run(); }

 private:
  int64_t turn() {
    Lane* lane = nullptr;
    while (Frame* frame = scheduler_.take_due(now_ns(), &lane)) lane->lan->deliver(*lane, frame);
    for (auto& lan : lans_) lan->flush_captures();
    return scheduler_.next_ns();
  }

  void command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    for (auto& lan : lans_) {
      if (lan->name() != name) continue;
      const std::string text = space == std::string::npos ? "" : line.substr(space + 1);
      if (net::Status status = lan->command(text); !status) fail(status.detail);
      return;
    }
    fail("there is no link '" + name + "'");
  }

  uint64_t seed_;
  int64_t epoch_ns_;
  Daemon daemon_;
  Scheduler scheduler_;
  std::vector<std::unique_ptr<Lan>> lans_;
};

int run(int argc, char** argv) {
  CLI::App app{
      "The links of one network between TAP devices: delay, jitter, loss, rate, LANs.\n"
      "Commands on stdin: LINK cut | LINK mend | LINK count | LINK watch | LINK set delay_ms=20 "
      "loss=0.01"};
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
    const auto text = read_file(config, kMostConfig);
    if (!text) return fail(text.status().detail);
    auto parsed = parse_config(*text);
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
  wire.run();
  return 0;
}

}  // namespace
}  // namespace culvert::wire

int main(int argc, char** argv) {
  return culvert::run_program("culvert-wire", [&] { return culvert::wire::run(argc, argv); });
}
