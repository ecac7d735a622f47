#include "tests/support/fake_stream.h"

#include <algorithm>

namespace culvert::testing {

using net::Error;
using std::chrono_literals::operator""s;

namespace {
constexpr net::Duration kFirstRetry = 1s;  // RFC 6298 section 2: the first retransmission of a SYN
constexpr uint16_t kFirstDialPort = 20000, kLastDialPort = 39999;
}  // namespace

FakeListener::FakeListener(FakeHost& host, const net::Endpoint& local, size_t backlog)
    : host_(host),
      local_(local),
      backlog_(std::max<size_t>(backlog, 1)),
      alive_(std::make_shared<FakeListener*>(this)) {
  host_.listeners_.push_back(this);
}

FakeListener::~FakeListener() {
  *alive_ = nullptr;
  auto& all = host_.listeners_;
  all.erase(std::remove(all.begin(), all.end(), this), all.end());
  for (const auto& stream : ready_) stream->reset();
}

bool FakeListener::reserve() {
  if (ready_.size() + reserved_ >= backlog_) return false;
  ++reserved_;
  return true;
}

void FakeListener::connected(std::unique_ptr<net::Stream> stream) {
  --reserved_;
  ready_.push_back(std::move(stream));
  if (readable_) wake();
}

std::unique_ptr<net::Stream> FakeListener::accept() {
  if (ready_.empty()) return nullptr;
  auto stream = std::move(ready_.front());
  ready_.pop_front();
  if (!ready_.empty() && readable_) wake();
  return stream;
}

void FakeListener::on_readable(std::function<void()> callback) {
  readable_ = std::move(callback);
  if (readable_ && !ready_.empty()) wake();
}

void FakeListener::wake() {
  if (posted_) return;
  posted_ = true;
  host_.post([alive = alive_] {
    FakeListener* self = *alive;
    if (!self) return;
    self->posted_ = false;
    if (!self->readable_ || self->ready_.empty()) return;
    const auto callback = self->readable_;
    callback();
  });
}

FakeDial::FakeDial(FakeHost& host, const net::DialOptions& options, net::DialDone done)
    : host_(host),
      options_(options),
      done_(std::move(done)),
      local_(options.local),
      pause_(kFirstRetry),
      retry_(host.timers(), [this] { attempt(); }),
      limit_(
          host.timers(),
          [this] {
            finish(net::Status(Error::timed_out, "no answer from " + options_.remote.to_string()));
          }),
      alive_(std::make_shared<FakeDial*>(this)) {
  if (local_.ip.is_none() || local_.ip.is_any()) {
    local_.ip = options_.remote.ip.is_loopback() ? options_.remote.ip : host_.first_address();
  }
  if (local_.port == 0) {
    if (host_.next_dial_port_ < kFirstDialPort || host_.next_dial_port_ > kLastDialPort)
      host_.next_dial_port_ = kFirstDialPort;
    local_.port = host_.next_dial_port_++;
  }
  limit_.arm_after(options_.timeout);
  attempt();
}

// The SYN arrives after one delay, the answer after two, the third packet of the handshake, which
// makes the server's stream, after three. A link may go down in between: then it is tried again.
void FakeDial::attempt() {
  retry_.arm_after(pause_);
  pause_ *= 2;
  FakeNet& net = host_.world_;
  const std::shared_ptr<const FakeNet::Path> path =
      net.path(host_.node_, options_.remote.ip.to_v4());
  if (!path || net.is_down(*path)) return;
  const net::Time now = net.now();
  net.schedule(now + path->delay, [&net, path, alive = alive_] {
    FakeDial* self = *alive;
    if (!self || net.is_down(*path)) return;
    FakeHost* server = net.nodes_[path->to].host.get();
    FakeListener* listener = server ? server->listener_at(self->options_.remote) : nullptr;
    if (listener && !listener->reserve()) return;  // a full backlog is silent, as Linux is
    const auto waiting = listener ? listener->alive() : nullptr;
    net.schedule(net.now() + path->delay, [&net, path, alive, waiting] {
      FakeDial* self = *alive;
      FakeListener* there = waiting ? *waiting : nullptr;
      if (!self || net.is_down(*path)) {
        if (there) there->unreserve();
        return;
      }
      if (!there) {
        return self->finish(
            net::Status(Error::refused, self->options_.remote.to_string() + " answered with RST"));
      }
      net::PipeOptions options;
      options.capacity = net.stream_capacity;
      options.delay = path->delay;
      options.first = self->local_;
      options.second = self->options_.remote;
      options.first_seen_as = self->local_;
      if (path->seen_as) options.first_seen_as.ip = net::IpAddress::v4(*path->seen_as);
      auto pipe = net::make_pipe_with_line(self->host_, options);
      net.add_stream(*path, pipe.line);
      const auto accepted = std::make_shared<std::unique_ptr<net::Stream>>(std::move(pipe.second));
      net.schedule(net.now() + path->delay, [waiting, accepted] {
        if (FakeListener* there = *waiting)
          there->connected(std::move(*accepted));
        else
          (*accepted)->reset();
      });
      self->finish(std::move(pipe.first));
    });
  });
}

void FakeDial::finish(net::Result<std::unique_ptr<net::Stream>> result) {
  retry_.cancel();
  limit_.cancel();
  *alive_ = nullptr;  // answers to earlier attempts find nobody
  alive_ = std::make_shared<FakeDial*>(this);
  const auto done = std::move(done_);
  done(std::move(result));  // may destroy this
}

}  // namespace culvert::testing
