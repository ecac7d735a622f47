#include "impl/natbox/plumbing.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

extern char** environ;

namespace culvert::natbox {
namespace {

using net::Error;
using net::Status;

// Ours: high enough to leave the usual numbers to the user, the rules before `main` (32766).
constexpr const char* kTableIn = "7100";
constexpr const char* kTableOut = "7101";
constexpr const char* kTableSelf = "7102";
constexpr const char* kRuleSelf = "7099";
constexpr const char* kRuleIn = "7100";
constexpr const char* kRuleOut = "7101";

struct Output {
  int status = -1;
  std::string out, err;
};

// Runs `argv` with `input` on its stdin. The streams are files, so that nothing can block.
Output run(const std::vector<std::string>& argv, const std::string& input) {
  Output result;
  int files[3];
  for (int& file : files) file = ::memfd_create("culvert-natbox", MFD_CLOEXEC);
  if (::write(files[0], input.data(), input.size()) < 0) result.err = strerror(errno);
  ::lseek(files[0], 0, SEEK_SET);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int i = 0; i < 3; ++i) posix_spawn_file_actions_adddup2(&actions, files[i], i);
  posix_spawnattr_t attributes;  // the child must not inherit our blocked signals
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, words[0], &actions, &attributes, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    result.err = argv[0] + ": " + strerror(error);
  } else {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    const auto read_all = [](int file, std::string& text) {
      text.resize(static_cast<size_t>(::lseek(file, 0, SEEK_END)));
      if (::pread(file, text.data(), text.size(), 0) < 0) text.clear();
    };
    read_all(files[1], result.out);
    read_all(files[2], result.err);
  }
  for (const int file : files) ::close(file);
  std::replace(result.err.begin(), result.err.end(), '\n', ' ');
  return result;
}

// `family`: "-4" or "-6". `strict`: the first line that fails ends it.
Status batch(const char* family, const std::vector<std::string>& lines, bool strict) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  std::vector<std::string> argv = {"ip", family};
  if (!strict) argv.push_back("-force");
  argv.insert(argv.end(), {"-batch", "-"});
  const Output output = run(argv, text);
  if (output.status < 0) return {Error::not_found, output.err + " (Debian's package iproute2)"};
  if (strict && output.status != 0) return {Error::failed, "ip: " + output.err};
  return {};
}

void write_sysctl(const std::string& name, const char* value) {
  const int fd = ::open(("/proc/sys/net/" + name).c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;  // this kernel has no such setting
  if (::write(fd, value, strlen(value)) < 0) {
    // Read-only /proc/sys (a container): the user has to have set it.
  }
  ::close(fd);
}

std::vector<std::string> rules_away() {
  std::vector<std::string> lines;
  for (const char* rule : {kRuleSelf, kRuleIn, kRuleOut}) {
    // Each may stand for several interfaces.
    for (int i = 0; i < 16; ++i) lines.push_back(std::string("rule del pref ") + rule);
  }
  return lines;
}

}  // namespace

Status Plumbing::check() const {
  std::vector<std::string> all = options_.inside;
  all.push_back(options_.outside);
  for (const std::string& name : all) {
    if (::if_nametoindex(name.c_str()) == 0) {
      return {Error::not_found, "there is no interface '" + name + "' here"};
    }
  }
  return {};
}

std::string Plumbing::length_of(const net::IpAddress& address) const {
  std::istringstream words(
      run({"ip", "-4", "-o", "addr", "show", "dev", options_.outside}, "").out);
  const std::string wanted = address.to_string() + "/";
  for (std::string word; words >> word;) {
    if (word.compare(0, wanted.size(), wanted) == 0) return word.substr(wanted.size() - 1);
  }
  return "";
}

// Networks that lie inside: what goes there from inside is forwarded without any NAT.
std::vector<std::string> Plumbing::inner_routes(const char* family) const {
  std::vector<std::string> prefixes;
  for (const std::string& interface : options_.inside) {
    std::istringstream lines(run({"ip", family, "route", "show", "dev", interface}, "").out);
    for (std::string line; std::getline(lines, line);) {
      const std::string prefix = line.substr(0, line.find(' '));
      if (prefix != "default" && prefix != "multicast" && !prefix.empty()) {
        prefixes.push_back(prefix);
      }
    }
  }
  return prefixes;
}

std::vector<std::string> Plumbing::claim(const net::IpAddress& address,
                                         const std::string& length) const {
  const std::string text = address.to_string();
  std::vector<std::string> lines;
  if (length.empty()) {
    lines.push_back("addr add " + text + "/32 dev " + options_.outside);
  }
  lines.push_back("route replace local " + text + " dev lo table " + kTableSelf);
  // Errors about packets that were translated already come back to the NAT this way.
  lines.push_back("route replace " + text + "/32 dev " + std::string(kTunOut));
  lines.push_back("neigh replace proxy " + text + " dev " + options_.outside);
  return lines;
}

