#include "model/mqtt/broker/connection.h"

#include <algorithm>

#include "model/mqtt/broker/core.h"

namespace culvert::mqtt {
namespace {

// Ours: so much is worth a write of its own before the turn ends.
constexpr size_t kWriteEarly = 64 * 1024;

}  // namespace

Connection::Connection(Core& c, std::unique_ptr<net::Stream> s, Peer p, uint32_t at,
                       uint32_t number)
    : core(c), stream(std::move(s)), peer(std::move(p)), slot(at), serial(number) {
  stream->on_readable([this] { readable(); });
}

Connection::~Connection() = default;

void Connection::readable() {
  core.note_time();
  if (state == State::closing) return drain();
  if (state == State::doomed || blocked) return;
  if (core.parks() && state == State::up) {
    core.park(*this);
    return;
  }
  read_on();
  core.greeted(*this);
  core.after_read();
}

void Connection::read_on() {
  const net::MutableBytes buffer = core.read_buffer();
  // What is left of a small packet is completed in the shared buffer; a large one grows in its own.
  if (partial_.size() <= buffer.size() / 2) {
    const size_t kept = partial_.size();
    std::copy(partial_.begin(), partial_.end(), buffer.begin());
    const net::IoResult got = stream->read(buffer.subspan(kept));
    if (got.count == 0) return on_stream_end(got.error);
    core.counters().bytes_in += got.count;
    const net::Bytes input(buffer.data(), kept + got.count);
    // While this runs partial_ holds nothing, so that whoever asks sees one place only.
    partial_.clear();
    const size_t used = consume(input);
    if (used < input.size() && state != State::doomed && state != State::closing) {
      partial_.assign(input.begin() + static_cast<ptrdiff_t>(used), input.end());
    } else if (partial_.capacity() > 0) {
      net::Buffer().swap(partial_);
    }
    return;
  }
  const net::IoResult got = stream->read(buffer);
  if (got.count == 0) return on_stream_end(got.error);
  core.counters().bytes_in += got.count;
  partial_.insert(partial_.end(), buffer.begin(),
                  buffer.begin() + static_cast<ptrdiff_t>(got.count));
  resume();
}

void Connection::resume() {
  if (state == State::doomed || state == State::closing) return;
  net::Buffer input = std::move(partial_);
  partial_ = net::Buffer();
  const size_t used = consume(input);
  if (state == State::doomed || state == State::closing) return;
  if (used == 0) {
    partial_ = std::move(input);
  } else if (used < input.size()) {
    partial_.assign(input.begin() + static_cast<ptrdiff_t>(used), input.end());
  }
}

void Connection::read_again() {
  if (state == State::doomed || state == State::closing || blocked) return;
  resume();
  // on_readable is only told of what comes after a read.
  if (state != State::doomed && state != State::closing && !blocked) read_on();
  core.greeted(*this);
}

size_t Connection::consume(net::Bytes input) {
  size_t used = 0;
  while (used < input.size()) {
    const net::Bytes rest = input.subspan(used);
    const auto found = next_frame(rest, core.packet_limit(), Side::client);
    if (const auto* fault = std::get_if<Fault>(&found)) {
      core.fault(*this, *fault);
      return input.size();
    }
    const size_t size = std::get<Frame>(found).size;
    if (size == 0 || size > rest.size()) {
      // What may not be the first packet is not waited for.
      if (state != State::waiting || rest[0] >> 4 == static_cast<uint8_t>(Type::connect)) break;
      core.handle(*this, rest.first(1));
      return input.size();
    }
    last_in = core.now();  // a whole packet: pieces of one do not keep alive (3.1.2-22)
    if (core.handle(*this, rest.first(size)) == Handled::wait) break;
    used += size;
    if (state == State::doomed || state == State::closing) return input.size();
    if (blocked) break;
  }
  return used;
}

void Connection::on_stream_end(net::Error error) {
  if (error == net::Error::would_block) return;
  core.doom(*this, Reason::unspecified_error, false,
            error == net::Error::closed ? "the client closed the connection" : to_string(error));
}

// -- output ---------------------------------------------------------------------------------------

net::Buffer& Connection::out() {
  if (out_.capacity() == 0) out_ = core.spare_buffer();
  return out_;
}

void Connection::written() {
  core.make_dirty(*this);
  if (unwritten() >= kWriteEarly && !blocked_writing_) flush();
}

bool Connection::writable() const {
  return state == State::up && unwritten() < core.options().write_buffer_bytes;
}

void Connection::ack(Type type, uint16_t id) {
  if (state != State::up) return;
  const uint8_t flags = type == Type::pubrel ? 2 : 0;
  const uint8_t bytes[4] = {static_cast<uint8_t>(static_cast<uint8_t>(type) << 4 | flags), 2,
                            static_cast<uint8_t>(id >> 8), static_cast<uint8_t>(id)};
  net::Buffer& to = out();
  to.insert(to.end(), bytes, bytes + 4);
  ++core.counters().packets_out;
  written();
}

void Connection::send(Packet packet) {
  net::Buffer& to = out();
  const size_t begin = to.size();
  if (!encode(packet, version, to)) return;
  if (to.size() - begin > maximum_packet) {
    to.resize(begin);
    std::visit(
        [](auto& p) {
          using P = std::decay_t<decltype(p)>;
          if constexpr (!std::is_same_v<P, Connect> && !std::is_same_v<P, Publish> &&
                        !std::is_same_v<P, Ping> && !std::is_same_v<P, Subscribe> &&
                        !std::is_same_v<P, Unsubscribe>) {
            p.reason_string = {};
            p.user.clear();
          }
        },
        packet);
    if (!encode(packet, version, to)) return;
    if (to.size() - begin > maximum_packet) {
      to.resize(begin);
      return;
    }
  }
  ++core.counters().packets_out;
  written();
}

void Connection::flush() {
  if (blocked_writing_ || broken_) return;
  if (unwritten() > 0) {
    const net::IoResult put = stream->write({out_.data() + out_begin_, out_.size() - out_begin_});
    core.counters().bytes_out += put.count;
    out_begin_ += put.count;
    if (out_begin_ < out_.size()) {
      if (put.error == net::Error::would_block) {
        blocked_writing_ = true;
        stream->on_writable([this] {
          core.note_time();
          blocked_writing_ = false;
          flush();
          core.make_writable(*this);
        });
        // What was written need not be kept, once that is most of it.
        if (out_begin_ > out_.size() / 2) {
          out_.erase(out_.begin(), out_.begin() + static_cast<ptrdiff_t>(out_begin_));
          out_begin_ = 0;
        }
        return;
      }
      broken_ = true;
      if (state == State::closing) {
        core.bury(*this);
      } else {
        core.doom(*this, Reason::unspecified_error, false, to_string(put.error));
      }
      return;
    }
  }
  out_begin_ = 0;
  if (out_.capacity() > 0) {
    core.spare(std::move(out_));
    out_ = net::Buffer();
  }
  if (state == State::closing && !half_closed_) {
    half_closed_ = true;
    stream->shutdown_write();
  }
}

// -- the end --------------------------------------------------------------------------------------

void Connection::finish() {
  state = State::closing;
  net::Buffer().swap(partial_);
  flush();
  if (state == State::closing && !broken_) drain();
}

// Reads to the end, so that closing does not reset the connection before the peer has read what
// we said last.
void Connection::drain() {
  const net::IoResult got = stream->read(core.read_buffer());
  drained_ += got.count;
  // Ours: whoever goes on sending after our FIN does not read, either.
  constexpr size_t kMostDrained = 4 * 1024 * 1024;
  const bool ended = got.count == 0 && got.error != net::Error::would_block;
  if (ended || drained_ > kMostDrained) core.bury(*this);
}

}  // namespace culvert::mqtt
