#include "model/http/handshake.h"

#include <algorithm>
#include <array>

#include "model/http/parser.h"
#include "model/http/writer.h"

namespace culvert::http {

using net::Error;

namespace {

class Shaking final : public Handshake {
 public:
  Shaking(net::Host& host, std::unique_ptr<net::Stream> stream, const Request& request,
          const std::string& authority, net::Duration timeout,
          std::function<void(net::Result<Greeted>)> done)
      : stream_(std::move(stream)), done_(std::move(done)), timer_(host.timers(), [this] {
          finish(net::Status(Error::timed_out, "no answer within the patience"));
        }) {
    timer_.arm_after(timeout);
    RequestForm form;
    form.host = authority;
    append_request(out_, request, form);
    stream_->on_readable([this] { read(); });
    write();
  }

 private:
  void write() {
    while (at_ < out_.size()) {
      const auto io = stream_->write(net::Bytes(out_).subspan(at_));
      at_ += io.count;
      if (io.error == Error::would_block) return stream_->on_writable([this] { write(); });
      if (!io.ok()) return;  // reading tells
    }
  }

  void read() {
    std::array<uint8_t, 4096> piece;
    for (;;) {
      const auto io = stream_->read(piece);
      if (io.error == Error::would_block) return;
      if (io.count == 0)
        return finish(net::Status(io.error, "the connection ended instead of an answer"));
      in_.insert(in_.end(), piece.begin(), piece.begin() + io.count);
      if (parse()) return;
    }
  }

  bool parse() {
    net::Bytes data(in_);
    while (!data.empty()) {
      if (!parser_) {
        parser_.emplace(Parser::Kind::response, ParserLimits{});
        parser_->no_body();
      }
      Parser::Step step;
      data = data.subspan(parser_->put(data, step));
      if (step == Parser::Step::need_more) break;
      if (step == Parser::Step::fault) {
        finish(net::Status(Error::failed, "the answer cannot be read: " + parser_->fault().detail));
        return true;
      }
      Greeted greeted;
      greeted.response = std::move(parser_->response());
      parser_.reset();
      if (greeted.response.status / 100 == 1 && greeted.response.status != 101) continue;
      stream_->on_readable({});
      greeted.stream = std::move(stream_);
      greeted.rest.assign(data.begin(), data.end());
      finish(std::move(greeted));
      return true;
    }
    in_.erase(in_.begin(), in_.end() - static_cast<long>(data.size()));
    return false;
  }

  void finish(net::Result<Greeted> result) {
    timer_.cancel();
    const auto done = std::move(done_);
    done(std::move(result));  // may destroy this
  }

  std::unique_ptr<net::Stream> stream_;
  std::function<void(net::Result<Greeted>)> done_;
  net::Timer timer_;
  net::Buffer out_, in_;
  size_t at_ = 0;
  std::optional<Parser> parser_;
};

class Chained final : public net::Connecting {
 public:
  Chained(net::Connector& under, After after, net::Connector::Done done,
          net::Connector::Failed failed)
      : after_(std::move(after)), done_(std::move(done)), failed_(std::move(failed)) {
    connecting_ = under.connect(
        [this](net::Connected connected) {
          const auto over = std::move(connecting_);  // this callback is in it
          handshake_ = after_(std::move(connected), std::move(done_), std::move(failed_));
        },
        [this](net::ConnectFailure failure) {
          const auto over = std::move(connecting_);
          const auto failed = std::move(failed_);
          failed(std::move(failure));  // may destroy this
        });
  }

 private:
  After after_;
  net::Connector::Done done_;
  net::Connector::Failed failed_;
  std::unique_ptr<net::Connecting> connecting_;
  std::unique_ptr<Handshake> handshake_;
};

class RestStream final : public net::Stream {
 public:
  RestStream(net::Host& host, std::unique_ptr<net::Stream> under, net::Buffer rest)
      : host_(host),
        under_(std::move(under)),
        rest_(std::move(rest)),
        alive_(std::make_shared<RestStream*>(this)) {}
  ~RestStream() override { *alive_ = nullptr; }

  net::Endpoint local() const override { return under_->local(); }
  net::Endpoint remote() const override { return under_->remote(); }
  net::IoResult read(net::MutableBytes buffer) override {
    if (at_ == rest_.size()) return under_->read(buffer);
    const size_t count = std::min(buffer.size(), rest_.size() - at_);
    std::copy_n(rest_.begin() + static_cast<long>(at_), count, buffer.begin());
    at_ += count;
    wake();
    return {count, Error::none};
  }
  net::IoResult write(net::Bytes data) override { return under_->write(data); }
  void shutdown_write() override { under_->shutdown_write(); }
  void reset() override {
    rest_.clear();
    at_ = 0;
    under_->reset();
  }
  void on_readable(std::function<void()> callback) override {
    readable_ = callback;
    under_->on_readable(std::move(callback));
    if (at_ < rest_.size()) wake();
  }
  void on_writable(std::function<void()> callback) override {
    under_->on_writable(std::move(callback));
  }
  net::Status set_no_delay(bool on) override { return under_->set_no_delay(on); }
  net::PathStats stats() const override { return under_->stats(); }

 private:
  void wake() {
    if (!readable_) return;
    host_.post([alive = alive_] {
      if (!*alive) return;
      if (const auto callback = (*alive)->readable_) callback();
    });
  }
  net::Host& host_;
  std::unique_ptr<net::Stream> under_;
  net::Buffer rest_;
  size_t at_ = 0;
  std::function<void()> readable_;
  std::shared_ptr<RestStream*> alive_;
};

}  // namespace

std::unique_ptr<Handshake> shake_hands(net::Host& host, std::unique_ptr<net::Stream> stream,
                                       const Request& request, const std::string& authority,
                                       net::Duration timeout,
                                       std::function<void(net::Result<Greeted>)> done) {
  return std::make_unique<Shaking>(host, std::move(stream), request, authority, timeout,
                                   std::move(done));
}

std::unique_ptr<net::Connecting> connect_then(net::Connector& under, After after,
                                              net::Connector::Done done,
                                              net::Connector::Failed failed) {
  return std::make_unique<Chained>(under, std::move(after), std::move(done), std::move(failed));
}

std::unique_ptr<net::Stream> with_rest(net::Host& host, std::unique_ptr<net::Stream> stream,
                                       net::Buffer rest) {
  if (rest.empty()) return stream;
  return std::make_unique<RestStream>(host, std::move(stream), std::move(rest));
}

}  // namespace culvert::http
