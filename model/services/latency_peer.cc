// latency-peer: the other end of what the latency service measures. As a sink it subscribes to what
// is published and tells when it has come; else it answers requests, over MQTT or by polling a
// relay.
#include "model/http/poll_agent.h"
#include "model/mqtt/client/client.h"
#include "model/services/latency_operation.h"
#include "model/services/payload_seal.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kLatencyPeer = "latency";

struct PeerOptions : LatencyOptions {
  bool sink = false;
  uint32_t polls = 1;
  uint16_t keep_alive_s = 0;  // of MQTT; 0: no pings among what is counted
  net::Duration ping_patience = 10s;
};

class MqttPeer : public Service {
 public:
  MqttPeer(net::Host& host, const PeerOptions& options) : host_(host), options_(options) {}

  net::Status start() override {
    auto dialler = Dialler::make(host_, options_);
    if (!dialler) return dialler.status();
    auto seal = PayloadSeal::make(host_, options_.seal);
    if (!seal) return seal.status();
    seal_ = std::move(*seal);
    mqtt::ClientOptions options;
    options.version = options_.protocol == "mqtt3" ? mqtt::Version::v311 : mqtt::Version::v5;
    options.client_id = options_.sink ? "sink" : "peer";
    options.keep_alive_s = options_.keep_alive_s;
    options.ping_patience = options_.ping_patience;
    options.qos2_early = !options_.qos2_late;
    options.topic_alias_maximum = 0;
    options.backoff_least = 100ms;  // the broker may not be up yet
    client_ = std::make_unique<mqtt::Client>(host_, options, dialler->connector());
    client_->on_connected([this](const mqtt::ConnectedInfo&) {
      mqtt::SubscribeRequest request;
      request.filter = options_.sink ? kPublishTopic : kAskTopic;
      request.options.qos = options_.qos;
      client_->subscribe({request}, [this](const mqtt::SubscribeOutcome& outcome) {
        if (!outcome.status) return;
        host_.log().write(kLatencyPeer, std::exchange(again_, true) ? "back" : "listening");
      });
    });
    client_->on_lost([this](const mqtt::Client::Lost& lost) {
      host_.log().write(kLatencyPeer, "lost",
                        {{"phase", lost.phase}, {"why", lost.status.to_string()}});
    });
    client_->on_message([this](const mqtt::IncomingMessage& in) { take(in.publish); });
    client_->start();
    return {};
  }

 private:
  void take(const mqtt::Publish& publish) {
    net::Buffer plain(publish.payload.begin(), publish.payload.end());
    if (seal_) {
      auto opened = seal_->open(publish.topic, publish.payload);
      if (!opened)
        return host_.log().write(kLatencyPeer, "unsealed", {{"why", opened.status().detail}});
      plain = std::move(*opened);
    }
    const uint32_t number = number_of(plain);
    // Only at QoS 0 nobody else knows that it is over.
    if (options_.sink)
      return host_.log().write(kLatencyPeer, options_.qos == 0 ? "over" : "arrived",
                               {{"number", number}});
    mqtt::OutgoingMessage answer;
    answer.topic = publish.properties.response_topic.value_or(kAnswerTopic);
    answer.payload = seal_ ? seal_->seal(answer.topic, plain) : std::move(plain);
    answer.qos = options_.qos;
    if (const auto& data = publish.properties.correlation_data)
      answer.properties.correlation_data = net::Buffer(data->begin(), data->end());
    client_->publish(std::move(answer));
  }

  net::Host& host_;
  PeerOptions options_;
  std::optional<PayloadSeal> seal_;
  std::unique_ptr<mqtt::Client> client_;
  bool again_ = false;  // it was listening before
};

// Keeps polls outstanding at a relay and answers with what they bring.
class PollPeer : public Service {
 public:
  PollPeer(net::Host& host, const PeerOptions& options) : host_(host), options_(options) {}

  net::Status start() override {
    auto dialler = Dialler::make(host_, options_);
    if (!dialler) return dialler.status();
    http::PollAgentOptions options;
    options.device = kPeer;
    options.token = kPeerToken;
    options.relay_host = "latency";
    options.polls = options_.polls;
    options.backoff_least = 100ms;
    agent_ = std::make_unique<http::PollAgent>(
        host_, options, dialler->connector(),
        [](http::Request request, const http::PollAgent::Answer& answer) {
          http::Response response;
          response.body = std::move(request.body);
          answer(std::move(response));
        });
    agent_->on_event([this](const http::PollAgentEvent& event) {
      if (event.what == "polling") host_.log().write(kLatencyPeer, "listening");
    });
    agent_->start();
    return {};
  }

 private:
  net::Host& host_;
  PeerOptions options_;
  std::unique_ptr<http::PollAgent> agent_;
};

class PeerBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    app.add_option("--protocol", options_.protocol, "mqtt3, mqtt5 or http-longpoll")
        ->check(CLI::IsMember({"mqtt3", "mqtt5", "http-longpoll"}))
        ->capture_default_str();
    app.add_flag("--sink", options_.sink, "tell when what was published has come");
    app.add_option("--qos", options_.qos, "of the subscription and of answers")
        ->check(CLI::Range(0, 2));
    app.add_flag("--qos2-late", options_.qos2_late, "take QoS 2 at PUBREL only");
    add_target(app, "--server", options_.server, "broker or relay")->required();
    app.add_option("--tls", options_.tls, "none, 1.2 or 1.3")
        ->check(CLI::IsMember({"none", "1.2", "1.3", "resumed"}))
        ->capture_default_str();
    app.add_option("--trust", options_.trust, "TLS: the secret with the CA's certificate");
    app.add_option("--name", options_.name, "TLS: the server's name");
    app.add_option("--seal", options_.seal, "a secret: MQTT payloads are sealed end to end");
    app.add_option("--keep-alive-s", options_.keep_alive_s, "MQTT: between pings; 0: none");
    add_ms(app, "--ping-patience-ms", options_.ping_patience, "for a ping's answer");
    app.add_option("--polls", options_.polls, "outstanding at the relay")
        ->check(CLI::Range(1, 100))
        ->capture_default_str();
  }
  net::Status check() override {
    if (options_.sink && options_.protocol == "http-longpoll")
      return {net::Error::invalid, "a sink is of MQTT"};
    if (options_.tls != "none" && (options_.trust.empty() || options_.name.empty()))
      return {net::Error::invalid, "--tls needs --trust and --name"};
    return {};
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    if (options_.protocol == "http-longpoll")
      return std::unique_ptr<Service>(std::make_unique<PollPeer>(host, options_));
    return std::unique_ptr<Service>(std::make_unique<MqttPeer>(host, options_));
  }

 private:
  PeerOptions options_;
};

}  // namespace

std::unique_ptr<Blueprint> latency_peer_blueprint() { return std::make_unique<PeerBlueprint>(); }

}  // namespace culvert::services
