// requester: asks over MQTT and tells what came back (model/request). Each request is an event with
// its number, so that a late answer taken for the next request's can be seen (seed 000).
#include "model/request/requester.h"

#include "model/mqtt/topic.h"
#include "model/services/mqtt_connection.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kRequester = "requester";

struct RequesterServiceOptions {
  MqttConnection connection;
  request::RequesterOptions requester;
  std::string topic, body = "?", method;
  uint32_t count = 1, qos = 1, size = 0;
  net::Duration interval = 1s, patience = 2s, deadline = 10s;
  bool no_matching = false, wait = false;
};

class RequesterService : public Service {
 public:
  RequesterService(net::Host& host, RequesterServiceOptions options)
      : host_(host),
        options_(std::move(options)),
        timer_(host.timers(), [this] { next(); }),
        patience_(host.timers(), [this] {  // whoever waits for the end (--once) is told now
          finished({net::Error::timed_out, "no connection to the broker within the deadline"});
        }) {}

  net::Status start() override {
    auto client = make_client(host_, options_.connection);
    if (!client) return client.status();
    client_ = std::move(*client);
    client_->on_lost([this](const mqtt::Client::Lost& lost) { log_lost(host_, kRequester, lost); });
    inbox_ = std::make_unique<request::Inbox>(*client_);
    inbox_->on_connected([this](const mqtt::ConnectedInfo&) {
      patience_.cancel();
      host_.log().write(kRequester, "ready", {{"client", client_->client_id()}});
      if (!options_.wait && asked_ == 0) next();
    });
    requester_ = std::make_unique<request::Requester>(host_, *inbox_, options_.requester);
    client_->start();
    if (!options_.wait) patience_.arm_after(options_.deadline);
    return {};
  }

  void stop(std::function<void()> done) override {
    if (!client_) return done();
    client_->stop(mqtt::Reason::success, std::move(done));
  }

  net::Status command(std::string_view line) override {
    if (line == "go") {
      if (asked_ > 0) return {net::Error::invalid, "it has begun already"};
      next();
      return {};
    }
    if (line.substr(0, 4) == "ask ") {
      line.remove_prefix(4);
      const size_t space = line.find(' ');
      ask(std::string(line.substr(0, space)),
          space == std::string_view::npos ? std::string() : std::string(line.substr(space + 1)));
      return {};
    }
    return {net::Error::invalid, "the commands are: go, ask TOPIC [BODY]"};
  }

 private:
  void next() {
    if (asked_ == options_.count) return;
    std::string body = options_.body;
    if (options_.size > 0) body.assign(options_.size, 'x');
    ask(options_.topic, std::move(body));
    if (asked_ < options_.count) timer_.arm_after(options_.interval);
  }

  void ask(std::string topic, std::string body) {
    request::Ask ask;
    ask.topic = std::move(topic);
    ask.method = options_.method;
    ask.body.assign(body.begin(), body.end());
    ++asked_;
    const auto sequence = requester_->ask(
        std::move(ask), [this](const request::Outcome& outcome) { ended(outcome); });
    if (!sequence) {
      host_.log().write(kRequester, "failed", {{"why", sequence.status().to_string()}});
      return count_end(false);
    }
    host_.log().write(kRequester, "asked",
                      {{"epoch", sequence->epoch}, {"number", sequence->number}});
  }

  void ended(const request::Outcome& outcome) {
    if (!outcome.status) {
      host_.log().write(kRequester, "failed",
                        {{"epoch", outcome.sequence.epoch},
                         {"number", outcome.sequence.number},
                         {"attempts", outcome.attempts},
                         {"took_ms", outcome.took},
                         {"why", outcome.status.to_string()}});
      return count_end(false);
    }
    const bool right = outcome.answer_sequence == outcome.sequence;
    host_.log().write(kRequester, "answered",
                      {{"epoch", outcome.sequence.epoch},
                       {"number", outcome.sequence.number},
                       {"answer_epoch", outcome.answer_sequence.epoch},
                       {"answer_number", outcome.answer_sequence.number},
                       {"right", right},
                       {"status", outcome.response.status},
                       {"bytes", uint64_t{outcome.response.body.size()}},
                       {"attempts", outcome.attempts},
                       {"took_ms", outcome.took}});
    if (!right) ++wrong_;
    net::Buffer line = outcome.response.body;
    line.push_back('\n');
    print(line);
    count_end(true);
  }

