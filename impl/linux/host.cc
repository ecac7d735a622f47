#include "impl/linux/host.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sodium.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "impl/linux/datagram.h"
#include "impl/linux/dial.h"
#include "impl/linux/flow_table.h"
#include "impl/linux/icmp_listener.h"
#include "impl/linux/listener.h"
#include "impl/linux/packet_tap.h"
#include "impl/linux/store.h"
#include "impl/linux/tun.h"
#include "impl/linux/workers.h"
#include "model/packet/selector.h"

namespace culvert::linux_host {

using net::Error;
using net::Result;
using net::Status;

namespace {

constexpr size_t kWorkers = 4;  // ours: password hashing and disks, not throughput
constexpr size_t kLargestSecret = 16 * 1024 * 1024;  // ours: passwords of 100,000 users

HostOptions with_epoch(HostOptions options) {
  if (options.epoch < net::Time(0)) options.epoch = Loop::monotonic();
  return options;
}

// An answer that is known at once, or comes from a worker; told on the loop, unless destroyed.
class LookupImpl : public net::Lookup {
 public:
  explicit LookupImpl(net::Host::Resolved done)
      : done_(std::make_shared<net::Host::Resolved>(std::move(done))) {}
  ~LookupImpl() override { *done_ = nullptr; }
  std::shared_ptr<net::Host::Resolved> done() const { return done_; }

