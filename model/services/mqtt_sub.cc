// mqtt-sub and mqtt-rr: print what comes, with mosquitto_sub's and mosquitto_rr's habits.
#include <algorithm>

#include "model/mqtt/topic.h"
#include "model/services/mqtt_command.h"
#include "model/services/mqtt_format.h"
#include "model/services/table.h"

namespace culvert::services {
namespace {

struct SubOptions : MqttCommand {
  std::string format, response_topic, message;
  std::vector<std::string> filter_out, away;
  uint64_t count = 0;
  bool verbose = false, no_newline = false, no_retained = false, only_retained = false,
       no_local = false, retain_as_published = false, remove_retained = false, record = false,
       end_subscribed = false, pretty = false;
  double percent = 100;
  bool request = false;  // mqtt-rr
  bool null = false, lines = false, retain = false;
};

class MqttSub : public MqttCommandService {
 public:
  MqttSub(net::Host& host, SubOptions options)
      : MqttCommandService(host, options, options.request ? "mqtt-rr" : "mqtt-sub"),
        options_(std::move(options)) {}

  net::Status start() override {
    if (const net::Status status = options_.properties.message("publish", properties_); !status)
      return status;
    connected_ = [this](const mqtt::ConnectedInfo& info) { connected(info); };
    if (const net::Status status = make_client(
            [this](mqtt::ClientOptions& client) { client.manual_ack = options_.record; });
        !status)
      return status;
    client_->on_message([this](const mqtt::IncomingMessage& m) { message(m); });
    return {};
  }

 private:
  void connected(const mqtt::ConnectedInfo&) {
    if (subscribed_) return;
    subscribed_ = true;
    if (!options_.away.empty()) client_->unsubscribe(options_.away);
    std::vector<mqtt::SubscribeRequest> wishes;
    const auto& filters =
        options_.request ? std::vector<std::string>{options_.response_topic} : options_.topics;
    for (const std::string& filter : filters) {
      mqtt::SubscribeRequest wish;
      wish.filter = filter;
      wish.options.qos = static_cast<uint8_t>(options_.qos);
      wish.options.no_local = options_.no_local;
      wish.options.retain_as_published = options_.retain_as_published;
      if (options_.no_retained && options_.version == "5") wish.options.retain_handling = 2;
      wishes.push_back(std::move(wish));
    }
    if (wishes.empty()) return end(0);
    const net::Status status = client_->subscribe(
        std::move(wishes), [this](const mqtt::SubscribeOutcome& o) { granted(o); },
        options_.subscription_id);
    if (!status) end(kExitFailed, status.detail);
  }
  void granted(const mqtt::SubscribeOutcome& outcome) {
    if (!outcome.status.ok()) return end(kExitFailed, "Error: " + outcome.status.detail);
    size_t refused = 0;
    mqtt::Reason why = mqtt::Reason::success;
    for (const mqtt::Reason reason : outcome.reasons)
      if (is_error(reason)) ++refused, why = reason;
    host_.log().write(
        name_, "subscribed",
        {{"filters", uint64_t{outcome.reasons.size()}}, {"refused", uint64_t{refused}}});
    if (refused == outcome.reasons.size())
      return end(static_cast<int>(why),
                 "All subscription requests were denied: " + std::string(to_string(why)));
    if (command_.debug) text("Subscribed\n");
    if (options_.end_subscribed) return end(0);
    if (!options_.request) return;
    mqtt::OutgoingMessage request;
    request.topic = options_.topics[0];
    request.payload.assign(options_.message.begin(), options_.message.end());
    request.qos = static_cast<uint8_t>(options_.qos);
    request.retain = options_.retain;
    request.properties = properties_;
    request.properties.response_topic = options_.response_topic;
    const net::Status status =
        client_->publish(std::move(request), [this](const mqtt::PublishOutcome& o) {
          if (!o.status.ok() || is_error(o.reason))
            end(kExitFailed, "the request was not taken: " + std::string(to_string(o.reason)));
        });
    if (!status) end(kExitFailed, status.detail);
  }
  void message(const mqtt::IncomingMessage& m) {
    const mqtt::Publish& p = m.publish;
    if (m.token != 0) {  // --record: noted in the very commit that acknowledges it
      const std::string key = "app/" + std::string(net::as_text(p.payload));
      uint8_t times = 1;
      if (const auto before = store_->get(key); before && !before->empty())
        times = static_cast<uint8_t>((*before)[0] + 1);
      net::StoreBatch note;
      note.changes.push_back({key, false, {times}});
      client_->acknowledge(m.token, mqtt::Reason::success, std::move(note));
    }
    if (over_) return;
    if (p.retain && options_.no_retained) return;
    if (!p.retain && options_.only_retained) return end_once();
    for (const std::string& filter : options_.filter_out)
      if (mqtt::matches(filter, p.topic)) return;
    if (options_.remove_retained && p.retain) {
      mqtt::OutgoingMessage empty;
      empty.topic = std::string(p.topic);
      empty.retain = true;
      client_->publish(std::move(empty));
    }
    if (options_.percent < 100 && host_.random().unit() * 100 >= options_.percent) return;
    if (std::string line; write(p, line)) text(line);
    host_.log().write(
        name_, "received",
        {{"topic", p.topic}, {"bytes", uint64_t{p.payload.size()}}, {"qos", int{p.qos}}});
    ++seen_;
    if ((options_.count > 0 && seen_ >= options_.count) || options_.request) end_once();
  }
  // What mosquitto_sub would print: of a message without payload nothing, unless asked for.
  bool write(const mqtt::Publish& p, std::string& line) {
    if (!options_.format.empty()) {
      const FormatTime when{calendar().now_ns ? calendar().now_ns() : host_.now().count(),
                            &calendar()};
      const net::Status status = format_message(options_.format, p, when, options_.pretty, line);
      if (!status) {
        if (!options_.quiet) complain(status.detail);
        return false;
      }
    } else {
      if (options_.verbose) line.append(p.topic).append(p.payload.empty() ? " (null)" : " ");
      if (!options_.verbose && p.payload.empty()) return false;
      line.append(net::as_text(p.payload));
    }
    if (!options_.no_newline) line += '\n';
    return true;
  }
  void end_once() {
    over_ = true;
    end(0);
  }

