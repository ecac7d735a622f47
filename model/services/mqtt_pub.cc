// mqtt-pub: publishes a message, a file, stdin or its lines, with mosquitto_pub's habits.
#include "model/mqtt/topic.h"
#include "model/services/mqtt_command.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

constexpr size_t kLargestInput = 64 * 1024 * 1024;  // ours: bytes of stdin as one message
constexpr size_t kLongestLine = 1024 * 1024;        // ours
constexpr size_t kAtATime = 1000;                   // ours: messages under way of a file of lines

struct PubOptions : MqttCommand {
  std::string message, file;
  bool has_message = false, lines = false, whole = false, null = false, retain = false;
  uint16_t max_inflight = 65535;
  uint32_t repeat = 1;
  double repeat_delay_s = 0;
};

class MqttPub : public MqttCommandService {
 public:
  MqttPub(net::Host& host, PubOptions options)
      : MqttCommandService(host, options, "mqtt-pub"),
        options_(std::move(options)),
        again_(host.timers(), [this] { publish_once(); }) {}

  bool wants_input() const override { return options_.lines || options_.whole; }

  net::Status start() override {
    if (!options_.file.empty()) {
      const auto content = host_.secret(options_.file);
      if (!content) return content.status();
      payload_ = *content;
    } else {
      payload_.assign(options_.message.begin(), options_.message.end());
    }
    if (const net::Status status = options_.properties.message("publish", properties_); !status)
      return status;
    connected_ = [this](const mqtt::ConnectedInfo&) { perhaps_end(); };  // all may be told already
    if (const net::Status status = make_client([this](mqtt::ClientOptions& client) {
          client.queue_qos0_offline = true;
          client.send_maximum = options_.max_inflight;
          client.reconnect = !options_.store.empty() || options_.lines;
        });
        !status)
      return status;
    if (store_) {
      if (const auto line = store_->get("app/line"); line && line->size() == 8)
        for (const uint8_t byte : *line) skip_ = skip_ << 8 | byte;
      client_->on_recovered(
          [this](const mqtt::Publish&, const mqtt::PublishOutcome& o) { told(o); });
    }
    if (command_.debug) text("Publishing to " + options_.topics[0] + "\n");
    if (!wants_input()) publish_once();
    return {};
  }

  void input(net::Bytes piece) override {
    if (piece.empty()) {
      ended_ = true;
      if (options_.whole) publish_once();
      if (options_.lines && !payload_.empty()) line();
      return drain();
    }
    if (options_.whole) {
      if (payload_.size() + piece.size() > kLargestInput)
        return end(kExitFailed, "stdin is longer than 64 MB");
      payload_.insert(payload_.end(), piece.begin(), piece.end());
      return;
    }
    for (const uint8_t byte : piece) {
      if (byte == '\n') {
        line();
      } else if (payload_.size() < kLongestLine) {
        payload_.push_back(byte);
      } else {
        return end(kExitFailed, "a line is longer than 1 MB");
      }
    }
  }