Status Plumbing::set_up() {
  const auto& inside = options_.inside;
  if (std::find(inside.begin(), inside.end(), options_.outside) != inside.end())
    return {Error::invalid, "interface '" + options_.outside + "' is inside or outside, not both"};
  for (const char* tun : {kTunIn, kTunOut}) {
    const std::string name = tun;
    write_sysctl("ipv4/conf/" + name + "/rp_filter", "0");
    write_sysctl("ipv4/conf/" + name + "/accept_local", "1");
    write_sysctl("ipv6/conf/" + name + "/addr_gen_mode", "1");  // none: nothing to say for itself
  }
  write_sysctl("ipv4/ip_forward", "1");
  write_sysctl("ipv4/conf/all/rp_filter", "0");
  write_sysctl("ipv4/conf/" + options_.outside + "/rp_filter", "0");
  write_sysctl("ipv4/conf/all/promote_secondaries", "1");
  write_sysctl("ipv4/neigh/" + options_.outside + "/proxy_delay", "0");
  for (const std::string& name : options_.inside) {
    write_sysctl("ipv4/conf/" + name + "/rp_filter", "0");
  }

  up_ = true;
  std::vector<std::string> lines;
  // The MTU of the way out decides, not that of the TUN.
  for (const char* tun : {kTunIn, kTunOut}) {
    lines.push_back(std::string("link set ") + tun + " mtu 65535 txqueuelen 2000 up");
  }
  if (Status status = batch("-4", lines, true); !status) return status;
  if (Status status = steer("-4"); !status) return status;
  has_v6_ = !run({"ip", "-6", "-o", "addr", "show", "dev", options_.outside}, "").out.empty();
  if (has_v6_) {
    if (Status status = steer("-6"); !status) return status;
  }
  lines.clear();
  for (const char* tun : {kTunIn, kTunOut}) {
    lines.push_back(std::string("rule add pref ") + kRuleSelf + " iif " + tun + " lookup " +
                    kTableSelf);
  }
  for (const net::IpAddress& address : options_.public_addresses) {
    const auto more = claim(address, length_of(address));
    lines.insert(lines.end(), more.begin(), more.end());
  }
  if (Status status = batch("-4", lines, true); !status) return status;
  return disown(options_.public_addresses);
}

// Everything that comes in is forwarded into the TUN of its side.
Status Plumbing::steer(const char* family) const {
  batch(family, rules_away(), false);  // left by one that was killed
  std::vector<std::string> lines;
  for (const std::string& prefix : inner_routes(family)) {
    lines.push_back("route replace throw " + prefix + " table " + kTableIn);
  }
  lines.push_back(std::string("route replace default dev ") + kTunIn + " table " + kTableIn);
  lines.push_back(std::string("route replace default dev ") + kTunOut + " table " + kTableOut);
  for (const char* table : {kTableIn, kTableOut}) {  // a dead NAT forwards nothing
    lines.push_back(std::string("route replace unreachable default metric 4278198272 table ") +
                    table);
  }
  for (const std::string& inside : options_.inside) {
    lines.push_back(std::string("rule add pref ") + kRuleIn + " iif " + inside + " lookup " +
                    kTableIn);
  }
  lines.push_back(std::string("rule add pref ") + kRuleOut + " iif " + options_.outside +
                  " lookup " + kTableOut);
  return batch(family, lines, true);
}

// Not strict: after a NAT that was killed they are not local any more.
Status Plumbing::disown(const std::vector<net::IpAddress>& addresses) const {
  std::vector<std::string> lines;
  for (const net::IpAddress& address : addresses) {
    lines.push_back("route del local " + address.to_string() + " table local");
  }
  return batch("-4", lines, false);
}

Status Plumbing::change_addresses(std::vector<net::IpAddress> addresses) {
  std::vector<std::string> lines;
  std::string subnet = "/32";  // a new address is on the subnet of the old one
  for (const net::IpAddress& old : options_.public_addresses) {
    const std::string length = length_of(old);
    if (!length.empty() && length != "/32") {
      subnet = length;
      break;
    }
  }
  const auto has = [](const std::vector<net::IpAddress>& list, const net::IpAddress& address) {
    return std::find(list.begin(), list.end(), address) != list.end();
  };
  for (const net::IpAddress& address : addresses) {
    if (has(options_.public_addresses, address)) continue;
    lines.push_back("addr add " + address.to_string() + subnet + " dev " + options_.outside);
    const auto more = claim(address, subnet);
    lines.insert(lines.end(), more.begin(), more.end());
  }
  for (const net::IpAddress& old : options_.public_addresses) {
    if (has(addresses, old)) continue;
    const std::string text = old.to_string();
    lines.push_back("neigh del proxy " + text + " dev " + options_.outside);
    lines.push_back("route del " + text + "/32 dev " + std::string(kTunOut));
    lines.push_back("route del local " + text + " table " + kTableSelf);
    lines.push_back("addr del " + text + length_of(old) + " dev " + options_.outside);
  }
  options_.public_addresses = std::move(addresses);
  if (Status status = batch("-4", lines, true); !status) return status;
  return disown(options_.public_addresses);
}

Plumbing::~Plumbing() {
  if (!up_) return;
  std::vector<std::string> lines;
  for (const net::IpAddress& address : options_.public_addresses) {
    const std::string text = address.to_string();
    lines.push_back("neigh del proxy " + text + " dev " + options_.outside);
    lines.push_back("route del local " + text + " table " + kTableSelf);
    lines.push_back("route replace local " + text + " dev " + options_.outside +
                    " table local proto kernel scope host src " + text);
  }
  batch("-4", lines, false);
  lines = rules_away();
  for (const char* table : {kTableIn, kTableOut}) {
    lines.push_back(std::string("route flush table ") + table);
  }
  batch("-4", lines, false);
  if (has_v6_) batch("-6", lines, false);
}

}  // namespace culvert::natbox
