// latency: what an operation over MQTT or HTTP takes, one after the other, from a quiet state. When
// it is over is told by an event: the client's own, but for a publish at QoS 0, which only the
// receiver knows of (latency-peer --sink); all nodes of a run share its clock.
#include "model/services/latency_operation.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kLatency = "latency";
constexpr uint32_t kProbes = 9;  // TCP handshakes that measure the round trip; the median
// Ours: what answers, or a tunnel on the way to it, may still be starting. A handshake that began
// before the tunnel's route has the wrong source for ever, so that it is begun anew.
constexpr net::Duration kProbePatience = 3s, kProbeAgain = 100ms;
constexpr uint32_t kProbeTries = 10;
constexpr net::Duration kProbePause = 1ms;  // ours: the same radio state for all

struct LatencyServiceOptions : LatencyOptions {
  uint32_t count = 10;
  net::Duration interval = 300ms;  // from the end of one to the next
  net::Duration quiet = 500ms;     // before the first and after the last
  Target probe;
  bool wait = false;
};

class LatencyService : public Service {
 public:
  LatencyService(net::Host& host, LatencyServiceOptions options)
      : host_(host), options_(std::move(options)), timer_(host.timers(), [this] { due(); }) {}

  net::Status start() override {
    auto operation = options_.protocol.substr(0, 4) == "mqtt" ? mqtt_operation(host_, options_)
                                                              : http_operation(host_, options_);
    if (!operation) return operation.status();
    operation_ = std::move(*operation);
    probe();
    return {};
  }

  net::Status command(std::string_view line) override {
    if (line != "go") return {net::Error::invalid, "the command is: go"};
    if (step_ != Step::ready) return {net::Error::invalid, "it is not ready, or has begun already"};
    next();
    return {};
  }

 private:
  enum class Step : uint8_t { probing, preparing, quieting, ready, pausing, running, settling };

  void probe() {
    if (options_.probe.host.empty() || rtts_.size() == kProbes) return prepare();
    net::TcpTarget target;
    target.host = options_.probe.host;
    target.port = options_.probe.port;
    target.timeout = kProbePatience;
    prober_ = net::tcp_connector(host_, target);
    probing_ = prober_->connect(
        [this](net::Connected connected) {
          rtts_.push_back(connected.times.tcp.value_or(net::Duration(0)));
          timer_.arm_after(kProbePause);  // the stream closes with this call's end
        },
        [this](const net::ConnectFailure& failure) {
          if (++missed_ == kProbeTries) return give_up(failure.status);
          timer_.arm_after(kProbeAgain);
        });
  }

  void prepare() {
    probing_.reset();
    step_ = Step::preparing;
    operation_->prepare([this](const net::Status& status) {
      if (!status) return give_up(status);
      step_ = Step::quieting;
      timer_.arm_after(options_.quiet);
    });
  }

  void due() {
    switch (step_) {
      case Step::probing:
        return probe();
      case Step::quieting: {
        step_ = Step::ready;
        std::sort(rtts_.begin(), rtts_.end());
        const double rtt_ms = rtts_.empty() ? 0 : net::to_ms(rtts_[rtts_.size() / 2]);
        host_.log().write(kLatency, "ready", {{"rtt_ms", rtt_ms}});
        if (!options_.wait) next();
        return;
      }
      case Step::pausing:
        return next();
      case Step::settling:
        host_.log().write(kLatency, "done", {{"operations", well_}, {"failed", failed_}});
        return finished(failed_ == 0 ? net::Status{}
                                     : net::Status{net::Error::failed,
                                                   std::to_string(failed_) + " operations failed"});
      default:
        return;
    }
  }

  void next() {
    step_ = Step::running;
    const uint32_t number = ++number_;
    host_.log().write(kLatency, "begun", {{"number", number}});
    began_ = host_.now();
    operation_->run(
        number, [this, number](const net::Status& status) { over(number, status); },
        [this, number](const net::Status&) {
          host_.log().write(kLatency, "closed", {{"number", number}});
          pause();
        });
  }

