// The load itself: publishers that keep a window of messages under way, or publish at a rate, and
// subscribers that count, time and acknowledge.
#include <algorithm>
#include <memory>

#include "tests/bench/mqtt/options.h"
#include "tests/bench/mqtt/poll.h"

namespace culvert::bench {
namespace {

constexpr int64_t kStall = 5'000'000'000;  // ns without any progress: messages were lost

class Load {
 public:
  explicit Load(const Options& options) : o_(options) {
    fan_out_ = o_.what == "fan-out" ? o_.subscribers : 1;
    for (uint32_t i = 0; i < o_.subscribers && !o_.ack_only; ++i) open(subscribers_, i, false);
    for (uint32_t i = 0; i < o_.publishers; ++i) open(publishers_, i, true);
  }

  int run() {
    wait_ready();
    const int64_t start = now_ns(), measured = start + ns(o_.warm_up);
    const int64_t end = measured + ns(o_.seconds);
    int64_t cpu = 0, own = 0, first = 0, progress = start;
    uint64_t delivered = 0, seen = 0;
    bool measuring = false;
    pump_all();
    int64_t now = start;
    while (now < end) {
      if (!measuring && now >= measured) {
        measuring = recording_ = true;
        cpu = cpu_ns(o_.pid), own = cpu_ns(getpid());
        first = now, delivered = delivered_;
      }
      if (o_.rate > 0) publish_due(now, start);
      const bool stream = o_.ack_only && o_.qos == 0;  // nothing comes back: as fast as it goes
      if (stream) pump_all();
      poll_.round(stream ? 0 : o_.rate > 0 ? 1 : 100, *this, *this);
      now = now_ns();
      if (delivered_ != seen) seen = delivered_, progress = now;
      if (now - progress > kStall) fail("nothing arrives any more: messages were lost");
    }
    const double seconds = static_cast<double>(now - first) / 1e9;
    cpu = cpu_ns(o_.pid) - cpu, own = cpu_ns(getpid()) - own;
    const double messages = static_cast<double>(delivered_ - delivered);
    drain();
    std::sort(times_.begin(), times_.end());
    const auto part = [&](double p) {
      return times_.empty()
                 ? 0.0
                 : times_[static_cast<size_t>(p * static_cast<double>(times_.size() - 1))];
    };
    std::printf(
        "{\"messages_per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"cpu_us_per_message\":%.3f,"
        "\"generator_cpu_us_per_message\":%.3f,\"broker_cpu\":%.3f,\"generator_cpu\":%.3f,"
        "\"published\":%llu,\"delivered\":%llu,"
        "\"expected\":%llu}\n",
        messages / seconds, part(0.5), part(0.99), static_cast<double>(cpu) / 1e3 / messages,
        static_cast<double>(own) / 1e3 / messages, static_cast<double>(cpu) / 1e9 / seconds,
        static_cast<double>(own) / 1e9 / seconds, static_cast<unsigned long long>(published_),
        static_cast<unsigned long long>(delivered_),
        static_cast<unsigned long long>(published_ * fan_out_));
    return delivered_ == published_ * fan_out_ ? 0 : 1;
  }

  // Poll's two callbacks.
  void operator()(Conn& conn, const uint8_t* at, const Cut& frame) {
    const uint8_t type = at[0] & 0xf0;
    if (type == kPublish) return arrived(conn, at, frame);
    if (type == kConnAck) {
      if (at[frame.header + 1] != 0) fail("a connection was refused");
      if (conn.publishes) return ready(conn);
      conn.out += subscribe_packet(topic(conn.index), o_.qos, o_.v5);
      return poll_.mark(conn);
    }
    if (type == kSubAck) {
      if (at[frame.size - 1] >= 0x80) fail("a subscription was refused");
      return ready(conn);
    }
    if (type == kDisconnect) fail("the broker disconnects, reason " + std::to_string(at[2]));
    const uint16_t id = get16(at + frame.header);
    if (type == kPubRec) {
      append_ack(conn.out, kPubRel, id);
      poll_.mark(conn);
    } else if (type == (kPubRel & 0xf0)) {
      append_ack(conn.out, kPubComp, id);
      poll_.mark(conn);
    } else if (conn.publishes) {  // PUBACK, PUBCOMP
      ++conn.acked;
      if (o_.ack_only) ++delivered_;
      pump(conn);
    }
  }
  void operator()(Conn&) { fail("the broker closed a connection"); }

