// http-server: answers with what it is told to: an echo, so many bytes, fixed pages, a WebSocket.
#include <charconv>
#include <list>

#include "model/http/websocket.h"
#include "model/services/http_front.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kHttpServer = "http-server";
constexpr uint64_t kHttpLogAll = 100000, kHttpLogEvery = 100;  // ours: a log that clients lengthen
constexpr size_t kMostBytes = 64 << 20;                        // ours: of GET /bytes/N
constexpr size_t kEchoBuffer = 65536;  // ours: read and not yet written back

struct HttpServerOptions {
  HttpListen listen;
  size_t reply_bytes = 0;
  net::Duration delay{0};
  std::vector<std::string> pages;  // PATH=SECRET
  std::string websocket, subprotocol;
  std::vector<std::string> origins;
};

std::string_view type_of(std::string_view path) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".html", "text/html; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},   {".json", "application/json"},
      {".txt", "text/plain; charset=utf-8"},
  };
  for (const auto& [end, type] : kTypes)
    if (path.size() >= end.size() && path.substr(path.size() - end.size()) == end) return type;
  return path == "/" ? kTypes[0].second : "application/octet-stream";
}

class HttpServer : public Service {
 public:
  HttpServer(net::Host& host, HttpServerOptions options)
      : host_(host), options_(std::move(options)) {}

  net::Status start() override {
    for (const std::string& text : options_.pages) {
      const size_t equals = text.find('=');
      auto content = host_.secret(text.substr(equals + 1));
      if (!content) return content.status();
      pages_.emplace_back(text.substr(0, equals), std::move(*content));
    }
    websocket_.path = options_.websocket;
    websocket_.subprotocol = options_.subprotocol;
    websocket_.origins = options_.origins;
    front_ = std::make_unique<HttpFront>(
        host_, std::string(kHttpServer), options_.listen,
        [this](http::Request request, std::shared_ptr<http::Responder> responder) {
          handle(std::move(request), std::move(responder));
        });
    if (const net::Status status = front_->start(); !status) return status;
    host_.log().write(kHttpServer, "ready",
                      {{"local", front_->local()}, {"tls", front_->secure()}});
    return {};
  }

  bool reloads() const override { return true; }
  net::Status command(std::string_view line) override {
    if (line == "reload") return front_->reload();
    return {net::Error::invalid, "the only command is: reload"};
  }

  void stop(std::function<void()> done) override {
    if (!front_) return done();
    conversations_.clear();
    front_->drain(std::move(done));
  }

 private:
  struct Delayed {
    Delayed(net::Host& host, std::function<void()> fire) : timer(host.timers(), std::move(fire)) {}
    net::Timer timer;
  };

  void handle(http::Request request, std::shared_ptr<http::Responder> responder) {
    if (!websocket_.path.empty() &&
        request.target.substr(0, request.target.find('?')) == websocket_.path)
      return open_websocket(std::move(request), std::move(responder));
    if (options_.delay == net::Duration::zero()) return answer(std::move(request), *responder, {});
    const auto at = delayed_.insert(delayed_.end(), nullptr);
    auto held = std::make_shared<http::Request>(std::move(request));
    *at = std::make_unique<Delayed>(host_, [this, at, held, responder] {
      const auto over = std::move(*at);
      delayed_.erase(at);
      answer(std::move(*held), *responder, options_.delay);
    });
    (*at)->timer.arm_after(options_.delay);
  }

  void answer(http::Request request, http::Responder& responder, net::Duration took) {
    const size_t received = request.body.size();
    const std::string method = request.method, target = request.target;
    http::Response response = respond(std::move(request));
    if (++served_ <= kHttpLogAll || served_ % kHttpLogEvery == 0)
      host_.log().write(kHttpServer, "served",
                        {{"from", responder.remote()},
                         {"method", method},
                         {"target", target},
                         {"status", response.status},
                         {"received", uint64_t{received}},
                         {"sent", uint64_t{response.body.size()}},
                         {"took_ms", took}});
    responder.respond(std::move(response));
  }