 private:
  void line() {
    ++line_;
    net::Buffer content;
    content.swap(payload_);
    if (line_ <= skip_) return;  // an earlier life has handed it over
    waiting_.push_back(std::move(content));
    drain();
  }
  void drain() {
    while (next_ < waiting_.size() && client_->unacknowledged() < kAtATime) {
      net::StoreBatch note;
      if (store_) {
        net::Buffer number(8);
        const uint64_t n = line_ - (waiting_.size() - next_) + 1;
        for (int i = 0; i < 8; ++i) number[i] = static_cast<uint8_t>(n >> (56 - 8 * i));
        note.changes.push_back({"app/line", false, std::move(number)});
      }
      send(std::move(waiting_[next_++]), std::move(note));
    }
    if (next_ == waiting_.size()) waiting_.clear(), next_ = 0;
    perhaps_end();
  }
  void publish_once() {
    ++published_;
    send(payload_, {});
    if (published_ < options_.repeat) again_.arm_after(net::from_ms(options_.repeat_delay_s * 1e3));
  }
  void send(net::Buffer payload, net::StoreBatch note) {
    mqtt::OutgoingMessage message;
    message.topic = options_.topics[0];
    message.payload = std::move(payload);
    message.qos = static_cast<uint8_t>(options_.qos);
    message.retain = options_.retain;
    message.properties = properties_;
    ++under_way_;
    const net::Status status = client_->publish(
        std::move(message),
        [this](const mqtt::PublishOutcome& outcome) {
          --under_way_;
          told(outcome);
          drain();
        },
        std::move(note));
    if (!status) end(kExitFailed, status.detail);
  }
  void told(const mqtt::PublishOutcome& outcome) {
    host_.log().write("mqtt-pub", "published",
                      {{"ok", outcome.status.ok() && !is_error(outcome.reason)},
                       {"reason", to_string(outcome.reason)},
                       {"in_doubt", outcome.in_doubt}});
    if (!outcome.status.ok() && outcome.status.error != net::Error::closed)
      return end(kExitFailed, "Error: " + outcome.status.detail);
    if (is_error(outcome.reason))
      end(static_cast<int>(outcome.reason),
          "Publish refused: " + std::string(to_string(outcome.reason)));
    perhaps_end();
  }
  void perhaps_end() {
    const bool all = wants_input() ? ended_ && waiting_.empty() : published_ == options_.repeat;
    if (all && under_way_ == 0 && client_->unacknowledged() == 0 && client_->connected()) end(0);
  }

  PubOptions options_;
  mqtt::OwnedProperties properties_;
  net::Buffer payload_;
  std::vector<net::Buffer> waiting_;
  size_t next_ = 0;
  uint64_t line_ = 0, skip_ = 0;
  uint32_t published_ = 0;
  size_t under_way_ = 0;
  bool ended_ = false;
  net::Timer again_;
};

class MqttPubBlueprint : public Blueprint {
 public:
  void options(CLI::App& app) override {
    options_.declare(app, false);
    app.option_defaults()->group("What to publish (one of the first five)");
    message_ = app.add_option("-m,--message", options_.message, "the payload");
    app.add_flag("-l,--stdin-line", options_.lines, "each line of stdin is a message");
    app.add_flag("-s,--stdin-file", options_.whole, "all of stdin is one message");
    app.add_flag("-n,--null-message", options_.null, "a message without payload");
    app.add_option("-f,--file", options_.file,
                   "this file is the payload (16 MiB at most; else -s)");
    app.add_flag("-r,--retain", options_.retain, "the broker keeps it for later subscribers");
    app.add_option("--repeat", options_.repeat, "so often")->check(CLI::Range(1, 1'000'000'000));
    app.add_option("--repeat-delay", options_.repeat_delay_s, "seconds between")
        ->check(CLI::Range(0.0, 86400.0));
    app.add_option("-M,--max-inflight", options_.max_inflight,
                   "QoS 1 and 2 messages under way at a time; fewer if the broker says so")
        ->check(CLI::Range(1, 65535));
  }
  net::Status check() override {
    if (const net::Status status = options_.check(); !status) return status;
    options_.has_message = message_->count() > 0;
    if (options_.topics.empty()) return {net::Error::invalid, "a topic is needed: -t or -L"};
    if (!mqtt::valid_topic_name(options_.topics[0]))
      return {net::Error::invalid, "-t: '" + options_.topics[0] + "' is no topic (+ and # ?)"};
    const int sources = options_.has_message + options_.lines + options_.whole + options_.null +
                        !options_.file.empty();
    if (sources != 1) return {net::Error::invalid, "give one of -m, -l, -s, -n and -f"};
    return {};
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<MqttPub>(host, options_));
  }

 private:
  PubOptions options_;
  CLI::Option* message_ = nullptr;
};

}  // namespace

std::unique_ptr<Blueprint> mqtt_pub_blueprint() { return std::make_unique<MqttPubBlueprint>(); }

}  // namespace culvert::services