  SubOptions options_;
  mqtt::OwnedProperties properties_;
  uint64_t seen_ = 0;
  bool subscribed_ = false, over_ = false;
};

class MqttSubBlueprint : public Blueprint {
 public:
  explicit MqttSubBlueprint(bool request) { options_.request = request; }
  void options(CLI::App& app) override {
    options_.declare(app, !options_.request);
    app.option_defaults()->group(options_.request ? "The request and what is printed"
                                                  : "What is printed");
    app.add_flag("-v,--verbose", options_.verbose, "the topic, too");
    app.add_flag("-N", options_.no_newline, "no newline after each message");
    app.add_option("-F,--format", options_.format, kFormatHelp);
    app.add_flag("--pretty", options_.pretty, "%j and %J in several lines");
    app.add_flag("-R,--no-retained", options_.no_retained, "leave out retained messages");
    if (options_.request) {
      app.add_option("-e,--response-topic", options_.response_topic, "where the answer comes")
          ->required();
      message_ = app.add_option("-m,--message", options_.message, "the request's payload");
      app.add_flag("-n,--null-message", options_.null, "a request without payload");
      app.add_flag("-r,--retain", options_.retain, "the request is retained");
      return;
    }
    app.add_option("--random-filter", options_.percent, "print so many of a hundred messages")
        ->check(CLI::Range(0.0, 100.0));
    app.option_defaults()->group("Subscriptions and the end");
    app.add_option("-C,--count", options_.count, "end after so many messages; 0: never");
    app.add_flag("-E", options_.end_subscribed, "end as soon as the broker has subscribed us");
    app.add_flag("--retained-only", options_.only_retained, "end at the first fresh message");
    app.add_flag("--remove-retained", options_.remove_retained, "remove what is retained");
    app.add_flag("--retain-as-published", options_.retain_as_published,
                 "keep the publisher's retain flag");
    app.add_flag("--no-local", options_.no_local, "not what we publish ourselves");
    for (const auto& [names, list, about] :
         {std::tuple{"-T,--filter-out", &options_.filter_out, "leave out what matches"},
          std::tuple{"-U,--unsubscribe", &options_.away, "end this subscription of the session"}})
      app.add_option(names, *list, about)
          ->type_size(1)
          ->expected(1, CLI::detail::expected_max_vector_size)
          ->allow_extra_args(false);
    app.add_flag("--record", options_.record,
                 "with --store: count each payload there, in the commit that acknowledges it");
  }
  net::Status check() override {
    if (const net::Status status = options_.check(); !status) return status;
    if (options_.request) {
      if (options_.topics.empty()) return {net::Error::invalid, "a topic is needed: -t or -L"};
      if ((message_->count() > 0) == options_.null)
        return {net::Error::invalid, "give one of -m and -n"};
    } else if (options_.topics.empty() && options_.away.empty()) {
      return {net::Error::invalid, "a topic filter is needed: -t or -L"};
    }
    for (const auto* list : {&options_.topics, &options_.filter_out, &options_.away})
      for (const std::string& filter : *list)
        if (options_.request ? !mqtt::valid_topic_name(filter) : !mqtt::valid_topic_filter(filter))
          return {net::Error::invalid,
                  "'" + filter + "' is no topic" + (options_.request ? " (+ and # ?)" : " filter")};
    if (options_.request && !mqtt::valid_topic_name(options_.response_topic))
      return {net::Error::invalid, "-e: '" + options_.response_topic + "' is no topic"};
    if (options_.record && options_.store.empty())
      return {net::Error::invalid, "--record needs --store"};
    return check_format(options_.format);
  }
  net::Result<std::unique_ptr<Service>> build(net::Host& host) override {
    return std::unique_ptr<Service>(std::make_unique<MqttSub>(host, options_));
  }

 private:
  SubOptions options_;
  CLI::Option* message_ = nullptr;
};

}  // namespace

std::unique_ptr<Blueprint> mqtt_sub_blueprint() {
  return std::make_unique<MqttSubBlueprint>(false);
}
std::unique_ptr<Blueprint> mqtt_rr_blueprint() { return std::make_unique<MqttSubBlueprint>(true); }

}  // namespace culvert::services
