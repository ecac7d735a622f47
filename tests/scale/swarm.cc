// mqtt-swarm: thousands of MQTT clients in one process, each subscribed to a topic of its own; some
// publish to others, at QoS 1 and 2 in turn. Several swarms make more clients than one process may
// have descriptors. Driven by lines on stdin: "go", "stop", "count", "end"; answers in JSON.
//   mqtt-swarm --port N --first I --count N --total N [--active-every 20] [--period-ms 1000]
#include <poll.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <memory>
#include <random>
#include <unordered_set>

#include "tests/bench/mqtt/poll.h"

namespace culvert::bench {
namespace {

struct Options {
  uint32_t port = 1883, first = 0, count = 100, total = 100, active_every = 20, period_ms = 1000;
};

// The same on both sides, so that sums of many tell whether the same messages went and came.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

class Swarm {
 public:
  explicit Swarm(const Options& options) : o_(options), random_(options.first + 1) {}

  int run() {
    connect_all();
    std::puts("{\"ready\":true}");
    std::fflush(stdout);
    for (;;) {
      if (publishing_) publish_due();
      poll_.round(2, *this, *this);
      if (!listen()) return 0;
    }
  }

  void operator()(Conn& conn, const uint8_t* at, const Cut& frame) {
    const uint8_t type = at[0] & 0xf0;
    if (type == kPublish) return arrived(conn, at, frame);
    if (type == kConnAck || type == kSubAck) {
      if (at[type == kConnAck ? frame.header + 1 : frame.size - 1] >= 0x80)
        fail("the broker refuses");
      ++answers_;
      return;
    }
    if (type == kDisconnect) fail("the broker disconnects, reason " + std::to_string(at[2]));
    const uint16_t id = get16(at + frame.header);
    if (type == kPubRec) {
      append_ack(conn.out, kPubRel, id);
    } else if (type == (kPubRel & 0xf0)) {
      append_ack(conn.out, kPubComp, id);
    } else {
      ++acked_;
      return;
    }
    poll_.mark(conn);
  }
  void operator()(Conn&) { fail("the broker closed a connection"); }

