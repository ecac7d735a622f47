// TLS by itself: a server that sends back what comes, and a client that connects again and again
// and says what each handshake took. For interoperation and for what a handshake costs.
#include <array>
#include <list>

#include "model/net/tls/tls.h"
#include "model/services/command_line.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

constexpr size_t kMostTlsEchoStreams = 4096;    // ours: served at a time; more wait in the backlog
constexpr net::Duration kHandshakeLimit = 10s;  // ours: a server's; half-open ones cost memory
constexpr net::Duration kAnswerLimit = 30s;     // ours: the client's, for one connection

struct TlsEchoOptions {
  net::Endpoint listen;
  Target to;
  std::string name;  // the server's; empty: as in `to`
  net::TlsOptions tls;
  std::string versions = "any", client_trust;
  bool client_optional = false, no_resumption = false, key_log = false;
  uint32_t connections = 1, size = 32;
  net::Duration pause = 100ms;
};

net::TlsOptions tls_of(net::Host& host, const TlsEchoOptions& options) {
  net::TlsOptions tls = options.tls;
  if (options.versions == "1.2") tls.versions = net::TlsVersions::v12;
  if (options.versions == "1.3") tls.versions = net::TlsVersions::v13;
  tls.resumption = !options.no_resumption;
  if (!options.client_trust.empty()) {
    tls.trust = options.client_trust;
    tls.peer = options.client_optional ? net::TlsPeer::optional : net::TlsPeer::required;
  }
  if (options.key_log) {
    tls.key_log = [&host](std::string_view line) {
      host.log().write("tls-echo", "key_log", {{"line", line}});
    };
  }
  return tls;
}

void log_session(net::Host& host, const net::TlsInfo& info, const net::Endpoint& peer) {
  host.log().write("tls-echo", "secured",
                   {{"peer", peer},
                    {"version", info.version},
                    {"cipher", info.cipher},
                    {"alpn", info.alpn},
                    {"resumed", info.resumed},
                    {"early_data", info.early_data},
                    {"common_name", info.peer_common_name},
                    {"handshake_ms", info.handshake}});
}

class TlsEchoServer : public Service {
 public:
  TlsEchoServer(net::Host& host, TlsEchoOptions options)
      : host_(host), options_(std::move(options)) {}

  net::Status start() override {
    auto context = net::tls_server_context(host_, tls_of(host_, options_));
    if (!context) return context.status();
    context_ = *context;
    net::ListenOptions listen;
    listen.local = options_.listen;
    auto listener = host_.listen(listen);
    if (!listener) return listener.status();
    listener_ = std::move(*listener);
    listener_->on_readable([this] { accept(); });
    host_.log().write("tls-echo", "ready", {{"local", listener_->local()}});
    return {};
  }

  bool reloads() const override { return true; }
  net::Status command(std::string_view line) override {
    if (line != "reload") return {net::Error::invalid, "commands: reload"};
    const net::Status status = context_->reload();
    host_.log().write("tls-echo", "reloaded", {{"error", status.ok() ? "" : status.detail}});
    return status;
  }

 private:
  struct Conversation {
    std::unique_ptr<net::TlsHandshake> handshake;
    std::unique_ptr<net::TlsStream> stream;
    net::Buffer kept;  // read, not yet written
  };
  using At = std::list<Conversation>::iterator;

  void accept() {
    while (all_.size() < kMostTlsEchoStreams) {
      auto stream = listener_->accept();
      if (!stream) return;
      const At at = all_.emplace(all_.end());
      const net::Endpoint peer = stream->remote();
      at->handshake = net::tls_accept(
          host_, context_, std::move(stream), kHandshakeLimit,
          [this, at, peer](net::Result<std::unique_ptr<net::TlsStream>> secured) {
            if (!secured) {
              host_.log().write("tls-echo", "failed",
                                {{"peer", peer}, {"error", secured.status().to_string()}});
              return end(at);
            }
            at->stream = std::move(*secured);
            log_session(host_, at->stream->info(), peer);
            at->stream->on_readable([this, at] { pump(at); });
          });
    }
    listener_->on_readable({});
  }

