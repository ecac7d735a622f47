#include "model/http/websocket_stream.h"

#include <algorithm>
#include <utility>

namespace culvert::http {

using net::Error;
using net::IoResult;

namespace {

constexpr size_t kMaxMessage = 65535;  // ours: payload of a message that we send (4-byte header)
constexpr size_t kMaxPongs = 4096;     // ours: bytes waiting, beyond it pings go unanswered (5.5.3)
constexpr size_t kKeepBuffer = 1024;   // ours: a buffer this small stays for the next message
// Ours: reads in a row that may bring no data. A flood of empty frames and pings is then left for
// the next turn, so that it keeps nobody else waiting.
constexpr int kMostBarren = 16;
constexpr net::Duration kLingerLimit = net::Duration(30'000'000'000);  // ours: as a dial's

// What a destroyed stream had taken and its peer had not: it goes out, then FIN. Belongs to itself
// until that is done, or the peer takes too long.
class Lingering : public std::enable_shared_from_this<Lingering> {
 public:
  Lingering(net::Host& host, std::unique_ptr<net::Stream> under, net::Buffer rest, size_t at)
      : under_(std::move(under)),
        rest_(std::move(rest)),
        at_(at),
        limit_(host.timers(), [this] { end(); }) {}
  void begin() {
    limit_.arm_after(kLingerLimit);
    under_->on_readable({});
    wait();
  }

 private:
  void wait() {
    under_->on_writable([self = shared_from_this()] { self->push(); });
  }
  void push() {
    const IoResult io = under_->write(net::Bytes(rest_).subspan(at_));
    at_ += io.count;
    if (at_ < rest_.size() && io.error == Error::would_block) return wait();
    end();
  }
  void end() {
    const auto self = shared_from_this();  // the last but that of the stream's callback
    limit_.cancel();
    under_.reset();
  }

  std::unique_ptr<net::Stream> under_;
  net::Buffer rest_;
  size_t at_;
  net::Timer limit_;
};

class WebSocketStream final : public net::Stream, private FrameReader::Events {
 public:
  WebSocketStream(net::Host& host, std::unique_ptr<net::Stream> under, net::Buffer rest,
                  const WebSocketStreamOptions& options)
      : host_(host),
        under_(std::move(under)),
        reader_({options.server, options.frame_bytes, false}),
        server_(options.server),
        rest_(std::move(rest)),
        alive_(std::make_shared<WebSocketStream*>(this)) {
    if (rest_.empty()) return;
    rest_.resize(reader_.decode(rest_, *this));
    decoded();
  }

  ~WebSocketStream() override {
    *alive_ = nullptr;
    if (!close_sent_ && end_ == Error::none) say_close(CloseCode::normal, {});
    if (out_at_ == out_.size() || broken_ != Error::none) return;
    std::make_shared<Lingering>(host_, std::move(under_), std::move(out_), out_at_)->begin();
  }

  net::Endpoint local() const override { return under_->local(); }
  net::Endpoint remote() const override { return under_->remote(); }

  IoResult read(net::MutableBytes buffer) override {
    if (buffer.empty()) return {};
    if (rest_at_ < rest_.size()) {
      const size_t count = std::min(buffer.size(), rest_.size() - rest_at_);
      std::copy_n(rest_.begin() + static_cast<long>(rest_at_), count, buffer.begin());
      rest_at_ += count;
      if (rest_at_ == rest_.size()) net::Buffer().swap(rest_), rest_at_ = 0;
      wake(true);  // the stream under us was not asked: it will not tell again
      return {count, Error::none};
    }
    for (int barren = 0;; ++barren) {
      if (end_ != Error::none) return {0, end_};
      if (barren == kMostBarren) {
        wake(true);
        return {0, Error::would_block};
      }
      const IoResult io = under_->read(buffer);
      if (io.count == 0) {
        if (io.error != Error::would_block) end_ = io.error;
        return io;
      }
      // In place: the payload is never longer than its frames.
      const size_t count = reader_.decode(buffer.first(io.count), *this);
      decoded();
      if (count == 0) continue;
      if (end_ != Error::none) wake();  // there is more to tell
      return {count, Error::none};
    }
  }

  IoResult write(net::Bytes data) override {
    if (broken_ != Error::none) return {0, broken_};
    if (close_sent_) return {0, Error::closed};
    IoResult result;
    while (result.count < data.size()) {
      if (out_at_ < out_.size() && !flush()) {
        result.error = broken_ == Error::none ? Error::would_block : broken_;
        return result;
      }
      const net::Bytes part =
          data.subspan(result.count, std::min(kMaxMessage, data.size() - result.count));
      const Mask mask = next_mask();
      append_frame(out_, Opcode::binary, part, server_ ? nullptr : &mask);
      result.count += part.size();
      flush();
    }
    return result;
  }

  void shutdown_write() override {
    if (close_sent_ || broken_ != Error::none) return;
    say_close(CloseCode::normal, {});
  }
  void reset() override {
    under_->reset();
    end_ = broken_ = Error::closed;
  }

  void on_readable(std::function<void()> callback) override {
    readable_ = callback;
    under_->on_readable(std::move(callback));
    wake();
  }
  void on_writable(std::function<void()> callback) override {
    writable_ = std::move(callback);
    if (!writable_) return;
    if (out_at_ < out_.size() && broken_ == Error::none) return wait_for_room();
    host_.post([alive = alive_] {
      if (*alive) (*alive)->tell_writable();
    });
  }

  net::Status set_no_delay(bool on) override { return under_->set_no_delay(on); }
  net::PathStats stats() const override { return under_->stats(); }

 private:
  void on_ping(net::Bytes payload) override {
    if (close_sent_ || out_.size() - out_at_ > kMaxPongs) return;
    const Mask mask = next_mask();
    append_frame(out_, Opcode::pong, payload, server_ ? nullptr : &mask);
    flush();
  }

  void on_close(CloseCode code, std::string_view) override { say_close(code, {}); }

  // After each decode(): has it ended?
  void decoded() {
    if (end_ != Error::none) return;
    if (reader_.fault() != CloseCode::none) {
      say_close(reader_.fault(), reader_.fault_text());
      end_ = Error::reset;
      finish_under();
    } else if (reader_.closed()) {
      end_ = Error::closed;
      finish_under();
    }
  }

  void say_close(CloseCode code, std::string_view reason) {
    if (std::exchange(close_sent_, true)) return;
    const Mask mask = next_mask();
    append_close(out_, code, reason, server_ ? nullptr : &mask);
    flush();
  }

  // Both close frames are out, or nothing more may be read: FIN behind what is still to be written.
  void finish_under() {
    finish_ = true;
    if (out_at_ == out_.size() && broken_ == Error::none) under_->shutdown_write();
  }

  // True: nothing is left to write.
  bool flush() {
    while (out_at_ < out_.size()) {
      const IoResult io = under_->write(net::Bytes(out_).subspan(out_at_));
      out_at_ += io.count;
      if (io.error == Error::would_block) {
        wait_for_room();
        return false;
      }
      if (!io.ok()) {
        broken_ = io.error;
        return false;
      }
    }
    if (out_.capacity() > kKeepBuffer)
      net::Buffer().swap(out_);
    else
      out_.clear();
    out_at_ = 0;
    return true;
  }

  void wait_for_room() {
    if (std::exchange(waiting_, true)) return;
    under_->on_writable([this] {
      waiting_ = false;
      if (flush() && finish_) under_->shutdown_write();
      if (out_at_ == out_.size() || broken_ != Error::none) tell_writable();
    });
  }

  void tell_writable() {
    if (const auto callback = std::exchange(writable_, {})) callback();
  }

  // Tells what the stream under us will not: bytes or an end that are here already.
  void wake(bool surely = false) {
    if (!readable_ || woken_ || (!surely && rest_.empty() && end_ == Error::none)) return;
    woken_ = true;
    host_.post([alive = alive_] {
      if (!*alive) return;
      (*alive)->woken_ = false;
      if (const auto callback = (*alive)->readable_) callback();
    });
  }

  // Section 5.3: unpredictable, and new for each frame.
  Mask next_mask() {
    Mask mask{};
    if (server_) return mask;
    if (masks_left_ == 0) {
      host_.secure_random(masks_);
      masks_left_ = masks_.size() / mask.size();
    }
    --masks_left_;
    std::copy_n(masks_.begin() + static_cast<long>(masks_left_ * mask.size()), mask.size(),
                mask.begin());
    return mask;
  }

  net::Host& host_;
  std::unique_ptr<net::Stream> under_;
  FrameReader reader_;
  const bool server_;
  net::Buffer rest_, out_;
  size_t rest_at_ = 0, out_at_ = 0, masks_left_ = 0;
  std::array<uint8_t, 32> masks_{};
  Error end_ = Error::none, broken_ = Error::none;  // of reading and writing
  bool close_sent_ = false, finish_ = false, waiting_ = false, woken_ = false;
  std::function<void()> readable_, writable_;
  std::shared_ptr<WebSocketStream*> alive_;
};

}  // namespace

std::unique_ptr<net::Stream> make_websocket_stream(net::Host& host,
                                                   std::unique_ptr<net::Stream> under,
                                                   net::Buffer rest,
                                                   const WebSocketStreamOptions& options) {
  return std::make_unique<WebSocketStream>(host, std::move(under), std::move(rest), options);
}

}  // namespace culvert::http
