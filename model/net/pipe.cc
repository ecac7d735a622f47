#include "model/net/pipe.h"

#include <algorithm>
#include <deque>

namespace culvert::net {
namespace {

constexpr size_t kCompactFrom = 4096;  // ours: read bytes are not moved away in smaller amounts

class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(Host& host, const PipeOptions& options)
      : host_(host), options_(options), sides_{Side(*this, 0), Side(*this, 1)} {
    options_.capacity = std::max<size_t>(options_.capacity, 1);
  }

  IoResult read(int i, MutableBytes buffer);
  IoResult write(int i, Bytes data);
  void finish(int i);
  void reset(int i);
  void leave(int i);
  void on_readable(int i, std::function<void()> callback);
  void on_writable(int i, std::function<void()> callback);
  void hold(bool held);
  void cut(Error error);

  const Endpoint& endpoint(int i) const { return i == 0 ? options_.first : options_.second; }
  const Endpoint& remote(int i) const {
    const bool seen = i == 1 && !options_.first_seen_as.is_none();
    return seen ? options_.first_seen_as : endpoint(1 - i);
  }
  Duration delay() const { return options_.delay; }
  bool is_open(int i) const { return sides_[i].open; }
  bool alive() const { return sides_[0].open || sides_[1].open; }

 private:
  enum class Kind : uint8_t { data, fin, rst };
  struct Arrival {
    Time when;
    size_t size;
    Kind kind;
  };
  // One end: what comes to it, and what its owner was told.
  struct Side {
    Side(Core& core, int i) : arrive(core.host_.timers(), [&core, i] { core.take_due(i); }) {}
    Buffer bytes;                // written by the other end and not read: bytes[head..]
    size_t head = 0;             // of `bytes`
    size_t visible = 0;          // bytes from head on that have arrived
    std::deque<Arrival> coming;  // in order
    Timer arrive;
    Error end = Error::none;  // what reading ends with after the visible bytes
    bool open = true;         // the owner has it, and did not reset it
    bool dead = false;        // `end` holds for writing, too
    bool finished = false;    // it sent FIN
    bool told = false;        // read() has returned `end`
    bool armed = true;        // on_readable is due when there is something
    bool posted = false;
    bool running = false, replaced = false;  // the readable callback runs; was set anew meanwhile
    std::function<void()> readable, writable;
  };

  size_t room(const Side& reader) const {
    return options_.capacity - std::min(options_.capacity, reader.bytes.size() - reader.head);
  }
  // Not for every byte that is read: from a third on, as the Hosts do.
  bool has_room(const Side& reader) const { return room(reader) * 3 >= options_.capacity; }
  bool has_news(const Side& side) const {
    return side.visible > 0 || (side.end != Error::none && !side.told);
  }
  void send(int to, Kind kind, size_t size);
  void arrived(int i, Kind kind, size_t size);
  void take_due(int i);
  void kill(int i, Error error);
  void drop_coming(Side& side);
  void wake(int i);
  void turn(int i);

