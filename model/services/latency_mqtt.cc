// The latency service's operations over MQTT: PUBLISH to the broker, or a request whose answer the
// peer (latency-peer) publishes.
#include <map>

#include "model/mqtt/client/client.h"
#include "model/services/latency_operation.h"
#include "model/services/payload_seal.h"

namespace culvert::services {
namespace {

class MqttOperation : public Operation {
 public:
  MqttOperation(net::Host& host, const LatencyOptions& options, Dialler dialler,
                std::optional<PayloadSeal> seal)
      : host_(host), options_(options), dialler_(std::move(dialler)), seal_(std::move(seal)) {}

  void prepare(Done done) override {
    if (!options_.cold) return connect(std::move(done));
    if (options_.tls != "resumed") return host_.post([done = std::move(done)] { done({}); });
    connect([this, done = std::move(done)](net::Status status) {  // for its ticket
      if (!status) return done(status);
      leave(done);
    });
  }

  void run(uint32_t number, Done over, Done closed) override {
    if (!options_.cold)
      return send(number,
                  [this, over = std::move(over), closed = std::move(closed)](net::Status status) {
                    over(status);
                    if (status) host_.post([closed] { closed({}); });
                  });
    connect([this, number, over = std::move(over), closed = std::move(closed)](net::Status status) {
      if (!status) return over(status);
      send(number, [this, over, closed](net::Status status) {
        over(status);
        leave(status ? closed : [](net::Status) {});
      });
    });
  }

 private:
  bool asks() const { return options_.operation == "request"; }

  // A session that can do its work: subscribed to answers, if there are any.
  void connect(Done done) {
    connected_ = std::move(done);
    mqtt::ClientOptions options;
    options.version = options_.protocol == "mqtt3" ? mqtt::Version::v311 : mqtt::Version::v5;
    options.client_id = "latency";
    options.keep_alive_s = 0;  // no PINGREQ among what is counted
    options.reconnect = false;
    options.qos2_early = !options_.qos2_late;
    options.topic_alias_maximum = 0;
    options.connect_patience = options_.patience;
    client_ = std::make_unique<mqtt::Client>(host_, options, dialler_.connector());
    client_->on_message([this](const mqtt::IncomingMessage& message) {
      if (!seal_) return answered(number_of(message.publish.payload));
      const auto plain = seal_->open(message.publish.topic, message.publish.payload);
      if (plain) answered(number_of(*plain));
    });
    client_->on_lost([this](const mqtt::Client::Lost& lost) {
      net::Status status = lost.status;
      if (status) status = {net::Error::closed, std::string(lost.phase)};
      failed(status);
    });
    client_->on_connected([this](const mqtt::ConnectedInfo& info) {
      host_.log().write("latency", "connected",
                        {{"tls_resumed", resumed(info)}, {"attempt", info.attempt}});
      if (!asks()) return told({});
      mqtt::SubscribeRequest request;
      request.filter = kAnswerTopic;
      request.options.qos = options_.qos;
      const net::Status status = client_->subscribe(
          {request}, [this](const mqtt::SubscribeOutcome& outcome) { told(outcome.status); });
      if (!status) told(status);
    });
    client_->start();
  }

  static bool resumed(const mqtt::ConnectedInfo&) { return false; }

  void told(net::Status status) {
    if (Done done = std::exchange(connected_, nullptr)) done(std::move(status));
  }

  void send(uint32_t number, Done over) {
    number_ = number;
    over_ = std::move(over);
    mqtt::OutgoingMessage message;
    message.topic = asks() ? kAskTopic : kPublishTopic;
    message.payload = numbered(number, options_.payload);
    if (seal_) message.payload = seal_->seal(message.topic, message.payload);
    message.qos = options_.qos;
    if (asks() && options_.protocol == "mqtt5") {
      message.properties.response_topic = std::string(kAnswerTopic);
      message.properties.correlation_data = numbered(number, 8);
    }
    const net::Status status =
        client_->publish(std::move(message), [this, number](const mqtt::PublishOutcome& outcome) {
          if (outcome.status && static_cast<uint8_t>(outcome.reason) < 0x80) {
            if (!asks() && number == number_) ended({});
          } else if (number == number_) {
            ended(outcome.status ? net::Status(net::Error::failed,
                                               std::string(mqtt::to_string(outcome.reason)))
                                 : outcome.status);
          }
        });
    if (!status) host_.post([this, status] { ended(status); });
  }

  void answered(uint32_t number) {
    if (asks() && number == number_) ended({});
  }
  void ended(net::Status status) {
    if (Done over = std::exchange(over_, nullptr)) over(std::move(status));
  }
  void failed(const net::Status& status) {
    if (leaving_) return;
    told(status);
    ended(status);
  }

  // DISCONNECT, and the connection is gone.
  void leave(Done done) {
    leaving_ = true;
    client_->stop(mqtt::Reason::success, [this, done = std::move(done)] {
      host_.post([this, done] {
        client_.reset();
        leaving_ = false;
        done({});
      });
    });
  }

  net::Host& host_;
  const LatencyOptions& options_;
  Dialler dialler_;
  std::optional<PayloadSeal> seal_;
  std::unique_ptr<mqtt::Client> client_;
  Done connected_, over_;
  uint32_t number_ = 0;
  bool leaving_ = false;
};

}  // namespace

net::Result<std::unique_ptr<Operation>> mqtt_operation(net::Host& host,
                                                       const LatencyOptions& options) {
  auto dialler = Dialler::make(host, options);
  if (!dialler) return dialler.status();
  auto seal = PayloadSeal::make(host, options.seal);
  if (!seal) return seal.status();
  return std::unique_ptr<Operation>(
      std::make_unique<MqttOperation>(host, options, std::move(*dialler), std::move(*seal)));
}

}  // namespace culvert::services
