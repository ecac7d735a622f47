// The contract's network in three network namespaces, held by nothing but this process's
// descriptors: however it ends, they go with it.
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "impl/linux/host.h"
#include "impl/linux/interfaces.h"
#include "tests/contract/world.h"

namespace culvert::contract {
namespace {

using linux_host::Fd;
using linux_host::Interfaces;
using linux_host::LinuxHost;
using linux_host::Loop;
using linux_host::RouteKind;
using net::Prefix;

void expect(const net::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.to_string());
}

void write_file(const std::string& path, const std::string& text) {
  const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || write(file.get(), text.data(), text.size()) < 0)
    throw std::runtime_error(path + ": " + std::strerror(errno));
}

Fd new_namespace() {
  const Fd own(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (unshare(CLONE_NEWNET) != 0) throw std::runtime_error(std::strerror(errno));
  Fd made(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (setns(own.get(), CLONE_NEWNET) != 0) std::abort();
  return made;
}

class LinuxWorld : public World {
 public:
  explicit LinuxWorld(const WorldOptions& options) {
    char folder[] = "/tmp/culvert-contract-XXXXXX";
    if (mkdtemp(folder) == nullptr) throw std::runtime_error(std::strerror(errno));
    secrets_ = folder;
    const Fd secret(open((secrets_ + "/" + kSecretName).c_str(), O_CREAT | O_WRONLY, 0600));
    if (write(secret.get(), kSecretContent, std::strlen(kSecretContent)) < 0)
      throw std::runtime_error(std::strerror(errno));
    for (Fd& fd : namespaces_) fd = new_namespace();
    for (int i = 0; i < 3; ++i) settle_kernel(i);
    connect(1, "near", 0, "eth0");
    connect(1, "far", 2, "eth0");
    address(0, "eth0", {"10.1.0.2/24", "fd01::2/64"});
    address(1, "near", {"10.1.0.1/24", "fd01::1/64"});
    address(1, "far", {"10.2.0.1/24", "fd02::1/64"});
    address(2, "eth0", {"10.2.0.2/24", "10.2.0.3/24", "fd02::2/64", "fd02::3/64"});
    default_routes(0, "10.1.0.1", "fd01::1");
    default_routes(2, "10.2.0.1", "fd02::1");
    const char* names[] = {"a", "r", "b"};
    const net::Time epoch = Loop::monotonic();
    for (int i = 0; i < 3; ++i) {
      linux_host::HostOptions host;
      host.name = names[i];
      host.seed = options.seed;
      host.epoch = epoch;
      host.log = [this, i](std::string_view line) { lines_[i].emplace_back(line); };
      if (i == 0) host.secrets_folder = secrets_;
      host.data_folder = secrets_ + "/data-" + names[i];
      host.names["b.test"] = {*net::IpAddress::parse("10.2.0.2"),
                              *net::IpAddress::parse("fd02::2")};
      host.system_resolver = false;
      host.netns = namespaces_[i].get();
      hosts_[i] = std::make_unique<LinuxHost>(loop_, std::move(host));
    }
  }
  ~LinuxWorld() override {
    std::error_code ignored;
    std::filesystem::remove_all(secrets_, ignored);
  }

  net::Host& host(Machine machine) override { return *hosts_[index(machine)]; }
  net::Time now() const override { return hosts_[0]->now(); }
  bool run_until(const std::function<bool()>& done, net::Duration limit) override {
    return loop_.run_until(done, Loop::monotonic() + limit);
  }
  void settle() override { run_for(std::chrono::milliseconds(50)); }

  void set_fate_towards_b(Fate fate) override {
    Interfaces r = open_interfaces(1);
    for (const char* text : {"10.2.0.2/32", "10.2.0.3/32", "fd02::2/128", "fd02::3/128"}) {
      const Prefix to = *Prefix::parse(text);
      if (fate_ != Fate::forward) expect(r.remove_route(to, kind(fate_)));
      if (fate != Fate::forward) expect(r.add_route(to, "", {}, kind(fate)));
    }
    fate_ = fate;
  }
  void set_far_mtu(uint32_t mtu) override {
    expect(open_interfaces(1).set_mtu("far", mtu));
    expect(open_interfaces(2).set_mtu("eth0", mtu));
  }
  std::vector<std::string> log_lines(Machine machine) const override {
    return lines_[index(machine)];
  }
  bool differs(const std::string& entry) const override {
    if (entry == "F-02") return access("/dev/net/tun", R_OK | W_OK) != 0;
    if (entry == "F-03") {
      const auto tap = hosts_[1]->packet_tap();
      return !tap &&
             (tap.error() == net::Error::unsupported || tap.error() == net::Error::not_permitted);
    }
    return false;
  }

 private:
  static int index(Machine machine) { return static_cast<int>(machine); }
  static RouteKind kind(Fate fate) {
    return fate == Fate::drop ? RouteKind::blackhole : RouteKind::unreachable;
  }
  Interfaces open_interfaces(int machine) {
    auto opened = Interfaces::open(namespaces_[machine].get());
    if (!opened) throw std::runtime_error(opened.status().to_string());
    return std::move(*opened);
  }
  void connect(int one, const char* name, int other, const char* peer) {
    Interfaces from = open_interfaces(one);
    expect(from.add_veth(name, peer, namespaces_[other].get()));
    expect(from.up(name));
    expect(open_interfaces(other).up(peer));
  }
  void address(int machine, const char* name, std::initializer_list<const char*> texts) {
    Interfaces interfaces = open_interfaces(machine);
    for (const char* text : texts) expect(interfaces.add_address(name, *Prefix::parse(text)));
  }
  void default_routes(int machine, const char* v4, const char* v6) {
    Interfaces interfaces = open_interfaces(machine);
    expect(interfaces.add_route(*Prefix::parse("0.0.0.0/0"), "", *net::IpAddress::parse(v4)));
    expect(interfaces.add_route(*Prefix::parse("::/0"), "", *net::IpAddress::parse(v6)));
  }
  void settle_kernel(int machine) {
    expect(open_interfaces(machine).up("lo"));
    expect(linux_host::in_namespace(namespaces_[machine].get(), [&] {
      if (machine == 1) {
        write_file("/proc/sys/net/ipv4/ip_forward", "1");
        write_file("/proc/sys/net/ipv6/conf/all/forwarding", "1");
      }
      // Link-local addresses are there at once, and nobody asks for routers.
      for (const char* name : {"accept_dad", "dad_transmits", "accept_ra", "router_solicitations"})
        write_file(std::string("/proc/sys/net/ipv6/conf/default/") + name, "0");
      // The kernel allows one ICMP error a second; a case may need two.
      write_file("/proc/sys/net/ipv4/icmp_ratelimit", "0");
      write_file("/proc/sys/net/ipv6/icmp/ratelimit", "0");
    }));
  }

  std::string secrets_;
  Fd namespaces_[3];  // a, r, b
  std::vector<std::string> lines_[3];
  Loop loop_;
  std::unique_ptr<LinuxHost> hosts_[3];
  Fate fate_ = Fate::forward;
};

// Root of a user namespace of our own may make network namespaces, too.
std::string become_able() {
  if (geteuid() == 0) {
    const Fd own(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (unshare(CLONE_NEWNET) == 0 && setns(own.get(), CLONE_NEWNET) == 0) return {};
  }
  const uid_t uid = geteuid();
  const gid_t gid = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
    return "This needs root, or a kernel that lets users make user namespaces, for its networks.";
  try {
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1");
    write_file("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1");
  } catch (const std::exception& error) {
    return std::string("This needs root for its networks: ") + error.what();
  }
  return {};
}

}  // namespace

std::unique_ptr<World> make_world(const WorldOptions& options) {
  return std::make_unique<LinuxWorld>(options);
}

std::string world_obstacle() {
  static const std::string obstacle = become_able();
  return obstacle;
}

}  // namespace culvert::contract