 private:
  static int64_t ns(double seconds) { return static_cast<int64_t>(seconds * 1e9); }
  // Who hears whom: pairs by number; all to one; one to all.
  std::string topic(uint32_t index) const {
    if (o_.what == "pairs") return "bench/pair/" + std::to_string(index);
    return "bench/" + o_.what;
  }
  void open(std::vector<std::unique_ptr<Conn>>& all, uint32_t index, bool publishes) {
    auto conn = std::make_unique<Conn>();
    conn->index = index, conn->publishes = publishes;
    conn->fd = Poll::dial(o_.port, index);
    conn->out = connect_packet((publishes ? "p" : "s") + std::to_string(index), o_.v5,
                               publishes || !o_.durable);
    poll_.watch(*conn);
    poll_.mark(*conn);
    if (publishes) {
      Template made;
      made.bytes = publish_packet(topic(index), o_.qos, std::max(o_.payload, 12u), o_.v5,
                                  &made.identifier, &made.payload);
      std::memcpy(&made.bytes[made.payload + 8], &index, sizeof index);
      templates_.push_back(std::move(made));
    }
    all.push_back(std::move(conn));
  }
  void ready(Conn& conn) { conn.ready = true, ++ready_; }
  void wait_ready() {
    const int64_t deadline = now_ns() + kStall * 4;
    poll_.flush();
    while (ready_ < subscribers_.size() + publishers_.size()) {
      poll_.round(100, *this, *this);
      if (now_ns() > deadline) fail("the broker does not answer");
    }
  }
  void publish(Conn& conn, int64_t now) {
    Template& t = templates_[conn.index];
    if (o_.qos > 0) {
      const auto id = static_cast<uint16_t>(conn.sent % 60000 + 1);
      t.bytes[t.identifier] = static_cast<char>(id >> 8);
      t.bytes[t.identifier + 1] = static_cast<char>(id);
    }
    std::memcpy(&t.bytes[t.payload], &now, sizeof now);
    conn.out += t.bytes;
    ++conn.sent, ++published_;
    poll_.mark(conn);
  }
  // As much as the window allows: neither unacknowledged nor undelivered messages beyond it.
  void pump(Conn& conn) {
    if (o_.rate > 0 || draining_) return;
    if (o_.ack_only && o_.qos == 0) {
      if (!conn.out.empty()) return;
      conn.got = conn.sent;
      delivered_ += o_.window;
    }
    uint64_t under_way = o_.ack_only ? 0 : conn.sent - conn.got / fan_out_;
    if (o_.qos > 0) under_way = std::max(under_way, conn.sent - conn.acked);
    // In halves of a window, so that both sides work on batches.
    if (under_way > o_.window - o_.window / 2) return;
    const int64_t now = now_ns();
    for (; under_way < o_.window; ++under_way) publish(conn, now);
  }
  void pump_all() {
    for (const auto& conn : publishers_) pump(*conn);
    poll_.flush();
  }
  void publish_due(int64_t now, int64_t start) {
    const auto due = static_cast<uint64_t>(static_cast<double>(now - start) / 1e9 * o_.rate);
    while (published_ < due) publish(*publishers_[published_ % publishers_.size()], now_ns());
    poll_.flush();
  }
  void arrived(Conn& conn, const uint8_t* at, const Cut& frame) {
    const Seen seen = see_publish(at, frame, o_.v5);
    if (seen.qos > 0) {
      append_ack(conn.out, seen.qos == 1 ? kPubAck : kPubRec, seen.identifier);
      poll_.mark(conn);
    }
    ++delivered_;
    uint32_t from = 0;
    std::memcpy(&from, seen.payload + 8, sizeof from);
    if (recording_ && (o_.rate > 0 || delivered_ % 16 == 0)) {
      int64_t then = 0;
      std::memcpy(&then, seen.payload, sizeof then);
      times_.push_back(static_cast<double>(now_ns() - then) / 1e3);
    }
    Conn& sender = *publishers_[from];
    ++sender.got;
    pump(sender);
  }
  // What is under way arrives yet: every message is counted.
  void drain() {
    recording_ = false, draining_ = true;
    int64_t progress = now_ns();
    uint64_t seen = delivered_;
    while (delivered_ < published_ * fan_out_ && now_ns() - progress < kStall) {
      poll_.round(100, *this, *this);
      if (delivered_ != seen) seen = delivered_, progress = now_ns();
    }
  }

  struct Template {
    std::string bytes;
    size_t identifier = 0, payload = 0;
  };
  const Options& o_;
  Poll poll_;
  std::vector<std::unique_ptr<Conn>> publishers_, subscribers_;
  std::vector<Template> templates_;
  std::vector<double> times_;
  uint64_t fan_out_ = 1, ready_ = 0, published_ = 0, delivered_ = 0;
  bool recording_ = false, draining_ = false;
};

}  // namespace

int run_load(const Options& options) { return Load(options).run(); }

}  // namespace culvert::bench
