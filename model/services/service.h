// A service is what runs on a host: one thing to start, perhaps to command, to destroy. Started by
// name with exactly the arguments that culvert-node, the ns-3 runner and the Mininet builder share.
// Stands on model/net; the services' own files stand on all the rooms.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/net/host.h"

namespace CLI {
class App;
}

namespace culvert::services {

// What time it is for people, for services that print it. Programs give one; without it time counts
// from 1970, as it does in a simulation.
struct Calendar {
  std::function<int64_t()> now_ns;  // since 1970, UTC
  // strftime's formats ("%FT%T%z") in local time, of seconds since 1970.
  std::function<std::string(int64_t seconds, const std::string& format)> text;
};

class Service {
 public:
  virtual ~Service() = default;  // stops it: sockets close, timers go
  // Opens what it needs. Called once, from the Host's loop. An error means that nothing runs.
  virtual net::Status start() = 0;
  // One line of the service's command language ("connect b"). invalid: not a command, the sentence
  // says which there are. What a command brings about is told by events.
  virtual net::Status command(std::string_view line);
  virtual bool reloads() const { return false; }  // has the command `reload`: SIGHUP means it

  // For services that print or read, as mosquitto_sub and mosquitto_pub do: what they print goes to
  // `output` (stdout of culvert-node; events then go to stderr or a file, see --events), and what
  // they are fed (stdin) comes to input(), in pieces; an empty piece is its end.
  void on_output(std::function<void(net::Bytes)> output) { output_ = std::move(output); }
  // What the reader should know while it runs on: one sentence, for stderr.
  void on_complaint(std::function<void(std::string_view)> callback) {
    complaint_ = std::move(callback);
  }
  virtual bool wants_input() const { return false; }
  virtual void input(net::Bytes) {}
  virtual bool prints() const { return false; }
  void use_calendar(Calendar calendar) { calendar_ = std::move(calendar); }  // before start()
  // Whether it is a command with an end of its own, such as mqtt-pub: culvert-node ends with it.
  virtual bool is_tool() const { return false; }
  // What culvert-node exits with once it is finished, for those whose readers know more than 0 and
  // 1 (a Nagios plugin); none: 0 if well, else 1.
  virtual std::optional<int> exit_status() const { return {}; }
  // Asks for a graceful end (SIGTERM): sessions say good-bye. `done` runs once; the caller does not
  // wait longer than it likes.
  virtual void stop(std::function<void()> done) { done(); }

  // For services with an end (a client that has its result): runs once, when it is reached. It may
  // not destroy the service. Those without an end never call it.
  void on_finished(std::function<void(net::Status)> callback) { finished_ = std::move(callback); }

 protected:
  void finished(net::Status status);
  void print(net::Bytes text) {
    if (output_) output_(text);
  }
  void complain(std::string_view sentence) {
    if (complaint_) complaint_(sentence);
  }
  const Calendar& calendar() const { return calendar_; }

 private:
  std::function<void(net::Bytes)> output_;
  std::function<void(net::Status)> finished_;
  std::function<void(std::string_view)> complaint_;
  Calendar calendar_;
};

// What a service is made from: its options, then the thing itself. One derived class a service;
// model/services/registry.cc lists them all.
class Blueprint {
 public:
  virtual ~Blueprint() = default;
  // Declares the options. CLI11 fills the blueprint's members.
  virtual void options(CLI::App& app) = 0;
  // What CLI11 cannot check: combinations. invalid with one clear sentence.
  virtual net::Status check() { return {}; }
  // Uses the Host only in start(): building touches no socket.
  virtual net::Result<std::unique_ptr<Service>> build(net::Host& host) = 0;
};

// argv[0] is the service's name, the rest its options. not_found: no such service; invalid: wrong
// options. The sentence is for the reader, without the program's name.
net::Result<std::unique_ptr<Service>> make(net::Host& host, const std::vector<std::string>& argv);

// Whether make() would take this command line; for the planner, which has no Host.
net::Status check(const std::vector<std::string>& argv);

struct Info {
  std::string_view name, about;  // about: one line
};
std::vector<Info> list();

// The options of a service, as text for a terminal. not_found: no such service.
net::Result<std::string> help(std::string_view name);

}  // namespace culvert::services
