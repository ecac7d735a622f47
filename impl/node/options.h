// culvert-node's own options. They may stand before or after the service's, whose options are
// whatever is left: the ns-3 runner and the Mininet builder share the service's part verbatim.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/net/address.h"
#include "model/net/error.h"
#include "model/net/time.h"

namespace culvert::node {

struct Options {
  enum class Do { run, help, service_help, list, version };
  Do what = Do::run;
  std::string node = "host";
  uint64_t seed = 1;
  net::Time epoch{-1};        // CLOCK_MONOTONIC that the log calls zero; negative: the start
  std::string secrets;        // a folder
  bool secret_paths = false;  // secrets may be called by paths
  std::string data;           // a folder, of stores
  bool sync = false;          // stores survive a loss of power, too
  std::map<std::string, std::vector<net::IpAddress>> names;
  bool control = false;              // commands on stdin, one a line; its end stops the program
  bool once = false;                 // ends when the service has its result
  std::string events;                // "stdout", "stderr", "none" or a file; empty: see help()
  std::vector<std::string> service;  // its name and its options
};

// invalid, not_found: one clear sentence.
net::Result<Options> parse(const std::vector<std::string>& arguments);
std::string help();
// Services that are commands of their own, too: bin/mqtt-pub is culvert-node by that name.
bool is_command(const std::string& name);
// A command's options as its users have written them down, one a line, in
// $XDG_CONFIG_HOME/NAME or ~/.config/NAME, as mosquitto's commands have them; most have none.
net::Result<std::vector<std::string>> read_defaults(const std::string& command);

}  // namespace culvert::node
