#include "model/http/session.h"

#include <algorithm>

#include "model/http/text.h"

namespace culvert::http {

using net::Error;
using namespace std::chrono_literals;

namespace {

constexpr size_t kPipeline = 16;           // ours: requests unanswered; more wait in the socket
constexpr size_t kBacklog = 64 * 1024;     // ours: bytes not written, beyond it no reading
constexpr size_t kKeepBuffer = 4096;       // ours: a buffer this small stays for the next message
constexpr net::Duration kLinger = 2s;      // ours: for the peer to read our last words (9.6)
constexpr uint64_t kLeastBodyRate = 1024;  // ours: bytes a second, over a patience

void shrink(net::Buffer& buffer) {
  if (buffer.capacity() > kKeepBuffer)
    net::Buffer().swap(buffer);
  else
    buffer.clear();
}

class ResponderImpl final : public Responder {
 public:
  ResponderImpl(std::weak_ptr<Session::Link> link, uint64_t number, net::Endpoint remote)
      : link_(std::move(link)), number_(number), remote_(remote) {}
  ~ResponderImpl() override {
    if (answered_) return;
    Response response;
    response.status = 500;
    respond(std::move(response));
  }
  void respond(Response response) override { answer(std::move(response), {}); }
  void upgrade(Response response, Session::Take take) override {
    answer(std::move(response), std::move(take));
  }
  void on_gone(std::function<void()> callback) override {
    if (answered_) return;
    if (const auto link = link_.lock(); link && link->session)
      link->session->on_gone(number_, std::move(callback));
  }
  net::Endpoint remote() const override { return remote_; }

