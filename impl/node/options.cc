#include "impl/node/options.h"

#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstdlib>

#include "impl/program.h"

namespace culvert::node {
namespace {

using net::Error;

constexpr size_t kMostDefaults = 64 << 10;   // ours: bytes of options in a file
constexpr size_t kMostNamesFile = 16 << 20;  // ours: bytes; nobody's network has more names

template <class Number>
bool read_number(const std::string& text, Number& number) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number);
  return !text.empty() && result.ec == std::errc() && result.ptr == end;
}

// {"server.example": ["203.0.113.10"]}
net::Status read_names(const std::string& path, Options& options) {
  const auto text = read_file(path, kMostNamesFile);
  if (!text) return {text.status().error, "--names: " + text.status().detail};
  boost::json::error_code error;
  const auto json = boost::json::parse(*text, error);
  if (error || !json.is_object())
    return {Error::invalid, "--names: '" + path + "' is not a JSON object"};
  for (const auto& [name, addresses] : json.get_object()) {
    const std::string key(name);
    if (!addresses.is_array())
      return {Error::invalid, "--names: '" + path + "': '" + key + "' needs a list of addresses"};
    for (const auto& item : addresses.get_array()) {
      const auto address = item.is_string()
                               ? net::IpAddress::parse(std::string_view(item.get_string()))
                               : std::nullopt;
      if (!address)
        return {Error::invalid, "--names: '" + path + "': '" + key + "' has a wrong address"};
      options.names[key].push_back(*address);
    }
  }
  return {};
}

net::Status apply(const std::string& name, const std::string& value, Options& options) {
  if (name == "--node") {
    if (value.empty()) return {Error::invalid, "--node needs a name"};
    options.node = value;
  } else if (name == "--seed") {
    if (!read_number(value, options.seed))
      return {Error::invalid, "--seed: '" + value + "' is not a number from 0 to 2^64 - 1"};
  } else if (name == "--epoch-ns") {
    int64_t ns = 0;
    if (!read_number(value, ns) || ns < 0)
      return {Error::invalid, "--epoch-ns: '" + value + "' is not a number of nanoseconds"};
    options.epoch = net::Time(ns);
  } else if (name == "--secrets") {
    options.secrets = value;
  } else if (name == "--data") {
    if (value.empty()) return {Error::invalid, "--data needs a folder"};
    options.data = value;
  } else if (name == "--events") {
    if (value.empty()) return {Error::invalid, "--events needs stdout, stderr, none or a file"};
    options.events = value;
  } else if (name == "--names") {
    return read_names(value, options);
  } else if (value != "stdin") {
    return {Error::invalid, "--control: the only way is stdin, not '" + value + "'"};
  } else {
    options.control = true;
  }
  return {};
}

bool takes_value(const std::string& name) {
  for (const char* known : {"--node", "--seed", "--epoch-ns", "--secrets", "--data", "--names",
                            "--control", "--events"})
    if (name == known) return true;
  return false;
}

// Where -h is mosquitto's for the broker's host, not help.
bool has_host_option(const std::string& name) {
  return name == "mqtt-pub" || name == "mqtt-sub" || name == "mqtt-rr";
}

}  // namespace

bool is_command(const std::string& name) {
  for (const char* command : {"mqtt-pub", "mqtt-sub", "mqtt-rr", "mqtt-passwd", "mqtt-monitor"})
    if (name == command) return true;
  return false;
}

net::Result<std::vector<std::string>> read_defaults(const std::string& command) {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  if (!config && !home) return std::vector<std::string>{};
  const std::string path =
      (config ? std::string(config) : std::string(home) + "/.config") + "/" + command;
  if (::access(path.c_str(), F_OK) != 0) return std::vector<std::string>{};
  const auto text = read_file(path, kMostDefaults);
  if (!text) return text.status();
  std::vector<std::string> words;
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\n', at), text->size());
    std::string line = text->substr(at, end - at);
    at = end + 1;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    const size_t space = line.find(' ');
    words.push_back(line.substr(0, space));
    if (space != std::string::npos) words.push_back(line.substr(space + 1));
  }
  return words;
}

net::Result<Options> parse(const std::vector<std::string>& arguments) {
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    if (takes_value(name)) {
      std::string value;
      if (equals != std::string::npos)
        value = argument.substr(equals + 1);
      else if (i + 1 < arguments.size())
        value = arguments[++i];
      else
        return {Error::invalid, name + " needs a value"};
      if (const net::Status status = apply(name, value, options); !status) return status;
    } else if (argument == "--once") {
      options.once = true;
    } else if (argument == "--secret-paths") {
      options.secret_paths = true;
    } else if (argument == "--data-sync") {
      options.sync = true;
    } else if (argument == "--help" ||
               (argument == "-h" &&
                (options.service.empty() || !has_host_option(options.service[0])))) {
      options.what = options.service.empty() ? Options::Do::help : Options::Do::service_help;
      return options;
    } else if (options.service.empty() && argument == "--list") {
      options.what = Options::Do::list;
      return options;
    } else if (options.service.empty() && argument == "--version") {
      options.what = Options::Do::version;
      return options;
    } else if (options.service.empty() && !argument.empty() && argument[0] == '-') {
      return {Error::invalid, "there is no option '" + name + "' before the service's name"};
    } else {
      options.service.push_back(argument);
    }
  }
  if (options.service.empty())
    return {Error::invalid, "a service's name is missing; --list shows which there are"};
  return options;
}

std::string help() {
  return "culvert-node [options] SERVICE [the service's options]\n"
         "Runs one service on this machine; its events are JSON lines on stdout. SIGTERM asks it "
         "to end\n"
         "well, a second one ends it.\n\n"
         "  --node NAME        how the events call this machine (host)\n"
         "  --seed N           of everything that may repeat (1)\n"
         "  --epoch-ns N       the CLOCK_MONOTONIC that time_ms counts from (the start)\n"
         "  --secrets DIR      where secrets are files, called by their names\n"
         "  --secret-paths     or by a path: absolute, or from that folder\n"
         "  --data DIR         where what must outlive a kill -9 is kept\n"
         "  --data-sync        flush it at every commit: it outlives a loss of power, too\n"
         "  --names FILE       names known beforehand: {\"name\": [\"address\"]}\n"
         "  --events WHERE     stdout (the default), stderr (the default of services that print),\n"
         "                     none, or a file to append to\n"
         "  --control stdin    commands on stdin, one a line; its end stops the program\n"
         "  --once             end when the service has its result: status 0 if it is good, else "
         "1\n"
         "  --list             the services\n"
         "  --help             this; after a service's name, the service's options\n"
         "  --version\n\n"
         "Example: culvert-node --secrets secrets --data /var/lib/culvert mqtt-broker \\\n"
         "             --listen 0.0.0.0:1883 --passwords passwords --store broker\n"
         "Exit status: 0 stopped or finished well, 1 the service failed, 2 wrong options; commands "
         "have more.\n"
         "mqtt-pub, mqtt-sub, mqtt-rr, mqtt-monitor and mqtt-passwd are culvert-node by other "
         "names: there\nsecrets are paths of files, and no events are written.\n";
}

}  // namespace culvert::node
