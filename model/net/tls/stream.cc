#include "model/net/tls/stream.h"

#include <algorithm>
#include <cerrno>

namespace culvert::net::tls {
namespace {

constexpr size_t kRecord = 16384;   // RFC 8446 section 5.1
constexpr size_t kFlushAt = 65536;  // ours: bytes that go to the stream below at once

// An idle session keeps no space.
void empty(Buffer& buffer) {
  if (buffer.capacity() > 0) Buffer().swap(buffer);
}

}  // namespace

Session::Session(Host& host, std::shared_ptr<Context> context, std::unique_ptr<Stream> under)
    : context_(std::move(context)),
      credentials_(context_->credentials()),
      under_(std::move(under)),
      turn_(host.timers(), [this] { turn(); }) {}

Session::~Session() {
  if (gone_) *gone_ = true;
  if (session_) {
    if (!opening_ && !dead_) close_now();
    if (packet_) gnutls_packet_deinit(packet_);
    gnutls_deinit(session_);
  }
  context_->forget(this);
}

// What a Stream's destructor does: RST if the user left something unread, else close_notify and
// FIN, after all that was written.
void Session::close_now() {
  if (end_ == Error::none) fetch();
  if (dead_) return;
  if (has_plain()) return under_->reset();
  corked_ = false;
  if (!finished_) gnutls_bye(session_, GNUTLS_SHUT_WR);
  flush();
  if (!out_.empty() && !dead_) {
    under_->on_readable({});
    context_->linger(std::move(under_), std::move(out_));
  }
}

// --- GnuTLS' side -----------------------------------------------------------------------------

ssize_t Session::pull(gnutls_transport_ptr_t self, void* data, size_t size) {
  auto& me = *static_cast<Session*>(self);
  if (me.input_.empty()) {
    IoResult result{0, me.under_end_};
    if (me.under_end_ == Error::none) {
      empty(me.rest_);
      const MutableBytes space = me.context_->incoming(&me);
      result = me.under_->read(space);
      me.input_ = space.first(result.count);
    }
    if (result.count == 0) {
      if (result.error == Error::would_block)
        me.starved_ = true;
      else
        me.under_end_ = result.error;
      if (result.error == Error::closed) return 0;
      gnutls_transport_set_errno(me.session_,
                                 result.error == Error::would_block ? EAGAIN : ECONNRESET);
      return -1;
    }
  }
  const size_t count = std::min(size, me.input_.size());
  std::copy_n(me.input_.begin(), count, static_cast<uint8_t*>(data));
  me.input_ = me.input_.subspan(count);
  return static_cast<ssize_t>(count);
}

// Takes all: write() and the handshake bound what they have made at a time.
ssize_t Session::push(gnutls_transport_ptr_t self, const void* data, size_t size) {
  auto& me = *static_cast<Session*>(self);
  Buffer& made = me.context_->outgoing();
  const auto* bytes = static_cast<const uint8_t*>(data);
  made.insert(made.end(), bytes, bytes + size);
  return static_cast<ssize_t>(size);
}

int Session::pull_timeout(gnutls_transport_ptr_t, unsigned) { return 1; }

// Another session wants the context's buffer: what this one did not use yet moves into its own.
void Session::keep_rest() {
  rest_.assign(input_.begin(), input_.end());
  input_ = rest_;
}

// Whatever GnuTLS has made goes out, as far as it goes.
void Session::flush() {
  Buffer& made = context_->outgoing();
  if (dead_) {
    made.clear();
    return;
  }
  if (corked_ || blocked_) {
    out_.insert(out_.end(), made.begin(), made.end());
    made.clear();
    return;
  }
  IoResult result;
  if (out_.empty()) {
    if (made.empty()) return drained();
    result = under_->write(made);
    out_.assign(made.begin() + result.count, made.end());
  } else {
    out_.insert(out_.end(), made.begin(), made.end());
    result = under_->write(out_);
    out_.erase(out_.begin(), out_.begin() + result.count);
  }
  made.clear();
  if (out_.empty()) {
    empty(out_);
    return drained();
  }
  if (result.error != Error::none && result.error != Error::would_block) return die(result.error);
  blocked_ = true;
  under_->on_writable([this] { under_writable(); });
}

void Session::drained() {
  if (!fin_due_) return;
  fin_due_ = false;
  under_->shutdown_write();
}

void Session::die(Error error) {
  if (dead_) return;
  dead_ = armed_ = true;
  end_ = error;
  corked_ = blocked_ = false;
  empty(out_);
  context_->outgoing().clear();
  schedule();
}

// The peer broke the protocol, or the records do not verify: it is told, and for the user it is as
// if the connection had been reset.
void Session::protocol_failed(int error) {
  corked_ = false;
  if (gnutls_error_is_fatal(error) && error != GNUTLS_E_FATAL_ALERT_RECEIVED)
    gnutls_alert_send_appropriate(session_, error);
  flush();
  die(Error::reset);
}

// --- reading ----------------------------------------------------------------------------------

// Early data, once GnuTLS has met it while it went on with the handshake.
bool Session::fetch_early() {
  if (!early_expected_) return false;
  uint8_t piece[4096];
  ssize_t count;
  while ((count = gnutls_record_recv_early_data(session_, piece, sizeof piece)) > 0)
    stash_.insert(stash_.end(), piece, piece + count);
  return stash_head_ < stash_.size();
}

// Gets the next record, unless something is there. True: there is something, or the end.
bool Session::fetch() {
  while (!has_plain() && end_ == Error::none) {
    if (packet_) gnutls_packet_deinit(packet_);
    packet_ = nullptr;
    empty(stash_);
    stash_head_ = 0;
    if (const size_t pending = gnutls_record_check_pending(session_)) {
      stash_.resize(pending);
      const ssize_t count = gnutls_record_recv(session_, stash_.data(), pending);
      stash_.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
      if (count > 0) break;
    }
    starved_ = false;
    const ssize_t result = gnutls_record_recv_packet(session_, &packet_);
    const bool early = fetch_early();
    if (result > 0) {
      gnutls_datum_t data{};
      gnutls_packet_get(packet_, &data, nullptr);
      plain_ = {data.data, data.size};
      early_expected_ = false;
    } else if (result == 0) {
      if (packet_) gnutls_packet_deinit(packet_);
      packet_ = nullptr;
      end_ = Error::closed;
    } else if (result == GNUTLS_E_AGAIN) {
      if (early) break;
      if (!starved_) continue;  // it has taken a ticket or a key update, and did not look further
      flush();
      return false;
    } else if (result == GNUTLS_E_REHANDSHAKE) {
      // Whoever asks again and again and does not read our word is not answered without end.
      if (blocked_) {
        die(Error::reset);
        break;
      }
      gnutls_alert_send(session_, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
      flush();
    } else if (result == GNUTLS_E_PREMATURE_TERMINATION) {
      die(Error::reset);
    } else if (result == GNUTLS_E_PULL_ERROR) {
      die(under_end_ == Error::none ? Error::reset : under_end_);
    } else if (gnutls_error_is_fatal(static_cast<int>(result))) {
      protocol_failed(static_cast<int>(result));
    }
  }
  flush();
  return has_plain() || end_ != Error::none;
}

size_t Session::take(MutableBytes buffer) {
  const bool from_stash = stash_head_ < stash_.size();
  const Bytes source = from_stash ? Bytes(stash_).subspan(stash_head_) : plain_;
  const size_t count = std::min(buffer.size(), source.size());
  std::copy_n(source.begin(), count, buffer.begin());
  if (from_stash)
    stash_head_ += count;
  else
    plain_ = plain_.subspan(count);
  return count;
}

IoResult Session::read(MutableBytes buffer) {
  if (buffer.empty()) return {};
  armed_ = true;
  size_t count = 0;
  while (count < buffer.size() &&
         (has_plain() || (!opening_ && end_ == Error::none && fetch() && has_plain())))
    count += take(buffer.subspan(count));
  if (count > 0) {
    // The stream below tells of what is still in it; what has left it already, only we know.
    if (readable_ && (has_news() || !input_.empty())) schedule();
    return {count, Error::none};
  }
  if (end_ == Error::none) return {0, Error::would_block};
  told_ = true;
  return {0, end_};
}

// --- writing ----------------------------------------------------------------------------------

IoResult Session::write(Bytes data) {
  if (dead_) return {0, end_};
  if (finished_) return {0, Error::closed};
  if (data.empty()) return {};
  if (opening_) return write_early(data);
  if (blocked_) return {0, Error::would_block};
  corked_ = false;
  size_t count = 0;
  while (count < data.size() && !blocked_) {
    const ssize_t result =
        gnutls_record_send(session_, data.data() + count, std::min(kRecord, data.size() - count));
    if (result == GNUTLS_E_INTERRUPTED) continue;
    if (result <= 0) {
      protocol_failed(static_cast<int>(result));
      return {count, count > 0 ? Error::none : end_};
    }
    count += static_cast<size_t>(result);
    if (context_->outgoing().size() >= kFlushAt) flush();
  }
  flush();
  if (dead_) return {count, count > 0 ? Error::none : end_};
  return {count, count < data.size() ? Error::would_block : Error::none};
}

void Session::shutdown_write() {
  if (finished_ || dead_) return;
  finished_ = true;
  if (opening_) return;  // after the handshake
  corked_ = false;
  gnutls_bye(session_, GNUTLS_SHUT_WR);
  fin_due_ = true;
  flush();
}

void Session::reset() {
  under_->reset();
  end_ = Error::closed;
  dead_ = told_ = true;
  turn_.cancel();
  if (opening_) opening_->patience.cancel();
  readable_ = writable_ = {};
  if (running_) replaced_ = true;
}

// --- readiness --------------------------------------------------------------------------------

void Session::on_readable(std::function<void()> callback) {
  if (running_) replaced_ = true;
  readable_ = std::move(callback);
  armed_ = true;
  if (readable_ && (!opening_ || has_plain())) schedule();
}

void Session::on_writable(std::function<void()> callback) {
  writable_ = std::move(callback);
  if (writable_ && (dead_ || (!blocked_ && !opening_))) schedule();
}

void Session::schedule() { turn_.arm_after(Duration::zero()); }

bool Session::run(std::function<void()> callback) {
  bool gone = false;
  bool* const outer = gone_;
  gone_ = &gone;
  callback();
  if (gone) {
    if (outer) *outer = true;
    return false;
  }
  gone_ = outer;
  return true;
}

bool Session::tell_writable() {
  if (!writable_ || !(dead_ || (!blocked_ && !opening_))) return true;
  return run(std::exchange(writable_, nullptr));
}

bool Session::tell_readable() {
  if (!armed_ || !readable_ || told_) return true;
  if (!has_plain() && end_ == Error::none && (opening_ || !fetch())) return true;
  armed_ = replaced_ = false;
  running_ = true;
  auto callback = std::exchange(readable_, nullptr);
  bool gone = false;
  bool* const outer = gone_;
  gone_ = &gone;
  callback();
  if (gone) {
    if (outer) *outer = true;
    return false;
  }
  gone_ = outer;
  running_ = false;
  if (!replaced_) readable_ = std::move(callback);
  if (armed_ && readable_ && (has_news() || !input_.empty())) schedule();
  return true;
}

void Session::turn() {
  if (opening_) return turn_opening();
  if (!tell_writable() || !tell_readable() || !corked_) return;
  if (context_->host().now() < corked_until_) {
    if (!turn_.armed()) turn_.arm_at(corked_until_);
    return;
  }
  corked_ = false;
  flush();
}

void Session::under_readable() {
  if (opening_) return advance();
  armed_ = true;
  tell_readable();
}

void Session::under_writable() {
  blocked_ = false;
  flush();
  if (!blocked_) tell_writable();
}

}  // namespace culvert::net::tls