  Host& host_;
  PipeOptions options_;
  Side sides_[2];
  bool held_ = false;
};

IoResult Core::read(int i, MutableBytes buffer) {
  Side& me = sides_[i];
  if (buffer.empty()) return {};
  me.armed = true;
  if (me.visible == 0) {
    if (me.end == Error::none) return {0, Error::would_block};
    me.told = true;
    return {0, me.end};
  }
  const size_t count = std::min(buffer.size(), me.visible);
  std::copy_n(me.bytes.begin() + me.head, count, buffer.begin());
  me.head += count;
  me.visible -= count;
  if (me.head == me.bytes.size()) {
    me.bytes.clear();
    me.head = 0;
  } else if (me.head >= kCompactFrom && me.head * 2 >= me.bytes.size()) {
    // At least as many were read as are moved now.
    me.bytes.erase(me.bytes.begin(), me.bytes.begin() + me.head);
    me.head = 0;
  }
  if (me.readable && has_news(me)) wake(i);
  if (sides_[1 - i].writable && has_room(me)) wake(1 - i);
  return {count, Error::none};
}

IoResult Core::write(int i, Bytes data) {
  Side& me = sides_[i];
  Side& peer = sides_[1 - i];
  if (me.dead) return {0, me.end};
  if (me.finished) return {0, Error::closed};
  const size_t count = std::min(data.size(), room(peer));
  if (count > 0) {
    peer.bytes.insert(peer.bytes.end(), data.begin(), data.begin() + count);
    send(1 - i, Kind::data, count);
  }
  return {count, count < data.size() ? Error::would_block : Error::none};
}

void Core::finish(int i) {
  Side& me = sides_[i];
  if (me.finished || me.dead) return;
  me.finished = true;
  send(1 - i, Kind::fin, 0);
}

void Core::reset(int i) {
  Side& me = sides_[i];
  if (!me.open) return;
  const bool was_dead = me.dead;
  me.open = false;
  me.end = Error::closed;
  me.dead = me.told = true;
  me.bytes.clear();
  me.head = me.visible = 0;
  me.coming.clear();
  me.arrive.cancel();
  me.readable = me.writable = {};
  if (was_dead) return;
  drop_coming(sides_[1 - i]);
  send(1 - i, Kind::rst, 0);
}

// What a Stream's destructor does: FIN, or RST if unread data is left or comes later.
void Core::leave(int i) {
  Side& me = sides_[i];
  if (!me.open) return;
  if (me.visible > 0 && !me.dead) {
    me.dead = true;
    send(1 - i, Kind::rst, 0);
  } else {
    finish(i);
  }
  me.open = false;
  me.bytes.erase(me.bytes.begin(), me.bytes.begin() + me.head + me.visible);
  me.head = me.visible = 0;
  me.readable = me.writable = {};
}

void Core::on_readable(int i, std::function<void()> callback) {
  Side& me = sides_[i];
  if (!me.open) return;
  if (me.running) me.replaced = true;
  me.readable = std::move(callback);
  me.armed = true;
  if (me.readable && has_news(me)) wake(i);
}

void Core::on_writable(int i, std::function<void()> callback) {
  Side& me = sides_[i];
  if (!me.open) return;
  me.writable = std::move(callback);
  if (me.writable && (me.dead || has_room(sides_[1 - i]))) wake(i);
}

void Core::hold(bool held) {
  held_ = held;
  if (held) return;
  for (int i : {0, 1}) {
    if (!sides_[i].coming.empty()) sides_[i].arrive.arm_at(sides_[i].coming.front().when);
  }
}

void Core::cut(Error error) {
  for (int i : {0, 1}) kill(i, error);
}

void Core::send(int to, Kind kind, size_t size) {
  Side& side = sides_[to];
  if (options_.delay == Duration::zero() && !held_ && side.coming.empty())
    return arrived(to, kind, size);
  const Time when = host_.now() + options_.delay;
  if (kind == Kind::data && !side.coming.empty() && side.coming.back().kind == kind &&
      side.coming.back().when == when) {
    side.coming.back().size += size;
    return;
  }
  side.coming.push_back({when, size, kind});
  if (!held_ && !side.arrive.armed()) side.arrive.arm_at(side.coming.front().when);
}

void Core::take_due(int i) {
  Side& me = sides_[i];
  while (!held_ && !me.coming.empty() && me.coming.front().when <= host_.now()) {
    const Arrival next = me.coming.front();
    me.coming.pop_front();
    arrived(i, next.kind, next.size);
  }
  if (!held_ && !me.coming.empty()) me.arrive.arm_at(me.coming.front().when);
}

void Core::arrived(int i, Kind kind, size_t size) {
  Side& me = sides_[i];
  switch (kind) {
    case Kind::data:
      if (me.open && !me.dead) {
        me.visible += size;
        break;
      }
      // Nobody is there to read it.
      me.bytes.erase(me.bytes.begin(), me.bytes.begin() + std::min(size, me.bytes.size()));
      if (!sides_[1 - i].dead) send(1 - i, Kind::rst, 0);
      return;
    case Kind::fin:
      if (!me.open || me.end != Error::none) return;
      me.end = Error::closed;
      break;
    case Kind::rst:
      return kill(i, Error::reset);
  }
  me.armed = true;
  if (me.readable) wake(i);
}

void Core::kill(int i, Error error) {
  Side& me = sides_[i];
  if (!me.open || me.dead) return;
  drop_coming(me);
  me.end = error;
  me.dead = me.armed = true;
  if (me.readable || me.writable) wake(i);
}

void Core::drop_coming(Side& side) {
  side.coming.clear();
  side.arrive.cancel();
  side.bytes.resize(side.head + side.visible);
}

void Core::wake(int i) {
  if (sides_[i].posted) return;
  sides_[i].posted = true;
  host_.post([weak = weak_from_this(), i] {
    if (const auto core = weak.lock()) core->turn(i);
  });
}

void Core::turn(int i) {
  Side& me = sides_[i];
  me.posted = false;
  if (me.writable && (me.dead || has_room(sides_[1 - i]))) {
    const auto callback = std::exchange(me.writable, nullptr);
    callback();
  }
  if (!me.armed || !me.readable || !has_news(me)) return;
  me.armed = me.replaced = false;
  me.running = true;
  auto callback = std::exchange(me.readable, nullptr);
  callback();
  me.running = false;
  if (me.open && !me.replaced) me.readable = std::move(callback);
  if (me.open && me.readable && me.armed && has_news(me)) wake(i);
}

class PipeEnd : public Stream {
 public:
  PipeEnd(std::shared_ptr<Core> core, int index) : core_(std::move(core)), index_(index) {}
  ~PipeEnd() override { core_->leave(index_); }