  http::Response respond(http::Request request) {
    http::Response response;
    const std::string path = request.target.substr(0, request.target.find('?'));
    for (const auto& [name, content] : pages_) {
      if (name != path) continue;
      response.headers.add("Content-Type", std::string(type_of(path)));
      response.body = content;
      return response;
    }
    if (path == "/echo") {
      if (request.headers.has("Content-Type"))
        response.headers.add("Content-Type", std::string(request.headers.get("Content-Type")));
      response.body = std::move(request.body);
      return response;
    }
    if (const auto bytes = number_after(path, "/bytes/")) {
      if (*bytes <= kMostBytes)
        response.body.assign(static_cast<size_t>(*bytes), 'x');
      else
        response.status = 413;
      return response;
    }
    if (const auto status = number_after(path, "/status/")) {
      response.status = *status >= 200 && *status <= 599 ? static_cast<int>(*status) : 400;
      return response;
    }
    response.body.assign(options_.reply_bytes, 'x');
    return response;
  }

  static std::optional<uint64_t> number_after(std::string_view path, std::string_view prefix) {
    if (path.substr(0, prefix.size()) != prefix) return {};
    path.remove_prefix(prefix.size());
    uint64_t number = 0;
    const auto end = std::from_chars(path.data(), path.data() + path.size(), number);
    if (path.empty() || end.ec != std::errc() || end.ptr != path.data() + path.size()) return {};
    return number;
  }

  // --- WebSocket: an echo -----------------------------------------------------------------------

  struct Conversation {
    std::unique_ptr<net::Stream> stream;
    net::Endpoint from;
    net::Buffer kept;
    uint64_t bytes = 0;
  };
  using At = std::list<Conversation>::iterator;

  void open_websocket(http::Request request, std::shared_ptr<http::Responder> responder) {
    const net::Endpoint from = responder->remote();
    const std::string origin(request.headers.get("Origin"));
    http::accept_websocket(
        host_, websocket_, request, std::move(responder),
        [this, from, origin](std::unique_ptr<net::Stream> stream) {
          host_.log().write(kHttpServer, "websocket_opened", {{"from", from}, {"origin", origin}});
          const At at = conversations_.emplace(conversations_.end());
          at->stream = std::move(stream);
          at->from = from;
          at->stream->on_readable([this, at] { pump(at); });
        });
  }

  void pump(At at) {
    net::Buffer piece(kEchoBuffer);
    for (;;) {
      if (!at->kept.empty()) {
        const auto io = at->stream->write(at->kept);
        at->kept.erase(at->kept.begin(), at->kept.begin() + static_cast<long>(io.count));
        if (io.error == net::Error::would_block)
          return at->stream->on_writable([this, at] { pump(at); });
        if (!io.ok()) return close(at);
      }
      const auto io = at->stream->read(piece);
      if (io.error == net::Error::would_block) return;
      if (io.count == 0) return close(at);
      at->bytes += io.count;
      at->kept.assign(piece.begin(), piece.begin() + static_cast<long>(io.count));
    }
  }

  void close(At at) {
    host_.log().write(kHttpServer, "websocket_closed", {{"from", at->from}, {"bytes", at->bytes}});
    conversations_.erase(at);
  }

  net::Host& host_;
  HttpServerOptions options_;
  http::WebSocketOptions websocket_;
  std::vector<std::pair<std::string, net::Buffer>> pages_;
  std::unique_ptr<HttpFront> front_;
  std::list<std::unique_ptr<Delayed>> delayed_;
  std::list<Conversation> conversations_;
  uint64_t served_ = 0;
};

class HttpServerBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_http_listen(app, options_.listen);
    app.add_option("--reply-bytes", options_.reply_bytes,
                   "of every answer but /echo, /bytes/N, /status/N and the pages")
        ->check(CLI::Range(size_t{0}, kMostBytes))
        ->capture_default_str();
    add_ms(app, "--delay-ms", options_.delay, "before each answer");
    app.add_option("--page", options_.pages, "PATH=SECRET: the secret's content under that path");
    app.add_option("--websocket", options_.websocket, "path of a WebSocket that echoes");
    app.add_option("--subprotocol", options_.subprotocol, "that its clients must offer");
    app.add_option("--origin", options_.origins,
                   "let in there; * all; none: the one that is the Host");
  }
  net::Status check() override {
    for (const std::string& page : options_.pages)
      if (page.empty() || page[0] != '/' || page.find('=') == std::string::npos)
        return {net::Error::invalid, "--page: '" + page + "' is not /PATH=SECRET"};
    if (options_.websocket.empty() && (!options_.origins.empty() || !options_.subprotocol.empty()))
      return {net::Error::invalid, "--origin and --subprotocol make sense with --websocket only"};
    return services::check(options_.listen);
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<HttpServer>(host, options_));
  }

 private:
  HttpServerOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> http_server_blueprint() {
  return std::make_unique<HttpServerBlueprint>();
}

}  // namespace culvert::services