  void pump(At at) {
    std::array<uint8_t, 16384> piece;
    for (;;) {
      if (!at->kept.empty()) {
        const auto written = at->stream->write(at->kept);
        at->kept.erase(at->kept.begin(), at->kept.begin() + written.count);
        if (written.error == net::Error::would_block)
          return at->stream->on_writable([this, at] { pump(at); });
        if (!written.ok()) return end(at);
      }
      const auto read = at->stream->read(piece);
      if (read.count == 0 && read.error == net::Error::would_block) return;
      if (read.count == 0) return end(at);  // what came was written back
      at->kept.assign(piece.begin(), piece.begin() + read.count);
    }
  }

  void end(At at) {
    const bool was_full = all_.size() == kMostTlsEchoStreams;
    all_.erase(at);
    if (was_full) listener_->on_readable([this] { accept(); });
  }

  net::Host& host_;
  TlsEchoOptions options_;
  std::shared_ptr<net::TlsContext> context_;
  std::unique_ptr<net::Listener> listener_;
  std::list<Conversation> all_;
};

class TlsEchoClient : public Service {
 public:
  TlsEchoClient(net::Host& host, TlsEchoOptions options)
      : host_(host), options_(std::move(options)), timer_(host.timers(), [this] { fired(); }) {}

  net::Status start() override {
    auto context = net::tls_client_context(host_, tls_of(host_, options_));
    if (!context) return context.status();
    net::TcpTarget tcp;
    tcp.host = options_.to.host;
    tcp.port = options_.to.port;
    connector_ = net::tls_connector(host_, net::tcp_connector(host_, tcp), *context,
                                    options_.name.empty() ? options_.to.host : options_.name);
    // A line, because some servers look at lines.
    for (uint32_t i = 0; i < options_.size; ++i) question_ += static_cast<char>('a' + i % 26);
    question_.back() = '\n';
    next();
    return {};
  }

 private:
  void next() {
    answer_.clear();
    began_ = host_.now();
    timer_.arm_after(kAnswerLimit);
    attempt_ = connector_->connect(
        [this](net::Connected connected) {
          times_ = connected.times;
          stream_ = std::move(connected.stream);
          sent_ = 0;
          push();
          stream_->on_readable([this] { read(); });
        },
        [this](net::ConnectFailure failure) { over(failure.status); });
  }

  void push() {
    const auto written = stream_->write(net::as_bytes(question_).subspan(sent_));
    sent_ += written.count;
    if (sent_ < question_.size() && written.error == net::Error::would_block)
      stream_->on_writable([this] { push(); });
  }

  void read() {
    std::array<uint8_t, 16384> piece;
    const auto got = stream_->read(piece);
    answer_.append(reinterpret_cast<const char*>(piece.data()), got.count);
    if (got.count == 0 && got.error != net::Error::would_block)
      return over({got.error, "the server ended the connection before its answer"});
    if (answer_.size() < question_.size() || answered_) return;
    answered_ = true;
    const auto& info = static_cast<net::TlsStream&>(*stream_).info();
    log_session(host_, info, stream_->remote());
    host_.log().write("tls-echo", "answered",
                      {{"same", answer_ == question_},
                       {"tcp_ms", times_.tcp.value_or(net::Duration(0))},
                       {"tls_ms", times_.tls.value_or(net::Duration(0))},
                       {"answer_ms", host_.now() - began_}});
    resumed_ += info.resumed;
    early_ += info.early_data;
    // A ticket may still come.
    timer_.arm_after(options_.pause);
  }

  void fired() {
    if (stream_ && answered_) {
      std::array<uint8_t, 256> rest;
      stream_->read(rest);
      return over({});
    }
    if (!stream_ && idle_) {
      idle_ = false;
      return next();
    }
    over({net::Error::timed_out, "no answer in time"});
  }