 private:
  void answer(Response response, Session::Take take) {
    if (std::exchange(answered_, true)) return;
    if (const auto link = link_.lock(); link && link->session)
      link->session->respond(number_, std::move(response), std::move(take));
  }
  std::weak_ptr<Session::Link> link_;
  uint64_t number_;
  net::Endpoint remote_;
  bool answered_ = false;
};

// RFC 9112 section 3.2.2: the absolute form names the host itself.
void to_origin_form(Request& request) {
  if (request.method == "CONNECT" || request.target.empty() || request.target[0] == '/') return;
  if (const auto url = parse_url(request.target)) {
    request.headers.set("Host", url->authority());
    request.target = url->target;
  }
}

}  // namespace

Session::Session(Server::Impl& server, std::unique_ptr<net::Stream> stream)
    : server_(server),
      stream_(std::move(stream)),
      link_(std::make_shared<Link>(Link{this})),
      timer_(server.host.timers(), [this] { fire(); }) {
  stream_->on_readable([this] { pump(); });
  enter(Phase::fresh);
}

Session::~Session() { link_->session = nullptr; }

void Session::drain() {
  closing_ = true;  // answers under way say "close"
  for (Slot& slot : slots_)
    if (!slot.response || slot.response->status >= 200) slot.form.close = true;
  if (slots_.empty() && !parser_ && out_at_ == out_.size() && !shut_) written();
}

void Session::pump() {
  net::Buffer& scratch = server_.scratch;
  for (;;) {
    // Once no more requests are taken, what comes is forgotten, and only its end matters.
    const bool forget = shut_ || (closing_ && !parser_ && !hold_ && !take_);
    if (!forget && !may_parse()) {
      paused_ = true;
      return;
    }
    paused_ = false;
    const auto io = stream_->read(scratch);
    if (io.count == 0) {
      if (io.error == Error::would_block) return;
      if (io.error == Error::closed) return peer_finished();
      return end();
    }
    if (forget) continue;
    if (!consume(net::Bytes(scratch).first(io.count))) return;
  }
}

bool Session::may_parse() const {
  return (!closing_ || parser_) && !hold_ && !take_ && slots_.size() < kPipeline &&
         held_ <= server_.options.body_bytes && out_.size() - out_at_ <= kBacklog;
}

bool Session::consume(net::Bytes data) {
  const auto link = link_;  // the handler may end everything
  parsing_ = true;
  net::Buffer kept;
  if (!in_.empty()) {
    kept.swap(in_);
    kept.insert(kept.end(), data.begin(), data.end());
    data = kept;
  }
  while (!data.empty() && may_parse())
    if (!parse(data)) break;
  if (!link->session) return false;
  paused_ = paused_ || !may_parse();
  if (!shut_ && !data.empty() && !(closing_ && slots_.empty())) {
    if (data.size() == kept.size())
      in_.swap(kept);
    else
      in_.assign(data.begin(), data.end());
  }
  parsing_ = false;
  flush();
  if (!link->session) return false;
  settle();
  return true;
}

// False: no more now (need_more, a refusal, or the session is gone).
bool Session::parse(net::Bytes& rest) {
  if (!parser_) {
    ParserLimits limits;
    limits.header_bytes = server_.options.header_bytes;
    limits.body_bytes = server_.options.body_bytes;
    parser_.emplace(Parser::Kind::request, limits);
    body_seen_ = 0;
  }
  Parser::Step step;
  const size_t used = parser_->put(rest, step);
  rest = rest.subspan(used);
  if (!parser_->in_header()) body_now_ += used;
  switch (step) {
    case Parser::Step::need_more:
      if (!parser_->started()) parser_.reset();
      return false;
    case Parser::Step::header:
      header_whole();
      return !closing_;
    case Parser::Step::done:
      return request_whole();
    case Parser::Step::fault:
      break;
  }
  const Fault fault = parser_->fault();
  refuse(fault);
  return false;
}

void Session::header_whole() {
  const std::string_view expect = parser_->request().headers.get("Expect");
  if (expect.empty() || parser_->version_10()) return;
  if (!equal_without_case(expect, "100-continue"))  // RFC 9110 section 10.1.1
    return refuse({417, "the only expectation is 100-continue"});
  Slot slot;
  slot.response.emplace();
  slot.response->status = 100;
  slots_.push_back(std::move(slot));
  advance();
}

bool Session::request_whole() {
  const auto link = link_;
  Request request = std::move(parser_->request());
  const bool ten = parser_->version_10(), keep = parser_->keep_alive();
  parser_.reset();
  to_origin_form(request);
  Slot slot;
  slot.number = ++numbers_;
  slot.form.head = request.method == "HEAD";
  slot.form.connect = request.method == "CONNECT";
  slot.form.close = !keep || !server_.options.keep_alive || server_.draining;
  slot.form.keep_10 = ten && !slot.form.close;
  slot.held = request.body.size();
  held_ += slot.held;
  if (slot.form.close) closing_ = true;
  phase_ = Phase::answering;  // the next request has its own patience
  hold_ = slot.form.connect || request.headers.has("Upgrade");
  const uint64_t number = slot.number;
  slots_.push_back(std::move(slot));
  auto responder = std::make_shared<ResponderImpl>(link, number, stream_->remote());
  const auto handler = server_.handler;  // which may destroy the server, and with it itself
  (*handler)(std::move(request), std::move(responder));
  return link->session != nullptr;
}

void Session::refuse(const Fault& fault) {
  Slot slot;
  slot.form.close = true;
  slot.form.head = parser_ && parser_->request().method == "HEAD";
  slot.response.emplace();
  slot.response->status = fault.status;
  slot.response->headers.add("Content-Type", "text/plain");
  const std::string text = fault.detail + "\n";
  slot.response->body.assign(text.begin(), text.end());
  parser_.reset();
  in_.clear();
  closing_ = true;
  slots_.push_back(std::move(slot));
  advance();
  if (!parsing_) flush();
}

void Session::respond(uint64_t number, Response response, Take take) {
  const auto slot =
      std::find_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.number == number; });
  if (slot == slots_.end()) return;
  slot->response = std::move(response);
  slot->take = std::move(take);
  slot->gone = {};
  advance();
  if (parsing_) return;
  const auto link = link_;
  flush();
  if (link->session) settle();
}

void Session::on_gone(uint64_t number, std::function<void()> callback) {
  for (Slot& slot : slots_)
    if (slot.number == number) slot.gone = std::move(callback);
}

// Moves the answers that are due into out_, in order.
void Session::advance() {
  size_t ready = 0;
  while (ready < slots_.size() && slots_[ready].response && !take_) {
    Slot& slot = slots_[ready++];
    append_response(out_, *slot.response, slot.form);
    held_ -= slot.held;
    take_ = std::move(slot.take);
    if (slot.number != 0 && ready == slots_.size()) hold_ = false;
    if (slot.form.close && !take_) closing_ = true;
  }
  slots_.erase(slots_.begin(), slots_.begin() + static_cast<long>(ready));
}

void Session::flush() {
  if (shut_ || writing_) return;
  while (out_at_ < out_.size()) {
    const auto io = stream_->write(net::Bytes(out_).subspan(out_at_));
    out_at_ += io.count;
    if (io.count > 0 && phase_ == Phase::writing) since_ = server_.host.now();
    if (io.error == Error::would_block) {
      writing_ = true;
      stream_->on_writable([this] {
        writing_ = false;
        const auto link = link_;
        flush();
        if (link->session) settle();
      });
      return;
    }
    if (!io.ok()) return end();
  }
  shrink(out_);
  out_at_ = 0;
  written();
}

