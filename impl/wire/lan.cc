#include "impl/wire/lan.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "impl/wire/clock.h"
#include "model/link/watch.h"

namespace culvert::wire {
namespace {

constexpr size_t kMaxLearned = 4096;        // ours: no scenario has more stations on a LAN
constexpr size_t kMaxInFlight = 128 << 20;  // bytes of a link's frames; ours: 1 Gbit/s for a second
// What a base station holds for a device; ns-3's radios have the same
// (scenarios/ns3_runner/lte.cc).
constexpr double kRadioQueueBytes = 1e6;
constexpr uint64_t kLogAll = 1000, kLogEvery = 100;  // docs/reference/events.md

bool is_ip(net::Bytes frame) {
  const int type = frame[12] << 8 | frame[13];
  return type == 0x0800 || type == 0x86dd;  // IANA ethertypes
}

uint64_t hardware_key(const uint8_t* at) {
  uint64_t key = 0;
  for (int i = 0; i < 6; ++i) key = key << 8 | at[i];
  return key;
}

}  // namespace

Lan::Lan(const LinkOptions& options, uint64_t seed, int64_t epoch_ns, Scheduler& scheduler,
         net::EventLog::Sink sink)
    : options_(options),
      epoch_ns_(epoch_ns),
      scheduler_(scheduler),
      log_(
          options.name, [epoch_ns] { return net::Time(now_ns() - epoch_ns); }, std::move(sink)),
      pool_(options.mtu + kEthernetHeader + kVlanTag,
            std::max<size_t>(1024, kMaxInFlight / (options.mtu + kEthernetHeader + kVlanTag))) {
  for (const EndOptions& end : options.ends) {
    ends_.emplace_back();
    ends_.back().interface = end.interface;
    ends_.back().fd = end.fd;
    ends_.back().node = end.node.empty() ? end.interface : end.node;
  }
  for (size_t from = 0; from < ends_.size(); ++from) {
    for (size_t to = 0; to < ends_.size(); ++to) {
      const std::string which =
          options.name + ' ' + ends_[from].interface + ' ' + ends_[to].interface;
      directions_.push_back(std::make_unique<Direction>(
          Direction{Lane{}, net::Random(net::derive_seed(seed, "loss " + which)),
                    net::Random(net::derive_seed(seed, "jitter " + which))}));
      directions_.back()->lane.lan = this;
      directions_.back()->lane.from = from;
      directions_.back()->lane.to = to;
    }
  }
}

Lan::~Lan() {
  for (End& end : ends_) ::close(end.fd);
}

size_t Lan::read_end(size_t from, size_t limit) {
  size_t count = 0;
  while (count < limit) {
    Frame* frame = pool_.take();
    if (frame == nullptr) {  // the pool is exhausted: drain the device, so that epoll rests
      uint8_t buffer[2048];
      const ssize_t size = ::read(ends_[from].fd, buffer, sizeof buffer);
      if (size <= 0) break;
      lose({buffer, static_cast<size_t>(size)}, "queue");
      ++count;
      continue;
    }
    const ssize_t size = ::read(ends_[from].fd, frame->data.get(), pool_.capacity());
    if (size < static_cast<ssize_t>(kEthernetHeader)) {
      release(frame);
      break;
    }
    frame->size = static_cast<uint32_t>(size);
    accept(from, frame, now_ns());
    ++count;
  }
  return count;
}

void Lan::accept(size_t from, Frame* frame, int64_t now) {
  End& end = ends_[from];
  const net::Bytes bytes(frame->data.get(), frame->size);
  if (end.capture) end.capture->write(now - epoch_ns_, bytes);
  if (is_ip(bytes)) {
    end.counter.sent(frame->size - kEthernetHeader);
    if (watched_) watch(end, "sent", bytes);
  }
  if (cut_) {
    lose(bytes, "cut");
    return release(frame);
  }
  const int64_t departs =
      is_device(from) ? through_radio(end, true, frame->size, now, direction(from, from).jitter)
                      : departure(end, frame->size, now);
  if (departs == INT64_MAX) {
    lose(bytes, "queue");
    return release(frame);
  }
  if (ends_.size() == 2) return send(from, 1 - from, frame, departs);

  const uint64_t source = hardware_key(frame->data.get() + 6);
  if (learned_.size() < kMaxLearned || learned_.count(source) != 0) learned_[source] = from;
  const bool group = (frame->data[0] & 1) != 0;
  const auto known = group ? learned_.end() : learned_.find(hardware_key(frame->data.get()));
  if (known != learned_.end()) {
    if (known->second == from) return release(frame);
    return send(from, known->second, frame, departs);
  }
  for (size_t to = 0; to < ends_.size(); ++to) {
    if (to == from) continue;
    Frame* copy = pool_.take();
    if (copy == nullptr) {
      lose(bytes, "queue");
      break;
    }
    std::copy_n(frame->data.get(), frame->size, copy->data.get());
    copy->size = frame->size;
    send(from, to, copy, departs);
  }
  release(frame);
}

int64_t Lan::departure(End& end, size_t bytes, int64_t now) {
  if (options_.rate_mbps <= 0) return now;
  const double ns_per_byte = 8000.0 / options_.rate_mbps;
  const int64_t starts = std::max(now, end.busy_until_ns);
  const double queue_ns = ns_per_byte * static_cast<double>(options_.queue) *
                          static_cast<double>(options_.mtu + kEthernetHeader);
  if (static_cast<double>(starts - now) > queue_ns) return INT64_MAX;
  end.busy_until_ns = starts + std::llround(ns_per_byte * static_cast<double>(bytes));
  return end.busy_until_ns;
}

int64_t Lan::through_radio(End& device, bool up, size_t bytes, int64_t now, net::Random& draws) {
  const link::RadioOptions states{net::from_ms(options_.wake_ms), net::from_ms(options_.idle_ms)};
  const int64_t awake = device.radio.admit(net::Time(now), states).count();
  int64_t& until = up ? device.up_until_ns : device.down_until_ns;
  const double rate_mbps = up ? options_.up_mbps : options_.down_mbps;
  const double ns_per_byte = rate_mbps > 0 ? 8000.0 / rate_mbps : 0;
  if (ns_per_byte * kRadioQueueBytes < static_cast<double>(until - awake)) return INT64_MAX;
  // Who is still sending has a grant already.
  const double grant_ms = up ? options_.up_grant_ms : options_.down_grant_ms;
  const int64_t asks = until > awake ? 0 : net::from_ms(grant_ms * draws.unit()).count();
  until = std::max(awake + asks, until) + std::llround(ns_per_byte * static_cast<double>(bytes));
  return until + net::from_ms(up ? options_.up_delay_ms : options_.down_delay_ms).count();
}

void Lan::count() {
  for (End& end : ends_) end.counter.tell(log_, end.node);
}

void Lan::watch(const End& end, const char* way, net::Bytes frame) {
  link::tell_passed(log_, end.node, way,
                    {frame.data() + kEthernetHeader, frame.size() - kEthernetHeader});
}

void Lan::send(size_t from, size_t to, Frame* frame, int64_t departs_ns) {
  Direction& way = direction(from, to);
  if (options_.loss > 0 && way.loss.unit() < options_.loss) {
    lose({frame->data.get(), frame->size}, "loss");
    return release(frame);
  }
  double delay_ms = options_.delay_ms;
  if (options_.jitter_ms > 0) delay_ms += options_.jitter_ms * way.jitter.unit();
  int64_t due_ns = departs_ns + net::from_ms(delay_ms).count();
  if (is_device(to)) {
    due_ns = through_radio(ends_[to], false, frame->size, due_ns, direction(to, to).loss);
    if (due_ns == INT64_MAX) {
      lose({frame->data.get(), frame->size}, "queue");
      return release(frame);
    }
  }
  frame->due_ns = std::max(due_ns, way.lane.latest_due_ns);
  scheduler_.add(way.lane, frame);
}

void Lan::deliver(Lane& lane, Frame* frame) {
  // What was under way when the link was cut still arrives, as in ns-3.
  const net::Bytes bytes(frame->data.get(), frame->size);
  End& end = ends_[lane.to];
  if (end.capture) end.capture->write(now_ns() - epoch_ns_, bytes);
  // EIO: the interface is down; EAGAIN: its host does not keep up.
  if (::write(end.fd, frame->data.get(), frame->size) < 0) {
    lose(bytes, errno == EAGAIN ? "queue" : "cut");
  } else if (is_ip(bytes)) {
    end.counter.received(frame->size - kEthernetHeader);
    if (watched_) watch(end, "received", bytes);
  }
  release(frame);
}

void Lan::lose(net::Bytes frame, const char* why) {
  ++lost_;
  if (!log_.enabled() || (lost_ > kLogAll && lost_ % kLogEvery != 0)) return;
  const FrameSummary summary = summarise(frame);
  log_.write("link", "lost",
             {{"source", summary.source},
              {"destination", summary.destination},
              {"packet", summary.packet},
              {"why", why}});
}

net::Status Lan::command(std::string_view text) {
  if (text == "cut" || text == "mend") {
    cut_ = text == "cut";
    return {};
  }
  if (text == "count") {
    count();
    return {};
  }
  if (text == "watch") {
    watched_ = true;
    return {};
  }
  if (text.substr(0, 4) != "set ") {
    return {net::Error::invalid, "link '" + name() +
                                     "' knows cut, mend, count, watch and set, not '" +
                                     std::string(text) + "'"};
  }
  LinkOptions changed = options_;
  if (net::Status status = set_shape(changed, text.substr(4)); !status) return status;
  if (changed.mtu != options_.mtu) {
    return {net::Error::invalid, "the mtu of link '" + name() + "' is set when it is made"};
  }
  options_ = changed;
  return {};
}

net::Status Lan::capture(const std::string& folder) {
  for (End& end : ends_) {
    auto file = PcapFile::create(folder + "/" + end.interface + ".pcap");
    if (!file) return file.status();
    end.capture = std::move(*file);
  }
  return {};
}

void Lan::flush_captures() {
  for (End& end : ends_) {
    if (end.capture) end.capture->flush();
  }
}

}  // namespace culvert::wire