  void over(uint32_t number, const net::Status& status) {
    if (!status) {
      ++failed_;
      host_.log().write(kLatency, "failed", {{"number", number}, {"why", status.to_string()}});
      if (!options_.cold && options_.protocol.substr(0, 4) == "mqtt") return give_up(status);
      return pause();
    }
    ++well_;
    const bool told_by_receiver = options_.operation == "publish" && options_.qos == 0 &&
                                  options_.protocol.substr(0, 4) == "mqtt";
    host_.log().write(kLatency, told_by_receiver ? "written" : "over",
                      {{"number", number}, {"latency_ms", host_.now() - began_}});
  }

  void pause() {
    step_ = number_ == options_.count ? Step::settling : Step::pausing;
    timer_.arm_after(number_ == options_.count ? options_.quiet : options_.interval);
  }

  void give_up(const net::Status& status) {
    host_.log().write(kLatency, "done",
                      {{"operations", well_}, {"failed", failed_}, {"why", status.to_string()}});
    step_ = Step::running;
    finished(status);
  }

  net::Host& host_;
  LatencyServiceOptions options_;
  net::Timer timer_;
  std::unique_ptr<net::Connector> prober_;
  std::unique_ptr<net::Connecting> probing_;
  std::unique_ptr<Operation> operation_;
  std::vector<net::Duration> rtts_;
  Step step_ = Step::probing;
  net::Time began_{0};
  uint32_t number_ = 0, missed_ = 0;
  uint64_t well_ = 0, failed_ = 0;
};

class LatencyBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    app.add_option("--protocol", options_.protocol, "mqtt3, mqtt5, http or http-longpoll")
        ->check(CLI::IsMember({"mqtt3", "mqtt5", "http", "http-longpoll"}))
        ->capture_default_str();
    app.add_option("--operation", options_.operation, "publish, or request and answer")
        ->check(CLI::IsMember({"publish", "request"}))
        ->capture_default_str();
    add_target(app, "--server", options_.server, "broker, HTTP server or relay");
    app.add_option("--qos", options_.qos, "of MQTT")->check(CLI::Range(0, 2));
    app.add_flag("--qos2-late", options_.qos2_late, "hand QoS 2 on at PUBREL only");
    app.add_option("--tls", options_.tls, "none, 1.2, 1.3, or resumed: 1.3 with a ticket")
        ->check(CLI::IsMember({"none", "1.2", "1.3", "resumed"}))
        ->capture_default_str();
    app.add_option("--trust", options_.trust, "TLS: the secret with the CA's certificate");
    app.add_option("--name", options_.name, "TLS: the server's name");
    app.add_option("--seal", options_.seal, "a secret: MQTT payloads are sealed end to end");
    app.add_option("--connection", connection_, "warm: it stays; cold: one for each operation")
        ->check(CLI::IsMember({"warm", "cold"}))
        ->capture_default_str();
    app.add_option("--payload", options_.payload, "bytes")
        ->check(CLI::Range(8, 1'000'000))
        ->capture_default_str();
    app.add_option("--count", options_.count, "operations")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    add_ms(app, "--interval-ms", options_.interval, "from the end of one to the next");
    add_ms(app, "--quiet-ms", options_.quiet, "before the first and after the last");
    add_ms(app, "--patience-ms", options_.patience,
           "for one operation over HTTP, for a connection");
    add_target(app, "--probe", options_.probe, "whose TCP handshakes give the round trip");
    app.add_flag("--wait", options_.wait, "begin at the command 'go'");
  }
  net::Status check() override {
    options_.cold = connection_ == "cold";
    if (options_.server.host.empty()) return {net::Error::invalid, "--server is missing"};
    if (options_.protocol == "http-longpoll" && options_.operation == "publish")
      return {net::Error::invalid, "a publish over http-longpoll is one over http, to the relay"};
    if (options_.tls != "none" && (options_.trust.empty() || options_.name.empty()))
      return {net::Error::invalid, "--tls needs --trust and --name"};
    return {};
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<LatencyService>(host, options_));
  }

 private:
  LatencyServiceOptions options_;
  std::string connection_ = "warm";
};

}  // namespace

std::unique_ptr<Blueprint> latency_blueprint() { return std::make_unique<LatencyBlueprint>(); }

}  // namespace culvert::services