void Session::written() {
  if (take_) return hand_over();
  if ((closing_ && slots_.empty() && !parser_) || (finished_ && slots_.empty())) {
    // RFC 9112 section 9.6: half-close, then read on until the peer has closed too.
    shut_ = true;
    in_.clear();
    stream_->shutdown_write();
    if (finished_) return end();
    enter(Phase::linger);
    resume_later();
    return;
  }
  if (paused_ && may_parse()) resume_later();
}

void Session::hand_over() {
  stream_->on_readable({});
  stream_->on_writable({});
  struct Parcel {
    std::unique_ptr<net::Stream> stream;
    net::Buffer rest;
    Take take;
  };
  auto parcel = std::make_shared<Parcel>();
  *parcel = {std::move(stream_), std::move(in_), std::move(take_)};
  std::weak_ptr<bool> alive = server_.alive;
  server_.host.post([alive, parcel] {
    if (!alive.expired()) parcel->take(std::move(parcel->stream), std::move(parcel->rest));
  });
  end();
}

void Session::peer_finished() {
  finished_ = true;
  if (shut_) return end();
  parser_.reset();
  in_.clear();
  tell_gone();
  // A client that only half-closed still gets its answers.
  if (slots_.empty() && out_at_ == out_.size()) return end();
  settle();
}

void Session::tell_gone() {
  for (Slot& slot : slots_) {
    if (!slot.gone) continue;
    std::weak_ptr<bool> alive = server_.alive;
    server_.host.post([alive, gone = std::exchange(slot.gone, {})] {
      if (!alive.expired()) gone();
    });
  }
}

void Session::end() {
  tell_gone();
  server_.end(*this);
}

void Session::resume_later() {
  if (std::exchange(resuming_, true)) return;
  server_.host.post([link = link_] {
    Session* self = link->session;
    if (!self) return;
    self->resuming_ = self->paused_ = false;
    if (!self->in_.empty() && !self->shut_ && self->may_parse() && !self->consume({})) return;
    if (!self->finished_) self->pump();
  });
}

void Session::settle() {
  if (shut_) return;
  if (out_at_ < out_.size())
    enter(Phase::writing);
  else if (!slots_.empty() || take_)
    enter(Phase::answering);
  else if (!parser_)
    enter(numbers_ == 0 ? Phase::fresh : Phase::idle);
  else
    enter(parser_->in_header() ? Phase::header : Phase::body);
}

net::Duration Session::patience(Phase phase) const {
  switch (phase) {
    case Phase::fresh:
    case Phase::header:
    case Phase::body:
      return server_.options.header_patience;
    case Phase::idle:
    case Phase::writing:
      return server_.options.idle_patience;
    case Phase::linger:
      return kLinger;
    case Phase::answering:
      break;
  }
  return net::Duration::max();
}

// The timer is moved only when it would fire too late; one that fires early looks again. So a busy
// connection costs no timer work per request.
void Session::enter(Phase phase) {
  if (phase == phase_ && timer_.armed() && phase != Phase::idle) return;
  if (phase == Phase::body && phase_ != Phase::body) body_seen_ = body_now_;
  phase_ = phase;
  since_ = server_.host.now();
  const net::Duration wait = patience(phase);
  if (wait == net::Duration::max()) return;
  if (!timer_.armed() || timer_.when() > since_ + wait) timer_.arm_at(since_ + wait);
}

void Session::fire() {
  const net::Duration wait = patience(phase_);
  if (wait == net::Duration::max()) return;
  if (server_.host.now() < since_ + wait) return timer_.arm_at(since_ + wait);
  switch (phase_) {
    case Phase::body: {
      const auto least = static_cast<uint64_t>(net::to_ms(wait) * double(kLeastBodyRate) / 1000.0);
      if (body_now_ - body_seen_ >= std::max<uint64_t>(least, 1)) {
        body_seen_ = body_now_;
        since_ = server_.host.now();
        return timer_.arm_at(since_ + wait);
      }
    }
      [[fallthrough]];
    case Phase::header: {
      const auto link = link_;
      refuse({408, "the request came too slowly"});
      if (link->session) settle();  // who does not read the refusal is not waited for either
      return;
    }
    case Phase::fresh:
    case Phase::idle:
    case Phase::linger:
      return end();
    case Phase::writing:  // it does not read
      stream_->reset();
      return end();
    case Phase::answering:
      return;
  }
}

}  // namespace culvert::http