 private:
  void connect_all() {
    for (uint32_t i = 0; i < o_.count; ++i) {
      auto conn = std::make_unique<Conn>();
      conn->index = o_.first + i;
      conn->fd = Poll::dial(static_cast<uint16_t>(o_.port), conn->index);
      conn->out = connect_packet("swarm-" + std::to_string(conn->index), true, true) +
                  subscribe_packet("scale/" + std::to_string(conn->index), 2, true);
      poll_.watch(*conn);
      poll_.mark(*conn);
      conns_.push_back(std::move(conn));
      // In steps, so that the broker's listen queue never overflows.
      if (i % 100 == 99 || i + 1 == o_.count) wait_for(uint64_t{i + 1} * 2);
    }
  }
  void wait_for(uint64_t answers) {
    const int64_t deadline = now_ns() + 60'000'000'000;
    poll_.flush();
    while (answers_ < answers) {
      poll_.round(100, *this, *this);
      if (now_ns() > deadline) fail("the broker does not answer");
    }
  }
  // Active clients publish once a period, spread evenly over it.
  void publish_due() {
    const uint32_t active = (o_.count + o_.active_every - 1) / o_.active_every;
    const double passed = static_cast<double>(now_ns() - started_) / 1e6;
    const auto due = static_cast<uint64_t>(passed * active / o_.period_ms);
    for (; turns_ < due; ++turns_)
      publish(*conns_[turns_ % active * o_.active_every], 1 + static_cast<int>(published_[0] % 2));
  }
  void publish(Conn& conn, int qos) {
    const auto target = static_cast<uint32_t>(random_() % o_.total);
    size_t identifier = 0, payload = 0;
    std::string bytes =
        publish_packet("scale/" + std::to_string(target), qos, 32, true, &identifier, &payload);
    const auto id = static_cast<uint16_t>(conn.sent % 60000 + 1);
    bytes[identifier] = static_cast<char>(id >> 8);
    bytes[identifier + 1] = static_cast<char>(id);
    const int64_t now = now_ns();
    const uint64_t name = uint64_t{conn.index} << 32 | conn.sent;
    std::memcpy(&bytes[payload], &now, 8);
    std::memcpy(&bytes[payload + 8], &name, 8);
    std::memcpy(&bytes[payload + 16], &target, 4);
    conn.out += bytes;
    poll_.mark(conn);
    ++conn.sent;
    ++published_[0], ++published_[qos];
    published_sum_ += mix(name) ^ static_cast<uint64_t>(qos);
  }
  void arrived(Conn& conn, const uint8_t* at, const Cut& frame) {
    const Seen seen = see_publish(at, frame, true);
    append_ack(conn.out, seen.qos == 1 ? kPubAck : kPubRec, seen.identifier);
    poll_.mark(conn);
    int64_t then = 0;
    uint64_t name = 0;
    uint32_t target = 0;
    std::memcpy(&then, seen.payload, 8);
    std::memcpy(&name, seen.payload + 8, 8);
    std::memcpy(&target, seen.payload + 16, 4);
    if (target != conn.index) fail("a message came to the wrong client");
    if (!names_.insert(name).second) {
      ++duplicates_;
      return;
    }
    ++received_[seen.qos];
    received_sum_ += mix(name) ^ static_cast<uint64_t>(seen.qos);
    latencies_.push_back(static_cast<float>(static_cast<double>(now_ns() - then) / 1e6));
  }
  // False: the end was asked for.
  bool listen() {
    pollfd ask{STDIN_FILENO, POLLIN, 0};
    if (::poll(&ask, 1, 0) <= 0) return true;
    char bytes[256];
    const ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    if (n <= 0) return false;
    words_.append(bytes, static_cast<size_t>(n));
    for (size_t end; (end = words_.find('\n')) != std::string::npos; words_.erase(0, end + 1)) {
      const std::string word = words_.substr(0, end);
      if (word == "go") publishing_ = true, started_ = now_ns();
      if (word == "stop") publishing_ = false;
      if (word == "count") count();
      if (word == "end") return false;
    }
    return true;
  }
  void count() {
    std::sort(latencies_.begin(), latencies_.end());
    const auto part = [&](double p) {
      return latencies_.empty()
                 ? 0.0f
                 : latencies_[static_cast<size_t>(p * static_cast<double>(latencies_.size() - 1))];
    };
    const auto number = [](uint64_t n) { return static_cast<unsigned long long>(n); };
    std::printf(
        "{\"published\":[%llu,%llu],\"acknowledged\":%llu,\"published_sum\":%llu,"
        "\"received\":[%llu,%llu],\"received_sum\":%llu,\"duplicates\":%llu,"
        "\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
        number(published_[1]), number(published_[2]), number(acked_), number(published_sum_),
        number(received_[1]), number(received_[2]), number(received_sum_), number(duplicates_),
        static_cast<double>(part(0.5)), static_cast<double>(part(0.99)));
    std::fflush(stdout);
  }

  const Options o_;
  Poll poll_;
  std::vector<std::unique_ptr<Conn>> conns_;
  std::minstd_rand random_;
  std::unordered_set<uint64_t> names_;
  std::vector<float> latencies_;
  uint64_t published_[3] = {}, received_[3] = {};
  uint64_t published_sum_ = 0, received_sum_ = 0, duplicates_ = 0, acked_ = 0;
  uint64_t answers_ = 0, turns_ = 0;
  int64_t started_ = 0;
  bool publishing_ = false;
  std::string words_;
};

}  // namespace
}  // namespace culvert::bench

int main(int argc, char** argv) {
  using namespace culvert::bench;
  std::signal(SIGPIPE, SIG_IGN);
  Options o;
  const std::map<std::string, uint32_t*> values = {{"--port", &o.port},
                                                   {"--first", &o.first},
                                                   {"--count", &o.count},
                                                   {"--total", &o.total},
                                                   {"--active-every", &o.active_every},
                                                   {"--period-ms", &o.period_ms}};
  for (int i = 1; i < argc; i += 2) {
    const auto found = values.find(argv[i]);
    if (found == values.end() || i + 1 == argc) fail(std::string("what is '") + argv[i] + "'?");
    *found->second = static_cast<uint32_t>(std::atoi(argv[i + 1]));
  }
  return Swarm(o).run();
}