 private:
  std::shared_ptr<net::Host::Resolved> done_;
};

Result<std::vector<net::IpAddress>> ask_system(const std::string& name) {
  addrinfo hints{}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;  // one entry an address, not one for each protocol
  const int error = getaddrinfo(name.c_str(), nullptr, &hints, &list);
  if (error == EAI_NONAME || error == EAI_NODATA)
    return {Error::not_found, "no address is known for the name " + name};
  if (error == EAI_AGAIN) return {Error::timed_out, "no name server answered for " + name};
  if (error != 0) return {Error::failed, "looking up " + name + ": " + gai_strerror(error)};
  std::vector<net::IpAddress> out;
  for (const addrinfo* i = list; i; i = i->ai_next) {
    SockAddr address;
    std::memcpy(address.get(), i->ai_addr, i->ai_addrlen);
    const net::IpAddress ip = address.endpoint().ip;
    if (!ip.is_none() && std::find(out.begin(), out.end(), ip) == out.end()) out.push_back(ip);
  }
  freeaddrinfo(list);
  return out;
}

uint8_t prefix_length(const net::IpAddress& mask) {
  uint8_t bits = 0;
  for (size_t i = 0; i < mask.size(); ++i)
    bits = static_cast<uint8_t>(bits + __builtin_popcount(mask.bytes()[i]));
  return bits;
}

net::IpAddress address_of(const sockaddr* from) {
  if (from == nullptr) return {};
  SockAddr address;
  if (from->sa_family == AF_INET)
    std::memcpy(address.get(), from, sizeof(sockaddr_in));
  else if (from->sa_family == AF_INET6)
    std::memcpy(address.get(), from, sizeof(sockaddr_in6));
  return address.endpoint().ip;
}

}  // namespace

LinuxHost::LinuxHost(Loop& loop, HostOptions options)
    : loop_(loop),
      options_(with_epoch(std::move(options))),
      timers_([this] { return now(); }, [this](net::Time when) { wake_at(when); }),
      wake_(loop.context()),
      random_(net::derive_seed(options_.seed, options_.name)),
      log_(
          options_.name, [this] { return now(); }, options_.log) {
  if (sodium_init() < 0) std::abort();  // no source of randomness: nothing here would be safe
}

LinuxHost::~LinuxHost() {
  *alive_ = false;
  workers_.reset();
}

void LinuxHost::wake_at(net::Time when) {
  if (when == net::Time::max()) {
    wake_.cancel();
    return;
  }
  // steady_clock is CLOCK_MONOTONIC, and Asio waits for it with a timerfd: nanoseconds.
  wake_.expires_at(std::chrono::steady_clock::time_point(when + options_.epoch));
  wake_.async_wait([this](const boost::system::error_code& error) {
    if (!error) timers_.run_due();
  });
}

void LinuxHost::secure_random(net::MutableBytes out) {
  if (!out.empty()) randombytes_buf(out.data(), out.size());
}

void LinuxHost::post(std::function<void()> task) { loop_.post(alive_, std::move(task)); }

void LinuxHost::offload(std::function<void()> work, std::function<void()> done) {
  if (!workers_) workers_ = std::make_unique<Workers>(kWorkers);
  workers_->add([this, work = std::move(work), done = std::move(done)]() mutable {
    work();
    post(std::move(done));
  });
}

Result<std::unique_ptr<net::DatagramSocket>> LinuxHost::open_datagram(
    const net::DatagramOptions& options) {
  return DatagramImpl::open(*this, options);
}

Result<std::unique_ptr<net::Listener>> LinuxHost::listen(const net::ListenOptions& options) {
  return ListenerImpl::open(*this, options);
}

Result<std::unique_ptr<net::Dial>> LinuxHost::dial(const net::DialOptions& options,
                                                   net::DialDone done) {
  return DialImpl::open(*this, options, std::move(done));
}

Result<std::unique_ptr<net::TunDevice>> LinuxHost::open_tun(const net::TunOptions& options) {
  return TunImpl::open(*this, options);
}

Result<PacketTap*> LinuxHost::packet_tap() {
  if (!tap_) {
    auto opened = PacketTap::open(*this);
    if (!opened) return opened.status();
    tap_ = std::move(*opened);
  }
  return tap_.get();
}

Result<std::unique_ptr<net::PacketHook>> LinuxHost::add_hook(const net::Selector& selector,
                                                             net::HookFunction function) {
  const Status sense = packet::check(selector);
  if (!sense.ok()) return sense;
  auto tap = packet_tap();
  if (!tap) return tap.status();
  return (*tap)->add(selector, std::move(function));
}

Result<std::unique_ptr<net::FlowTable>> LinuxHost::open_flow_table(size_t limit) {
  auto tap = packet_tap();
  if (!tap) return tap.status();
  return FlowTableImpl::open(*this, **tap, limit);
}

Result<std::unique_ptr<net::Store>> LinuxHost::open_store(const std::string& name) {
  return StoreImpl::open(*this, options_.data_folder, name, options_.sync_stores);
}

std::unique_ptr<net::Lookup> LinuxHost::resolve(const std::string& name, Resolved done) {
  auto lookup = std::make_unique<LookupImpl>(std::move(done));
  const auto tell = [done = lookup->done()](Result<std::vector<net::IpAddress>> answer) {
    const Resolved function = std::move(*done);
    *done = nullptr;
    if (function) function(std::move(answer));
  };
  const auto literal = net::IpAddress::parse(name);
  const auto known = options_.names.find(name);
  if (literal) {
    post([tell, literal] { tell(std::vector<net::IpAddress>{*literal}); });
  } else if (known != options_.names.end()) {
    post([tell, addresses = known->second] { tell(addresses); });
  } else if (!options_.system_resolver || name.empty() || name.size() > 253) {  // RFC 1035 2.3.4
    post([tell, name] {
      tell(Status{Error::not_found, "no address is known for the name " + name});
    });
  } else {
    auto answer = std::make_shared<Result<std::vector<net::IpAddress>>>(Error::failed);
    offload([answer, name] { *answer = ask_system(name); },
            [answer, tell] { tell(std::move(*answer)); });
  }
  return lookup;
}

std::vector<net::InterfaceAddress> LinuxHost::interfaces() const {
  std::vector<net::InterfaceAddress> out;
  ifaddrs* list = nullptr;
  Fd socket;
  in_namespace(options_.netns, [&] {
    if (getifaddrs(&list) != 0) list = nullptr;
    socket = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  });
  for (const ifaddrs* i = list; i; i = i->ifa_next) {
    const net::IpAddress ip = address_of(i->ifa_addr);
    if (ip.is_none()) continue;
    net::InterfaceAddress entry;
    entry.interface = i->ifa_name;
    entry.address = {ip, prefix_length(address_of(i->ifa_netmask))};
    ifreq request{};
    std::strncpy(request.ifr_name, i->ifa_name, IFNAMSIZ - 1);
    if (ioctl(socket.get(), SIOCGIFMTU, &request) == 0)
      entry.mtu = static_cast<uint32_t>(request.ifr_mtu);
    out.push_back(std::move(entry));
  }
  if (list) freeifaddrs(list);
  return out;
}

unsigned LinuxHost::interface_of(const net::IpAddress& address) const {
  for (const net::InterfaceAddress& i : interfaces())
    if (i.address.ip == address) {
      unsigned index = 0;
      in_namespace(options_.netns, [&] { index = if_nametoindex(i.interface.c_str()); });
      return index;
    }
  return 0;
}

Result<net::Buffer> LinuxHost::secret(const std::string& name) {
  const bool nothing = name.empty() || name == "." || name == "..";
  if (nothing || name.find('\0') != std::string::npos || name.size() >= PATH_MAX)
    return {Error::invalid, "a secret's name is a file's name"};
  if (!options_.secret_paths && (name.find('/') != std::string::npos || name.size() > NAME_MAX))
    return {Error::invalid, "a secret's name is a plain file name, unless --secret-paths is given"};
  const bool absolute = name.front() == '/';
  if (!absolute && options_.secrets_folder.empty())
    return {Error::not_found, "no secrets folder was given in which to find " + name};
  const std::string path = absolute ? name : options_.secrets_folder + "/" + name;
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return status_of(errno, "reading " + path);
  net::Buffer out(64 * 1024);  // as large as most
  size_t size = 0;
  for (;;) {
    const ssize_t count = ::read(file.get(), out.data() + size, out.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return status_of(errno, "reading " + path);
    if (count == 0) break;
    size += static_cast<size_t>(count);
    if (size == out.size()) out.resize(std::min(2 * size, kLargestSecret + 1));
    if (size > kLargestSecret) return {Error::too_big, path + " is over 16 MiB"};
  }
  out.resize(size);
  return out;
}

IcmpListener* LinuxHost::icmp_listener() {
  if (!icmp_) icmp_ = IcmpListener::open(*this);
  return icmp_.get();
}

net::EventLog::Sink log_to(int fd) {
  return [fd](std::string_view line) {
    char newline = '\n';
    const iovec parts[2] = {{const_cast<char*>(line.data()), line.size()}, {&newline, 1}};
    // A full disk or a closed pipe must not stop a daemon: the line is lost.
    if (writev(fd, parts, 2) < 0) return;
  };
}

}  // namespace culvert::linux_host
