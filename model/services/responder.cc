// responder: answers requests that come over MQTT (model/request): an echo, a device that takes its
// time, answers of a chosen size. What tests, scenarios and first steps ask.
#include "model/mqtt/topic.h"
#include "model/request/schema.h"
#include "model/request/server.h"
#include "model/services/mqtt_connection.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using request::Reply;
using request::Request;
using request::Response;

constexpr std::string_view kResponder = "responder";
constexpr int64_t kLongestWork_ms = 600'000;   // ours: ten minutes
constexpr int64_t kLargestAnswer = 1'048'576;  // ours: 1 MB, as the largest message of the tests

struct ResponderOptions {
  MqttConnection connection;
  request::ServerOptions server;
  uint32_t qos = 1;
  net::Duration work{0};
};

class Responder : public Service {
 public:
  Responder(net::Host& host, ResponderOptions options)
      : host_(host), options_(std::move(options)) {}

  net::Status start() override {
    auto client = make_client(host_, options_.connection);
    if (!client) return client.status();
    client_ = std::move(*client);
    client_->on_lost([this](const mqtt::Client::Lost& lost) { log_lost(host_, kResponder, lost); });
    inbox_ = std::make_unique<request::Inbox>(*client_);
    server_ = std::make_unique<request::Server>(host_, *inbox_, routes(), options_.server);
    server_->start([this](net::Status status) {
      if (!status) {
        host_.log().write(kResponder, "refused", {{"why", status.to_string()}});
        return finished(status);
      }
      host_.log().write(kResponder, "ready", {{"client", client_->client_id()}});
    });
    client_->start();
    return {};
  }

  void stop(std::function<void()> done) override {
    if (!server_) return done();
    server_->drain([this, done = std::move(done)] {
      const request::ServerCounters& c = server_->counters();
      host_.log().write(kResponder, "drained", {{"answered", c.answered}, {"late", c.late}});
      client_->stop(mqtt::Reason::success, done);
    });
  }

  net::Status command(std::string_view line) override {
    if (line != "stats") return {net::Error::invalid, "the command is: stats"};
    const request::ServerCounters& c = server_->counters();
    host_.log().write(kResponder, "stats",
                      {{"requests", c.requests},
                       {"answered", c.answered},
                       {"repeated", c.repeated},
                       {"malformed", c.malformed},
                       {"busy", c.busy},
                       {"late", c.late},
                       {"gaps", c.sequence.gaps},
                       {"duplicates", c.sequence.duplicates},
                       {"reordered", c.sequence.reordered}});
    return {};
  }

 private:
  request::Router routes() {
    request::Router router;
    router.use([this](const Request& request, Reply reply, const request::Handler& next) {
      host_.log().write(kResponder, "asked",
                        {{"path", request.path},
                         {"epoch", request.sequence.epoch},
                         {"number", request.sequence.number},
                         {"attempt", uint64_t{request.attempt}}});
      next(request, std::move(reply));
    });
    (void)router.on("echo", [this](const Request& request, Reply reply) {
      Response response;
      response.body.assign(request.body.begin(), request.body.end());
      response.content_type = request.content_type;
      after(options_.work, std::move(reply), std::move(response));
    });
    (void)router.on("work/{ms:int}", [this](const Request& request, Reply reply) {
      const int64_t ms = request.parameters.integer("ms");
      if (ms < 0 || ms > kLongestWork_ms)
        return reply(Response::problem(request::status::bad_request, "work: 0 to 600000 ms"));
      after(std::chrono::milliseconds(ms), std::move(reply),
            Response::text(net::as_text(request.body)));
    });
    (void)router.on("bytes/{n:int}", [this](const Request& request, Reply reply) {
      const int64_t n = request.parameters.integer("n");
      if (n < 0 || n > kLargestAnswer)
        return reply(Response::problem(request::status::bad_request, "bytes: 0 to 1048576"));
      after(options_.work, std::move(reply),
            Response::text(std::string(static_cast<size_t>(n), 'x')));
    });
    (void)router.on("_health", [this](const Request& request, Reply reply) {
      request::health (*server_)(request, std::move(reply));
    });
    (void)router.on("_metrics", [this](const Request& request, Reply reply) {
      request::metrics (*server_)(request, std::move(reply));
    });
    return router;
  }

  void after(net::Duration work, Reply reply, Response response) {
    if (work <= net::Duration(0)) return reply(std::move(response));
    // Bounded by the server's limit on what runs at the same time.
    const auto at = jobs_.emplace(jobs_.end());
    at->timer = std::make_unique<net::Timer>(
        host_.timers(), [this, at, reply = std::move(reply), response = std::move(response)] {
          const Job job = std::move(*at);  // this callback is the timer's: it must outlive the call
          jobs_.erase(at);
          reply(response);
        });
    at->timer->arm_after(work);
  }

  struct Job {
    std::unique_ptr<net::Timer> timer;
  };
  net::Host& host_;
  ResponderOptions options_;
  std::unique_ptr<mqtt::Client> client_;
  std::unique_ptr<request::Inbox> inbox_;
  std::unique_ptr<request::Server> server_;
  std::list<Job> jobs_;
};

class ResponderBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_mqtt_connection(app, options_.connection);
    app.add_option("--prefix", options_.server.prefix, "topic levels in front of the routes")
        ->required();
    app.add_option("--group", options_.server.group, "share the requests with the others of it");
    app.add_option("--qos", options_.qos, "of the subscription")
        ->check(CLI::Range(0, 2))
        ->capture_default_str();
    app.add_option("--reply-prefix", options_.server.reply_prefix,
                   "answer only to topics that begin with it");
    app.add_option("--running", options_.server.running, "requests at the same time")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
    add_ms(app, "--work-ms", options_.work, "how long echo and bytes take");
    app.footer(
        "Routes below PREFIX: echo, work/MS, bytes/N, _health, _metrics.\n"
        "Ask them with: requester, mqtt-rr, or HTTP through http-gateway.");
  }
  net::Status check() override {
    if (!mqtt::valid_topic_name(options_.server.prefix))
      return {net::Error::invalid,
              "--prefix: '" + options_.server.prefix + "' is no topic (+ and # ?)"};
    return services::check(options_.connection);
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    options_.server.qos = static_cast<uint8_t>(options_.qos);
    return std::unique_ptr<Service>(std::make_unique<Responder>(host, options_));
  }

 private:
  ResponderOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> responder_blueprint() { return std::make_unique<ResponderBlueprint>(); }

}  // namespace culvert::services
