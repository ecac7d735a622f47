#include "model/http/client.h"

#include <algorithm>
#include <deque>
#include <list>
#include <optional>

#include "model/http/parser.h"
#include "model/http/text.h"
#include "model/http/writer.h"

namespace culvert::http {

using net::Error;
using net::Status;

namespace {

constexpr size_t kPiece = 64 * 1024;   // ours: read at a time
constexpr size_t kHeader = 64 * 1024;  // ours: of a response, larger than any server's custom
constexpr size_t kKeepBuffer = 4096;   // ours: a buffer this small stays for the next message
// How long a body waits for 100 (Continue), which a server may never send (RFC 9110 section
// 10.1.1); curl's.
constexpr net::Duration kContinuePatience = net::Duration(1'000'000'000);

// RFC 9110 section 9.2.2.
bool may_repeat(std::string_view method) {
  for (const std::string_view known : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
    if (method == known) return true;
  return false;
}

Status sendable(const Request& request) {
  if (!is_token(request.method)) return {Error::invalid, "'" + request.method + "' is no method"};
  if (!is_target(request.target)) return {Error::invalid, "'" + request.target + "' is no target"};
  for (const auto& [name, value] : request.headers.all()) {
    if (!is_token(name)) return {Error::invalid, "'" + name + "' is no field name"};
    if (!is_field_value(value))
      return {Error::invalid, "the value of " + name + " breaks its line"};
  }
  return {};
}

struct Job {
  Request request;
  ResponseDone done;
  net::Time asked{0};
  Timing timing;
  bool repeated = false;
};

}  // namespace

struct Client::Impl {
  struct Connection {
    explicit Connection(Impl& client)
        : timer(client.host.timers(), [&client, this] { client.expired(*this); }),
          go_on(client.host.timers(), [&client, this] { client.send_body(*this); }) {}
    std::list<std::unique_ptr<Connection>>::iterator at;
    std::unique_ptr<net::Connecting> connecting;
    std::unique_ptr<net::Stream> stream;
    std::optional<Job> job;
    std::optional<Parser> parser;
    net::Buffer in, out;
    size_t out_at = 0, out_end = 0;  // of `out`: what is written, what may be
    bool used = false;               // it has carried a response
    bool answering = false;          // a byte of the answer has come
    net::Timer timer;
    net::Timer go_on;  // armed: the body waits for 100 (Continue)
  };

  Impl(net::Host& h, ClientOptions o, std::unique_ptr<net::Connector> c)
      : host(h),
        options(std::move(o)),
        connector(std::move(c)),
        waiting_timer(h.timers(), [this] { expire_waiting(); }) {}

  void ask(Request request, ResponseDone done) {
    Status status = sendable(request);
    if (status && waiting.size() >= options.waiting)
      status = {Error::exhausted, "too many requests wait for a connection"};
    if (!status) {
      host.post([still = std::weak_ptr<bool>(alive), status, done = std::move(done)] {
        if (!still.expired()) done(status, Timing{});
      });
      return;
    }
    Job job;
    job.request = std::move(request);
    job.done = std::move(done);
    job.asked = host.now();
    waiting.push_back(std::move(job));
    if (!waiting_timer.armed()) waiting_timer.arm_after(options.patience);
    dispatch();
  }

  void dispatch() {
    while (!waiting.empty()) {
      Connection* free = nullptr;
      if (!waiting.front().repeated)  // a repetition wants a connection that surely lives
        for (const auto& connection : connections)
          if (connection->stream && !connection->job) free = connection.get();
      if (!free) {
        if (connections.size() >= std::max<size_t>(options.connections, 1) && !drop_idle()) return;
        free = open();
      }
      free->job = std::move(waiting.front());
      waiting.pop_front();
      free->timer.arm_at(free->job->asked + options.patience);
      if (free->stream) send(*free);
    }
    waiting_timer.cancel();
  }

  bool drop_idle() {
    for (const auto& connection : connections)
      if (connection->stream && !connection->job) {
        drop(*connection);
        return true;
      }
    return false;
  }

  Connection* open() {
    const auto at = connections.insert(connections.end(), std::make_unique<Connection>(*this));
    Connection* connection = at->get();
    connection->at = at;
    connection->connecting = connector->connect(
        [this, connection](net::Connected connected) {
          const auto over = std::move(connection->connecting);  // this callback is in it
          connection->stream = std::move(connected.stream);
          if (connection->job) connection->job->timing.connect = connected.times;
          connection->stream->on_readable([this, connection] { readable(*connection); });
          if (connection->job) send(*connection);
        },
        [this, connection](net::ConnectFailure failure) {
          const auto over = std::move(connection->connecting);
          fail(*connection, std::move(failure.status), failure.phase);
        });
    return connection;
  }

  void send(Connection& c) {
    Job& job = *c.job;
    job.timing.reused = c.used;
    c.answering = false;
    c.parser.reset();
    RequestForm form;
    form.host = options.host;
    form.close = !options.keep_alive;
    append_request(c.out, job.request, form);
    c.out_end = c.out.size();
    if (!job.request.body.empty() && list_has(job.request.headers, "Expect", "100-continue")) {
      c.out_end = net::as_text(c.out).find("\r\n\r\n") + 4;
      c.go_on.arm_after(kContinuePatience);
    }
    write(c);
  }

  void send_body(Connection& c) {
    c.go_on.cancel();
    c.out_end = c.out.size();
    write(c);
  }

  void write(Connection& c) {
    while (c.out_at < c.out_end) {
      const auto io = c.stream->write(net::Bytes(c.out).first(c.out_end).subspan(c.out_at));
      c.out_at += io.count;
      if (io.error == Error::would_block) {
        c.stream->on_writable([this, &c] { write(c); });
        return;
      }
      if (!io.ok()) return;  // reading tells what came before it broke, and that it broke
    }
    if (c.out_end < c.out.size()) return;
    c.out_at = c.out_end = 0;
    if (c.out.capacity() > kKeepBuffer)
      net::Buffer().swap(c.out);
    else
      c.out.clear();
  }

  void readable(Connection& c) {
    if (scratch.empty()) scratch.resize(kPiece);
    for (;;) {
      const auto io = c.stream->read(scratch);
      if (io.count == 0) {
        if (io.error != Error::would_block) ended(c, io.error);
        return;
      }
      if (!c.job) return drop(c);  // nobody asked
      if (!take(c, net::Bytes(scratch).first(io.count))) return;
    }
  }

  // False: the connection is done for now, or gone.
  bool take(Connection& c, net::Bytes data) {
    if (!std::exchange(c.answering, true)) c.job->timing.first_byte = host.now() - c.job->asked;
    net::Buffer kept;
    if (!c.in.empty()) {
      kept.swap(c.in);
      kept.insert(kept.end(), data.begin(), data.end());
      data = kept;
    }
    while (!data.empty()) {
      if (!c.parser) {
        ParserLimits limits;
        limits.header_bytes = kHeader;
        limits.body_bytes = options.body_bytes;
        c.parser.emplace(Parser::Kind::response, limits);
        if (c.job->request.method == "HEAD") c.parser->no_body();
      }
      Parser::Step step;
      data = data.subspan(c.parser->put(data, step));
      if (step == Parser::Step::need_more) break;
      if (step == Parser::Step::header) continue;
      if (step == Parser::Step::fault) {
        const Fault fault = c.parser->fault();
        fail(c,
             {fault.status == 413 || fault.status == 431 ? Error::too_big : Error::failed,
              "the answer cannot be read: " + fault.detail},
             "response");
        return false;
      }
      const int status = c.parser->response().status;
      if (status / 100 == 1 && status != 101) {  // RFC 9110 section 15.2: interim
        c.parser.reset();
        if (status == 100 && c.go_on.armed()) send_body(c);
        continue;
      }
      finish(c, !data.empty());
      return false;
    }
    c.in.assign(data.begin(), data.end());
    return true;
  }

  void ended(Connection& c, Error why) {
    if (!c.job) return drop(c);
    if (c.parser && why == Error::closed && c.parser->end() == Parser::Step::done)
      return finish(c, true);
    if (!c.answering && c.used && !c.job->repeated && may_repeat(c.job->request.method)) {
      Job job = std::move(*c.job);
      c.job.reset();
      job.repeated = true;
      waiting.push_front(std::move(job));
      drop(c);
      return dispatch();
    }
    fail(c,
         {why, c.answering ? "the server ended in the middle of its answer"
                           : "the server ended without an answer"},
         "response");
  }

  void finish(Connection& c, bool spoiled) {
    Response response = std::move(c.parser->response());
    const bool keep = options.keep_alive && !spoiled && c.parser->keep_alive() &&
                      c.out_at == c.out.size() && response.status != 101 &&
                      !list_has(c.job->request.headers, "Connection", "close");
    Job job = std::move(*c.job);
    c.job.reset();
    c.parser.reset();
    c.go_on.cancel();
    c.used = true;
    job.timing.whole = host.now() - job.asked;
    if (keep)
      c.timer.arm_after(options.idle_patience);
    else
      drop(c);
    tell(std::move(job), std::move(response));
  }

  void fail(Connection& c, Status status, std::string_view phase) {
    std::optional<Job> job = std::move(c.job);
    drop(c);
    if (!job) return dispatch();
    job->timing.failed_phase = phase;
    job->timing.whole = host.now() - job->asked;
    tell(std::move(*job), std::move(status));
  }

  void tell(Job job, net::Result<Response> result) {
    const std::weak_ptr<bool> still = alive;
    job.done(std::move(result), job.timing);
    if (!still.expired()) dispatch();
  }

  void drop(Connection& c) {
    const std::unique_ptr<Connection> dying = std::move(*c.at);
    connections.erase(c.at);
  }

  void expired(Connection& c) {
    if (!c.job) return drop(c);
    fail(c, {Error::timed_out, "no whole answer within the patience"},
         c.stream ? "response" : "tcp");
  }

  void expire_waiting() {
    const std::weak_ptr<bool> still = alive;
    while (!waiting.empty() && host.now() >= waiting.front().asked + options.patience) {
      Job job = std::move(waiting.front());
      waiting.pop_front();
      job.timing.failed_phase = "waiting";
      job.timing.whole = host.now() - job.asked;
      job.done(Status(Error::timed_out, "no connection became free within the patience"),
               job.timing);
      if (still.expired()) return;
    }
    if (!waiting.empty()) waiting_timer.arm_at(waiting.front().asked + options.patience);
  }

  net::Host& host;
  const ClientOptions options;
  std::unique_ptr<net::Connector> connector;
  std::deque<Job> waiting;
  net::Timer waiting_timer;
  net::Buffer scratch;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  std::list<std::unique_ptr<Connection>> connections;
};

Client::Client(net::Host& host, ClientOptions options, std::unique_ptr<net::Connector> connector)
    : impl_(std::make_unique<Impl>(host, std::move(options), std::move(connector))) {}
Client::~Client() = default;

void Client::request(Request request, ResponseDone done) {
  impl_->ask(std::move(request), std::move(done));
}

}  // namespace culvert::http