  void over(const net::Status& status) {
    timer_.cancel();
    attempt_.reset();
    stream_.reset();
    answered_ = false;
    if (!status) {
      ++failures_;
      failure_ = status;
      host_.log().write("tls-echo", "failed", {{"error", status.to_string()}});
    }
    if (++done_ < options_.connections) {
      idle_ = true;
      return timer_.arm_after(options_.pause);
    }
    host_.log().write("tls-echo", "result",
                      {{"connections", done_},
                       {"failures", failures_},
                       {"resumed", resumed_},
                       {"early_data", early_}});
    finished(failure_);
  }

  net::Host& host_;
  TlsEchoOptions options_;
  net::Timer timer_;
  std::unique_ptr<net::Connector> connector_;
  std::unique_ptr<net::Connecting> attempt_;
  std::unique_ptr<net::Stream> stream_;
  std::string question_, answer_;
  size_t sent_ = 0;
  bool answered_ = false, idle_ = false;
  net::Time began_{0};
  net::ConnectTimes times_;
  net::Status failure_;
  uint32_t done_ = 0, failures_ = 0, resumed_ = 0, early_ = 0;
};

class TlsEchoBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    TlsEchoOptions& o = options_;
    add_endpoint(app, "--listen", o.listen, "answer here");
    add_target(app, "--to", o.to, "ask there, HOST:PORT");
    app.add_option("--name", o.name, "the server's name in its certificate; as in --to");
    app.add_option("--certificate", o.tls.certificate, "secret with our own certificate");
    app.add_option("--key", o.tls.key, "secret with its key");
    app.add_option("--trust", o.tls.trust, "client: secret with the CAs; empty: the system's");
    app.add_flag("--insecure", o.tls.insecure, "client: take any certificate");
    app.add_option("--client-trust", o.client_trust, "server: CAs of clients, who must show one");
    app.add_flag("--client-optional", o.client_optional, "server: clients may show none");
    app.add_option("--tls-version", o.versions, "any, 1.2 or 1.3")
        ->check(CLI::IsMember({"any", "1.2", "1.3"}))
        ->capture_default_str();
    app.add_option("--alpn", o.tls.alpn, "protocols to offer or to take");
    app.add_option("--ticket-key", o.tls.ticket_key, "server: secret; tickets survive a restart");
    app.add_flag("--no-resumption", o.no_resumption, "no tickets");
    app.add_option("--early-data", o.tls.early_data, "bytes of 0-RTT data, 0: none")
        ->capture_default_str();
    app.add_option("--priority", o.tls.priority, "GnuTLS priority string in place of ours");
    app.add_flag("--key-log", o.key_log, "events with what decrypts the TLS (tests only)");
    app.add_option("--connections", o.connections, "client: one after the other")
        ->check(CLI::Range(1, 1000000))
        ->capture_default_str();
    app.add_option("--size", o.size, "client: bytes of the question")
        ->check(CLI::Range(1, 10000000))
        ->capture_default_str();
    add_ms(app, "--pause-ms", o.pause, "client: after an answer, and before the next connection");
  }
  net::Status check() override {
    if (options_.listen.is_none() == options_.to.host.empty())
      return {net::Error::invalid, "give either --listen or --to"};
    if (!options_.listen.is_none() &&
        (options_.tls.certificate.empty() || options_.tls.key.empty()))
      return {net::Error::invalid, "a server needs --certificate and --key"};
    if (options_.client_optional && options_.client_trust.empty())
      return {net::Error::invalid, "--client-optional needs --client-trust"};
    return {};
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    if (options_.to.host.empty())
      return std::unique_ptr<Service>(std::make_unique<TlsEchoServer>(host, options_));
    return std::unique_ptr<Service>(std::make_unique<TlsEchoClient>(host, options_));
  }

 private:
  TlsEchoOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> tls_echo_blueprint() { return std::make_unique<TlsEchoBlueprint>(); }

}  // namespace culvert::services
