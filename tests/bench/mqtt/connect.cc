// Connections per second (TCP, CONNECT, CONNACK, DISCONNECT, the broker's end of stream), and what
// a connected client with one subscription costs in memory.
#include <dirent.h>
#include <sys/resource.h>

#include <fstream>
#include <memory>

#include "tests/bench/mqtt/options.h"
#include "tests/bench/mqtt/poll.h"

namespace culvert::bench {

int64_t cpu_ns(int pid) {
  if (pid <= 0) return 0;
  const std::string folder = "/proc/" + std::to_string(pid) + "/task";
  DIR* tasks = opendir(folder.c_str());
  if (!tasks) return 0;
  int64_t sum = 0;
  while (const dirent* entry = readdir(tasks)) {
    if (entry->d_name[0] == '.') continue;
    int64_t ns = 0;
    std::ifstream(folder + "/" + entry->d_name + "/schedstat") >> ns;
    sum += ns;
  }
  closedir(tasks);
  return sum;
}

int64_t rss_bytes(int pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  std::string word;
  int64_t kilobytes = 0;
  while (in >> word)
    if (word == "VmRSS:" && in >> kilobytes) return kilobytes * 1024;
  return 0;
}

int run_connect(const Options& o) {
  Poll poll;
  std::vector<std::unique_ptr<Conn>> conns;
  uint32_t number = 0;
  uint64_t done = 0;
  const auto begin = [&](Conn& conn) {
    conn = Conn();
    conn.fd = Poll::dial(o.port, number);
    conn.out = connect_packet("c" + std::to_string(number++), o.v5, true);
    poll.watch(conn);
    poll.mark(conn);
  };
  for (uint32_t i = 0; i < o.concurrency; ++i) {
    conns.push_back(std::make_unique<Conn>());
    begin(*conns.back());
  }
  poll.flush();
  const auto packet = [&](Conn& conn, const uint8_t* at, const Cut& frame) {
    if ((at[0] & 0xf0) != kConnAck || at[frame.header + 1] != 0) fail("a connection was refused");
    conn.out.assign("\xE0\0", 2);
    poll.mark(conn);
  };
  const auto end = [&](Conn& conn) {
    close(conn.fd);
    ++done;
    begin(conn);
  };
  const int64_t start = now_ns(), measured = start + static_cast<int64_t>(o.warm_up * 1e9);
  const int64_t last = measured + static_cast<int64_t>(o.seconds * 1e9);
  int64_t cpu = 0, first = 0;
  uint64_t before = 0;
  int64_t now = start;
  for (; now < last; now = now_ns()) {
    if (first == 0 && now >= measured) first = now, before = done, cpu = cpu_ns(o.pid);
    poll.round(100, packet, end);
  }
  const double count = static_cast<double>(done - before);
  if (count == 0) fail("no connection came to its end");
  std::printf("{\"connections_per_s\":%.0f,\"cpu_us_per_connection\":%.2f}\n",
              count / (static_cast<double>(now - first) / 1e9),
              static_cast<double>(cpu_ns(o.pid) - cpu) / 1e3 / count);
  return 0;
}

int run_memory(const Options& o) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (o.pid <= 0) fail("memory needs --pid");
  const int64_t before = rss_bytes(o.pid);
  Poll poll;
  std::vector<std::unique_ptr<Conn>> conns;
  uint32_t ready = 0;
  int64_t idle = 0;
  const auto packet = [&](Conn& conn, const uint8_t* at, const Cut& frame) {
    if ((at[0] & 0xf0) == kConnAck && at[frame.header + 1] != 0) fail("a connection was refused");
    (void)conn;
    ++ready;
  };
  const auto end = [](Conn&) { fail("the broker closed a connection"); };
  const auto wait = [&](uint32_t goal) {
    const int64_t deadline = now_ns() + 30'000'000'000;
    while (ready < goal) {
      poll.round(100, packet, end);
      if (now_ns() > deadline) fail("the broker does not answer");
    }
  };
  // In steps, so that the broker's listen queue never overflows.
  for (uint32_t i = 0; i < o.clients; ++i) {
    auto conn = std::make_unique<Conn>();
    conn->index = i;
    conn->fd = Poll::dial(o.port, i);
    conn->out = connect_packet("client-" + std::to_string(i), o.v5, !o.durable);
    poll.watch(*conn);
    poll.mark(*conn);
    conns.push_back(std::move(conn));
    if (i % 50 == 49 || i + 1 == o.clients) poll.flush(), wait(i + 1);
  }
  idle = rss_bytes(o.pid);
  ready = 0;
  for (uint32_t i = 0; i < o.clients; ++i) {
    conns[i]->out = subscribe_packet("site/device-" + std::to_string(i) + "/command", 1, o.v5);
    poll.mark(*conns[i]);
    if (i % 50 == 49 || i + 1 == o.clients) poll.flush(), wait(i + 1);
  }
  const double n = o.clients;
  std::printf("{\"clients\":%u,\"bytes_per_idle_client\":%.0f,\"bytes_per_client\":%.0f}\n",
              o.clients, static_cast<double>(idle - before) / n,
              static_cast<double>(rss_bytes(o.pid) - before) / n);
  return 0;
}

}  // namespace culvert::bench