  void count_end(bool well) {
    ++(well ? answered_ : failed_);
    if (answered_ + failed_ < options_.count || told_) return;
    told_ = true;
    const request::RequesterCounters& c = requester_->counters();
    host_.log().write(kRequester, "result",
                      {{"asked", asked_},
                       {"answered", answered_},
                       {"failed", failed_},
                       {"wrong", wrong_},
                       {"retried", c.retried},
                       {"late", c.late},
                       {"stale", c.stale}});
    // The session says good-bye before the program may end.
    client_->stop(mqtt::Reason::success, [this] {
      finished(failed_ == 0 ? net::Status{}
                            : net::Status{net::Error::failed,
                                          "no answer to " + std::to_string(failed_) + " of " +
                                              std::to_string(asked_) + " requests"});
    });
  }

  net::Host& host_;
  RequesterServiceOptions options_;
  net::Timer timer_, patience_;  // between requests; for the first connection
  std::unique_ptr<mqtt::Client> client_;
  std::unique_ptr<request::Inbox> inbox_;
  std::unique_ptr<request::Requester> requester_;
  uint64_t asked_ = 0, answered_ = 0, failed_ = 0, wrong_ = 0;
  bool told_ = false;
};

class RequesterBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    add_mqtt_connection(app, options_.connection);
    app.add_option("--topic", options_.topic, "whom to ask: home/7/echo")->required();
    app.add_option("--body", options_.body, "what to ask")->capture_default_str();
    app.add_option("--size", options_.size, "a body of that many bytes instead")
        ->check(CLI::Range(0, 1'048'576));
    app.add_option("--method", options_.method, "GET, POST, …; empty: none");
    app.add_option("--count", options_.count, "requests")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    add_ms(app, "--interval-ms", options_.interval, "between two requests");
    app.add_option("--qos", options_.qos, "of requests and answers")
        ->check(CLI::Range(0, 2))
        ->capture_default_str();
    app.add_option("--attempts", options_.requester.attempts, "the first one included")
        ->check(CLI::Range(1, 255))
        ->capture_default_str();
    add_ms(app, "--patience-ms", options_.patience, "for the first attempt; doubled each time");
    add_ms(app, "--deadline-ms", options_.deadline, "for the answer, all attempts together");
    app.add_option("--reply-topic", options_.requester.reply_topic,
                   "%c: client identifier, %r: the broker's response information")
        ->capture_default_str();
    app.add_flag("--no-matching", options_.no_matching,
                 "take whatever comes next for the answer (the fault that sequence numbers cure)");
    app.add_flag("--wait", options_.wait, "begin at the command 'go'");
  }
  net::Status check() override {
    if (!mqtt::valid_topic_name(options_.topic))
      return {net::Error::invalid, "--topic: '" + options_.topic + "' is no topic (+ and # ?)"};
    return services::check(options_.connection);
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    options_.requester.version =
        options_.connection.version == "311" ? mqtt::Version::v311 : mqtt::Version::v5;
    options_.requester.qos = static_cast<uint8_t>(options_.qos);
    options_.requester.patience = options_.patience;
    options_.requester.deadline = options_.deadline;
    options_.requester.match_sequence = !options_.no_matching;
    return std::unique_ptr<Service>(std::make_unique<RequesterService>(host, options_));
  }

 private:
  RequesterServiceOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> requester_blueprint() { return std::make_unique<RequesterBlueprint>(); }

}  // namespace culvert::services
