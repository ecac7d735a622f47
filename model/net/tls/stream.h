// One TLS session: a Stream around a Stream. GnuTLS reads and writes memory only; what it makes in
// one call goes out as one write. Private to model/net/tls. Stands on GnuTLS, context.h.
//
//   handshake.cc  until it is established, early data, who the peer is
//   stream.cc     reading, writing, readiness, ending
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "model/net/tls/context.h"

namespace culvert::net::tls {

class Handshake;

class Session final : public TlsStream {
 public:
  Session(Host& host, std::shared_ptr<Context> context, std::unique_ptr<Stream> under);
  ~Session() override;

  // Starts the handshake for `owner`, which is told how it ended, later.
  void open(Handshake* owner, const std::string& name, Duration timeout);

  void keep_rest();  // for the context

  const TlsInfo& info() const override { return info_; }
  Endpoint local() const override { return under_->local(); }
  Endpoint remote() const override { return under_->remote(); }
  IoResult read(MutableBytes buffer) override;
  IoResult write(Bytes data) override;
  void shutdown_write() override;
  void reset() override;
  void on_readable(std::function<void()> callback) override;
  void on_writable(std::function<void()> callback) override;
  Status set_no_delay(bool on) override { return under_->set_no_delay(on); }
  PathStats stats() const override { return under_->stats(); }

 private:
  // What only a session that is not yet established needs.
  struct Opening {
    Opening(TimerQueue& timers, std::function<void()> fired) : patience(timers, std::move(fired)) {}
    Handshake* owner = nullptr;  // null: it was told, the stream has its user
    std::string name;
    Time began{0};
    Timer patience;
    Status failure;             // to be told on the next turn
    unsigned verification = 0;  // gnutls_certificate_status_t of the peer's certificate
    bool started = false;       // the ClientHello is out
    Buffer early;               // written before the server answered
    size_t early_limit = 0, early_sent = 0;  // bytes: that the ticket allows; that went as 0-RTT
  };

  // GnuTLS' side.
  static ssize_t pull(gnutls_transport_ptr_t self, void* data, size_t size);
  static ssize_t push(gnutls_transport_ptr_t self, const void* data, size_t size);
  static int pull_timeout(gnutls_transport_ptr_t self, unsigned ms);
  static int verify(gnutls_session_t session);
  static int key_logged(gnutls_session_t session, const char* label, const gnutls_datum_t* secret);
  static int ticket_came(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                         const gnutls_datum_t* message);

  // handshake.cc
  void set_callbacks();
  void offer_resumption();
  void announce_early();
  void turn_opening();
  void start();
  void advance();
  void early_came();
  void established();
  void fail_opening(Status status);
  void tell_failure();
  Status failure_of(int error);
  void read_info();
  void read_peer();
  void store_resumption();
  void resend_early(Opening& opening);

  // stream.cc
  void under_readable();
  void under_writable();
  void turn();
  void schedule();
  void flush();
  void drained();
  void send_all(Bytes data);
  void close_now();
  IoResult write_early(Bytes data);
  bool fetch();
  bool fetch_early();
  size_t take(MutableBytes buffer);
  void die(Error error);
  void protocol_failed(int error);
  bool tell_readable();
  bool tell_writable();
  bool run(std::function<void()> callback);  // false: it destroyed this
  bool has_plain() const { return stash_head_ < stash_.size() || plain_.size() > 0; }
  bool has_news() const { return has_plain() || (end_ != Error::none && !told_); }

  std::shared_ptr<Context> context_;
  std::shared_ptr<Credentials> credentials_;  // GnuTLS points into them
  std::unique_ptr<Stream> under_;
  gnutls_session_t session_ = nullptr;
  std::unique_ptr<Opening> opening_;
  TlsInfo info_;

  Bytes input_;  // came, not yet seen by GnuTLS: in the context's buffer or rest_
  Buffer rest_;  // what of it is kept between two calls
  Buffer out_;   // made by GnuTLS, not yet taken by under_
  gnutls_packet_t packet_ = nullptr;  // a record, and
  Bytes plain_;                       // what of it was not read
  Buffer stash_;  // early data and what else GnuTLS holds by itself; comes first
  size_t stash_head_ = 0;

  Timer turn_;
  std::function<void()> readable_, writable_;
  bool* gone_ = nullptr;
  std::string cache_name_;         // client: under which tickets are kept
  Error end_ = Error::none;        // what reading ends with
  Error under_end_ = Error::none;  // what reading under_ ended with
  bool dead_ = false;              // end_ holds for writing, too
  bool starved_ = false;           // GnuTLS wanted more than there was
  bool told_ = false;              // read() has returned end_
  bool armed_ = true;              // on_readable is due when there is something
  bool blocked_ = false;           // under_ would_block
  bool corked_ = false;            // out_ waits for what is written next
  bool finished_ = false;          // shutdown_write was called
  bool fin_due_ = false;           // under_ is to be shut once out_ is out
  bool running_ = false, replaced_ = false;
  bool early_expected_ = false;  // server: early data may still be on their way
  Time corked_until_{0};
};

// The handle that the user holds until `done`.
class Handshake final : public TlsHandshake {
 public:
  Handshake(std::unique_ptr<Session> session, TlsDone done)
      : session_(std::move(session)), done_(std::move(done)) {}
  Session& session() { return *session_; }
  void succeed();
  void fail(Status status);

 private:
  std::unique_ptr<Session> session_;
  TlsDone done_;
};

}  // namespace culvert::net::tls