  Endpoint local() const override { return core_->endpoint(index_); }
  Endpoint remote() const override { return core_->remote(index_); }
  IoResult read(MutableBytes buffer) override { return core_->read(index_, buffer); }
  IoResult write(Bytes data) override { return core_->write(index_, data); }
  void shutdown_write() override { core_->finish(index_); }
  void reset() override { core_->reset(index_); }
  void on_readable(std::function<void()> callback) override {
    core_->on_readable(index_, std::move(callback));
  }
  void on_writable(std::function<void()> callback) override {
    core_->on_writable(index_, std::move(callback));
  }
  Status set_no_delay(bool) override {
    if (!core_->is_open(index_)) return {Error::closed, "the stream was reset"};
    return {};
  }
  PathStats stats() const override {
    PathStats out;
    out.rtt = 2 * core_->delay();
    return out;
  }

 private:
  std::shared_ptr<Core> core_;
  int index_;
};

class Line : public PipeLine {
 public:
  explicit Line(std::weak_ptr<Core> core) : core_(std::move(core)) {}
  void hold(bool held) override {
    if (const auto core = core_.lock()) core->hold(held);
  }
  void cut(Error error) override {
    if (const auto core = core_.lock()) core->cut(error);
  }
  bool alive() const override {
    const auto core = core_.lock();
    return core && core->alive();
  }

 private:
  std::weak_ptr<Core> core_;
};

}  // namespace

Pipe make_pipe_with_line(Host& host, PipeOptions options) {
  const auto core = std::make_shared<Core>(host, options);
  return {std::make_unique<PipeEnd>(core, 0), std::make_unique<PipeEnd>(core, 1),
          std::make_shared<Line>(core)};
}

std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> make_pipe(Host& host,
                                                                      PipeOptions options) {
  const auto core = std::make_shared<Core>(host, options);
  return {std::make_unique<PipeEnd>(core, 0), std::make_unique<PipeEnd>(core, 1)};
}

}  // namespace culvert::net
